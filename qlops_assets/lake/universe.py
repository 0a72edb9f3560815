"""Which instruments a training uses, as of each day: point-in-time membership.

A universe file has Qlib's format: ``CODE <TAB> START <TAB> END`` per line, several lines where an
instrument left and came back; the end is included. An instrument is a member on the days of its
spans and on no other, so nothing that was decided later leaks into the past.
"""

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from qlops_assets.core.columns import DATE, INSTRUMENT
from qlops_assets.core.digests import value_digest
from qlops_assets.core.errors import UniverseError, nearest
from qlops_assets.core.settings import Settings
from qlops_assets.lake.datasets import bars_dataset
from qlops_assets.lake.instruments import canonical
from qlops_assets.lake.sources.root import source_root

ALL: Final = "all"
_DAYS: Final = 1 << 22  # more than the days of any calendar date since 1970
_SCHEMA: Final = {INSTRUMENT: pl.String, "start": pl.Date, "end": pl.Date}


@dataclass(frozen=True, slots=True)
class Universe:
    """A named universe.

    Attributes:
        name: Stem of its file, or ``all``.
        spans: ``instrument, start, end``, sorted; several rows per instrument, none overlapping.
        unknown: Instruments that its file names and that have no bars.
    """

    name: str
    spans: pl.DataFrame
    unknown: list[str]

    @property
    def digest(self) -> str:
        """Digest of the name and the spans."""
        return value_digest([self.name, self.spans.rows()])


def load_universe(settings: Settings) -> Universe:
    """Return the universe that ``[universe] name`` asks for.

    Without a name: the source's only universe file, else every instrument with bars.

    Raises:
        UniverseError: there is no universe of that name, a line of its file cannot be read, or
            none of its instruments has bars.
        DatasetMissingError: there are no bars yet.
    """
    files = source_root(settings).universe_files
    name = settings.universe.name
    if name is None:
        files = {stem: path for stem, path in files.items() if _looks_like_universe(path)}
        name = next(iter(files)) if len(files) == 1 else ALL
    elif name.lower() != ALL and name.lower() not in files:
        known = [*files, ALL]
        raise UniverseError(
            f"unknown universe {name!r}{nearest(name, known)} Known: {', '.join(known)}; "
            f"a universe is a file NAME.txt in {settings.source_folder}"
        )
    listed = _listed(settings)
    if name.lower() == ALL:
        return Universe(ALL, listed, [])
    return _known_part(name.lower(), files[name.lower()], listed)


def _listed(settings: Settings) -> pl.DataFrame:
    days = pl.col(DATE)
    bars = bars_dataset(settings).scan()
    spans = bars.group_by(INSTRUMENT).agg(start=days.min(), end=days.max())
    return spans.sort(INSTRUMENT).collect()


def _known_part(name: str, path: Path, listed: pl.DataFrame) -> Universe:
    spans = read_spans(path)
    known = spans.join(listed, on=INSTRUMENT, how="semi").sort(INSTRUMENT, "start")
    unknown = spans.join(listed, on=INSTRUMENT, how="anti")[INSTRUMENT].unique().sort().to_list()
    if known.is_empty():
        shown = ", ".join(unknown[:3])
        raise UniverseError(
            f"{path}: none of its {len(unknown)} instruments has bars ({shown} …); "
            f"the bars have {', '.join(listed[INSTRUMENT][:3])} …"
        )
    return Universe(name, known, unknown)


def read_spans(path: Path) -> pl.DataFrame:
    """Return the spans of a universe file, codes in canonical form, overlapping ones merged.

    Raises:
        UniverseError: a line is not ``CODE <TAB> START <TAB> END``, or the file has none.
    """
    rows = []
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        try:
            rows.append(_span(line))
        except ValueError as error:
            raise UniverseError(
                f"{path}: line {number}: {error}; a line is CODE, START and END (YYYY-MM-DD), "
                "separated by tabs"
            ) from error
    if not rows:
        raise UniverseError(f"{path}: has no line; a line is CODE, START and END, tab-separated")
    return _merged(pl.DataFrame(rows, schema=_SCHEMA, orient="row"))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UniverseError(f"{path}: cannot be read as text ({error})") from error


def _span(line: str) -> tuple[str, date, date]:
    fields = [field.strip() for field in line.split("\t")]
    if len(fields) != 3:
        raise ValueError(f"found {line.strip()[:60]!r}")
    start, end = date.fromisoformat(fields[1][:10]), date.fromisoformat(fields[2][:10])
    if start > end:
        raise ValueError(f"starts on {start}, after its end on {end}")
    return canonical(fields[0]), start, end


def _looks_like_universe(path: Path) -> bool:
    """Whether any line is a span: a README beside the bars is not, one with a typo is."""
    for line in _lines(path):
        try:
            _span(line)
        except ValueError:
            continue
        return True
    return False


def _merged(spans: pl.DataFrame) -> pl.DataFrame:
    ordered = spans.sort(INSTRUMENT, "start", "end")
    reached = pl.col("end").cum_max().shift(1).over(INSTRUMENT)
    begins = (pl.col("start") > reached).fill_null(value=True)
    return (
        ordered.with_columns(run=begins.cum_sum())
        .group_by(INSTRUMENT, "run")
        .agg(pl.col("start").min(), pl.col("end").max())
        .sort(INSTRUMENT, "start")
        .select(*_SCHEMA)
    )


def members(universe: Universe, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of a frame whose instrument is a member on their day, in their order."""
    spans = universe.spans.sort(INSTRUMENT, "start")
    codes = pl.Enum(spans[INSTRUMENT].unique(maintain_order=True))
    places = frame[INSTRUMENT].cast(pl.String).cast(codes, strict=False).to_physical()
    days = frame[DATE].to_physical()
    keys = (places.cast(pl.Int64) * _DAYS + days).fill_null(-1).to_numpy()
    base = spans[INSTRUMENT].cast(codes).to_physical().cast(pl.Int64) * _DAYS
    starts = (base + spans["start"].to_physical()).to_numpy()
    ends = (base + spans["end"].to_physical()).to_numpy()
    at = np.searchsorted(starts, keys, side="right") - 1
    return frame.filter(pl.Series((at >= 0) & (keys <= ends[np.maximum(at, 0)])))
