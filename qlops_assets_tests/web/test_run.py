"""The console as a process: its port, its end, what importing it costs."""

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from qlops_assets.core.errors import PortInUseError, ServerError
from qlops_assets.core.settings import Settings
from qlops_assets.web.run import run_console
from qlops_assets_tests.support.consoles import console_process


def test_port_in_use_is_said_before_anything_is_loaded(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortInUseError, match=f"port {port} is already in use; the console"):
            run_console(settings, port=port)
    assert not settings.home.exists()


def test_port_that_cannot_be_is_an_error(settings: Settings) -> None:
    with pytest.raises(ServerError, match="70000"):
        run_console(settings, port=70_000)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_the_console_gracefully_and_says_goodbye_to_clients(
    tmp_path: Path, number: signal.Signals
) -> None:
    with console_process(tmp_path) as console:
        with connect(f"ws://{console.address}/ws/events", proxy=None) as stream:
            started = time.monotonic()
            assert console.end(number) == 0
            with pytest.raises(ConnectionClosed) as end:
                stream.recv(timeout=10)
        assert time.monotonic() - started < 5
        assert end.value.rcvd is not None
        assert end.value.rcvd.code == 1012


def test_importing_the_room_and_its_start_loads_nothing_heavy() -> None:
    program = (
        "import json, sys, qlops_assets.web, qlops_assets.web.run;"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    heavy = {"fastapi", "starlette", "uvicorn", "jinja2", "sqlalchemy", "polars", "httpx"}
    assert heavy.isdisjoint(json.loads(done.stdout))


def test_console_loads_no_library_of_training() -> None:
    program = (
        "import json, sys, qlops_assets.web.app as app; from pathlib import Path;"
        "from qlops_assets.core.settings import Settings;"
        "app.build_console(Settings(home=Path('nowhere')));"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    heavy = {"dagster", "qlib", "lightgbm", "mlflow", "pandas", "polars", "matplotlib", "torch"}
    assert heavy.isdisjoint(json.loads(done.stdout))
