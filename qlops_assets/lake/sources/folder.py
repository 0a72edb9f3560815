"""Files anywhere below a folder: one per year, per instrument, or however they were cut."""

from collections.abc import Sequence

from qlops_assets.lake.sources.layout import FoundFile, data_names, printable


class Folder:
    """Every Parquet (or CSV) file below the folder is part of the bars; its path means nothing."""

    def recognises(self, names: Sequence[str]) -> bool:
        """Whether there is any such file."""
        return bool(data_names(names))

    def files(self, names: Sequence[str], below: str) -> list[FoundFile]:
        """Return the files in order of their names."""
        return [FoundFile(below + name, printable(name)) for name in data_names(names)]
