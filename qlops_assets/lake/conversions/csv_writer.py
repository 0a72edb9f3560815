"""A frame as CSV in the shape that Qlib's ``dump_bin.py`` takes."""

from pathlib import Path
from typing import Final

import polars as pl

from qlops_assets.core.atomic import output_folder, replacing
from qlops_assets.core.columns import DATE, INSTRUMENT
from qlops_assets.core.progress import Progress, Unreported
from qlops_assets.lake.conversions.frames import as_float32, keyed

SYMBOL: Final = "symbol"


def write_csv_folder(
    folder: Path, frame: pl.DataFrame, *, progress: Progress | None = None
) -> None:
    """Write one file per instrument, ``<code>.csv`` with ``date`` and the numbers.

    Every column but the date is a field, as ``dump_bin.py dump_all`` has it. A number is the
    shortest text that reads back as the same float32; a missing one is empty.

    Raises:
        ConversionError: the frame has no keys or no rows, a key twice, or a number beyond float32.
        FileExistsError: the folder holds something.
    """
    rows = as_float32(keyed(frame, folder), folder)
    report = (progress or Unreported()).report
    with output_folder(folder) as made:
        parts = rows.partition_by(INSTRUMENT, include_key=False, as_dict=True, maintain_order=True)
        for number, ((code,), part) in enumerate(parts.items(), start=1):
            part.write_csv(made / f"{code}.csv")
            report("csv", number, len(parts))


def write_csv_file(path: Path, frame: pl.DataFrame) -> None:
    """Write one file with the columns ``symbol, date`` and the numbers.

    Raises:
        ConversionError: as for :func:`write_csv_folder`.
    """
    rows = as_float32(keyed(frame, path), path).rename({INSTRUMENT: SYMBOL})
    with replacing(path) as temporary:
        rows.select(SYMBOL, DATE, pl.exclude(SYMBOL, DATE)).write_csv(temporary)
