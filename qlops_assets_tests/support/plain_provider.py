"""A second writer of Qlib's bin format, for tests: plain loops over the format's description.

Source: Qlib's documentation, "Data Layer", and ``scripts/dump_bin.py``: per instrument and field a
file of little-endian float32, first the place of the first value in the calendar, then the values
up to the last one, NaN where there is none.
"""

import math
import struct
from collections.abc import Iterable
from datetime import date
from pathlib import Path

import polars as pl

FIELDS = ("open", "high", "low", "close", "volume", "vwap", "factor")


def write_plain_provider(
    folder: Path,
    bars: pl.DataFrame,
    *,
    universe: Iterable[tuple[str, date, date]] | None = None,
) -> Path:
    """Write a provider of bars, with a market ``core`` where a universe is given."""
    rows = {(row["instrument"], row["date"]): row for row in bars.iter_rows(named=True)}
    days = sorted({day for _, day in rows})
    place = {day: number for number, day in enumerate(days)}
    held: dict[str, list[date]] = {}
    for code, day in sorted(rows):
        held.setdefault(code, []).append(day)
    (folder / "calendars").mkdir(parents=True)
    (folder / "calendars" / "day.txt").write_text("".join(f"{day}\n" for day in days))
    (folder / "instruments").mkdir()
    spans = [(code, own[0], own[-1]) for code, own in held.items()]
    _write_spans(folder / "instruments" / "all.txt", spans)
    if universe is not None:
        _write_spans(folder / "instruments" / "core.txt", [s for s in universe if s[0] in held])
    for code, own in held.items():
        home = folder / "features" / code.lower()
        home.mkdir(parents=True)
        first, last = place[own[0]], place[own[-1]]
        for field in FIELDS:
            values = [_value(rows.get((code, day)), field) for day in days[first : last + 1]]
            content = struct.pack(f"<{len(values) + 1}f", first, *values)
            (home / f"{field}.day.bin").write_bytes(content)
    return folder


def _value(row: dict[str, float | None] | None, field: str) -> float:
    value = None if row is None else row[field]
    return math.nan if value is None else value


def _write_spans(path: Path, spans: Iterable[tuple[str, date, date]]) -> None:
    path.write_text("".join(f"{code}\t{start}\t{end}\n" for code, start, end in spans))
