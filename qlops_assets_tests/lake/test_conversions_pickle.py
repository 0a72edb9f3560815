"""Pickles both ways, checked with pandas itself; what Qlib makes of them is in ..._qlib."""

import pickle
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from qlops_assets.core.errors import ConversionError
from qlops_assets.lake.conversions.pickle_reader import read_pickle
from qlops_assets.lake.conversions.pickle_writer import write_pickle
from qlops_assets_tests.support.conversion_frames import as_bits

DAYS = pd.DatetimeIndex(["2020-01-02", "2020-01-03", "2020-01-06"], name="datetime")
CODES = ["SH600000", "BRK.B"]
VALUES = np.array([[1.5, -0.0], [np.nan, 2], [3, np.inf], [4, 5], [6, 7], [8, 0.1]], dtype="f4")


def factors_of(days: pd.DatetimeIndex = DAYS) -> pd.DataFrame:
    index = pd.MultiIndex.from_product([days, CODES], names=["datetime", "instrument"])
    columns = pd.MultiIndex.from_tuples([("feature", "KMID"), ("label", "LABEL0")])
    return pd.DataFrame(VALUES, index=index, columns=columns)


def rows_of(frame: pd.DataFrame) -> dict[tuple[str, date], tuple[int | None, ...]]:
    """Return key -> bits of a frame by (datetime, instrument), by a plain loop."""
    found = {}
    for (stamp, code), row in zip(frame.index, frame.to_numpy(dtype="f4"), strict=True):
        bits = [None if np.isnan(n) else int(n.view(np.uint32)) for n in row]
        found[code, stamp.date()] = tuple(bits)
    return found


