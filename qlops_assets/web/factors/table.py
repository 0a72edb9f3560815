"""What is asked of the table of factors: which rows, in which order. The address says it all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from qlops_assets.web.factors.figures import RANK, SORTABLE

_LONGEST: Final = 200
ASCENDING: Final = "asc"
DESCENDING: Final = "desc"


@dataclass(frozen=True, slots=True)
class Filter:
    """A choice that hides rows: its name in the address, its words, the field a row must have."""

    key: str
    label: str
    field: str


FILTERS: Final = (
    Filter("significant", "Significant (q ≤ 5 %)", "significant"),
    Filter("representatives", "Cluster representatives", "representative"),
    Filter("flagged", "Flagged", "flags"),
    Filter("proposed", "Proposed for training", "proposed"),
)


@dataclass(frozen=True, slots=True)
class TableQuery:
    """What the table shows.

    Attributes:
        text: Part of a factor's name or expression, in whatever case.
        filters: Keys of :data:`FILTERS`; a row has to pass all.
        sort: A key of ``SORTABLE``.
        order: ``asc`` or ``desc``.
    """

    text: str = ""
    filters: tuple[str, ...] = ()
    sort: str = RANK.key
    order: str = ASCENDING

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> "TableQuery":
        """Return what an address asks for; what it does not know it leaves at its default."""
        sort = parameters.get("sort", RANK.key)
        figure = SORTABLE.get(sort, RANK)
        usual = DESCENDING if figure.descends else ASCENDING
        order = parameters.get("order", usual)
        return cls(
            text=parameters.get("q", "")[:_LONGEST].strip(),
            filters=tuple(choice.key for choice in FILTERS if parameters.get(choice.key)),
            sort=figure.key,
            order=order if order in (ASCENDING, DESCENDING) else usual,
        )

    def admits(self, row: Mapping[str, Any]) -> bool:
        """Return whether a row is shown."""
        wanted = self.text.casefold()
        texts = (row["factor"], row["expression"])
        return all(row[f.field] for f in FILTERS if f.key in self.filters) and any(
            wanted in text.casefold() for text in texts
        )

    def ordered(self, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return all rows in the order asked for; those without the figure come last."""
        known = [row for row in rows if row[self.sort] is not None]
        known.sort(key=lambda row: row[self.sort], reverse=self.order == DESCENDING)
        return known + [row for row in rows if row[self.sort] is None]

    def sorted_by(self, key: str) -> str:
        """Return the address of the same rows sorted by a column; the other way round if it is."""
        usual = DESCENDING if SORTABLE[key].descends else ASCENDING
        turned = {ASCENDING: DESCENDING, DESCENDING: ASCENDING}[self.order]
        order = turned if key == self.sort else usual
        chosen = [("q", self.text)] if self.text else []
        chosen += [(name, "1") for name in self.filters]
        return "?" + urlencode([*chosen, ("sort", key), ("order", order)])
