import random
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlops_assets.core.errors import DatasetMissingError, UniverseError
from qlops_assets.lake.bars import build_bars
from qlops_assets.lake.beside import KeptFile
from qlops_assets.lake.calendar import trading_days
from qlops_assets.lake.manifest import month_versions
from qlops_assets.lake.scan import scan
from qlops_assets.lake.universe import Universe, load_universe, members, read_spans


def kept(path: Path) -> KeptFile:
    return KeptFile(path.name, path)


@pytest.fixture
def built(source, make_bars):
    """A source of three instruments over January 2020, its bars built."""
    source.write("bars/2020.parquet", make_bars(days=20))
    build_bars(source.settings, list(month_versions(scan(source.settings))))
    return source


def test_trading_days_are_the_days_of_any_bar(built, make_bars) -> None:
    assert trading_days(built.settings) == sorted(set(make_bars(days=20)["date"]))


def test_trading_days_without_bars_say_what_to_do(source) -> None:
    with pytest.raises(DatasetMissingError, match="bars: no data for any month; materialize bars"):
        trading_days(source.settings)


def test_without_a_universe_file_every_instrument_is_a_member_over_its_bars(built) -> None:
    universe = load_universe(built.settings)
    assert universe.name == "all"
    assert universe.spans["instrument"].to_list() == ["SH600000", "SH600004", "SZ000001"]
    assert set(universe.spans["start"]) == {date(2020, 1, 2)}
    assert set(universe.spans["end"]) == {date(2020, 1, 29)}


def test_only_universe_file_is_taken_without_a_name(built) -> None:
    built.beside(
        "CSI.txt", "sh.600000\t2020-01-03\t2020-01-10\n600000.SH\t2020-01-20\t2020-12-31\n"
    )
    built.beside("calendar.txt", "2020-01-02\n")
    built.beside("README.txt", "A universe is CSI.txt.\nIt has two lines.\n")
    universe = load_universe(built.settings)
    assert universe.name == "csi"
    assert universe.spans.rows() == [
        ("SH600000", date(2020, 1, 3), date(2020, 1, 10)),
        ("SH600000", date(2020, 1, 20), date(2020, 12, 31)),
    ]


def test_several_universe_files_without_a_name_mean_all(built) -> None:
    for name in ("a", "b"):
        built.beside(f"{name}.txt", "SH600000\t2020-01-03\t2020-01-10\n")
    assert load_universe(built.settings).name == "all"
    assert load_universe(built.with_universe("B").settings).name == "b"


def test_name_all_goes_before_a_universe_file(built) -> None:
    built.beside("csi.txt", "SH600000\t2020-01-03\t2020-01-10\n")
    assert load_universe(built.with_universe("all").settings).name == "all"


def test_unknown_universe_names_the_known(built) -> None:
    built.beside("csi300.txt", "SH600000\t2020-01-03\t2020-01-10\n")
    with pytest.raises(
        UniverseError, match=r"'csi30'.*did you mean 'csi300'.*csi300, all.*NAME\.txt"
    ):
        load_universe(built.with_universe("csi30").settings)


def test_unknown_instruments_are_reported_and_the_known_used(built) -> None:
    built.beside("u.txt", "SH600000\t2020-01-03\t2020-01-10\nSH999999\t2020-01-03\t2020-01-10\n")
    universe = load_universe(built.settings)
    assert universe.unknown == ["SH999999"]
    assert universe.spans["instrument"].to_list() == ["SH600000"]


