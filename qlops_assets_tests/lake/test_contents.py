"""Digests of what a file says, against a comparison of its rows, value by value."""

from datetime import date, timedelta

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from qlops_assets.lake.versions.contents import contents_of, month_contents

FIRST = date(2020, 1, 20)
NUMBERS = ("close", "volume")
VALUE = st.one_of(st.none(), st.floats(width=32), st.sampled_from([0.0, -0.0, 1.0]))


@st.composite
def frames(draw: st.DrawFn) -> pl.DataFrame:
    keys = draw(
        st.lists(
            st.tuples(st.sampled_from(["A", "AB", "B"]), st.integers(0, 60)),
            min_size=1,
            max_size=12,
            unique=True,
        )
    )
    rows = [(code, FIRST + timedelta(days=day), draw(VALUE), draw(VALUE)) for code, day in keys]
    schema = {"instrument": pl.String, "date": pl.Date, "close": pl.Float64, "volume": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row").sort("instrument", "date")


def said(frame: pl.DataFrame, kind: str) -> dict[str, list]:
    """Return the rows of each month or instrument in words: NaN is null, -0.0 is 0.0."""
    found: dict[str, list] = {}
    for row in frame.iter_rows(named=True):
        key = f"{row['date']:%Y-%m}" if kind == "month" else row["instrument"]
        numbers = [
            None if (v := row[n]) is None or np.isnan(v) else float(v) + 0.0 for n in NUMBERS
        ]
        found.setdefault(key, []).append([row["instrument"], row["date"], *map(str, numbers)])
    return found


def differing(old: pl.DataFrame, new: pl.DataFrame, kind: str) -> list[str]:
    a, b = (
        dict(frame.filter(pl.col("kind") == kind).select("key", "content").iter_rows())
        for frame in (old, new)
    )
    return sorted(key for key in a.keys() | b.keys() if a.get(key) != b.get(key))


@given(one=frames(), other=frames())
def test_digests_differ_where_the_rows_do_and_nowhere_else(one, other) -> None:
    old, new = contents_of("p", "d", one), contents_of("q", "e", other)
    for kind in ("month", "instrument"):
        a, b = said(one, kind), said(other, kind)
        assert differing(old, new, kind) == sorted(
            key for key in a.keys() | b.keys() if a.get(key) != b.get(key)
        )


@given(frame=frames(), chance=st.randoms())
def test_digests_do_not_depend_on_chunks_or_on_how_missing_is_written(frame, chance) -> None:
    at = chance.randint(0, frame.height)
    parts = pl.concat([frame[:at], frame[at:]], rechunk=False)
    as_nan = parts.with_columns(pl.col(NUMBERS).fill_null(float("nan")))
    expected = contents_of("p", "d", frame)
    assert contents_of("p", "d", parts).equals(expected)
    assert contents_of("p", "d", as_nan).equals(expected)


def test_month_of_several_files_is_the_same_whatever_they_are_called() -> None:
    frame = pl.DataFrame(
        {
            "instrument": ["A", "B"],
            "date": [FIRST, FIRST],
            "close": [1.0, 2.0],
            "volume": [3.0, 4.0],
        }
    )
    a, b = frame[:1], frame[1:]
    one = pl.concat([contents_of("x", "1", a), contents_of("y", "2", b)])
    other = pl.concat([contents_of("z", "2", b), contents_of("w", "1", a)])
    assert month_contents(one) == month_contents(other)
    assert list(month_contents(one)) == ["2020-01"]
    assert month_contents(one) != month_contents(contents_of("x", "1", a))


def test_rows_of_a_thousand_months_each_have_their_digest() -> None:
    days = [date(1940 + n // 12, n % 12 + 1, 15) for n in range(1000)]
    frame = pl.DataFrame({"instrument": "A", "date": days, "close": 1.0, "volume": 2.0})
    changed = frame.with_columns(
        close=pl.when(pl.col("date") == days[500]).then(1.5).otherwise(1.0)
    )
    old, new = contents_of("p", "d", frame), contents_of("p", "d", changed)
    assert old.filter(pl.col("kind") == "month").height == 1000
    assert differing(old, new, "month") == [f"{days[500]:%Y-%m}"]
    assert differing(old, new, "instrument") == ["A"]
