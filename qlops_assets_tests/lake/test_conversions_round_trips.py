"""Frame → form → frame gives the same rows to the bit of float32, for every form."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlops_assets.core.errors import ConversionError
from qlops_assets.lake.conversions.bin_reader import read_fields, read_provider
from qlops_assets.lake.conversions.bin_writer import export_fields, export_provider
from qlops_assets.lake.conversions.csv_reader import read_csv
from qlops_assets.lake.conversions.csv_writer import write_csv_file, write_csv_folder
from qlops_assets.lake.conversions.pickle_reader import read_pickle
from qlops_assets.lake.conversions.pickle_writer import write_pickle
from qlops_assets_tests.support.conversion_frames import (
    CODES,
    DAYS,
    NUMBERS,
    as_bits,
    bars_frames,
    expected_of,
    float32s,
    frame_of,
)

Way = tuple[Callable[..., None], Callable[..., pl.DataFrame]]
BARS: dict[str, Way] = {
    "bin": (export_provider, read_provider),
    "csv folder": (write_csv_folder, read_csv),
    "csv file": (write_csv_file, read_csv),
    "pickle": (write_pickle, read_pickle),
    "flat pickle": (lambda path, frame: write_pickle(path, frame, is_flat=True), read_pickle),
}
FACTORS: dict[str, Way] = {
    "bin": (export_fields, read_fields),
    "csv folder": (write_csv_folder, lambda path: read_csv(path, is_bars=False)),
    "csv file": (write_csv_file, lambda path: read_csv(path, is_bars=False)),
    "pickle": (write_pickle, lambda path: read_pickle(path, is_bars=False)),
}


def there_and_back(way: Way, frame: pl.DataFrame) -> pl.DataFrame:
    with tempfile.TemporaryDirectory() as folder:
        way[0](Path(folder) / "out.csv", frame)
        return way[1](Path(folder) / "out.csv")


@pytest.mark.parametrize("form", BARS)
@settings(max_examples=40, deadline=None)
@given(bars=bars_frames())
def test_bars_come_back_to_the_bit(form: str, bars: pl.DataFrame) -> None:
    back = there_and_back(BARS[form], bars)
    assert back.columns == ["instrument", "date", *NUMBERS]
    assert [back.schema[name] for name in NUMBERS] == [pl.Float64] * len(NUMBERS)
    assert as_bits(back) == expected_of(bars)
    assert back.equals(back.sort("instrument", "date"))


@st.composite
def factor_frames(draw) -> pl.DataFrame:
    keys = st.tuples(st.sampled_from(sorted(CODES)), st.sampled_from(DAYS))
    number = st.none() | float32s | st.sampled_from([np.inf, -np.inf])
    rows = [
        (*key, draw(number), draw(number))
        for key in draw(st.lists(keys, min_size=1, max_size=20, unique=True))
    ]
    kinds = {"instrument": pl.String, "date": pl.Date, "KMID": pl.Float32, "line": pl.Float32}
    return pl.DataFrame(rows, schema=kinds, orient="row")


@pytest.mark.parametrize("form", FACTORS)
@settings(max_examples=40, deadline=None)
@given(factors=factor_frames())
def test_factors_come_back_to_the_bit_with_rows_of_nothing(
    form: str, factors: pl.DataFrame
) -> None:
    back = there_and_back(FACTORS[form], factors)
    assert back.columns == factors.columns
    assert as_bits(back) == expected_of(factors)


@pytest.mark.parametrize("form", BARS)
@pytest.mark.parametrize("given_code", CODES)
def test_code_comes_back_as_qlib_writes_it(form: str, given_code: str) -> None:
    bars = frame_of([(given_code, DAYS[3], 1, 2, 0.5, 1.5, 100, 1.25, 2)])
    assert there_and_back(BARS[form], bars)["instrument"].to_list() == [CODES[given_code]]


@pytest.mark.parametrize("form", BARS)
@pytest.mark.parametrize(
    "pair",
    [("brka", "BRKA"), ("SH600000", "600000.SH"), ("sh.600000", "600000.XSHG"), ("NA", "NA_")],
)
def test_two_codes_of_one_instrument_are_refused_and_nothing_is_written(
    form: str, pair: tuple[str, str], tmp_path: Path
) -> None:
    bars = frame_of([(code, DAYS[0], 1, 1, 1, 1, 1, 1, 1) for code in pair])
    with pytest.raises(ConversionError, match="both mean") as caught:
        BARS[form][0](tmp_path / "out", bars)
    assert all(repr(code) in str(caught.value) for code in pair)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", BARS)
def test_number_beyond_float32_is_refused_and_nothing_is_written(form: str, tmp_path: Path) -> None:
    bars = frame_of([("AAPL", DAYS[0], 1, 1, 1, 1, 1e39, 1, 1)])
    with pytest.raises(ConversionError, match=r"volume of AAPL on 2019-12-27 is 1e\+39"):
        BARS[form][0](tmp_path / "out", bars)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", BARS)
@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda bars: bars.drop("instrument"), "has no column 'instrument'"),
        (lambda bars: bars.clear(), "has no row"),
        (lambda bars: pl.concat([bars, bars]), "more than one row of AAPL on 2019-12-27"),
        (lambda bars: bars.with_columns(date=pl.lit(None, pl.Date)), "1 rows have no date"),
        (lambda bars: bars.with_columns(instrument=pl.lit(600000)), "codes are Int32"),
        (lambda bars: bars.with_columns(instrument=pl.lit("A/B")), "cannot name a file"),
        (lambda bars: bars.with_columns(date=pl.lit("2020")), "column 'date' is String"),
        (lambda bars: bars.with_columns(close=pl.lit("1")), "column 'close' is String"),
    ],
)
def test_frame_that_is_no_frame_is_refused(form: str, change, found: str, tmp_path: Path) -> None:
    bars = change(frame_of([("AAPL", DAYS[0], 1, 1, 1, 1, 1, 1, 1)]))
    with pytest.raises(ConversionError, match=found):
        BARS[form][0](tmp_path / "out", bars)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", ["bin", "csv folder"])
def test_folder_that_holds_something_is_never_written_to(form: str, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(FileExistsError, match="not empty"):
        BARS[form][0](tmp_path, frame_of([("AAPL", DAYS[0], 1, 1, 1, 1, 1, 1, 1)]))
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
