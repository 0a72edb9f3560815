"""Frames to convert: any bars that float32 can hold, under every way to write a code."""

from datetime import date
from typing import Any

import numpy as np
import polars as pl
from hypothesis import strategies as st

from qlops_assets_tests.support.market import weekdays

# A code as somebody writes it -> as Qlib does, or as its files can hold it. Written down by hand
# from Qlib's data (SH600000), the codes of common data vendors, pandas' words for missing and the
# names that Windows keeps for its devices.
CODES = {
    "SH600000": "SH600000",
    "600001.SH": "SH600001",
    "sh.600002": "SH600002",
    "600003.XSHG": "SH600003",
    "000001.XSHE": "SZ000001",
    "000001": "000001",
    "AAPL": "AAPL",
    "BRK.B": "BRK.B",
    "BRK-B": "BRK-B",
    "^GSPC": "^GSPC",
    "NA": "NA_",
    "null": "NULL_",
    "CON": "CON_",
    "PRN": "PRN_",
    "TRUE": "TRUE",
    "1e5": "1E5",
    'A"B': 'A"B',
}
DAYS = weekdays(date(2019, 12, 27), 12)
PRICES = ("open", "high", "low", "close")
NUMBERS = (*PRICES, "volume", "vwap", "factor")

float32s = st.floats(width=32, allow_nan=False, allow_infinity=False)


@st.composite
def bars_frames(draw: Any) -> pl.DataFrame:
    """Bars of a few instruments: halts, days left out, one row alone, any float32."""
    rows = []
    for code in draw(st.lists(st.sampled_from(sorted(CODES)), min_size=1, max_size=4, unique=True)):
        for day in draw(st.lists(st.sampled_from(DAYS), min_size=1, max_size=6, unique=True)):
            is_halted = draw(st.booleans())
            prices = [None if is_halted else draw(float32s) for _ in (*PRICES, "vwap")]
            volume = 0.0 if is_halted else abs(draw(float32s))
            rows.append((code, day, *prices[:4], volume, prices[4], draw(float32s)))
    return frame_of(draw(st.permutations(rows)))


def frame_of(rows: Any) -> pl.DataFrame:
    numbers = dict.fromkeys(NUMBERS, pl.Float64)
    schema = {"instrument": pl.String, "date": pl.Date, **numbers}
    return pl.DataFrame(rows, schema=schema, orient="row")


def as_bits(frame: pl.DataFrame) -> dict[tuple[str, date], tuple[int | None, ...]]:
    """Return key -> the bits of each number as float32: -0.0 is not 0.0, null is null."""
    found = {}
    for code, day, *numbers in frame.iter_rows():
        bits = tuple(None if n is None else int(np.float32(n).view(np.uint32)) for n in numbers)
        assert (code, day) not in found
        found[code, day] = bits
    return found


def expected_of(frame: pl.DataFrame) -> dict[tuple[str, date], tuple[int | None, ...]]:
    """Return what a frame's rows are after a way there and back."""
    return {(CODES.get(code, code), day): bits for (code, day), bits in as_bits(frame).items()}
