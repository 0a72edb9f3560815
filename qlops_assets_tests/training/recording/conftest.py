import pytest

from qlops_assets.core.settings import Settings
from qlops_assets_tests.support.market_fixtures import (
    market,
    own_market,
    own_trained,
    shared_folder,
    trained,
)
from qlops_assets_tests.support.recorded import database, recording

__all__ = ["database", "market", "own_market", "own_trained", "shared_folder", "trained"]


@pytest.fixture
def home(own_market: Settings, database: object) -> Settings:
    """The small market's home, whose trainings are recorded, for one test to change."""
    return recording(own_market, database)
