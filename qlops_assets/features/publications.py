"""Which versions of the feature table may be seen: each was published whole, at a moment.

A refresh changes the table in several commits. Readers see none of them before the publication,
one small file that appears at once, names the last.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

from qlops_assets.core.atomic import read_json, remove_leftovers, write_json
from qlops_assets.core.errors import FeatureTableError
from qlops_assets.features.parts import PartState

_FILE: Final = re.compile(r"(\d{6,})\.json")


@dataclass(frozen=True, slots=True)
class MonthState:
    """A month of the table.

    Attributes:
        rows: How many.
        first: Its first day with rows.
        last: Its last.
        parts: Set -> what its rows were.
        ends: Set -> its last day with rows.
    """

    rows: int
    first: date
    last: date
    parts: Mapping[str, PartState]
    ends: Mapping[str, date]


@dataclass(frozen=True, slots=True)
class Publication:
    """A version of the table that may be seen.

    Attributes:
        number: Counted from 1.
        table_version: Lance's own number of it.
        published_at: When.
        parts: Set -> its columns; the table has them in this order.
        months: Month -> what it holds.
        definitions: Code -> expressions of the user's own columns that were computed with it.
        reason: Why it was published.
    """

    number: int
    table_version: int
    published_at: datetime
    parts: Mapping[str, tuple[str, ...]]
    months: Mapping[str, MonthState]
    definitions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    reason: str = "refresh"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns beside date and instrument, in order."""
        return tuple(name for names in self.parts.values() for name in names)

    @property
    def rows(self) -> int:
        """How many rows the table has."""
        return sum(month.rows for month in self.months.values())

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Publication":
        """Return what :meth:`to_json` gave."""
        months = {
            name: MonthState(
                month["rows"],
                date.fromisoformat(month["first"]),
                date.fromisoformat(month["last"]),
                {part: PartState(**state) for part, state in month["parts"].items()},
                {part: date.fromisoformat(day) for part, day in month["ends"].items()},
            )
            for name, month in value["months"].items()
        }
        return cls(
            value["number"],
            value["table_version"],
            datetime.fromisoformat(value["published_at"]),
            {part: tuple(names) for part, names in value["parts"].items()},
            months,
            value["definitions"],
            value["reason"],
        )


class PublicationLog:
    """The publications as ``<folder>/<number>.json``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[int, Publication] = {}

    def numbers(self) -> list[int]:
        """Return the numbers of those that are kept, in order."""
        if not self.folder.is_dir():
            return []
        found = (_FILE.fullmatch(path.name) for path in self.folder.iterdir())
        return sorted(int(match[1]) for match in found if match)

    def latest(self) -> Publication | None:
        """Return the newest, or None where nothing was published yet."""
        numbers = self.numbers()
        return self.load(numbers[-1]) if numbers else None

    def load(self, number: int) -> Publication:
        """Return a publication.

        Raises:
            FeatureTableError: it is gone or damaged.
        """
        if number not in self._known:
            path = self._path(number)
            try:
                value = read_json(path)
                if value is None:
                    raise FeatureTableError(f"{path}: is gone; a clean-up let this version go")
                self._known = {number: Publication.from_json(value)}
            except (ValueError, KeyError, TypeError) as error:
                raise FeatureTableError(
                    f"{path}: is no publication ({error}); remove it, and the table is built again"
                ) from error
        return self._known[number]

    def add(self, publication: Publication) -> None:
        """Publish: from now on this is what readers see."""
        write_json(self._path(publication.number), publication.to_json())
        remove_leftovers(self.folder)

    def remove(self, number: int) -> None:
        """Let a publication go."""
        self._path(number).unlink(missing_ok=True)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.json"
