"""Composite: MACD, KDJ, Momentum, ROC."""

from typing import TYPE_CHECKING, Final

from qlops_assets.indicators.families.indicator import TALIB, Group, Indicator, Parameters

if TYPE_CHECKING:
    import polars as pl

    from qlops_assets.indicators.families.inputs import Inputs

_START: Final = 50.0


def _macd(bars: "Inputs", p: Parameters) -> dict[str, "pl.Expr"]:
    lines = bars.talib(
        "macd", "close", fastperiod=p["fast"], slowperiod=p["slow"], signalperiod=p["signal"]
    )
    fields = {"": "macd", "signal": "macdsignal", "hist": "macdhist"}
    return {output: lines.struct.field(name) for output, name in fields.items()}


def _macd_fault(p: Parameters) -> str:
    return "" if p["fast"] < p["slow"] else f"fast is {p['fast']}, must be less than slow"


def _kdj(bars: "Inputs", p: Parameters) -> dict[str, "pl.Expr"]:
    """K and D begin with 50 on the day before the first RSV.

    Before that day RSV is taken for 50 too, which leaves them there; so it is where high and low
    are one, as what is not finite would stay in both averages for good.
    """
    days = int(p["days"])
    low, high = bars.lowest("low", days), bars.highest("high", days)
    rsv = (bars.close - low) / (high - low) * 100.0
    rsv = bars.where(rsv.is_finite(), rsv, _START)
    name = f"rsv({days})"
    bars.ready(name, rsv)
    k = bars.smoothed(name, 1.0 / p["k"])
    d = bars.smoothed(name, 1.0 / p["k"], 1.0 / p["d"])
    lines = {"k": k, "d": d, "j": 3.0 * k - 2.0 * d}
    return {output: bars.from_place(days - 1, line) for output, line in lines.items()}


def _mom(bars: "Inputs", p: Parameters) -> dict[str, "pl.Expr"]:
    days = int(p["days"])
    return {"": bars.ready(f"mom({days})", bars.close - bars.before(bars.close, days))}


def _roc(bars: "Inputs", p: Parameters) -> dict[str, "pl.Expr"]:
    days = int(p["days"])
    change = bars.close / bars.before(bars.close, days) - 1.0
    return {"": bars.ready(f"roc({days})", change * 100.0)}


COMPOSITE: Final = (
    Indicator(
        name="macd",
        title="Moving average convergence/divergence",
        group=Group.COMPOSITE,
        formula="EMA of f days − EMA of s days; signal = its EMA of g days; hist = macd − signal",
        source=f"Appel; {TALIB} MACD",
        units="price",
        parameters={"fast": 12, "slow": 26, "signal": 9},
        warm_up=lambda p, _: int(p["slow"] + p["signal"]) - 2,
        build=_macd,
        variants=("macd", "macd_signal", "macd_hist"),
        outputs={"": "difference of the averages", "signal": "its EMA", "hist": "macd − signal"},
        recursive=True,
        scale="c",
        least={"signal": 1},
        fault=_macd_fault,
        note="Chinese charts draw 2 × hist",
    ),
    Indicator(
        name="kdj",
        title="KDJ",
        group=Group.COMPOSITE,
        formula=(
            "RSV = 100 × (close − lowest low) / (highest high − lowest low) of n days; "
            "K[t] = 2/3 K[t-1] + 1/3 RSV; D[t] = 2/3 D[t-1] + 1/3 K[t]; J = 3K − 2D; "
            "K and D begin with 50"
        ),
        source=f"as used in China; plain Polars; the extremes are {TALIB} MAX and MIN",
        units="0 to 100; J goes beyond",
        parameters={"days": 9, "k": 3, "d": 3},
        warm_up=lambda p, _: int(p["days"]) - 1,
        build=_kdj,
        variants=("kdj_k", "kdj_d", "kdj_j"),
        outputs={"k": "K, fast line", "d": "D, slow line", "j": "J = 3K − 2D"},
        recursive=True,
        least={"k": 1, "d": 1},
        note="RSV is 50 where there was one price for n days",
    ),
    Indicator(
        name="mom",
        title="Momentum",
        group=Group.COMPOSITE,
        formula="close − close[t-n]",
        source=f"plain Polars; {TALIB} MOM to the bit",
        units="price",
        parameters={"days": 10},
        warm_up=lambda p, _: int(p["days"]),
        build=_mom,
        variants=("mom_10", "mom_20"),
        exact=True,
        scale="c",
        least={"days": 1},
    ),
    Indicator(
        name="roc",
        title="Rate of change",
        group=Group.COMPOSITE,
        formula="100 × (close / close[t-n] − 1)",
        source=f"plain Polars; {TALIB} ROC to the bit",
        units="percent",
        parameters={"days": 10},
        warm_up=lambda p, _: int(p["days"]),
        build=_roc,
        variants=("roc_5", "roc_10", "roc_20"),
        exact=True,
        least={"days": 1},
    ),
)
