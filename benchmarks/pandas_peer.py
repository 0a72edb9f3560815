"""The default indicators as users of pandas-ta-classic compute them: instrument by instrument.

What it has is asked of it, in its own words and by its direct functions, which is its fastest way:
``df.ta.strategy`` adds appending and processes to the same. It has no cumulative VWAP since the
first bar, no Williams VIX Fix and no lagging span without look-ahead: those are written with pandas
as its users would. Its VWMA of the typical price is our rolling VWAP.
"""

from collections.abc import Callable

import pandas as pd
import pandas_ta_classic as ta

WRITTEN_WITH_PANDAS = ("ichimoku_chikou", "vwap_cumulative", "vix_fix_22")


def indicators(bars: pd.DataFrame, *, talib: bool) -> pd.DataFrame:
    """Return all default indicators of the traded days, by instrument and date.

    Args:
        bars: Sorted by instrument and date.
        talib: Whether it calls TA-Lib where it can; by default it does not.
    """
    traded = bars[bars["volume"] > 0].set_index("date")
    groups = traded.groupby("instrument", sort=False)
    return pd.concat({code: _one(frame, talib=talib) for code, frame in groups})


def _one(frame: pd.DataFrame, *, talib: bool) -> pd.DataFrame:
    found: dict[str, pd.Series] = {}
    for part in (_trend, _ichimoku, _momentum, _volume, _volatility, _composite):
        found |= part(frame, talib)
    return pd.DataFrame(found)


def _each(name: str, of: Callable[[int], pd.Series], *windows: int) -> dict[str, pd.Series]:
    return {f"{name}_{days}": of(days) for days in windows}


def _trend(frame: pd.DataFrame, talib: bool) -> dict[str, pd.Series]:
    close = frame["close"]
    bands = ta.bbands(close, length=20, std=2.0, talib=talib)
    sar = ta.psar(frame["high"], frame["low"], af0=0.02, max_af=0.2, talib=talib)
    return {
        **_each("sma", lambda n: ta.sma(close, length=n, talib=talib), 5, 10, 20, 60),
        **_each("ema", lambda n: ta.ema(close, length=n, talib=talib), 5, 10, 20, 60),
        **_each("wma", lambda n: ta.wma(close, length=n, talib=talib), 10, 20),
        "bbands_upper": bands["BBU_20_2.0"],
        "bbands_middle": bands["BBM_20_2.0"],
        "bbands_lower": bands["BBL_20_2.0"],
        "bbands_width": bands["BBB_20_2.0"] / 100,
        "bbands_percent": bands["BBP_20_2.0"],
        "sar": sar["PSARl_0.02_0.2"].fillna(sar["PSARs_0.02_0.2"]),
    }


def _ichimoku(frame: pd.DataFrame, talib: bool) -> dict[str, pd.Series]:
    high, low, close = frame["high"], frame["low"], frame["close"]
    lines = ta.ichimoku(high, low, close, as_dataframe=True, lookahead=False)
    return {
        "ichimoku_tenkan": lines["ITS_9"],
        "ichimoku_kijun": lines["IKS_26"],
        "ichimoku_senkou_a": lines["ISA_9"],
        "ichimoku_senkou_b": lines["ISB_26"],
        "ichimoku_chikou": close / close.shift(26) - 1,
    }


def _momentum(frame: pd.DataFrame, talib: bool) -> dict[str, pd.Series]:
    high, low, close = frame["high"], frame["low"], frame["close"]
    stoch = ta.stoch(high, low, close, k=14, d=3, smooth_k=3, talib=talib)
    return {
        **_each("rsi", lambda n: ta.rsi(close, length=n, talib=talib), 6, 12, 14, 24),
        "stoch_k": stoch["STOCHk_14_3_3"],
        "stoch_d": stoch["STOCHd_14_3_3"],
        "willr_14": ta.willr(high, low, close, length=14, talib=talib),
        **_each("cci", lambda n: ta.cci(high, low, close, length=n, talib=talib), 14, 20),
    }


def _volume(frame: pd.DataFrame, talib: bool) -> dict[str, pd.Series]:
    high, low, close, volume = (frame[name] for name in ("high", "low", "close", "volume"))
    typical = ta.hlc3(high, low, close)
    return {
        **_each("vwap", lambda n: ta.vwma(typical, volume, length=n), 5, 20),
        "vwap_cumulative": (typical * volume).cumsum() / volume.cumsum(),
        "obv": ta.obv(close, volume, talib=talib),
        "ad": ta.ad(high, low, close, volume, talib=talib),
        "volume_rsi_14": ta.rsi(volume, length=14, talib=talib),
    }


def _volatility(frame: pd.DataFrame, talib: bool) -> dict[str, pd.Series]:
    high, low, close = frame["high"], frame["low"], frame["close"]
    highest = close.rolling(22).max()
    return {
        "atr_14": ta.atr(high, low, close, length=14, talib=talib),
        "vix_fix_22": (highest - low) / highest * 100,
        **_each("stddev", lambda n: ta.stdev(close, length=n, talib=talib), 5, 20),
        **_each("hv", lambda n: ta.hvol(close, length=n) / 100, 20, 60),
    }


def _composite(frame: pd.DataFrame, talib: bool) -> dict[str, pd.Series]:
    high, low, close = frame["high"], frame["low"], frame["close"]
    macd = ta.macd(close, fast=12, slow=26, signal=9, talib=talib)
    kdj = ta.kdj(high, low, close, length=9, signal=3)
    return {
        "macd": macd["MACD_12_26_9"],
        "macd_signal": macd["MACDs_12_26_9"],
        "macd_hist": macd["MACDh_12_26_9"],
        **{f"kdj_{line}": kdj[f"{line.upper()}_9_3"] for line in "kdj"},
        **_each("mom", lambda n: ta.mom(close, length=n, talib=talib), 10, 20),
        **_each("roc", lambda n: ta.roc(close, length=n, talib=talib), 5, 10, 20),
    }