def saved(path: Path, frame: object, protocol: int = 5) -> Path:
    path.write_bytes(pickle.dumps(frame, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickle_of_pandas_is_read_in_every_protocol(tmp_path, protocol: int) -> None:
    frame = factors_of()
    read = read_pickle(saved(tmp_path / "x.pkl", frame, protocol), is_bars=False)
    assert read.schema == {
        "instrument": pl.String,
        "date": pl.Date,
        "KMID": pl.Float32,
        "LABEL0": pl.Float32,
    }
    assert as_bits(read) == rows_of(frame)


def reset_with_numbers(frame: pd.DataFrame) -> pd.DataFrame:
    days = frame.index.get_level_values(0).strftime("%Y%m%d").astype(int)
    return flat(frame).reset_index().assign(datetime=days)


def flat(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.set_axis(["KMID", "LABEL0"], axis=1)


LAYOUTS = {
    "flat": flat,
    "levels swapped": lambda f: f.swaplevel().sort_index(),
    "shuffled": lambda f: f.sample(frac=1, random_state=3),
    "sliced out of more": lambda f: pd.concat([f * 2, f], axis=1).iloc[:, 2:],
    "every second of more": lambda f: f.reindex(f.index.repeat(2)).iloc[::2],
    "a block per column": lambda f: flat(f).astype({"LABEL0": "f8"}),
    "whole numbers beside": lambda f: flat(f).assign(LABEL0=np.arange(6)),
    "keys as columns": lambda f: flat(f).reset_index(),
    "days as numbers": reset_with_numbers,
    "days as text": lambda f: flat(f).reset_index().astype({"datetime": "str"}),
    "one key as column": lambda f: flat(f).reset_index("instrument"),
    "codes as categories": lambda f: (
        flat(f)
        .reset_index()
        .astype({"instrument": "category"})
        .set_index(["datetime", "instrument"])
    ),
    "codes as categories in a column": lambda f: (
        flat(f).reset_index().astype({"instrument": "category"})
    ),
    "codes as pandas strings": lambda f: (
        flat(f).reset_index().astype({"instrument": "string"}).set_index(["datetime", "instrument"])
    ),
    "numbers as objects": lambda f: flat(f).astype(object),
    "levels without names": lambda f: f.rename_axis([None, None]),
    "microseconds": lambda f: f.set_axis(f.index.set_levels(DAYS.as_unit("us"), level=0)),
    "other names": lambda f: flat(f).rename_axis(["Date", "ts_code"]),
    "qlib's dollars": lambda f: f.set_axis(["$KMID", "$LABEL0"], axis=1),
    "attributes": lambda f: f.assign().__finalize__(pd.DataFrame()),
    "fortran order": lambda f: pd.DataFrame(
        np.asfortranarray(VALUES), index=f.index, columns=f.columns
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("protocol", [2, 5])
def test_every_layout_of_pandas_gives_the_same_rows(tmp_path, layout: str, protocol: int) -> None:
    frame = LAYOUTS[layout](factors_of())
    read = read_pickle(saved(tmp_path / "x.pkl", frame, protocol), is_bars=False)
    expected = rows_of(factors_of())
    if layout == "whole numbers beside":
        numbers = {key: (bits[0], n) for n, (key, bits) in enumerate(expected.items())}
        found = {key: (bits[0], None) for key, bits in as_bits(read).items()}
        assert found == {key: (bits, None) for key, (bits, _) in numbers.items()}
        assert read.sort("date", pl.col("instrument") == "BRK.B")["LABEL0"].to_list() == list(
            range(6)
        )
        return
    assert read.columns == ["instrument", "date", "KMID", "LABEL0"]
    assert as_bits(read) == expected


@pytest.mark.parametrize(
    ("zone", "asked", "first"),
    [
        ("Asia/Shanghai", None, date(2020, 1, 2)),
        ("+08:00", None, date(2020, 1, 2)),
        ("UTC", None, date(2020, 1, 2)),
        ("Asia/Shanghai", "America/New_York", date(2020, 1, 1)),
        ("UTC", "Asia/Shanghai", date(2020, 1, 2)),
    ],
)
def test_zone_decides_the_day(tmp_path, zone: str, asked: str | None, first: date) -> None:
    path = saved(tmp_path / "x.pkl", factors_of(DAYS.tz_localize(zone)))
    assert read_pickle(path, is_bars=False, timezone=asked)["date"].min() == first


def test_utc_times_that_are_not_midnight_need_their_zone(tmp_path) -> None:
    shanghai = DAYS.tz_localize("Asia/Shanghai").tz_convert("UTC")
    path = saved(tmp_path / "x.pkl", factors_of(shanghai))
    with pytest.raises(ConversionError, match="ambiguous; set timezone"):
        read_pickle(path, is_bars=False)
    read = read_pickle(path, is_bars=False, timezone="Asia/Shanghai")
    assert as_bits(read) == rows_of(factors_of())


def test_bars_of_qlib_with_more_columns_are_a_bars_frame(tmp_path) -> None:
    index = pd.MultiIndex.from_product([CODES, DAYS], names=["instrument", "datetime"])
    names = ["$close", "$open", "$high", "$low", "$volume", "$change", "$factor"]
    frame = pd.DataFrame(np.arange(42, dtype="f4").reshape(6, 7), index=index, columns=names)
    read = read_pickle(saved(tmp_path / "x.pkl", frame))
    assert read.columns == [
        *("instrument", "date", "open", "high", "low", "close", "volume", "factor")
    ]
    assert read.row(0) == ("BRK.B", date(2020, 1, 2), 22, 23, 24, 21, 25, 27)
    assert read.schema["open"] == pl.Float64


def test_written_pickle_is_what_pandas_reads(tmp_path) -> None:
    factors = pl.DataFrame(
        {
            "instrument": ["sh.600000", "AAPL", "AAPL"],
            "date": [date(2020, 1, 3), date(2020, 1, 3), date(2020, 1, 2)],
            "KMID": pl.Series([0.1, None, 3], dtype=pl.Float32),
            "LABEL0": pl.Series([1.0, 2, float("nan")], dtype=pl.Float32),
        }
    )
    write_pickle(tmp_path / "x.pkl", factors)
    index = pd.MultiIndex.from_tuples(
        [
            (pd.Timestamp("2020-01-02"), "AAPL"),
            (pd.Timestamp("2020-01-03"), "AAPL"),
            (pd.Timestamp("2020-01-03"), "SH600000"),
        ],
        names=["datetime", "instrument"],
    )
    columns = pd.MultiIndex.from_tuples([("feature", "KMID"), ("label", "LABEL0")])
    values = np.array([[3, np.nan], [np.nan, 2], [0.1, 1]], dtype="f4")
    expected = pd.DataFrame(values, index=index, columns=columns)
    pd.testing.assert_frame_equal(pd.read_pickle(tmp_path / "x.pkl"), expected, check_exact=True)
    write_pickle(tmp_path / "flat.pkl", factors, is_flat=True)
    expected.columns = ["KMID", "LABEL0"]
    pd.testing.assert_frame_equal(pd.read_pickle(tmp_path / "flat.pkl"), expected, check_exact=True)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda f: f.reset_index("instrument", drop=True), "has no instrument; index levels"),
        (lambda f: f.reset_index("datetime", drop=True), "has no date; index levels"),
        (lambda f: f.reset_index(drop=True), "has no instrument"),
        (lambda f: f.assign(text="a"), "column 'text' holds other things than numbers"),
        (lambda f: f.astype({"LABEL0": "category"}), "column 'LABEL0' is of categories"),
        (lambda f: f.assign(when=DAYS[0]), r"column 'when' is datetime64\[ns\]"),
        (lambda f: f.rename(columns={"LABEL0": "$KMID"}), "has two columns 'KMID'"),
        (lambda f: f.set_axis(f.index.set_levels([1, 2], level=1)), "codes are not text"),
        (lambda f: f.set_axis(f.index.set_levels(["a", "A"], level=1)), "both mean A"),
        (lambda f: pd.concat([f, f]), "more than one row of BRK.B on 2020-01-02"),
        (lambda f: f.iloc[:0], "has no row"),
        (lambda f: f["KMID"], "it names pandas.core.series.Series"),
        (lambda f: f.to_numpy(), r"holds a \w+, not a DataFrame"),
        (lambda f: {"feature": 1}, "holds a dict, not a DataFrame"),
        (lambda f: f.astype("Float64"), "it names pandas.core.arrays.floating.FloatingArray"),
    ],
)
def test_pickle_of_something_else_is_refused(tmp_path, change, found: str) -> None:
    with pytest.raises(ConversionError, match=found):
        read_pickle(saved(tmp_path / "x.pkl", change(flat(factors_of()))), is_bars=False)


def test_pickle_without_a_column_of_bars_is_refused(tmp_path) -> None:
    with pytest.raises(ConversionError, match=r"has no column 'open'.*Found: instrument, date, KM"):
        read_pickle(saved(tmp_path / "x.pkl", factors_of()))
