"""Calendar months as partition keys: ``"2020-01"``."""

from collections.abc import Iterable
from datetime import date


def month_of(day: date) -> str:
    """Return the month key of a day, for example ``"2020-01"``."""
    return f"{day.year:04d}-{day.month:02d}"


def first_day(month: str) -> date:
    """Return the first calendar day of a month."""
    return date(int(month[:4]), int(month[5:7]), 1)


def next_month(month: str) -> str:
    """Return the month after."""
    return shifted(month, 1)


def shifted(month: str, count: int) -> str:
    """Return the month ``count`` months later (earlier where negative)."""
    index = int(month[:4]) * 12 + int(month[5:7]) - 1 + count
    return f"{index // 12:04d}-{index % 12 + 1:02d}"


def months_between(first: str, last: str) -> list[str]:
    """Return every month from ``first`` to ``last``, both included."""
    months = []
    while first <= last:
        months.append(first)
        first = next_month(first)
    return months


def contiguous_spans(months: Iterable[str]) -> list[tuple[str, str]]:
    """Return the months as (first, last) spans without holes, in order."""
    spans: list[tuple[str, str]] = []
    for month in sorted(set(months)):
        if spans and next_month(spans[-1][1]) == month:
            spans[-1] = (spans[-1][0], month)
        else:
            spans.append((month, month))
    return spans
