from collections import defaultdict
from datetime import date

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from qlops_assets.lake.intake.faults import REASON, sorted_out
from qlops_assets.lake.intake.rows import NUMBERS

INF = float("inf")
price = st.sampled_from([10.0, 11.0, None, 0.0, -1.0, INF])
row = st.fixed_dictionaries(
    {
        "instrument": st.sampled_from(["A", "B"]),
        "date": st.sampled_from([date(2020, 1, 1), date(2020, 1, 2)]),
        "open": st.sampled_from([10.0, 10.0, 11.0]),
        "high": st.just(11.0),
        "low": st.just(9.0),
        "close": price,
        "volume": st.sampled_from([0.0, 100.0, 100.0, -1.0, INF]),
        "vwap": st.none(),
        "amount": st.none(),
        "factor": st.sampled_from([1.0, 1.0, 1.0, None, 0.0]),
    }
)
SCHEMA = {"instrument": pl.String, "date": pl.Date, **dict.fromkeys(NUMBERS, pl.Float64)}


def frame_of(rows: list[dict]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEMA).sort("instrument", "date")


def impossible(value: float | None) -> bool:
    return value is None or value in (INF, -INF) or value <= 0


def expected(rows: list[dict]) -> tuple[set[tuple], set[tuple], int]:
    """A plain loop over the rows: keys that are good, keys that are bad, repeats."""
    by_key = defaultdict(list)
    repeats = 0
    for entry in rows:
        values = tuple(entry[name] for name in NUMBERS)
        versions = by_key[entry["instrument"], entry["date"]]
        if values in versions:
            repeats += 1
        else:
            versions.append(values)
    good, bad = set(), set()
    for key, versions in by_key.items():
        numbers = dict(zip(NUMBERS, versions[0], strict=True))
        volume = numbers["volume"]
        faulty = volume < 0 or volume == INF
        needed = ("open", "high", "low", "close", "factor")
        faulty |= volume > 0 and any(impossible(numbers[name]) for name in needed)
        (bad if faulty or len(versions) > 1 else good).add(key)
    return good, bad, repeats


@settings(max_examples=80, deadline=None)
@given(rows=st.lists(row, max_size=12))
def test_rows_are_told_apart_as_a_plain_loop_does(rows: list[dict]) -> None:
    found = sorted_out(frame_of(rows))
    good, bad, repeats = expected(rows)
    keys = found.good.select("instrument", "date").rows()
    assert set(keys) == good
    assert keys == sorted(good)
    assert set(found.bad.select("instrument", "date").rows()) == bad
    assert found.duplicates == repeats
    assert found.good.height + found.bad.height + found.duplicates == len(rows)
    assert found.bad[REASON].null_count() == 0


def test_reasons_say_what_was_found() -> None:
    base = {
        "instrument": "A", "open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0, "volume": 5.0,
        "vwap": None, "amount": None, "factor": 1.0,
    }  # fmt: skip
    faults = [
        {"close": -2.5},
        {"open": None},
        {"volume": -3.0},
        {"factor": 0.0},
        {"close": 7.0},
    ]
    days = [date(2020, 1, day) for day in range(1, 6)]
    rows = [base | fault | {"date": day} for fault, day in zip(faults, days, strict=True)]
    found = sorted_out(frame_of([*rows, base | {"date": days[4]}]))
    assert found.bad[REASON].to_list() == [
        "close is -2.5, must be above 0 on a traded day",
        "open is missing, must be above 0 on a traded day",
        "volume is -3.0, must be 0 or more",
        "factor is 0.0, must be above 0 on a traded day",
        "two rows that differ",
        "two rows that differ",
    ]
    assert found.bad_share == 1.0
    assert found.examples().startswith("A 2020-01-01: close is -2.5")


def test_impossible_prices_of_a_halted_day_are_no_fault() -> None:
    frame = frame_of(
        [
            dict.fromkeys(NUMBERS, -1.0)
            | {"instrument": "A", "date": date(2020, 1, 1), "volume": 0.0}
        ]
    )
    assert sorted_out(frame).good.height == 1
