"""What every request gets, whatever its route: an identity, bounds, and errors as JSON.

Every answer carries ``x-request-id`` (the caller's where it sent a sane one), ``x-qlops-arm`` and
``x-qlops-model-version`` (the version that answered; ``none`` where none is loaded).
"""

import asyncio
import hmac
import json
import logging
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from qlops_assets.core.errors import (
    BadRequestError,
    DatasetMissingError,
    FeatureDefinitionError,
    LoadUnderWayError,
    QlopsError,
    ServerError,
    UnknownInstrumentsError,
    UnknownModelError,
)

log = logging.getLogger(__name__)

ARM_LIVE = "live"
NO_VERSION = "none"

_SANE_ID = re.compile(r"[A-Za-z0-9._:@/+=-]{1,128}")
_BODY_SECONDS = 30.0
_RETRY_SECONDS = "1"
# Probes and scrapes come by themselves; they do not keep an idle server alive.
_NOT_WORK = ("/v2/health/", "/metrics")
# The first class that fits decides; every other error that a user can understand is a 422.
_STATUS: tuple[tuple[type[QlopsError], int], ...] = (
    (BadRequestError, 400),
    (UnknownModelError, 404),
    (DatasetMissingError, 404),
    (UnknownInstrumentsError, 404),
    (LoadUnderWayError, 409),
    (FeatureDefinitionError, 409),
    (QlopsError, 422),
)


class RefusedError(ServerError):
    """A request that is refused for what it is, not for what it says."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        self.status, self.headers = status, dict(headers or {})
        super().__init__(message)


def json_response(
    value: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return a JSON answer."""
    body = json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
    return Response(body, status, headers, media_type="application/json")


def error_response(error: Exception) -> Response:
    """Return ``{"error": …}`` with the status that the error stands for."""
    if isinstance(error, RefusedError):
        return json_response({"error": str(error)}, error.status, error.headers)
    if isinstance(error, HTTPException):
        return json_response({"error": error.detail}, error.status_code, error.headers)
    for kind, status in _STATUS:
        if isinstance(error, kind):
            return json_response({"error": str(error)}, status)
    return json_response({"error": "internal error; the server's log has it"}, 500)


async def read_body(request: Request, limit: int) -> bytes:
    """Return a request's body; one that is too long is refused before it is read whole.

    Raises:
        RefusedError: the body is longer than ``limit`` bytes, compressed, or does not arrive.
    """
    if request.headers.get("content-encoding", "identity") != "identity":
        raise BadRequestError("content-encoding", "was set", "send the body uncompressed")
    if "inference-header-content-length" in request.headers:
        raise BadRequestError("body", "was binary tensor data", "send tensors as JSON")
    too_long = RefusedError(
        413, f"body: longer than {limit} bytes; send fewer rows", {"connection": "close"}
    )
    if int(request.headers.get("content-length", 0)) > limit:
        raise too_long
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > limit:
                    raise too_long
    except (TimeoutError, ClientDisconnect):
        raise RefusedError(
            408, f"body: did not arrive within {_BODY_SECONDS:.0f} s", {"connection": "close"}
        ) from None
    return bytes(body)


def check_bearer(request: Request, token: str) -> None:
    """Let only the holder of the admin token pass.

    Raises:
        RefusedError: 401 without a bearer token, 403 with another one.
    """
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not given:
        raise RefusedError(
            401,
            "authorization: was absent or no bearer token; send the admin token",
            {"www-authenticate": "Bearer"},
        )
    if not hmac.compare_digest(given.strip().encode(), token.encode()):
        raise RefusedError(403, "authorization: not this server's admin token")


class Traffic:
    """How many requests are being answered, and when the last one came."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._in_flight = 0
        self._open = 0
        self._last = time.monotonic()

    def in_flight(self) -> int:
        """Return how many predictions are under way."""
        return self._in_flight

    def idle_seconds(self) -> float:
        """Return the time since the last request ended; 0 while one is under way."""
        return 0.0 if self._open else time.monotonic() - self._last

    @contextmanager
    def request(self) -> Iterator[None]:
        """Count a request as work for as long as the block runs."""
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1
            self._last = time.monotonic()

    @contextmanager
    def place(self) -> Iterator[None]:
        """Take one of the places for predictions.

        Raises:
            RefusedError: 429; every place is taken.
        """
        if self._in_flight >= self._limit:
            raise RefusedError(
                429,
                f"overloaded: {self._limit} requests are being answered; try again",
                {"retry-after": _RETRY_SECONDS},
            )
        self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1


def _identity_headers(state: Mapping[str, Any]) -> dict[str, str]:
    return {
        "x-request-id": state["request_id"],
        "x-qlops-arm": ARM_LIVE,
        "x-qlops-model-version": state["model_version"] or NO_VERSION,
    }


class Identity:
    """ASGI middleware that gives a request its id and puts the identity on its answer."""

    def __init__(
        self, app: ASGIApp, current_version: Callable[[], str | None], traffic: Traffic
    ) -> None:
        self._app, self._current_version, self._traffic = app, current_version, traffic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; other ASGI events pass through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["request_id"] = _request_id(scope)
        # The route replaces this by the version of the slot it takes.
        state["model_version"] = self._current_version()

        async def send_identified(message: Message) -> None:
            if message["type"] == "http.response.start":
                ours = [(k.encode(), v.encode()) for k, v in _identity_headers(state).items()]
                message["headers"] = [*message.get("headers", ()), *ours]
            await send(message)

        is_work = not scope["path"].startswith(_NOT_WORK)
        with self._traffic.request() if is_work else nullcontext():
            try:
                await self._app(scope, receive, send_identified)
            except Exception as error:  # our mistake: the log gets the traceback, the caller a 500
                log.exception("request %s failed", state["request_id"])
                await error_response(error)(scope, receive, send_identified)


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            given: str = value.decode("latin-1")
            if _SANE_ID.fullmatch(given):
                return given
    return uuid.uuid4().hex
