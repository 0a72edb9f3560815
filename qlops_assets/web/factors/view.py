"""A factor report as the pages need it: rows in order of strength, neighbours, series by day."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from qlops_assets.web.factors.figures import COLUMNS, SIGNIFICANT

if TYPE_CHECKING:
    import polars as pl

    from qlops_assets.factors.report import FactorReportRecord

_SHADES: Final = 4
_NEIGHBOURS: Final = 20


@dataclass(frozen=True)
class ReportView:
    """A finished report; what is derived from it is made on first use and kept."""

    record: "FactorReportRecord"
    fragments: dict[str, str] = field(default_factory=dict, compare=False)

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """A row per factor, the strongest by |Rank ICIR| first.

        The figures of the summary, and: its ``rank``, ``turnover`` and ``cluster_size``; whether it
        is ``significant``; whether it is ``proposed`` for training, None where nothing was
        selected; its ``expression``; its ``decay`` by
        horizon; the ``shades`` of its signed figures.
        """
        rows = [dict(row) for row in self.record.analysis.summary.iter_rows(named=True)]
        rows.sort(key=lambda row: -abs(row["rank_icir"] or 0.0))
        largest = self._largest()
        sizes = Counter(row["cluster"] for row in rows)
        for rank, row in enumerate(rows, start=1):
            name = row["factor"]
            decision = self.decisions.get(name)
            q_value = row["rank_ic_q"]
            row |= {
                "rank": rank,
                "cluster_size": sizes[row["cluster"]],
                "turnover": _mean(row["turnover_top"], row["turnover_bottom"]),
                "significant": q_value is not None and q_value <= SIGNIFICANT,
                "proposed": None if decision is None else decision["kept"],
                "expression": self.record.expressions[name],
                "decay": self.decay.get(name, []),
                "shades": {key: _shade(row[key], most) for key, most in largest.items()},
            }
        return rows

    @cached_property
    def by_name(self) -> Mapping[str, dict[str, Any]]:
        """The rows by factor."""
        return {row["factor"]: row for row in self.rows}

    @cached_property
    def decisions(self) -> Mapping[str, dict[str, Any]]:
        """What the selection decided about each factor; empty where nothing was selected."""
        selection = self.record.selection
        if selection is None:
            return {}
        return {
            decision.factor: {
                "kept": decision.kept,
                "rule": decision.rule,
                "reason": decision.reason,
                "first": selection.first.isoformat(),
                "last": selection.last.isoformat(),
            }
            for decision in selection.decisions
        }

    @cached_property
    def decay(self) -> Mapping[str, list[float | None]]:
        """Mean Rank IC by horizon, by factor."""
        parts = self.record.analysis.decay.partition_by("factor", as_dict=True)
        return {str(name): part["rank_ic"].to_list() for (name,), part in parts.items()}

    @cached_property
    def by_day(self) -> Mapping[str, "pl.DataFrame"]:
        """IC and Rank IC by day, by factor."""
        parts = self.record.analysis.daily.partition_by("factor", as_dict=True, include_key=False)
        return {str(name): part for (name,), part in parts.items()}

    @cached_property
    def document(self) -> Mapping[str, Any]:
        """The analysis as JSON has it."""
        return self.record.analysis.to_document()

    @cached_property
    def documents(self) -> Mapping[str, dict[str, Any]]:
        """Each factor's part of the document."""
        return {factor["factor"]: factor for factor in self.document["factors"]}

    @cached_property
    def clusters(self) -> list[dict[str, Any]]:
        """The clusters of more than one factor, the largest first."""
        found: dict[int, list[dict[str, Any]]] = {}
        for row in self.rows:
            found.setdefault(row["cluster"], []).append(row)
        groups = [
            {
                "cluster": cluster,
                "members": members,
                "representative": next((r for r in members if r["representative"]), members[0]),
            }
            for cluster, members in found.items()
            if len(members) > 1
        ]
        return sorted(groups, key=lambda group: (-len(group["members"]), group["cluster"]))

    def neighbours(self, name: str) -> list[dict[str, Any]]:
        """Return the factors most like one, by |mean rank correlation|."""
        analysis = self.record.analysis
        row = analysis.correlation.row(analysis.factors.index(name), named=True)
        known = [(other, row[other]) for other in analysis.factors if other != name]
        known = [(other, value) for other, value in known if value is not None]
        known.sort(key=lambda pair: -abs(pair[1]))
        return [
            {"factor": other, "correlation": value, "cluster": self.by_name[other]["cluster"]}
            for other, value in known[:_NEIGHBOURS]
        ]

    @property
    def horizon(self) -> str:
        """The main horizon in words: ``1-day``."""
        return f"{self.record.analysis.rules.horizon_days}-day"

    def _largest(self) -> dict[str, float]:
        """Return by signed column the size that is shown in the strongest shade."""
        summary = self.record.analysis.summary
        signed = [column.figure.key for column in COLUMNS if column.figure.is_signed]
        known = {key: summary[key].filter(summary[key].is_finite()) for key in signed}
        sizes = {key: values.abs().quantile(0.95) for key, values in known.items()}
        return {key: size for key, size in sizes.items() if size}


def _mean(first: float | None, second: float | None) -> float | None:
    known = [value for value in (first, second) if value is not None]
    return sum(known) / len(known) if known else None


def _shade(value: float | None, largest: float) -> str:
    """Return the class of a signed figure: ``p1`` to ``p4``, ``n1`` to ``n4``, none near 0."""
    if value is None:
        return ""
    size = int(_SHADES * min(abs(value) / largest, 1.0) + 0.5)
    return f"{'p' if value > 0 else 'n'}{size}" if size else ""
