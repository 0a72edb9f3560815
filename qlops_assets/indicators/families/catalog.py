"""Every indicator of ours, by family. Light: no Polars."""

from collections.abc import Mapping
from typing import Final

from qlops_assets.indicators.families.composite import COMPOSITE
from qlops_assets.indicators.families.indicator import Indicator
from qlops_assets.indicators.families.momentum import MOMENTUM
from qlops_assets.indicators.families.trend import TREND
from qlops_assets.indicators.families.volatility import VOLATILITY
from qlops_assets.indicators.families.volume import VOLUME

INDICATORS: Final[Mapping[str, Indicator]] = {
    indicator.name: indicator for indicator in (*TREND, *MOMENTUM, *VOLUME, *VOLATILITY, *COMPOSITE)
}
