"""Momentum: RSI, Stochastic, Williams %R, CCI."""

from typing import TYPE_CHECKING, Final

from qlops_assets.indicators.families.indicator import TALIB, Group, Indicator, Parameters

if TYPE_CHECKING:
    import polars as pl

    from qlops_assets.indicators.families.inputs import Inputs

_RANGE: Final = ("high", "low", "close")


def _rsi(bars: "Inputs", p: Parameters) -> dict[str, "pl.Expr"]:
    return {"": bars.talib("rsi", "close", timeperiod=p["days"])}


def _stoch(bars: "Inputs", p: Parameters) -> dict[str, "pl.Expr"]:
    both = bars.talib(
        "stoch",
        *_RANGE,
        fastk_period=p["days"],
        slowk_period=p["slow_k"],
        slowk_matype=0,
        slowd_period=p["slow_d"],
        slowd_matype=0,
    )
    return {"k": both.struct.field("slowk"), "d": both.struct.field("slowd")}


def _willr(bars: "Inputs", p: Parameters) -> dict[str, "pl.Expr"]:
    return {"": bars.talib("willr", *_RANGE, timeperiod=p["days"])}


def _cci(bars: "Inputs", p: Parameters) -> dict[str, "pl.Expr"]:
    return {"": bars.talib("cci", *_RANGE, timeperiod=p["days"])}


def _less_one(p: Parameters, _: str) -> int:
    return int(p["days"]) - 1


MOMENTUM: Final = (
    Indicator(
        name="rsi",
        title="Relative strength index",
        group=Group.MOMENTUM,
        formula="100 × gains / (gains + losses) of the close, Wilder's averages over n days",
        source=f"Wilder 1978; {TALIB} RSI",
        units="0 to 100",
        parameters={"days": 14},
        warm_up=lambda p, _: int(p["days"]),
        build=_rsi,
        variants=("rsi_6", "rsi_12", "rsi_14", "rsi_24"),
        recursive=True,
        note="0 where the close never moved",
    ),
    Indicator(
        name="stoch",
        title="Stochastic oscillator, slow",
        group=Group.MOMENTUM,
        formula=(
            "%K = mean over m days of 100 × (close − lowest low) / (highest high − lowest low) of "
            "n days; %D = mean of %K over d days"
        ),
        source=f"Lane; {TALIB} STOCH with simple averages",
        units="0 to 100",
        parameters={"days": 14, "slow_k": 3, "slow_d": 3},
        warm_up=lambda p, _: int(p["days"] + p["slow_k"] + p["slow_d"]) - 3,
        build=_stoch,
        variants=("stoch_k", "stoch_d"),
        outputs={"k": "%K, smoothed", "d": "%D, its signal line"},
        least={"days": 1, "slow_k": 1, "slow_d": 1},
    ),
    Indicator(
        name="willr",
        title="Williams %R",
        group=Group.MOMENTUM,
        formula="−100 × (highest high − close) / (highest high − lowest low) of n days",
        source=f"Williams; {TALIB} WILLR",
        units="−100 to 0",
        parameters={"days": 14},
        warm_up=_less_one,
        build=_willr,
        variants=("willr_14",),
        exact=True,
    ),
    Indicator(
        name="cci",
        title="Commodity channel index",
        group=Group.MOMENTUM,
        formula=(
            "(typical − its mean over n days) / (0.015 × its mean absolute deviation); "
            "typical = (high + low + close) / 3"
        ),
        source=f"Lambert 1980; {TALIB} CCI",
        units="none; mostly −200 to 200",
        parameters={"days": 14},
        warm_up=_less_one,
        build=_cci,
        variants=("cci_14", "cci_20"),
        note="0 where the typical price did not move for n days",
    ),
)
