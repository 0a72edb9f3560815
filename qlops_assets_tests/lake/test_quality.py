from datetime import UTC, date, datetime

import polars as pl
import pytest

from qlops_assets.lake.bars import MonthReport
from qlops_assets.lake.manifest import Manifest, QuarantinedFile
from qlops_assets.lake.quality import (
    Severity,
    findings,
    high_not_below_low,
    no_duplicates,
    no_gaps,
    no_price_jumps,
    no_quarantined_files,
    universe_is_known,
)
from qlops_assets.lake.universe import Universe

NOW = datetime(2026, 1, 5, tzinfo=UTC)


def bars(*rows: tuple[str, int, float | None]) -> pl.DataFrame:
    """Return flat bars of (instrument, day of January, close)."""
    closes = [close for *_, close in rows]
    frame = {
        "instrument": [code for code, *_ in rows],
        "date": [date(2020, 1, day) for _, day, _ in rows],
    }
    prices = dict.fromkeys(("open", "high", "low", "close"), closes)
    schema = {"instrument": pl.String, "date": pl.Date} | dict.fromkeys(prices, pl.Float64)
    return pl.DataFrame(frame | prices, schema=schema)


GOOD = bars(
    ("A", 1, 10.0), ("A", 2, 10.5), ("A", 3, None), ("A", 4, 11.0), ("B", 2, 5.0), ("B", 3, 5.1)
)


def test_good_bars_pass_every_check() -> None:
    manifest = Manifest("/s", (), (), (), "d", NOW, 0)
    found = findings(
        GOOD, reports=[MonthReport("2020-01")], manifest=manifest, universe=universe([])
    )
    assert [finding.check for finding in found] == [
        "no_duplicates",
        "high_not_below_low",
        "no_gaps",
        "no_price_jumps",
        "no_quarantined_files",
        "universe_is_known",
    ]
    assert all(finding.passed and not finding.examples for finding in found)


def test_checks_without_anything_to_look_at_are_left_out() -> None:
    assert len(findings(GOOD)) == 4


def test_repeated_key_in_bars_is_an_error() -> None:
    found = no_duplicates(pl.concat([GOOD, GOOD.head(1)]))
    assert (found.passed, found.severity, found.examples) == (
        False,
        Severity.ERROR,
        ("A 2020-01-01",),
    )


@pytest.mark.parametrize("report", [MonthReport("m", duplicates=2), MonthReport("m", set_aside=1)])
def test_duplicates_of_the_source_are_a_warning(report: MonthReport) -> None:
    found = no_duplicates(GOOD, [report])
    assert (found.passed, found.severity) == (False, Severity.WARN)


@pytest.mark.parametrize(
    ("changes", "passes"),
    [
        ({"high": 10.0, "low": 10.1}, False),
        ({"open": 9.98}, False),
        ({"close": 10.02}, False),
        ({"open": 9.995, "close": 10.005}, True),
        ({"low": 10.0 * (1 + 1e-12)}, True),
        ({"low": None}, True),
    ],
)
def test_high_low_open_and_close_are_compared(changes: dict, passes: bool) -> None:
    values = {"open": 10.0, "high": 10.0, "low": 10.0, "close": 10.0} | changes
    frame = bars(("A", 1, 10.0)).with_columns(
        pl.lit(value, dtype=pl.Float64).alias(name) for name, value in values.items()
    )
    found = high_not_below_low(frame)
    assert found.passed == passes
    assert len(found.examples) == (0 if passes else 1)


def test_gap_is_counted_against_the_days_of_all_instruments() -> None:
    found = no_gaps(
        GOOD.filter(~((pl.col("instrument") == "A") & pl.col("date").dt.day().is_in([2, 3])))
    )
    assert not found.passed
    assert found.found.startswith("2 days missing in 1 instruments")
    assert found.examples == ("A 2020-01-04: 2 days missing after 2020-01-01",)


def test_day_on_which_nobody_traded_is_no_gap() -> None:
    assert no_gaps(bars(("A", 1, 1.0), ("A", 6, 1.0), ("B", 1, 1.0), ("B", 6, 1.0))).passed


def test_late_listing_and_delisting_are_no_gaps() -> None:
    assert no_gaps(bars(("A", 1, 1.0), ("A", 2, 1.0), ("A", 3, 1.0), ("B", 2, 1.0))).passed


def test_price_jump_over_a_halt_is_found() -> None:
    found = no_price_jumps(bars(("A", 1, 10.0), ("A", 2, None), ("A", 3, 13.5), ("B", 3, 99.0)))
    assert not found.passed
    assert found.severity is Severity.WARN
    assert found.examples == ("A 2020-01-03: 35.0 %",)


def test_price_move_within_the_limit_is_no_jump() -> None:
    assert no_price_jumps(bars(("A", 1, 10.0), ("A", 2, 12.9), ("A", 3, 9.1))).passed


def test_quarantined_files_are_listed_with_reasons() -> None:
    bad = QuarantinedFile("x.parquet", "d", 1, NOW, "has no column 'close'")
    found = no_quarantined_files(Manifest("/s", (), (bad,), (), "d", NOW, 0))
    assert not found.passed
    assert found.examples == ("x.parquet: has no column 'close'",)


def universe(unknown: list[str]) -> Universe:
    spans = {"instrument": ["A"], "start": [date(2020, 1, 1)], "end": [date(2020, 1, 1)]}
    return Universe("u", pl.DataFrame(spans), unknown)


def test_unknown_instruments_of_the_universe_are_listed() -> None:
    found = universe_is_known(universe(["X", "Y"]))
    assert not found.passed
    assert "names 3 instruments, 2 of them have no bars" in found.found
    assert found.examples == ("X", "Y")


def test_at_most_ten_examples_are_given() -> None:
    assert len(universe_is_known(universe([str(n) for n in range(50)])).examples) == 10
