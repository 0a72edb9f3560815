"""CSV files of bars or factors as a frame: one per instrument, or any with a column of codes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from qlops_assets.core.columns import DATE, INSTRUMENT, KEY, OPTIONAL, REQUIRED
from qlops_assets.core.errors import ConversionError
from qlops_assets.core.progress import Progress, Unreported
from qlops_assets.lake.conversions.calendars import ACCEPTED_DAYS, days_of_text
from qlops_assets.lake.conversions.frames import bars_of, keyed, named
from qlops_assets.lake.intake.csv_text import LINE, cells_of, header_of, numbers_of
from qlops_assets.lake.intake.rows import ALIASES

_ACCEPTED: Final = (
    "a CSV file has a header with date, the numbers, and symbol where the file is not named after "
    "its instrument; commas between cells, UTF-8"
)
_FURTHER: Final = {
    "open": ("open_price",),
    "high": ("high_price",),
    "low": ("low_price",),
    "amount": ("money", "turnover_value"),
    "factor": ("adj_factor", "adjust_factor"),
}


def read_csv(
    path: Path,
    *,
    is_bars: bool = True,
    timezone: str | None = None,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """Return the frame of one CSV file, or of every ``*.csv`` in a folder.

    A file with a column of codes may hold any instruments; every other one holds the instrument
    that it is named after. The columns of bars are found by their names or usual other names, in
    any case and with or without Qlib's ``$``. Numbers are taken as they are: Qlib's are adjusted.

    Args:
        path: A file, or a folder of files.
        is_bars: Whether a bars frame is returned, or every column as it is called.
        timezone: The zone whose day a time with a zone means; its own where None.
        progress: Is told of every file.

    Raises:
        ConversionError: a file cannot be read, a column is missing, a cell is no number or no day,
            or two files hold the same instrument.
    """
    paths = sorted(path.glob("*.csv")) if path.is_dir() else [path]
    paths = [p for p in paths if not p.name.startswith("._")]  # macOS's own, beside the real ones
    if not paths:
        raise ConversionError(path, "holds no CSV file", "files are named CODE.csv")
    report = (progress or Unreported()).report
    frames = []
    for number, one in enumerate(paths, start=1):
        frames.append(_File(one, is_bars, timezone).rows())
        report("csv", number, len(paths))
    _refuse_shared(paths, frames)
    if not is_bars:
        _refuse_different(paths, frames)
    rows = keyed(pl.concat(frames, how="diagonal"), path)
    return bars_of(rows, path) if is_bars else rows


def _refuse_shared(paths: Sequence[Path], frames: Sequence[pl.DataFrame]) -> None:
    """Refuse an instrument of its own file that another file holds too.

    Files that hold many instruments each may share them: one per year, for example.
    """
    first: dict[str, Path] = {}
    alone: set[str] = set()
    for path, frame in zip(paths, frames, strict=True):
        codes = frame[INSTRUMENT].unique().to_list()
        if len(codes) == 1:
            alone.update(codes)
        for code in codes:
            other = first.setdefault(code, path)
            if other is not path and code in alone:
                found = f"{other.name} and {path.name} both hold {code}"
                raise ConversionError(path.parent, found, "one file per instrument is accepted")


def _refuse_different(paths: Sequence[Path], frames: Sequence[pl.DataFrame]) -> None:
    for path, frame in zip(paths, frames, strict=True):
        if other := set(frames[0].columns) ^ set(frame.columns):
            found = f"{path.name} and {paths[0].name} differ in columns: {named(sorted(other))}"
            raise ConversionError(path.parent, found, "all files have the same factors")


@dataclass(frozen=True, slots=True)
class _File:
    """One CSV file on its way to our columns."""

    path: Path
    is_bars: bool
    timezone: str | None

    def rows(self) -> pl.DataFrame:
        cells, found = self._cells()
        text = cells.select(LINE, *(pl.col(theirs).alias(n) for n, theirs in found.items()))
        text = text.filter(~pl.all_horizontal(pl.exclude(LINE).is_null()))
        if text.is_empty():
            raise ConversionError(self.path, "has no row", _ACCEPTED)
        numbers = [self._numbers(text, name) for name in found if name not in KEY]
        return pl.DataFrame([self._codes(text), self._days(text), *numbers])

    def _cells(self) -> tuple[pl.DataFrame, dict[str, str]]:
        """Return the cells, and our column name -> the file's."""
        try:
            content = self.path.read_bytes()
            found = self._found(header_of(content))
            return cells_of(content), found
        except OSError as error:
            found_wrong = f"cannot be read as text ({error})"
            raise ConversionError(self.path, found_wrong, _ACCEPTED) from error
        except ValueError as error:
            raise ConversionError(self.path, str(error), _ACCEPTED) from error

    def _found(self, header: Sequence[str]) -> dict[str, str]:
        """Return our column name -> the file's: those of bars, or the keys and every other one."""
        plain = {name: name.strip().removeprefix("$") for name in header if name.strip()}
        ours = (*REQUIRED, *OPTIONAL) if self.is_bars else KEY
        found = {name: theirs for name in ours if (theirs := self._alias(name, plain))}
        needed = REQUIRED[1:] if self.is_bars else (DATE,)
        if missing := [name for name in needed if name not in found]:
            raise ConversionError(
                self.path, f"has no column {missing[0]!r}. Found: {', '.join(header)}", _ACCEPTED
            )
        if not self.is_bars:
            known = {*found.values()}
            found |= {name: theirs for theirs, name in plain.items() if theirs not in known}
        return found

    def _alias(self, ours: str, plain: dict[str, str]) -> str | None:
        lower = {name.lower(): theirs for theirs, name in plain.items()}
        if ours in lower:
            return lower[ours]
        others = (*ALIASES.get(ours, ()), *_FURTHER.get(ours, ()))
        likely = [lower[name] for name in others if name in lower]
        if len(likely) > 1:
            found = f"has both {likely[0]!r} and {likely[1]!r} for {ours}"
            raise ConversionError(self.path, found, f"name one of them {ours!r}")
        return likely[0] if likely else None

    def _codes(self, text: pl.DataFrame) -> pl.Series:
        if INSTRUMENT not in text.columns:
            code = self.path.stem.strip()
            name = code[len("_qlib_") :] if code.lower().startswith("_qlib_") else code
            return pl.Series(INSTRUMENT, [name]).new_from_index(0, text.height)
        return self._filled(text, INSTRUMENT)

    def _days(self, text: pl.DataFrame) -> pl.Series:
        try:
            return days_of_text(self._filled(text, DATE), self.timezone)
        except ValueError as error:
            found = f"column {DATE!r}: {error}"
            raise ConversionError(self.path, found, ACCEPTED_DAYS) from error

    def _filled(self, text: pl.DataFrame, name: str) -> pl.Series:
        values = text[name].str.strip_chars()
        empty = text.filter(values.is_null() | (values == ""))
        if empty.height:
            found = f"line {empty[LINE][0]} has no {name}"
            raise ConversionError(self.path, found, f"every row needs its {name}")
        return values

    def _numbers(self, text: pl.DataFrame, name: str) -> pl.Series:
        try:
            return numbers_of(text, name)
        except ValueError as error:
            accepted = "a number or an empty cell is needed"
            raise ConversionError(self.path, str(error), accepted) from error
