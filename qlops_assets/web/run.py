"""The console as a process."""

import contextlib
import errno
import logging
import signal
import socket
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from qlops_assets.core.errors import PortInUseError, ServerError
from qlops_assets.core.settings import Settings

if TYPE_CHECKING:
    import uvicorn

_HOST = "127.0.0.1"
_STOP_S = 5
_LOG = logging.getLogger(__name__)


def run_console(settings: Settings, *, port: int) -> None:
    """Serve the console on 127.0.0.1 until SIGINT or SIGTERM, then stop gracefully.

    Args:
        settings: Which home.
        port: 0 takes any free one; the log names it.

    Raises:
        PortInUseError: another process listens there.
        ServerError: the port cannot be listened on.
    """
    listener = _listen(port)
    try:
        _serve(settings, listener)
    finally:
        listener.close()


def _serve(settings: Settings, listener: socket.socket) -> None:
    import uvicorn

    from qlops_assets.web.app import build_console

    server = uvicorn.Server(
        uvicorn.Config(
            build_console(settings),
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws_max_size=4096,
            ws_ping_interval=20.0,
            ws_ping_timeout=20.0,
            timeout_graceful_shutdown=_STOP_S,
        )
    )
    _LOG.info("console: http://%s:%d", _HOST, listener.getsockname()[1])
    with _stopping(server):
        server.run(sockets=[listener])


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((_HOST, port))
        listener.listen(128)
    except (OSError, OverflowError) as error:
        listener.close()
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise PortInUseError(port, "the console") from error
        raise ServerError(f"console: cannot listen on {_HOST}:{port}: {error}") from error
    return listener


@contextlib.contextmanager
def _stopping(server: "uvicorn.Server") -> Iterator[None]:
    """Let a graceful stop be the end of a signal.

    uvicorn stops on a signal, puts the former handlers back and raises the signal once more, which
    would end this process as killed. The former handlers are these, which only ask for the stop,
    also in the moment before uvicorn listens to signals itself.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_number: int, _frame: object) -> None:
        server.should_exit = True

    former = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
