"""Starlette's test client: requests to an application without a socket."""

import warnings

with warnings.catch_warnings():
    # It asks for httpx2 and works with httpx, which the project has. Remove with httpx.
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

__all__ = ["TestClient"]
