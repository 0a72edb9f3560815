"""What a path holds is found out; content is written whole or not at all; bars come in again."""

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from qlops_assets.core.errors import ConversionError, DatasetMissingError
from qlops_assets.core.settings import Settings, SourceSettings
from qlops_assets.lake.bars import build_bars
from qlops_assets.lake.benchmark import load_benchmark
from qlops_assets.lake.conversions import pickle_writer
from qlops_assets.lake.conversions.bin_writer import export_provider
from qlops_assets.lake.conversions.forms import (
    Content,
    Form,
    Wanted,
    bars_content,
    form_of,
    read_content,
    write_content,
)
from qlops_assets.lake.conversions.frames import as_float32
from qlops_assets.lake.conversions.parquet_writer import write_source
from qlops_assets.lake.datasets import bars_dataset
from qlops_assets.lake.manifest import month_versions
from qlops_assets.lake.qlib_bin import build_provider
from qlops_assets.lake.scan import scan
from qlops_assets.lake.universe import load_universe
from qlops_assets_tests.support.conversion_frames import DAYS, as_bits, frame_of

ONE = ("AAPL", DAYS[0], 1, 1, 1, 1, 1, 1, 1)


def taken_in(folder: Path, home: Path, **source: object) -> Settings:
    """Scan a folder with our own intake and build its bars."""
    settings = Settings(
        home=home, source=replace(SourceSettings(path=folder, quiet_seconds=0), **source)
    )
    manifest = scan(settings)
    assert manifest.quarantined == ()
    build_bars(settings, list(month_versions(manifest)))
    return settings


@pytest.fixture
def home(source, make_bars) -> Settings:
    """A home with bars, halts among them, an index and a universe."""
    raw = make_bars(["SH600000", "SZ000001", "NA"], days=260, seed=4)
    source.write("bars/all.parquet", raw.filter(pl.int_range(pl.len()) % 17 != 3))
    index = make_bars(["SH000300"], days=260).select("instrument", "date", "close")
    source.write("benchmark.parquet", index)
    source.text("pool.txt", "NA\t2020-01-02\t2020-03-02\nSZ000001\t2020-02-03\t2099-12-31\n")
    build_bars(source.settings, list(month_versions(scan(source.settings))))
    return source.settings


def test_bars_leave_as_a_provider_and_come_in_again_the_same(home: Settings, tmp_path) -> None:
    bars = bars_dataset(home).read()
    summary = write_content(
        bars_content(home, Wanted(), with_lists=True), Form.QLIB_BIN, tmp_path / "bin"
    )
    assert (summary.rows, summary.instruments) == (bars.height, 3)
    write_content(read_content(tmp_path / "bin", Wanted()), Form.PARQUET, tmp_path / "parquet")
    names = {p.relative_to(tmp_path / "parquet").as_posix() for p in files(tmp_path / "parquet")}
    assert names == {"bars/2020.parquet", "pool.txt"}
    again = taken_in(tmp_path / "parquet", tmp_path / "home")
    back = bars_dataset(again).read()
    assert back.columns == bars.columns
    assert as_bits(back) == as_bits(bars)
    assert load_universe(again).spans.equals(load_universe(home).spans)


def test_exported_provider_is_the_one_that_trainings_use(home: Settings, tmp_path) -> None:
    write_content(bars_content(home, Wanted(), with_lists=True), Form.QLIB_BIN, tmp_path / "bin")
    assert contents(tmp_path / "bin") == contents(build_provider(home))


def test_parquet_of_a_home_brings_index_and_universe_along(home: Settings, tmp_path) -> None:
    write_content(bars_content(home, Wanted(), with_lists=True), Form.PARQUET, tmp_path / "out")
    again = taken_in(tmp_path / "out", tmp_path / "home")
    assert as_bits(bars_dataset(again).read()) == as_bits(bars_dataset(home).read())
    assert load_benchmark(again).returns.equals(load_benchmark(home).returns)
    assert load_universe(again).spans.equals(load_universe(home).spans)


def test_float32_prices_and_factors_of_any_size_come_in_the_same(tmp_path) -> None:
    random = np.random.default_rng(8)
    closes, factors = (np.float32(np.exp(random.uniform(-9, 9, 5000))) for _ in range(2))
    days = [date.fromordinal(730_000 + n) for n in range(5000)]
    rows = [
        ("A", day, *[float(close)] * 4, float(close * 100), float(close), float(factor))
        for day, close, factor in zip(days, closes, factors, strict=True)
    ]
    write_source(tmp_path / "out", frame_of(rows))
    again = taken_in(tmp_path / "out", tmp_path / "home")
    assert as_bits(bars_dataset(again).read()) == as_bits(frame_of(rows))


