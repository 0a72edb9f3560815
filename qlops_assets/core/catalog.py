"""Plug-ins by name, imported on first use."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Generic, TypeVar

from qlops_assets.core.errors import UnknownEntryError

T = TypeVar("T")


@dataclass(frozen=True)
class Catalog(Generic[T]):
    """A family of plug-ins: ``name -> "module:Attribute"``.

    No decorator registers anything on import, so reading a catalog costs nothing and its module
    is the one place that lists what exists.
    """

    noun: str
    entries: Mapping[str, str]

    def names(self) -> list[str]:
        """Return the known names, sorted."""
        return sorted(self.entries)

    def load(self, name: str) -> T:
        """Import and return the entry.

        Raises:
            UnknownEntryError: the catalog has no such name.
        """
        if name not in self.entries:
            raise UnknownEntryError(self.noun, name, self.names())
        module, _, attribute = self.entries[name].partition(":")
        entry: Any = getattr(import_module(module), attribute)
        return entry  # type: ignore[no-any-return]
