from qlops_assets_tests.support.market_fixtures import (
    few,
    market,
    own_few,
    own_market,
    own_trained,
    shared_folder,
    trained,
)

__all__ = ["few", "market", "own_few", "own_market", "own_trained", "shared_folder", "trained"]
