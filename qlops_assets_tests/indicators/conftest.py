from qlops_assets_tests.support.market_fixtures import (
    few,
    market,
    own_few,
    own_market,
    shared_folder,
)

__all__ = ["few", "market", "own_few", "own_market", "shared_folder"]
