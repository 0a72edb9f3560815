from datetime import date
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlops_assets.core.months import month_of
from qlops_assets.lake.datasets import MonthlyDataset
from qlops_assets.lake.gaps import gap_digests
from qlops_assets_tests.support.market import weekdays

CALENDAR = weekdays(date(2020, 1, 20), 60)  # to the end of April


def expected_gaps(held: dict[str, set[date]]) -> dict[str, list[tuple[str, list[date]]]]:
    """Return by month, for instruments that lack a day, the days that Qlib has rows for."""
    calendar = sorted(set().union(*held.values()))
    gaps: dict[str, list[tuple[str, list[date]]]] = {}
    for code in sorted(held):
        own = [day for day in calendar if min(held[code]) <= day <= max(held[code])]
        for month in sorted({month_of(day) for day in own}):
            rows = [day for day in own if month_of(day) == month]
            if not set(rows) <= held[code]:
                gaps.setdefault(month, []).append((code, rows))
    return gaps


def dataset_of(folder: Path, held: dict[str, set[date]]) -> MonthlyDataset:
    dataset = MonthlyDataset(folder, "bars")
    rows = [(code, day) for code, days in held.items() for day in days]
    frame = pl.DataFrame(rows, schema={"instrument": pl.String, "date": pl.Date}, orient="row")
    for month in sorted({month_of(day) for _, day in rows}):
        part = frame.filter(pl.col("date").dt.strftime("%Y-%m") == month)
        dataset.write(month, part, inputs="", code="")
    return dataset


days_held = st.sets(st.sampled_from(CALENDAR), min_size=1)
markets = st.dictionaries(st.sampled_from("ABCD"), days_held, min_size=1)


@settings(max_examples=25, deadline=None)
@given(held=markets)
def test_gaps_are_found_in_exactly_the_months_that_have_them(
    held: dict[str, set[date]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    dataset = dataset_of(tmp_path_factory.mktemp("bars"), held)
    assert set(gap_digests(dataset)) == set(expected_gaps(held))


@settings(max_examples=25, deadline=None)
@given(held=markets, code=st.sampled_from("ABCD"), later=st.sets(st.sampled_from(CALENDAR)))
def test_gap_digest_changes_exactly_where_the_rows_of_the_month_do(
    held: dict[str, set[date]],
    code: str,
    later: set[date],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    # The same calendar on both sides: an instrument that is always there.
    before = held | {"Z": set(CALENDAR)}
    after = before | {code: before.get(code, set()) | later | {CALENDAR[-1]}}
    one, other = (
        gap_digests(dataset_of(tmp_path_factory.mktemp("bars"), market))
        for market in (before, after)
    )
    rows_before, rows_after = expected_gaps(before), expected_gaps(after)
    changed = {m for m in {*one, *other} if one.get(m) != other.get(m)}
    assert changed == {m for m in {*one, *other} if rows_before.get(m) != rows_after.get(m)}
