import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from qlops_assets.core.journal import Journal
from qlops_assets.core.settings import Settings
from qlops_assets.deployment.model_source import RegisteredModels
from qlops_assets.serving.app import build_app
from qlops_assets.serving.run import bind, build_server
from qlops_assets_tests.support.served_models import (
    TOKEN,
    FrozenClock,
    InMemoryFeatures,
    register,
    set_live,
    train_text,
)


@pytest.fixture(scope="session")
def texts() -> dict[str, str]:
    return {"alpha-1": train_text(1), "alpha-2": train_text(2)}


@dataclass
class Home:
    """A home with two registered versions, the first of them live."""

    settings: Settings
    journal: Journal
    texts: dict[str, str]

    @property
    def models(self) -> RegisteredModels:
        return RegisteredModels(self.settings, self.journal)


def make_home(folder: Path, texts: dict[str, str], live: str | None = "alpha-1") -> Home:
    settings = Settings(home=folder)
    journal = Journal(settings.journal_url)
    for version, text in texts.items():
        register(settings, journal, version, text, data_version=f"data-of-{version}")
    if live:
        set_live(journal, "staging", live)
    return Home(settings, journal, texts)


@pytest.fixture
def home(tmp_path: Path, texts: dict[str, str]) -> Home:
    return make_home(tmp_path, texts)


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory: pytest.TempPathFactory, texts: dict[str, str]) -> Home:
    return make_home(tmp_path_factory.mktemp("home"), texts)


@contextmanager
def running_server(
    models: Any, *, is_ready: bool = True, idle_minutes: float | None = None, **options: Any
) -> Iterator[httpx.Client]:
    """Run a server on a free port in a thread and yield a client of it."""
    given = {"features": InMemoryFeatures(), "admin_token": TOKEN, "clock": FrozenClock()}
    app = build_app(environment="staging", models=models, **{**given, **options})
    with closing(bind(0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = build_server(app, listener, idle_minutes=idle_minutes)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            with httpx.Client(base_url=url, timeout=10, trust_env=False) as client:
                client.headers["authorization"] = f"Bearer {TOKEN}"
                wait_until(lambda: client.get("/v2/health/live").is_success)
                if is_ready:
                    wait_until(lambda: client.get("/v2/health/ready").is_success)
                yield client
        finally:
            server.should_exit = True
            thread.join(15)
            assert not thread.is_alive()


def wait_until(is_so: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for something that happens in another thread or process."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "the server did not get there in time"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def client(shared_home: Home) -> Iterator[httpx.Client]:
    """A client of a server that serves ``alpha-1`` and is not changed by the tests."""
    with running_server(shared_home.models) as client:
        yield client


@pytest.fixture
def start() -> Iterator[Callable[..., httpx.Client]]:
    """Start servers that stop when the test ends."""
    with ExitStack() as servers:
        yield lambda models, **options: servers.enter_context(running_server(models, **options))
