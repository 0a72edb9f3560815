from qlops_assets_tests.support.market_fixtures import (
    market,
    own_market,
    own_trained,
    shared_folder,
    trained,
)

__all__ = ["market", "own_market", "own_trained", "shared_folder", "trained"]
