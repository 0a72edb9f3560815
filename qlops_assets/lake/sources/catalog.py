"""The layouts a source can have."""

from collections.abc import Sequence
from typing import Final

from qlops_assets.core.catalog import Catalog
from qlops_assets.lake.sources.layout import Layout

AUTO: Final = "auto"

SOURCES: Final = Catalog[type[Layout]](
    "source layout",
    {
        "qlib-bin": "qlops_assets.lake.sources.qlib_store:QlibStore",
        "hive": "qlops_assets.lake.sources.hive:Hive",
        "folder": "qlops_assets.lake.sources.folder:Folder",
    },
)


def layout(name: str, names: Sequence[str]) -> Layout:
    """Return the layout of that name; ``auto`` takes the first that recognises files' names.

    Raises:
        UnknownEntryError: there is no layout of that name.
    """
    if name != AUTO:
        return SOURCES.load(name)()
    candidates = [SOURCES.load(entry)() for entry in SOURCES.entries]
    return next((c for c in candidates if c.recognises(names)), candidates[-1])
