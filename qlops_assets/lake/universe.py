"""Which instruments a training uses, as of each day: point-in-time membership.

A universe file has Qlib's format: ``CODE <TAB> START <TAB> END`` per line, several lines where an
instrument left and came back; the end is included. An instrument is a member on the days of its
spans and on no other, so nothing that was decided later leaks into the past.
"""

from dataclasses import dataclass
from datetime import date
from pathlib import PurePosixPath
from typing import Final

import numpy as np
import polars as pl

from qlops_assets.core.columns import DATE, INSTRUMENT
from qlops_assets.core.digests import value_digest
from qlops_assets.core.errors import UniverseError, nearest
from qlops_assets.core.settings import Settings
from qlops_assets.lake.beside import KeptFile, files_beside
from qlops_assets.lake.datasets import bars_dataset
from qlops_assets.lake.instruments import canonical

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
    files = universe_files(settings)
    name = settings.universe.name
    if name is None:
        files = {stem: file for stem, file in files.items() if _looks_like_universe(file)}
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


def universe_files(settings: Settings) -> dict[str, KeptFile]:
    """Return the text files of the source that may be universes, by lower-case stem.

    They are those of the last scan, whatever the source holds meanwhile.

    Raises:
        LakeError: a kept copy is gone.
    """
    found = {PurePosixPath(name): file for name, file in files_beside(settings).items()}
    return {
        path.stem.lower(): file
        for path, file in found.items()
        if path.suffix.lower() == ".txt" and path.stem.lower() != ALL
        if path.parent.name != "calendars"
    }


def _listed(settings: Settings) -> pl.DataFrame:
    days = pl.col(DATE)
    bars = bars_dataset(settings).scan()
    spans = bars.group_by(INSTRUMENT).agg(start=days.min(), end=days.max())
    return spans.sort(INSTRUMENT).collect()


def _known_part(name: str, file: KeptFile, listed: pl.DataFrame) -> Universe:
    spans = read_spans(file)
    known = spans.join(listed, on=INSTRUMENT, how="semi").sort(INSTRUMENT, "start")
    unknown = spans.join(listed, on=INSTRUMENT, how="anti")[INSTRUMENT].unique().sort().to_list()
    if known.is_empty():
        shown = ", ".join(unknown[:3])
        raise UniverseError(
            f"{file.name}: none of its {len(unknown)} instruments has bars ({shown} …); "
            f"the bars have {', '.join(listed[INSTRUMENT][:3])} …"
        )
    return Universe(name, known, unknown)


def read_spans(file: KeptFile) -> pl.DataFrame:
    """Return the spans of a universe file, codes in canonical form, overlapping ones merged.

    Raises:
        UniverseError: a line is not ``CODE <TAB> START <TAB> END``, or the file has none.
    """
    rows = []
    for number, line in enumerate(_lines(file), start=1):
        if not line.strip():
            continue
        try:
            rows.append(_span(line))
        except ValueError as error:
            raise UniverseError(
                f"{file.name}: line {number}: {error}; a line is CODE, START and END (YYYY-MM-DD), "
                "separated by tabs"
            ) from error
    if not rows:
        raise UniverseError(
            f"{file.name}: has no line; a line is CODE, START and END, tab-separated"
        )
    return _merged(pl.DataFrame(rows, schema=_SCHEMA, orient="row"))


def _lines(file: KeptFile) -> list[str]:
    try:
        return file.path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UniverseError(f"{file.name}: cannot be read as text ({error})") from error


def _span(line: str) -> tuple[str, date, date]:
    fields = [field.strip() for field in line.split("\t")]
    if len(fields) != 3:
        raise ValueError(f"found {line.strip()[:60]!r}")
    start, end = date.fromisoformat(fields[1][:10]), date.fromisoformat(fields[2][:10])
    if start > end:
        raise ValueError(f"starts on {start}, after its end on {end}")
    return canonical(fields[0]), start, end


def _looks_like_universe(file: KeptFile) -> bool:
    """Whether any line is a span: a README beside the bars is not, one with a typo is."""
    for line in _lines(file):
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
