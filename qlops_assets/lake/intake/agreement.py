"""Files that are good by themselves and contradict others.

Two rules, both in favour of what was there before: a file whose timestamps are in another zone
than most, and a file that states other values than an earlier one for the same days, are not used.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import polars as pl

from qlops_assets.core.columns import DATE, INSTRUMENT, KEY
from qlops_assets.lake.intake.faults import TOLERATED
from qlops_assets.lake.intake.rows import NUMBERS
from qlops_assets.lake.manifest import SourceFile

SPANS: Final = {
    "path": pl.String,
    "digest": pl.String,
    INSTRUMENT: pl.String,
    "first": pl.Date,
    "last": pl.Date,
}
_AS_DATES: Final = (None, "UTC")
_OTHER: Final = "_other"


def spans_of(path: str, digest: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Return one row per instrument of a file: from which to which day it has rows."""
    spans = frame.group_by(INSTRUMENT).agg(first=pl.col(DATE).min(), last=pl.col(DATE).max())
    return spans.select(
        pl.lit(path).alias("path"), pl.lit(digest).alias("digest"), INSTRUMENT, "first", "last"
    )


def foreign_zones(files: Sequence[SourceFile], incumbents: Sequence[SourceFile]) -> dict[str, str]:
    """Return path -> reason for the files whose time zone differs from that of most.

    Plain dates and midnights in UTC are the same. Where files were accepted before, they say which
    zone is right.
    """
    zones = Counter(_zone(file) for file in (incumbents or files))
    usual = zones.most_common(1)[0][0] if zones else None
    return {
        file.path: (
            f"its timestamps are {_zone(file) or 'plain dates'}, those of {zones[usual]} files are "
            f"{usual or 'plain dates'}; set timezone under [source] in qlops.toml to the zone "
            "whose trading days they all mean"
        )
        for file in files
        if _zone(file) != usual
    }


def _zone(file: SourceFile) -> str | None:
    return None if file.timezone in _AS_DATES else file.timezone


def overlapping(spans: pl.DataFrame) -> set[str]:
    """Return the paths of files that may hold the same (instrument, date) as another file."""
    ordered = spans.sort(INSTRUMENT, "first", "last")
    reached = pl.col("last").cum_max().shift(1).over(INSTRUMENT)
    joins = (pl.col("first") <= reached).fill_null(value=False)
    clusters = ordered.with_columns(cluster=(~joins).cum_sum())
    several = clusters.filter(pl.col("path").n_unique().over("cluster") > 1)
    return set(several["path"].unique())


def contradictions(
    files: Sequence[SourceFile], read: Callable[[SourceFile], pl.DataFrame]
) -> dict[str, str]:
    """Return path -> reason for files that contradict earlier ones in too many rows.

    Args:
        files: The files that overlap, those accepted earlier first.
        read: Returns a file's rows, each key once.
    """
    frames = [
        read(file).with_columns(pl.lit(place, dtype=pl.Int32).alias("place"))
        for place, file in enumerate(files)
    ]
    conflicts = _conflicts(pl.concat(frames))
    by_later: dict[int, list[dict[str, object]]] = {}
    for row in conflicts.iter_rows(named=True):
        by_later.setdefault(row["place"], []).append(row)
    refused: dict[int, str] = {}
    for place, file in enumerate(files):
        against = [r for r in by_later.get(place, []) if r["place_other"] not in refused]
        worst = max(against, key=_count, default=None)
        if worst is not None and _count(worst) > TOLERATED * file.rows:
            refused[place] = _reason(worst, files)
    return {files[place].path: reason for place, reason in refused.items()}


def _count(row: Mapping[str, object]) -> int:
    return int(str(row["count"]))


def _reason(row: Mapping[str, object], files: Sequence[SourceFile]) -> str:
    earlier = files[int(str(row["place_other"]))].path
    return (
        f"{row['count']} of its rows differ from those of {earlier} for the same instrument and "
        f"day, the first is {row[INSTRUMENT]} {row[DATE]} (close {row['close']}, there "
        f"{row['close_other']}); correct the rows in one place"
    )


def _conflicts(rows: pl.DataFrame) -> pl.DataFrame:
    """Return per pair of files (later, earlier) the number of keys they state differently."""
    shared = rows.filter(pl.struct(NUMBERS).n_unique().over(KEY) > 1)
    pairs = shared.join(shared, on=KEY, suffix="_other").filter(
        pl.col("place") > pl.col("place_other")
    )
    differs = pl.any_horizontal(pl.col(n).ne_missing(pl.col(f"{n}_other")) for n in NUMBERS)
    return (
        pairs.filter(differs)
        .sort(KEY)
        .group_by("place", "place_other")
        .agg(
            pl.len().alias("count"),
            pl.first(INSTRUMENT, DATE, "close", "close_other"),
        )
        .sort("place", "place_other")
    )
