"""CSV as cells of text, and numbers of cells; what is wrong is said with its line."""

import csv
from typing import Final

import polars as pl

# The column of line numbers, the header being line 1.
LINE: Final = "\x00line"
MISSING: Final = ("", "nan", "na", "n/a", "null", "none", "-")
_QUOTE: Final = b'"'
_MARK: Final = b"\xef\xbb\xbf"


def header_of(content: bytes) -> list[str]:
    """Return the names in the first line.

    Raises:
        ValueError: it is no text in UTF-8, there is no name, or one is there twice.
    """
    try:
        line = content.removeprefix(_MARK).partition(b"\n")[0].decode("utf-8").strip("\r")
    except UnicodeDecodeError as error:
        raise ValueError(f"cannot be read as text ({error})") from error
    header = next(csv.reader([line]), [])
    repeated = [name for name in header if name and header.count(name) > 1]
    if repeated:
        raise ValueError(f"has {repeated[0]!r} more than once")
    if not any(header):
        raise ValueError("has no header")
    return header


def cells_of(content: bytes) -> pl.DataFrame:
    """Return every cell as text, and :data:`LINE`; blank lines are left out.

    Raises:
        ValueError: it is no text in UTF-8, a line has more or fewer cells than the header, or it
            cannot be parsed.
    """
    width, plain = len(header_of(content)), content.removeprefix(_MARK)
    try:
        plain.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"cannot be read as text ({error})") from error
    _refuse_short_rows(plain, width)
    try:
        text = pl.read_csv(plain, infer_schema=False)
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"is not readable CSV ({str(error).splitlines()[0]})") from error
    numbered = text.with_row_index(LINE, offset=2)
    return numbered.filter(~pl.all_horizontal(pl.exclude(LINE).is_null()))


def numbers_of(cells: pl.DataFrame, name: str) -> pl.Series:
    """Return a column as numbers, null where a cell is empty or says that there is none.

    Raises:
        ValueError: a cell is anything else.
    """
    text = cells[name]
    numbers = text.cast(pl.Float64, strict=False)
    if numbers.null_count() == text.null_count():
        return numbers.fill_nan(None)
    plain = text.str.strip_chars()
    given = plain.is_not_null() & ~plain.str.to_lowercase().is_in(list(MISSING))
    numbers = plain.cast(pl.Float64, strict=False)
    if (bad := given & numbers.is_null()).any():
        line, cell = cells.filter(bad).select(LINE, name).row(0)
        raise ValueError(f"line {line}: {name} is {cell[:40]!r}")
    return numbers.fill_nan(None).alias(name)


def _refuse_short_rows(content: bytes, width: int) -> None:
    # Polars fills a short row with nulls; a file that was cut off would look like a halt.
    if _QUOTE in content:
        return
    lines = content.rstrip().split(b"\n")
    if content.count(b",") == (width - 1) * len(lines):
        return
    for number, line in enumerate(lines, start=1):
        cells = line.count(b",") + 1
        if line.strip() and cells != width:
            raise ValueError(f"line {number} has {cells} cells, the header {width}")
