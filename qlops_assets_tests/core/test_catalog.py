import pytest

from qlops_assets.core.catalog import Catalog
from qlops_assets.core.errors import UnknownEntryError

THINGS: Catalog[type] = Catalog("thing", {"path": "pathlib:Path", "fraction": "fractions:Fraction"})


def test_entry_is_imported_on_first_use() -> None:
    from fractions import Fraction

    assert THINGS.load("fraction") is Fraction
    assert THINGS.names() == ["fraction", "path"]


def test_unknown_entry_names_the_nearest_and_the_known() -> None:
    with pytest.raises(UnknownEntryError, match=r"unknown thing 'pth'.*'path'.*fraction, path"):
        THINGS.load("pth")