def test_instrument_without_any_factor_has_factor_one(tmp_path) -> None:
    rows = [
        ("A", DAYS[0], 2, 2, 2, 2, 100, 2, None),
        ("A", DAYS[1], None, None, None, None, 0, None, None),
        ("B", DAYS[0], 2, 2, 2, 2, 100, 2, 0.5),
        ("B", DAYS[1], None, None, None, None, 0, None, None),
    ]
    write_source(tmp_path / "out", frame_of(rows))
    bars = bars_dataset(taken_in(tmp_path / "out", tmp_path / "home")).read()
    assert bars["factor"].to_list() == [1, 1, 0.5, None]
    assert bars["close"].to_list() == [2, None, 2, None]


@pytest.mark.parametrize(
    ("row", "found"),
    [
        (("A", DAYS[1], 2, 2, 2, 2, 100, 2, None), "A on 2019-12-30: is traded and has no factor"),
        (("A", DAYS[1], 2, 2, 2, 2, 100, 2, 0), "A on 2019-12-30: is traded and has no factor"),
        (("A", DAYS[1], 2, 2, 2, 2, None, 2, 1), "A on 2019-12-30: has prices and no volume"),
    ],
)
def test_bars_that_would_come_in_otherwise_are_refused(tmp_path, row, found: str) -> None:
    first = ("A", DAYS[0], 2, 2, 2, 2, 100, 2, 0.5)
    with pytest.raises(ConversionError, match=found):
        write_source(tmp_path / "out", frame_of([first, row]))
    assert list(tmp_path.iterdir()) == []


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files(folder)
    }


@pytest.mark.parametrize("is_bars", [True, False])
@pytest.mark.parametrize("form", [Form.QLIB_BIN, Form.CSV, Form.PICKLE])
def test_form_of_what_was_written_is_found_out(form: Form, is_bars: bool, tmp_path) -> None:
    frame = as_float32(frame_of([ONE, ("NA", DAYS[2], 1, 1, 1, 1, 1, None, 1)]), "bars")
    frame = frame if is_bars else frame.select("instrument", "date", KMID="vwap")
    summary = write_content(Content(frame, is_bars), form, tmp_path / "out")
    assert form_of(tmp_path / "out") == form
    read = read_content(tmp_path / "out", Wanted(is_bars=is_bars))
    assert read.frame["instrument"].to_list() == ["AAPL", "NA_"]
    assert read.frame.columns == frame.columns
    assert read.frame.drop("instrument").rows() == frame.drop("instrument").rows()
    written = files(tmp_path / "out")
    assert (summary.files, summary.bytes) == (len(written), sum(p.stat().st_size for p in written))
    assert (summary.form, summary.folder) == (form, str(tmp_path / "out"))
    assert (summary.rows, summary.instruments) == (2, 2)
    assert (summary.first, summary.last) == (DAYS[0], DAYS[2])


def test_factors_as_parquet_are_by_year_as_they_are(tmp_path) -> None:
    factors = pl.DataFrame({"instrument": "A", "date": [DAYS[0], DAYS[-1]]}).with_columns(
        KMID=pl.Series([0.1, None], dtype=pl.Float32)
    )
    write_content(Content(factors, is_bars=False), Form.PARQUET, tmp_path / "out")
    assert [path.name for path in files(tmp_path / "out")] == ["2019.parquet", "2020.parquet"]
    assert pl.read_parquet(tmp_path / "out").equals(factors)


def test_csv_may_be_one_file(tmp_path) -> None:
    content = Content(frame_of([ONE, ("B", *ONE[1:])]))
    write_content(content, Form.CSV, tmp_path / "out", is_one_file=True)
    assert [path.name for path in files(tmp_path / "out")] == ["bars.csv"]
    assert read_content(tmp_path / "out", Wanted()).frame.height == 2
    assert read_content(tmp_path / "out" / "bars.csv", Wanted()).frame.height == 2


@pytest.mark.parametrize("form", [Form.QLIB_BIN, Form.CSV, Form.PICKLE])
def test_wanted_rows_are_the_same_from_every_form(form: Form, tmp_path) -> None:
    bars = frame_of([(code, day, *ONE[2:]) for code in ("A", "SH600000") for day in DAYS])
    write_content(Content(bars), form, tmp_path / "out")
    wanted = Wanted(instruments=["600000.sh"], first=DAYS[2], last=DAYS[4])
    read = read_content(tmp_path / "out", wanted)
    assert read.frame.select("instrument", "date").rows() == [
        ("SH600000", day) for day in DAYS[2:5]
    ]
    with pytest.raises(ConversionError, match="GONE"):
        read_content(tmp_path / "out", Wanted(instruments=["GONE"]))
    with pytest.raises(ConversionError, match="has no row of those asked for"):
        read_content(tmp_path / "out", Wanted(first=date(2050, 1, 1)))