def test_universe_of_unknown_instruments_alone_is_refused(built) -> None:
    built.beside("u.txt", "AAPL\t2020-01-03\t2020-01-10\n")
    with pytest.raises(UniverseError, match=r"none of its 1 instruments has bars \(AAPL.*SH600000"):
        load_universe(built.settings)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("SH600004", "found 'SH600004'"),
        ("SH600004 2020-01-01 2020-02-01", "found 'SH600004 2020"),
        ("SH600004\t2020-01-01", "found"),
        ("SH600004\t2020-13-01\t2020-02-01", "month must be"),
        ("SH600004\t2020-03-01\t2020-02-01", "starts on 2020-03-01, after its end on 2020-02-01"),
        ("A/B\t2020-01-01\t2020-02-01", "'A/B'"),
        ("\t2020-01-01\t2020-02-01", "an empty code"),
    ],
)
def test_line_that_cannot_be_read_is_named_by_its_number(built, line: str, found: str) -> None:
    built.beside("u.txt", f"SH600000\t2020-01-01\t2020-02-01\n\n{line}\n")
    with pytest.raises(UniverseError, match=r"u\.txt: line 3: .*CODE, START and END") as raised:
        load_universe(built.settings)
    assert found in str(raised.value)


def test_empty_or_binary_universe_is_refused(built, tmp_path) -> None:
    empty = built.text("empty.txt", "\n")
    with pytest.raises(UniverseError, match="has no line"):
        read_spans(kept(empty))
    empty.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UniverseError, match="cannot be read as text"):
        read_spans(kept(empty))


def test_overlapping_spans_of_an_instrument_are_one(source) -> None:
    lines = [("A", 1, 5), ("A", 3, 4), ("A", 5, 9), ("A", 11, 12), ("B", 2, 3)]
    text = "".join(f"{c}\t2020-01-{a:02d}\t2020-01-{b:02d}\n" for c, a, b in lines)
    assert read_spans(kept(source.text("u.txt", text))).rows() == [
        ("A", date(2020, 1, 1), date(2020, 1, 9)),
        ("A", date(2020, 1, 11), date(2020, 1, 12)),
        ("B", date(2020, 1, 2), date(2020, 1, 3)),
    ]


FIRST = date(2019, 12, 28)
spans = st.lists(
    st.tuples(st.sampled_from("ABC"), st.integers(0, 12), st.integers(0, 6)), min_size=1, max_size=8
)


@settings(max_examples=60, deadline=None)
@given(spans=spans, chance=st.randoms())
def test_members_are_those_of_a_plain_loop(tmp_path_factory, spans, chance: random.Random) -> None:
    days = [(c, FIRST + timedelta(days=a), FIRST + timedelta(days=a + n)) for c, a, n in spans]
    path = tmp_path_factory.mktemp("u") / "u.txt"
    path.write_text("".join(f"{c}\t{start}\t{end}\n" for c, start, end in days), encoding="utf-8")
    rows = [(c, FIRST + timedelta(days=n), n) for c in "ABCD" for n in range(-1, 20)]
    chance.shuffle(rows)
    frame = pl.DataFrame(
        rows, schema={"instrument": pl.String, "date": pl.Date, "x": pl.Int64}, orient="row"
    )
    expected = [r for r in rows if any(c == r[0] and a <= r[1] <= b for c, a, b in days)]
    assert members(Universe("u", read_spans(kept(path)), []), frame).rows() == expected


def test_members_takes_categories_and_missing_instruments(built) -> None:
    universe = load_universe(built.settings)
    frame = pl.DataFrame(
        {"instrument": ["SH600000", None, "X"], "date": [date(2020, 1, 2)] * 3},
        schema={"instrument": pl.Categorical, "date": pl.Date},
    )
    assert members(universe, frame)["instrument"].to_list() == ["SH600000"]


def test_universe_digest_depends_on_name_and_spans(built) -> None:
    universe = load_universe(built.settings)
    shorter = Universe("all", universe.spans.head(2), [])
    other = Universe("b", universe.spans, [])
    assert len({universe.digest, shorter.digest, other.digest}) == 3
    assert load_universe(built.settings).digest == universe.digest


def test_universe_is_that_of_the_last_scan_whatever_the_source_holds_meanwhile(built) -> None:
    path = built.beside("u.txt", "SH600000\t2020-01-03\t2020-01-10\n")
    before = load_universe(built.settings)
    path.write_text("nonsense", encoding="utf-8")
    assert load_universe(built.settings).digest == before.digest
    path.unlink()
    assert load_universe(built.settings).name == "u"
    scan(built.settings)
    assert load_universe(built.settings).name == "all"
