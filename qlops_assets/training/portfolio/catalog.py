"""Which strategies exist."""

from typing import TYPE_CHECKING, Final

from qlops_assets.core.catalog import Catalog

if TYPE_CHECKING:
    from qlops_assets.training.portfolio.strategy import Strategy

_ROOM: Final = "qlops_assets.training.portfolio"

STRATEGIES: "Catalog[type[Strategy]]" = Catalog(
    "backtest strategy",
    {
        "topk-dropout": f"{_ROOM}.topk_dropout:TopkDropout",
        "inv": f"{_ROOM}.inv:InverseVolatility",
        "gmv": f"{_ROOM}.gmv:MinimumVariance",
        "mvo": f"{_ROOM}.mvo:MeanVariance",
        "rp": f"{_ROOM}.rp:RiskParity",
        "enhanced-indexing": f"{_ROOM}.enhanced_indexing:EnhancedIndexing",
    },
)
