"""Trend: moving averages, Bollinger Bands, Parabolic SAR, Ichimoku."""

from typing import TYPE_CHECKING, Final

from qlops_assets.indicators.families.indicator import TALIB, Group, Indicator, Parameters

if TYPE_CHECKING:
    import polars as pl

    from qlops_assets.indicators.families.inputs import Inputs


def _sma(bars: "Inputs", p: Parameters) -> dict[str, "pl.Expr"]:
    return {"": bars.talib("sma", "close", timeperiod=p["days"])}


def _ema(bars: "Inputs", p: Parameters) -> dict[str, "pl.Expr"]:
    return {"": bars.talib("ema", "close", timeperiod=p["days"])}


def _wma(bars: "Inputs", p: Parameters) -> dict[str, "pl.Expr"]:
    return {"": bars.talib("wma", "close", timeperiod=p["days"])}


def _bbands(bars: "Inputs", p: Parameters) -> dict[str, "pl.Expr"]:
    width = p["width"]
    bands = bars.talib(
        "bbands", "close", timeperiod=p["days"], nbdevup=width, nbdevdn=width, matype=0
    )
    upper, middle, lower = (
        bands.struct.field(name) for name in ("upperband", "middleband", "lowerband")
    )
    return {
        "upper": upper,
        "middle": middle,
        "lower": lower,
        "width": (upper - lower) / middle,
        "percent": (bars.close - lower) / (upper - lower),
    }


def _sar(bars: "Inputs", p: Parameters) -> dict[str, "pl.Expr"]:
    step, most = p["acceleration"], p["maximum"]
    return {"": bars.talib("sar", "high", "low", acceleration=step, maximum=most)}


def _ichimoku(bars: "Inputs", p: Parameters) -> dict[str, "pl.Expr"]:
    conversion, base, slow = int(p["conversion"]), int(p["base"]), int(p["slow"])
    tenkan, kijun = bars.middle(conversion), bars.middle(base)
    lines = {
        "tenkan": tenkan,
        "kijun": kijun,
        "senkou_a": bars.before((tenkan + kijun) / 2.0, base),
        "senkou_b": bars.before(bars.middle(slow), base),
        "chikou": bars.close / bars.before(bars.close, base) - 1.0,
    }
    key = f"ichimoku({conversion},{base},{slow})"
    return {output: bars.ready(f"{key}{output}", line) for output, line in lines.items()}


def _ichimoku_warm_up(p: Parameters, output: str) -> int:
    base = int(p["base"])
    before = {
        "tenkan": int(p["conversion"]) - 1,
        "kijun": base - 1,
        "senkou_a": max(int(p["conversion"]), base) - 1 + base,
        "senkou_b": int(p["slow"]) - 1 + base,
        "chikou": base,
    }
    return before[output]


def _less_one(p: Parameters, _: str) -> int:
    return int(p["days"]) - 1


TREND: Final = (
    Indicator(
        name="sma",
        title="Simple moving average",
        group=Group.TREND,
        formula="mean of close over n days",
        source=f"{TALIB} SMA",
        units="price",
        parameters={"days": 20},
        warm_up=_less_one,
        build=_sma,
        variants=("sma_5", "sma_10", "sma_20", "sma_60"),
        scale="c",
    ),
    Indicator(
        name="ema",
        title="Exponential moving average",
        group=Group.TREND,
        formula="e[t] = e[t-1] + 2/(n+1) × (close[t] − e[t-1]); the first is the mean of n days",
        source=f"{TALIB} EMA",
        units="price",
        parameters={"days": 20},
        warm_up=_less_one,
        build=_ema,
        variants=("ema_5", "ema_10", "ema_20", "ema_60"),
        recursive=True,
        scale="c",
    ),
    Indicator(
        name="wma",
        title="Weighted moving average",
        group=Group.TREND,
        formula="mean of close over n days with the weights 1 (oldest) to n (today)",
        source=f"{TALIB} WMA",
        units="price",
        parameters={"days": 20},
        warm_up=_less_one,
        build=_wma,
        variants=("wma_10", "wma_20"),
        scale="c",
    ),
    Indicator(
        name="bbands",
        title="Bollinger Bands",
        group=Group.TREND,
        formula=(
            "middle = mean of close over n days; upper, lower = middle ± w × their population "
            "standard deviation; width = (upper − lower) / middle; "
            "percent = (close − lower) / (upper − lower)"
        ),
        source=f"Bollinger; {TALIB} BBANDS with simple averages",
        units="price; width and percent are shares, 1 being the whole",
        parameters={"days": 20, "width": 2.0},
        warm_up=_less_one,
        build=_bbands,
        variants=(
            "bbands_upper",
            "bbands_middle",
            "bbands_lower",
            "bbands_width",
            "bbands_percent",
        ),
        outputs={
            "upper": "upper band",
            "middle": "middle band",
            "lower": "lower band",
            "width": "distance of the bands as a share of the middle",
            "percent": "where the close is between lower (0) and upper (1)",
        },
        scale="c",
        scales={"width": "1", "percent": "1"},
        least={"width": 0.1},
        note="percent has no value where the close did not move for n days",
    ),
    Indicator(
        name="sar",
        title="Parabolic stop and reverse",
        group=Group.TREND,
        formula="s[t] = s[t-1] + a × (extreme − s[t-1]); a grows by its step at each new extreme",
        source=f"Wilder 1978; {TALIB} SAR",
        units="price",
        parameters={"acceleration": 0.02, "maximum": 0.2},
        warm_up=lambda _p, _o: 1,
        build=_sar,
        variants=("sar",),
        recursive=True,
        scale="c",
        least={"acceleration": 0.0001, "maximum": 0.0001},
    ),
    Indicator(
        name="ichimoku",
        title="Ichimoku cloud",
        group=Group.TREND,
        formula=(
            "tenkan, kijun = (highest high + lowest low) / 2 of 9, of 26 days; "
            "senkou_a[t] = (tenkan + kijun)[t-26] / 2; senkou_b[t] = the same middle of 52 days, "
            "[t-26]; chikou[t] = close[t] / close[t-26] − 1"
        ),
        source=f"Hosoda; plain Polars; the extremes are {TALIB} MAX and MIN",
        units="price; chikou is a return",
        parameters={"conversion": 9, "base": 26, "slow": 52},
        warm_up=_ichimoku_warm_up,
        build=_ichimoku,
        variants=(
            "ichimoku_tenkan",
            "ichimoku_kijun",
            "ichimoku_senkou_a",
            "ichimoku_senkou_b",
            "ichimoku_chikou",
        ),
        outputs={
            "tenkan": "conversion line",
            "kijun": "base line",
            "senkou_a": "leading span A as it is drawn at this day: computed 26 days before",
            "senkou_b": "leading span B as it is drawn at this day: computed 26 days before",
            "chikou": "close against that of 26 days before",
        },
        exact=True,
        scale="c",
        scales={"chikou": "1"},
        note=(
            "no value looks ahead: the spans of a day are those that were drawn there 26 days "
            "before, and the lagging span, which is drawn 26 days back, is the return since then"
        ),
    ),
)
