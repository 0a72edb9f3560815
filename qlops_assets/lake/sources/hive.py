"""``key=value`` folders, as Hive, Spark, Polars and Dask write them."""

from collections.abc import Sequence
from urllib.parse import unquote

from qlops_assets.lake.sources.layout import FoundFile, data_names, printable

_NULL = "__HIVE_DEFAULT_PARTITION__"


class Hive:
    """Folder names such as ``instrument=SH600000`` or ``year=2020`` are columns of their files."""

    def recognises(self, names: Sequence[str]) -> bool:
        """Whether a file with rows lies below a ``key=value`` folder."""
        return any(_constants(name) for name in data_names(names))

    def files(self, names: Sequence[str], below: str) -> list[FoundFile]:
        """Return the files in order of their names, with the columns of their folders."""
        return [
            FoundFile(below + name, printable(name), _constants(printable(name)))
            for name in data_names(names)
        ]


def _constants(name: str) -> dict[str, str]:
    pairs = [part.split("=", 1) for part in name.split("/")[:-1] if "=" in part]
    return {key: "" if value == _NULL else unquote(value) for key, value in pairs}
