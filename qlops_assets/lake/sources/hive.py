"""``key=value`` folders, as Hive, Spark, Polars and Dask write them."""

from pathlib import Path
from urllib.parse import unquote

from qlops_assets.lake.sources.layout import FoundFile, parquet_names, printable

_NULL = "__HIVE_DEFAULT_PARTITION__"


class Hive:
    """Folder names such as ``instrument=SH600000`` or ``year=2020`` are columns of their files."""

    def recognises(self, folder: Path) -> bool:
        """Whether a Parquet file lies below a ``key=value`` folder."""
        return any(_constants(name) for name in parquet_names(folder))

    def files(self, folder: Path) -> list[FoundFile]:
        """Return the files in order of their names, with the columns of their folders."""
        return [
            FoundFile(folder / name, printable(name), _constants(printable(name)))
            for name in parquet_names(folder)
        ]


def _constants(name: str) -> dict[str, str]:
    pairs = [part.split("=", 1) for part in name.split("/")[:-1] if "=" in part]
    return {key: "" if value == _NULL else unquote(value) for key, value in pairs}
