"""The model server: Open Inference Protocol v2 over HTTP, one process per environment.

May import: core, and the rooms below where it must. Feature rows and models are handed to it as
the protocols of ``core.prediction``. Starlette and uvicorn are imported when a server starts.

- ``tensors`` and ``protocol`` read and write the protocol's JSON; pure functions.
- ``scoring`` is our own route, where the server looks the features up.
- ``slots`` holds the version that answers, and replaces it whole.
- ``exchange`` gives every request its identity, bounds its size, and turns errors into answers.
- ``server`` has the routes, ``app`` puts the application together, ``run`` makes a process of it.

To add a route: a method on ``ModelServer`` in ``server.py`` and one line in its ``routes``.
"""
