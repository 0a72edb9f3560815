"""What TA-Lib has is TA-Lib's: bit for bit its own Python package's values, on traded bars."""

from collections.abc import Callable, Mapping

import numpy as np
import polars as pl
import pytest
import talib

from qlops_assets.core.settings import Settings
from qlops_assets.indicators.apply import indicators
from qlops_assets.indicators.families.catalog import INDICATORS
from qlops_assets.indicators.families.indicator import TALIB
from qlops_assets.indicators.names import DEFAULT_NAMES, column
from qlops_assets.lake.datasets import bars_dataset
from qlops_assets_tests.support.indicator_bars import drawn, real_bars, traded, walks

Bars = Mapping[str, np.ndarray]
Peer = Callable[..., np.ndarray]

PEERS: dict[str, Peer] = {
    "sma": lambda b, days: talib.SMA(b["close"], timeperiod=days),
    "ema": lambda b, days: talib.EMA(b["close"], timeperiod=days),
    "wma": lambda b, days: talib.WMA(b["close"], timeperiod=days),
    "bbands_upper": lambda b, days, w: talib.BBANDS(b["close"], days, w, w, 0)[0],
    "bbands_middle": lambda b, days, w: talib.BBANDS(b["close"], days, w, w, 0)[1],
    "bbands_lower": lambda b, days, w: talib.BBANDS(b["close"], days, w, w, 0)[2],
    "sar": lambda b, step, most: talib.SAR(b["high"], b["low"], step, most),
    "rsi": lambda b, days: talib.RSI(b["close"], timeperiod=days),
    "stoch_k": lambda b, n, k, d: talib.STOCH(b["high"], b["low"], b["close"], n, k, 0, d, 0)[0],
    "stoch_d": lambda b, n, k, d: talib.STOCH(b["high"], b["low"], b["close"], n, k, 0, d, 0)[1],
    "willr": lambda b, days: talib.WILLR(b["high"], b["low"], b["close"], timeperiod=days),
    "cci": lambda b, days: talib.CCI(b["high"], b["low"], b["close"], timeperiod=days),
    "obv": lambda b: talib.OBV(b["close"], b["volume"]),
    "ad": lambda b: talib.AD(b["high"], b["low"], b["close"], b["volume"]),
    "volume_rsi": lambda b, days: talib.RSI(b["volume"], timeperiod=days),
    "atr": lambda b, days: talib.ATR(b["high"], b["low"], b["close"], timeperiod=days),
    "stddev": lambda b, days: talib.STDDEV(b["close"], timeperiod=days, nbdev=1.0),
    "macd": lambda b, fast, slow, signal: talib.MACD(b["close"], fast, slow, signal)[0],
    "macd_signal": lambda b, fast, slow, signal: talib.MACD(b["close"], fast, slow, signal)[1],
    "macd_hist": lambda b, fast, slow, signal: talib.MACD(b["close"], fast, slow, signal)[2],
    "mom": lambda b, days: talib.MOM(b["close"], timeperiod=days),
    "roc": lambda b, days: talib.ROC(b["close"], timeperiod=days),
}
# Names beyond those that are built: the least windows, and each parameter other than its default.
OTHERS = (
    *("sma_2", "ema_2", "wma_2", "bbands_5_1p5_upper", "bbands_5_1p5_lower", "sar_0p05_0p1"),
    *("rsi_2", "stoch_5_1_2_k", "stoch_5_1_2_d", "stoch_1_1_1_k", "willr_2", "cci_2"),
    *("volume_rsi_2", "atr_2", "stddev_2", "macd_5_35_5", "macd_5_35_5_signal", "mom_1", "roc_1"),
    *("macd_2_3_1", "macd_2_3_1_hist", "sma_400"),
)
# Plain Polars, wholly or in the last step; their values are in the tables by hand.
NOT_TALIB = {"vwap", "vwap_cumulative", "hv", "vix_fix", "kdj", "ichimoku"}


def peer_of(name: str) -> Peer | None:
    one = column(name)
    key = "_".join(filter(None, (one.indicator.name, one.output)))
    return PEERS.get(key)


COMPARED = [name for name in (*DEFAULT_NAMES, *OTHERS) if peer_of(name)]


def differing(bars: pl.DataFrame) -> dict[str, str]:
    """Return name -> the first instrument whose values are not TA-Lib's to the bit."""
    ours = indicators(bars, COMPARED)
    here = traded(bars)
    assert ours.filter(~here).drop("instrument", "date").null_count().row(0) == (
        (~here).sum(),
    ) * len(COMPARED)
    wrong = {}
    pairs = zip(
        bars.filter(here).partition_by("instrument"),
        ours.filter(here).partition_by("instrument"),
        strict=True,
    )
    for one, found in pairs:
        names = ("open", "high", "low", "close", "volume")
        given = {n: one[n].cast(pl.Float64).to_numpy() for n in names}
        for name in COMPARED:
            peer = peer_of(name)
            assert peer
            expected = peer(given, *column(name).values)
            values = found[name].to_numpy()
            missing = np.isnan(expected)
            same = values[~missing].tobytes() == expected[~missing].tobytes()
            if not same or not np.array_equal(found[name].is_null().to_numpy(), missing):
                wrong.setdefault(name, one["instrument"][0])
    return wrong


def test_every_family_is_compared_or_has_a_table_by_hand() -> None:
    compared = {column(name).indicator.name for name in COMPARED}
    assert compared | NOT_TALIB == set(INDICATORS)
    assert compared & NOT_TALIB == set()
    assert {name for name in compared if TALIB not in INDICATORS[name].source} == set()


@pytest.mark.real_data
def test_values_on_real_bars_are_talibs() -> None:
    assert differing(real_bars("sample-cn-60")) == {}


@pytest.mark.real_data
def test_values_on_real_bars_with_long_halts_and_late_listings_are_talibs() -> None:
    bars = real_bars("cn-csi300")
    codes = bars["instrument"].unique().sort()[::15]
    some = bars.filter(pl.col("instrument").is_in(codes.implode()))
    assert (~traded(some)).mean() > 0.02
    assert some.group_by("instrument").len()["len"].n_unique() > 5
    assert differing(some) == {}


def test_values_on_the_small_market_are_talibs(market: Settings) -> None:
    bars = bars_dataset(market).read()
    assert (~traded(bars)).any()
    assert differing(bars) == {}


@pytest.mark.parametrize("tick", [1e-6, 0.5])
def test_values_on_walks_that_stand_still_at_times_are_talibs(tick: float) -> None:
    assert differing(walks(3, (500, 1, 2, 30, 77, 78), halted=0.1, tick=tick)) == {}


def test_values_where_the_price_never_moves_are_talibs() -> None:
    assert differing(drawn([9.7] * 100)) == {}


def test_values_after_volume_without_prices_or_prices_without_volume_are_talibs() -> None:
    bars = walks(4, (200, 200))
    day = pl.int_range(pl.len())
    halted = bars.with_columns(
        pl.when(day % 17 == 3).then(None).otherwise(pl.col("low")).alias("low"),
        pl.when(day % 19 == 5).then(None)
        .when(day % 23 == 7).then(0.0)
        .otherwise(pl.col("volume")).alias("volume"),
    )  # fmt: skip
    assert differing(halted) == {}
