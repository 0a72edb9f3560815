"""The lists of a Qlib provider: which instruments it has, when, and in which folder."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Final

import polars as pl

from qlops_assets.core.columns import INSTRUMENT
from qlops_assets.core.errors import ConversionError, nearest
from qlops_assets.lake.conversions.calendars import day_of, lines_of
from qlops_assets.lake.conversions.frames import ACCEPTED_CODES, named
from qlops_assets.lake.instruments import canonical, canonical_codes, folder_name
from qlops_assets.lake.universe import ALL

_ACCEPTED_LINE: Final = "a line is CODE, START and END, separated by tabs"
_SPANS: Final = {INSTRUMENT: pl.String, "start": pl.Date, "end": pl.Date}

Span = tuple[date, date]


@dataclass(frozen=True, slots=True)
class Listed:
    """An instrument of a provider: its canonical code, its folder, the days it is listed."""

    code: str
    home: Path
    spans: list[Span] = field(default_factory=list)


def listed(provider: Path, instruments: str | Sequence[str] | None) -> list[Listed]:
    """Return the instruments that are asked for, in order of their codes.

    Args:
        provider: The provider's folder.
        instruments: The name of a list (``csi300``), codes in any form, or None for ``all``.
            Codes that are asked for by name have no spans: every day they have counts.

    Raises:
        ConversionError: there is no such list, a line of it is wrong, two codes mean the same
            instrument, or an instrument has no folder.
    """
    if instruments is None or isinstance(instruments, str):
        found = _of_list(provider, instruments or ALL)
    else:
        found = _of_codes(provider, instruments)
    missing = [item for item in found if not item.home.is_dir()]
    if missing:
        raise ConversionError(
            provider / "features",
            f"has no folder of {len(missing)} instruments: {named([i.code for i in missing])}",
            f"Qlib keeps {missing[0].code} in features/{missing[0].home.name}",
        )
    return sorted(found, key=lambda item: item.code)


def universes(provider: Path) -> dict[str, pl.DataFrame]:
    """Return the spans of every named list but ``all``: ``instrument, start, end``.

    Raises:
        ConversionError: a line is wrong, or two codes mean the same instrument.
    """
    found = {}
    for path in sorted((provider / "instruments").glob("*.txt")):
        if path.stem.lower() != ALL:
            items = _of_list(provider, path.stem)
            rows = [(item.code, start, end) for item in items for start, end in item.spans]
            spans = pl.DataFrame(rows, schema=_SPANS, orient="row")
            found[path.stem.lower()] = spans.sort(INSTRUMENT, "start")
    return found


def _of_codes(provider: Path, codes: Sequence[str]) -> list[Listed]:
    everything = _list_path(provider, ALL)
    known = {item.code: item for item in _of_list(provider, ALL)} if everything.is_file() else {}
    found = {}
    for code in codes:
        try:
            ours = canonical(code)
        except ValueError as error:
            raise ConversionError(provider, f"was asked for {error}", ACCEPTED_CODES) from error
        home = known[ours].home if ours in known else _home(provider, ours)
        if not home.is_dir() and _home(provider, code).is_dir():
            home = _home(provider, code)
        found[ours] = Listed(ours, home)
    return list(found.values())


def _of_list(provider: Path, name: str) -> list[Listed]:
    path = _list_path(provider, name)
    if not path.is_file():
        known = sorted(p.stem for p in path.parent.glob("*.txt"))
        found = f"there is no such list{nearest(name.lower(), known)}"
        raise ConversionError(path, found, f"Known: {', '.join(known) or 'none'}")
    spans = _spans(path)
    try:
        codes = canonical_codes(spans)
    except ValueError as error:
        raise ConversionError(path, f"holds {error}", ACCEPTED_CODES) from error
    return [Listed(codes[raw], _home(provider, raw), own) for raw, own in spans.items()]


def _list_path(provider: Path, name: str) -> Path:
    return provider / "instruments" / f"{name.lower()}.txt"


def _home(provider: Path, code: str) -> Path:
    return provider / "features" / folder_name(code)


def _spans(path: Path) -> dict[str, list[Span]]:
    """Return code -> spans, quoted as pandas reads them; NA and NULL are codes like any other."""
    found: dict[str, list[Span]] = {}
    reader = csv.reader(io.StringIO("\n".join(lines_of(path))), delimiter="\t", strict=True)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                code, span = _span(cells)
                found.setdefault(code, []).append(span)
    except (ValueError, csv.Error) as error:
        place = f"line {reader.line_num}: {error}"
        raise ConversionError(path, place, _ACCEPTED_LINE) from error
    if not found:
        raise ConversionError(path, "has no line", _ACCEPTED_LINE)
    return found


def _span(cells: Sequence[str]) -> tuple[str, Span]:
    if len(cells) < 3 or not cells[0].strip():
        raise ValueError(f"found {' '.join(cells)[:60]!r}")
    start, end = day_of(cells[1]), day_of(cells[2])
    if start > end:
        raise ValueError(f"starts on {start}, after its end on {end}")
    return cells[0].strip(), (start, end)
