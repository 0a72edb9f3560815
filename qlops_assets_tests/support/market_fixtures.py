"""The fixtures of the small market; a room's conftest imports those that it needs."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from qlops_assets.core.settings import Settings
from qlops_assets_tests.support.market import build_few, build_market, copied, market_settings, once
from qlops_assets_tests.support.trained import build_trained


@pytest.fixture(scope="session")
def shared_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this run share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if hasattr(request.config, "workerinput") else own


@pytest.fixture(scope="session")
def market(shared_folder: Path) -> Settings:
    """A home with the bars and factors of the small market. Not to be changed."""
    folder = once(shared_folder / "market", build_market)
    return market_settings(folder / "home", folder / "source")


@pytest.fixture(scope="session")
def few(market: Settings, shared_folder: Path) -> Settings:
    """The home with four instruments only, for tests that compute factors. Not to be changed."""
    folder = once(shared_folder / "few", lambda folder: build_few(folder, market))
    return replace(market, home=folder / "home")


@pytest.fixture
def own_few(few: Settings, tmp_path: Path) -> Settings:
    """A copy of the home with four instruments, for one test to change."""
    return copied(few, tmp_path / "home")


@dataclass(frozen=True)
class Trained:
    """A home with two model versions; only the first is evaluated."""

    settings: Settings
    first: str
    second: str


@pytest.fixture(scope="session")
def trained(market: Settings, shared_folder: Path) -> Trained:
    """The home of the small market with two validated versions. Not to be changed."""
    folder = once(shared_folder / "trained", lambda folder: build_trained(folder, market))
    first, second = (folder / "versions").read_text(encoding="utf-8").split()
    return Trained(replace(market, home=folder / "home"), first, second)


@pytest.fixture
def own_trained(trained: Trained, tmp_path: Path) -> Trained:
    """A copy of that home, for one test to change."""
    return replace(trained, settings=copied(trained.settings, tmp_path / "home"))


@pytest.fixture
def own_market(market: Settings, tmp_path: Path) -> Settings:
    """A copy of that home, for one test to change."""
    return copied(market, tmp_path / "home")
