"""A model server as a process: the socket, signals, idleness.

``qlops serve`` is these calls, in this order::

    token = secrets.token_urlsafe(32)
    app = build_app(
        environment=environment,
        models=RegisteredModels(settings, journal),
        features=feature_lookup,
        admin_token=token,
    )
    serve(
        app,
        port=port,
        idle_minutes=idle_minutes,
        on_listening=lambda port: publish_record(settings, environment, port=port, token=token),
    )
    withdraw_record(settings, environment)

``serve`` returns after SIGTERM, SIGINT or idleness, with every request under way answered. The
version that is live in the environment is loaded on every start, so a server that was killed serves
the same version when it is started again.
"""

import contextlib
import errno
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from qlops_assets.core.errors import PortInUseError, ServerError

if TYPE_CHECKING:
    import uvicorn
    from starlette.applications import Starlette

HOST = "127.0.0.1"

_BACKLOG = 2048
_GRACE_SECONDS = 10
# Longer than clients keep idle connections, so that they close them, not we under their feet.
_KEEP_ALIVE_SECONDS = 75


def bind(port: int, purpose: str = "the model server") -> socket.socket:
    """Return a socket that listens on a port of this machine; 0 takes a free one.

    Raises:
        PortInUseError: another process listens there.
        ServerError: the system does not let us listen there.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise PortInUseError(port, purpose) from error
        raise ServerError(f"port {port}: cannot listen there: {error}") from error
    return listener


def build_server(
    app: "Starlette",
    listener: socket.socket,
    *,
    idle_minutes: float | None = None,
    on_listening: Callable[[int], None] | None = None,
) -> "uvicorn.Server":
    """Return a server for ``app``; run it with ``server.run(sockets=[listener])``.

    Args:
        app: What :func:`qlops_assets.serving.app.build_app` returned.
        listener: Its socket.
        idle_minutes: Stop after this long without a request; probes and scrapes do not count.
        on_listening: Called once with the port when requests are accepted.
    """
    import uvicorn

    pending = [on_listening] if on_listening else []

    async def on_tick() -> None:  # about once a second, the first time when we listen
        if pending:
            pending.pop()(listener.getsockname()[1])
        if idle_minutes is not None and app.state.traffic.idle_seconds() > idle_minutes * 60:
            server.should_exit = True

    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        ws="none",
        lifespan="on",
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        callback_notify=on_tick,
        timeout_notify=0,
    )
    server = uvicorn.Server(config)
    return server


def serve(
    app: "Starlette",
    *,
    port: int,
    idle_minutes: float | None = None,
    on_listening: Callable[[int], None] | None = None,
) -> None:
    """Serve until SIGTERM, SIGINT or idleness; then answer what is under way and return.

    Args:
        app: What :func:`qlops_assets.serving.app.build_app` returned.
        port: On 127.0.0.1; 0 takes a free one, which ``on_listening`` is told.
        idle_minutes: Stop after this long without a request; None means never.
        on_listening: Called once with the real port when requests are accepted.

    Raises:
        PortInUseError: another process listens on the port.
    """
    with contextlib.closing(bind(port)) as listener, _returning_on_signals():
        server = build_server(app, listener, idle_minutes=idle_minutes, on_listening=on_listening)
        server.run(sockets=[listener])


@contextlib.contextmanager
def _returning_on_signals() -> Iterator[None]:
    """Let ``serve`` return after a signal: uvicorn stops on it, then raises it once more."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
