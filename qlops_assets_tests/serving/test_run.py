"""The server as a process: port, idleness, signals."""

import signal
import subprocess
import sys
import threading
import time
from contextlib import closing

import httpx
import pytest

from qlops_assets.core.atomic import read_json
from qlops_assets.core.errors import PortInUseError, ServerError
from qlops_assets.serving.app import build_app
from qlops_assets.serving.run import bind, serve
from qlops_assets_tests.serving.conftest import Home, wait_until
from qlops_assets_tests.support.served_models import TOKEN, InMemoryFeatures


def test_import_of_the_room_is_cheap() -> None:
    code = (
        "import sys, qlops_assets.serving, qlops_assets.serving.run; "
        "heavy = {'starlette', 'fastapi', 'uvicorn', 'lightgbm', 'numpy', 'prometheus_client'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_serve_on_a_port_in_use_says_so_before_anything_else(home: Home) -> None:
    listening: list[int] = []
    with closing(bind(0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortInUseError, match=f"port {port} is already in use"):
            serve(_app(home), port=port, on_listening=listening.append)
    assert listening == []


def test_bind_to_a_port_that_is_none_is_an_error() -> None:
    with pytest.raises(ServerError, match="port 70000"):
        bind(70_000)


def test_idle_server_stops_by_itself_though_it_is_probed(home: Home) -> None:
    listening: list[int] = []
    server = threading.Thread(
        target=serve,
        args=(_app(home),),
        kwargs={"port": 0, "idle_minutes": 1.5 / 60, "on_listening": listening.append},
    )
    server.start()
    started = time.monotonic()
    wait_until(lambda: bool(listening))
    with httpx.Client(base_url=f"http://127.0.0.1:{listening[0]}", trust_env=False) as client:
        while time.monotonic() - started < 1.0:
            assert client.get("/v2").status_code == 200  # work keeps it alive
            time.sleep(0.1)
        while server.is_alive() and time.monotonic() - started < 10:
            try:
                client.get("/v2/health/live")
                client.get("/metrics")
            except httpx.TransportError:
                break
            time.sleep(0.1)
    server.join(10)
    assert not server.is_alive()
    assert 2.0 < time.monotonic() - started < 8


@pytest.mark.parametrize("signal_sent", [signal.SIGTERM, signal.SIGINT])
def test_signal_lets_requests_under_way_finish_and_ends_with_status_0(
    home: Home, signal_sent: signal.Signals
) -> None:
    script = "qlops_assets_tests.support.serve_process"
    command = [sys.executable, "-m", script, "--home", str(home.settings.home)]
    process = subprocess.Popen([*command, "--row-seconds", "0.8"], start_new_session=True)
    record_file = home.settings.servers / "staging.json"
    try:
        wait_until(record_file.exists)
        url = read_json(record_file)["url"]
        statuses: list[int] = []
        asker = threading.Thread(
            target=lambda: statuses.append(
                httpx.post(f"{url}/v1/score", trust_env=False, timeout=10).status_code
            )
        )
        wait_until(lambda: httpx.get(f"{url}/v2/health/ready", trust_env=False).status_code == 200)
        asker.start()
        wait_until(lambda: "in_flight 1.0" in httpx.get(f"{url}/metrics", trust_env=False).text)
        process.send_signal(signal_sent)
        assert statuses == []
        assert process.wait(10) == 0
        asker.join(10)
        assert statuses == [200]
        assert not record_file.exists()
    finally:
        process.kill()
        process.wait(10)


def _app(home: Home):
    return build_app(
        environment="staging",
        models=home.models,
        features=InMemoryFeatures(),
        admin_token=TOKEN,
    )
