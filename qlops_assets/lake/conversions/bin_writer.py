"""A frame as a Qlib provider that Qlib itself reads back, whatever its codes were."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final

import polars as pl

from qlops_assets.core.columns import INSTRUMENT, KEY
from qlops_assets.core.errors import ConversionError
from qlops_assets.core.progress import Progress
from qlops_assets.lake.benchmark import Benchmark
from qlops_assets.lake.conversions.calendars import normalised_days, require_days
from qlops_assets.lake.conversions.frames import as_float32, bars_of, keyed, with_canonical_codes
from qlops_assets.lake.qlib_bin import write_field_provider, write_provider
from qlops_assets.lake.universe import ALL

_IMPOSSIBLE: Final = re.compile(r"[/\\\x00-\x1f\x7f]")


def export_provider(
    folder: Path,
    bars: pl.DataFrame,
    *,
    calendar: Iterable[Any] | None = None,
    universes: Mapping[str, pl.DataFrame] | None = None,
    benchmark: Benchmark | None = None,
    progress: Progress | None = None,
) -> None:
    """Write a bars frame as a provider into a new folder, whole or not at all.

    Codes become canonical, so that pandas takes none for missing and no two share a folder. Columns
    beyond those of bars become fields of their own. Of a universe those instruments are written
    that have bars; one of which none has is left out.

    Raises:
        ConversionError: the frame is no bars frame, has a day that the calendar lacks, a number
            beyond float32, or a column that cannot name a file.
        FileExistsError: the folder holds something.
    """
    rows = keyed(bars, "bars")
    extra = [name for name in rows.columns if name not in KEY]
    rows = bars_of(rows, "bars", extra)
    days = _checked(rows, "bars", calendar)
    spans = {name: _known(own, rows, name) for name, own in (universes or {}).items()}
    write_provider(
        folder,
        rows,
        calendar=days,
        universes={n: own for n, own in spans.items() if own.height and n.lower() != ALL},
        benchmark=benchmark,
        progress=progress,
    )


def export_fields(
    folder: Path,
    frame: pl.DataFrame,
    *,
    calendar: Iterable[Any] | None = None,
    progress: Progress | None = None,
) -> None:
    """Write a factor frame as a provider whose fields are its columns (``$kmid`` in Qlib).

    Raises:
        ConversionError: as for :func:`export_provider`.
        FileExistsError: the folder holds something.
    """
    rows = keyed(frame, "factors")
    days = _checked(rows, "factors", calendar)
    write_field_provider(folder, rows, calendar=days, progress=progress)


def _checked(
    rows: pl.DataFrame, where: str, calendar: Iterable[Any] | None
) -> Sequence[date] | None:
    as_float32(rows, where)
    seen: dict[str, str] = {}
    for name in rows.columns:
        other = seen.setdefault(name.lower(), name)
        if other != name or _IMPOSSIBLE.search(name):
            found = f"columns {other!r} and {name!r}" if other != name else f"column {name!r}"
            accepted = "a field's name is that of a file, without slashes and the case of letters"
            raise ConversionError(where, f"has {found}", accepted)
    if calendar is None:
        return None
    days = normalised_days(calendar)
    require_days(rows, days, where)
    return days


def _known(spans: pl.DataFrame, rows: pl.DataFrame, name: str) -> pl.DataFrame:
    known = with_canonical_codes(spans, f"universe {name}")
    return known.join(rows.select(INSTRUMENT).unique(), on=INSTRUMENT, how="semi").sort(
        INSTRUMENT, "start"
    )
