import statistics
from datetime import date
from itertools import pairwise

import polars as pl
import pytest

from qlops_assets.core.errors import SourceError
from qlops_assets.lake.bars import build_bars
from qlops_assets.lake.benchmark import EQUAL_WEIGHTED, load_benchmark
from qlops_assets.lake.manifest import month_versions
from qlops_assets.lake.scan import scan

DAYS = [date(2020, 1, day) for day in (2, 3, 6)]


def index(code: str, *closes: float) -> pl.DataFrame:
    return pl.DataFrame({"instrument": code, "date": DAYS[: len(closes)], "close": list(closes)})


@pytest.fixture
def built(source, make_bars):
    source.write("bars/2020.parquet", make_bars(days=30, seed=4))
    build_bars(source.settings, list(month_versions(scan(source.settings))))
    return source


def test_index_returns_are_hand_computed(source) -> None:
    source.beside("benchmark.parquet", index("000300.SH", 100.0, 110.0, 99.0).reverse())
    benchmark = load_benchmark(source.settings)
    assert benchmark.name == "SH000300"
    assert benchmark.returns["date"].to_list() == DAYS[1:]
    assert benchmark.returns["return"].to_list() == pytest.approx([0.1, -0.1])
    assert benchmark.levels is not None
    assert benchmark.levels.rows() == list(zip(DAYS, [100.0, 110.0, 99.0], strict=True))
    assert not benchmark.is_simulated


@pytest.mark.parametrize(
    ("wanted", "codes", "expected"),
    [
        (None, ["SH000905", "SH000300"], "SH000300"),
        (None, ["SPX", "NDX"], "NDX"),
        ("sh.000905", ["SH000905", "SH000300"], "SH000905"),
    ],
)
def test_index_is_chosen_by_name_then_csi300_then_the_first_code(
    make_source, wanted, codes, expected
) -> None:
    source = make_source(benchmark=wanted)
    source.beside("benchmark.parquet", pl.concat([index(code, 1.0, 2.0) for code in codes]))
    assert load_benchmark(source.settings).name == expected


def test_unknown_index_names_the_known(make_source) -> None:
    source = make_source(benchmark="SH00300")
    source.beside("benchmark.parquet", index("SH000300", 1.0, 2.0))
    with pytest.raises(SourceError, match=r"no instrument 'SH00300'; did you mean 'SH000300'"):
        load_benchmark(source.settings)


def test_index_file_may_keep_plain_names_where_bars_are_mapped(make_source) -> None:
    source = make_source(columns={"close": "px", "instrument": "ts_code"})
    plain = index("SH000300", 1.0, 2.0)
    for frame in (plain, plain.rename({"close": "px", "instrument": "ts_code"})):
        source.beside("benchmark.parquet", frame)
        assert load_benchmark(source.settings).returns["return"].to_list() == [1.0]


@pytest.mark.parametrize(
    ("frame", "found"),
    [
        (index("A", 1.0).drop("close"), "no column 'close'"),
        (pl.concat([index("A", 1.0), index("A", 2.0)]), "has A 2020-01-02 more than once"),
        (index("A", 0.0, -1.0), "has no positive close"),
    ],
)
def test_unusable_index_file_says_what_was_found(source, frame: pl.DataFrame, found: str) -> None:
    source.beside("benchmark.parquet", frame)
    with pytest.raises(SourceError, match=found):
        load_benchmark(source.settings)


def test_index_file_that_is_not_parquet_is_refused(source) -> None:
    source.beside("benchmark.parquet", "no")
    with pytest.raises(SourceError, match="not a readable Parquet file"):
        load_benchmark(source.settings)


def test_without_an_index_members_are_weighted_equally(built) -> None:
    built.beside("u.txt", "SH600000\t2020-01-01\t2020-12-31\nSH600004\t2020-01-13\t2020-12-31\n")
    raw = pl.read_parquet(built.folder / "bars" / "2020.parquet").sort("instrument", "date")
    price: dict = {}
    expected: dict = {}
    for row in raw.iter_rows(named=True):
        price[row["instrument"], row["date"]] = (
            row["close"] * row["factor"] if row["volume"] else None
        )
    days = sorted(set(raw["date"]))
    for before, day in pairwise(days):
        codes = ["SH600000"] + (["SH600004"] if day >= date(2020, 1, 13) else [])
        pairs = [(price[code, day], price[code, before]) for code in codes]
        moves = [now / then - 1 for now, then in pairs if now and then]
        if moves:
            expected[day] = statistics.fmean(moves)
    benchmark = load_benchmark(built.settings)
    assert benchmark.name == EQUAL_WEIGHTED
    assert benchmark.levels is None
    assert dict(benchmark.returns.rows()) == pytest.approx(expected)