def test_provider_brings_its_calendar_and_lists_along(tmp_path) -> None:
    spans = pl.DataFrame({"instrument": ["AAPL"], "start": [DAYS[0]], "end": [DAYS[0]]})
    bars = frame_of([(*ONE[:1], day, *ONE[2:]) for day in DAYS[:2]])
    export_provider(tmp_path / "a", bars, calendar=DAYS, universes={"pool": spans})
    write_content(read_content(tmp_path / "a", Wanted()), Form.QLIB_BIN, tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    of_list = read_content(tmp_path / "a", Wanted(instruments=["pool"]))
    assert of_list.frame.height == 1
    part = read_content(tmp_path / "a", Wanted(first=DAYS[1], last=DAYS[3]))
    assert part.calendar == DAYS[1:4]


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ([], "holds nothing that can be read"),
        (["a.parquet"], "holds nothing that can be read"),
        (["a.csv", "b.pkl"], "holds csv and pickle"),
        (["calendars/day.txt", "b.pkl"], "holds qlib-bin and pickle"),
    ],
)
def test_folder_of_no_form_or_of_two_says_what_it_holds(tmp_path, names, found: str) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(ConversionError, match=found):
        form_of(tmp_path)


def test_missing_path_and_several_pickles_are_refused(tmp_path) -> None:
    with pytest.raises(ConversionError, match="there is no such file or folder"):
        read_content(tmp_path / "none", Wanted())
    for name in ("a.pkl", "b.pkl"):
        (tmp_path / name).touch()
    with pytest.raises(ConversionError, match=r"holds 2 pickles: a\.pkl, b\.pkl; name one"):
        read_content(tmp_path, Wanted())
    with pytest.raises(ConversionError, match="parquet is what a source is"):
        read_content(tmp_path, Wanted(), form=Form.PARQUET)


def test_home_without_bars_says_what_to_do(source) -> None:
    with pytest.raises(DatasetMissingError, match="materialize bars first"):
        bars_content(source.settings, Wanted(), with_lists=False)


class DiskFullError(OSError):
    """Stands for any failure in the middle of a write."""


def failing(times: int, function: Callable[..., object]) -> Callable[..., object]:
    calls = iter(range(10_000))

    def wrapped(*args: object, **kwargs: object) -> object:
        if next(calls) >= times:
            raise DiskFullError
        return function(*args, **kwargs)

    return wrapped


@pytest.mark.parametrize("form", list(Form))
def test_write_that_fails_midway_leaves_nothing(form: Form, tmp_path, monkeypatch) -> None:
    bars = frame_of([(code, day, *ONE[2:]) for code in "ABC" for day in DAYS])
    monkeypatch.setattr(Path, "write_bytes", failing(5, Path.write_bytes))
    monkeypatch.setattr(pl.DataFrame, "write_csv", failing(1, pl.DataFrame.write_csv))
    monkeypatch.setattr(pl.DataFrame, "write_parquet", failing(1, pl.DataFrame.write_parquet))
    monkeypatch.setattr(pickle_writer, "_to_pandas", failing(0, pickle_writer._to_pandas))
    with pytest.raises(DiskFullError):
        write_content(Content(bars), form, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", list(Form))
def test_folder_that_holds_something_is_refused_and_left_alone(form: Form, tmp_path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(ConversionError, match="is there already and not empty; name a new folder"):
        write_content(Content(frame_of([ONE])), form, tmp_path)
    assert contents(tmp_path).keys() == {"mine.txt"}


@pytest.mark.parametrize("form", list(Form))
def test_empty_folder_may_be_written_to(form: Form, tmp_path) -> None:
    (tmp_path / "out").mkdir()
    write_content(Content(frame_of([ONE])), form, tmp_path / "out")
    assert files(tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.real_data
def test_real_sample_goes_through_every_form_and_comes_in_the_same(
    shared_data: Path, tmp_path: Path
) -> None:
    first = taken_in(shared_data / "sample-cn-60", tmp_path / "first")
    bars = bars_dataset(first).read()
    content = bars_content(first, Wanted(), with_lists=True)
    for form in (Form.QLIB_BIN, Form.CSV, Form.PICKLE):
        write_content(content, form, tmp_path / form)
        content = read_content(tmp_path / form, Wanted())
        assert as_float32(content.frame, "read").equals(as_float32(bars, "bars"))
        shutil.rmtree(tmp_path / form)
    write_content(content, Form.PARQUET, tmp_path / "source")
    second = taken_in(tmp_path / "source", tmp_path / "second")
    back = bars_dataset(second).read()
    assert as_float32(back, "read").equals(as_float32(bars, "bars"))
