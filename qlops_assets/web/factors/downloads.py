"""A report's figures as CSV, for spreadsheets."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from qlops_assets.web.factors.figures import FIGURES

if TYPE_CHECKING:
    from qlops_assets.web.factors.view import ReportView

# A cell that begins like this is a formula to a spreadsheet.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def summary_csv(view: "ReportView") -> str:
    """Return a line per factor, the strongest first."""
    facts = ("significant", "proposed", "cluster", "representative")
    keys = ("rank", *FIGURES, *facts)
    lines = (
        [row["factor"], *(row[key] for key in keys), " ".join(row["flags"]), row["expression"]]
        for row in view.rows
    )
    return _csv(["factor", *keys, "flags", "expression"], lines)


def figures_csv(view: "ReportView", name: str) -> str:
    """Return a line per figure of a factor: which table, at what, which figure, its value."""
    row, parts = view.by_name[name], view.documents[name]
    lines: list[Sequence[Any]] = [("summary", "", key, row[key]) for key in FIGURES]
    for table, at in (("decay", "horizon"), ("quantiles", "quantile"), ("yearly", "year")):
        for part in parts[table]:
            lines += [(table, part[at], key, value) for key, value in part.items() if key != at]
    return _csv(["table", "at", "figure", "value"], lines)


def daily_csv(view: "ReportView", name: str) -> str:
    """Return a line per day of a factor, every day."""
    days = view.by_day[name].select("date", "ic", "rank_ic")
    return _csv(days.columns, days.rows())


def _csv(header: Sequence[str], lines: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows([_cell(value) for value in line] for line in lines)
    return text.getvalue()


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
