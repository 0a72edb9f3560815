"""Files anywhere below a folder: one per year, per instrument, or however they were cut."""

from pathlib import Path

from qlops_assets.lake.sources.layout import FoundFile, parquet_names, printable


class Folder:
    """Every Parquet file below the folder is a part of the bars; its path means nothing."""

    def recognises(self, folder: Path) -> bool:
        """Whether there is any Parquet file."""
        return bool(parquet_names(folder))

    def files(self, folder: Path) -> list[FoundFile]:
        """Return the files in order of their names."""
        return [FoundFile(folder / name, printable(name)) for name in parquet_names(folder)]
