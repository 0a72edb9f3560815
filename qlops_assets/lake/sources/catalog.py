"""The layouts a source can have."""

from pathlib import Path
from typing import Final

from qlops_assets.core.catalog import Catalog
from qlops_assets.lake.sources.layout import Layout

AUTO: Final = "auto"

SOURCES: Final = Catalog[type[Layout]](
    "source layout",
    {
        "hive": "qlops_assets.lake.sources.hive:Hive",
        "folder": "qlops_assets.lake.sources.folder:Folder",
    },
)


def layout(name: str, folder: Path) -> Layout:
    """Return the layout of that name; ``auto`` takes the first that recognises the folder.

    Raises:
        UnknownEntryError: there is no layout of that name.
    """
    if name != AUTO:
        return SOURCES.load(name)()
    candidates = [SOURCES.load(entry)() for entry in SOURCES.entries]
    return next((c for c in candidates if c.recognises(folder)), candidates[-1])
