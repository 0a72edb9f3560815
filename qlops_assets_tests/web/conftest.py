"""A home, its journal, and a client of its console."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from qlops_assets.core.journal import Journal
from qlops_assets.core.settings import ConsoleSettings, Settings
from qlops_assets.web.app import build_console
from qlops_assets_tests.support.asgi_client import TestClient
from qlops_assets_tests.support.consoles import free_port
from qlops_assets_tests.support.market_fixtures import market, own_market, shared_folder

__all__ = ["market", "own_market", "shared_folder"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", console=ConsoleSettings(dagster_port=free_port()))


@pytest.fixture
def journal(settings: Settings) -> Iterator[Journal]:
    journal = Journal(settings.journal_url)
    yield journal
    journal.close()


@pytest.fixture
def client(settings: Settings, journal: Journal) -> Iterator[TestClient]:
    app = build_console(settings, journal=journal)
    with TestClient(app, base_url="http://127.0.0.1:8080", raise_server_exceptions=False) as client:
        yield client
