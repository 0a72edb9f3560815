"""Volatility: ATR, Williams VIX Fix, standard deviation, historical volatility."""

import math
from typing import TYPE_CHECKING, Final

from qlops_assets.indicators.families.indicator import TALIB, Group, Indicator, Parameters

if TYPE_CHECKING:
    import polars as pl

    from qlops_assets.indicators.families.inputs import Inputs


def _atr(bars: "Inputs", p: Parameters) -> dict[str, "pl.Expr"]:
    return {"": bars.talib("atr", "high", "low", "close", timeperiod=p["days"])}


def _vix_fix(bars: "Inputs", p: Parameters) -> dict[str, "pl.Expr"]:
    days = int(p["days"])
    highest = bars.ready(f"highest(close;{days})", bars.highest("close", days))
    return {"": (highest - bars.low) / highest * 100.0}


def _stddev(bars: "Inputs", p: Parameters) -> dict[str, "pl.Expr"]:
    return {"": bars.talib("stddev", "close", timeperiod=p["days"], nbdev=1.0)}


def _hv(bars: "Inputs", p: Parameters) -> dict[str, "pl.Expr"]:
    """TA-Lib gives the population's deviation of all windows that are full.

    The first bar has no return; a 0 in its place adds nothing to sums, and its window is left out.
    """
    days = int(p["days"])
    returns = (bars.close / bars.before(bars.close, 1)).log().fill_nan(0.0)
    bars.ready("log return", returns)
    deviation = bars.talib("stddev", "log return", timeperiod=days, nbdev=1.0)
    scale = math.sqrt(days / (days - 1) * p["year"])
    return {"": bars.from_place(days, deviation * scale)}


VOLATILITY: Final = (
    Indicator(
        name="atr",
        title="Average true range",
        group=Group.VOLATILITY,
        formula=(
            "Wilder's average over n days of max(high − low, |high − close[t-1]|, "
            "|low − close[t-1]|)"
        ),
        source=f"Wilder 1978; {TALIB} ATR",
        units="price",
        parameters={"days": 14},
        warm_up=lambda p, _: int(p["days"]),
        build=_atr,
        variants=("atr_14",),
        recursive=True,
        scale="c",
    ),
    Indicator(
        name="vix_fix",
        title="Williams VIX Fix",
        group=Group.VOLATILITY,
        formula="100 × (highest close of n days − low) / highest close of n days",
        source=f"Williams 2007; plain Polars; the extremes are {TALIB} MAX",
        units="percent",
        parameters={"days": 22},
        warm_up=lambda p, _: int(p["days"]) - 1,
        build=_vix_fix,
        variants=("vix_fix_22",),
        exact=True,
        note=(
            "the VIX-like index: of each instrument by itself, from its bars, as the VIX needs "
            "option prices"
        ),
    ),
    Indicator(
        name="stddev",
        title="Standard deviation",
        group=Group.VOLATILITY,
        formula="population standard deviation of close over n days",
        source=f"{TALIB} STDDEV",
        units="price",
        parameters={"days": 20},
        warm_up=lambda p, _: int(p["days"]) - 1,
        build=_stddev,
        variants=("stddev_5", "stddev_20"),
        scale="c",
    ),
    Indicator(
        name="hv",
        title="Historical volatility",
        group=Group.VOLATILITY,
        formula="sample standard deviation of n daily log returns × √y, y trading days a year",
        source=f"plain Polars; the deviation is {TALIB} STDDEV",
        units="share a year: 0.2 is 20 %",
        parameters={"days": 20, "year": 252},
        warm_up=lambda p, _: int(p["days"]),
        build=_hv,
        variants=("hv_20", "hv_60"),
        least={"year": 1},
    ),
)
