"""Volume: VWAP, OBV, A/D line, RSI of volume."""

from typing import TYPE_CHECKING, Final

from qlops_assets.indicators.families.indicator import TALIB, Group, Indicator, Parameters

if TYPE_CHECKING:
    import polars as pl

    from qlops_assets.indicators.families.inputs import Inputs

_TURNOVER: Final = "typical × volume"


def _turnover(bars: "Inputs") -> None:
    bars.ready(_TURNOVER, bars.typical * bars.volume)


def _vwap(bars: "Inputs", p: Parameters) -> dict[str, "pl.Expr"]:
    _turnover(bars)
    traded = bars.talib("sum", _TURNOVER, timeperiod=p["days"])
    return {"": traded / bars.talib("sum", "volume", timeperiod=p["days"])}


def _vwap_cumulative(bars: "Inputs", _: Parameters) -> dict[str, "pl.Expr"]:
    _turnover(bars)
    return {"": bars.summed(_TURNOVER) / bars.summed("volume")}


def _obv(bars: "Inputs", _: Parameters) -> dict[str, "pl.Expr"]:
    return {"": bars.talib("obv", "close", "volume")}


def _ad(bars: "Inputs", _: Parameters) -> dict[str, "pl.Expr"]:
    return {"": bars.talib("ad", "high", "low", "close", "volume")}


def _volume_rsi(bars: "Inputs", p: Parameters) -> dict[str, "pl.Expr"]:
    return {"": bars.talib("rsi", "volume", timeperiod=p["days"])}


VOLUME: Final = (
    Indicator(
        name="vwap",
        title="Volume-weighted average price, rolling",
        group=Group.VOLUME,
        formula="Σ typical × volume / Σ volume over n days; typical = (high + low + close) / 3",
        source=f"plain Polars; the sums are {TALIB} SUM",
        units="price",
        parameters={"days": 20},
        warm_up=lambda p, _: int(p["days"]) - 1,
        build=_vwap,
        variants=("vwap_5", "vwap_20"),
        scale="c",
        note="the bars' own $vwap is that of one day",
    ),
    Indicator(
        name="vwap_cumulative",
        title="Volume-weighted average price, cumulative",
        group=Group.VOLUME,
        formula="Σ typical × volume / Σ volume since the instrument's first bar",
        source="plain Polars",
        units="price",
        parameters={},
        warm_up=lambda _p, _o: 0,
        build=_vwap_cumulative,
        variants=("vwap_cumulative",),
        recursive=True,
        scale="c",
    ),
    Indicator(
        name="obv",
        title="On-balance volume",
        group=Group.VOLUME,
        formula="running sum of ± volume: plus where the close rose, minus where it fell",
        source=f"Granville; {TALIB} OBV",
        units="adjusted shares since the first bar",
        parameters={},
        warm_up=lambda _p, _o: 0,
        build=_obv,
        variants=("obv",),
        recursive=True,
        note="begins with the first day's volume; only its changes mean anything",
    ),
    Indicator(
        name="ad",
        title="Accumulation/distribution line",
        group=Group.VOLUME,
        formula="running sum of volume × ((close − low) − (high − close)) / (high − low)",
        source=f"Chaikin; {TALIB} AD",
        units="adjusted shares since the first bar",
        parameters={},
        warm_up=lambda _p, _o: 0,
        build=_ad,
        variants=("ad",),
        recursive=True,
        note="only its changes mean anything",
    ),
    Indicator(
        name="volume_rsi",
        title="Volume RSI",
        group=Group.VOLUME,
        formula="RSI of volume: 100 × gains / (gains + losses) of Wilder's averages over n days",
        source=f"{TALIB} RSI of the volume",
        units="0 to 100",
        parameters={"days": 14},
        warm_up=lambda p, _: int(p["days"]),
        build=_volume_rsi,
        variants=("volume_rsi_14",),
        recursive=True,
    ),
)
