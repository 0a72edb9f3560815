"""How a factor report and a selection look on a terminal."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from qlops_assets.factors.analysis.selection import Decision, Selection
    from qlops_assets.factors.report import FactorReportRecord
    from qlops_assets.training.selections import SavedSelection

_HEIGHTS: Final = "▁▂▃▄▅▆▇█"
_FALSE_DISCOVERY: Final = {"fdr_bh": "Benjamini–Hochberg", "fdr_by": "Benjamini–Yekutieli"}
_SIMULATED: Final = "[yellow]simulated market: these figures say nothing about a real one[/yellow]"


@dataclass(frozen=True)
class Proposal:
    """A selection, the report that it is from, and the end of the training period if known."""

    report: "FactorReportRecord"
    selection: "Selection"
    training_end: date | None

    @property
    def has_seen_too_much(self) -> bool:
        """Whether a training by the present settings would refuse it."""
        return self.training_end is not None and self.selection.last > self.training_end

    @property
    def refused(self) -> dict[str, int]:
        """How many factors each rule refused."""
        decisions = self.selection.decisions
        return dict(Counter(d.rule for d in decisions if not d.kept).most_common())

    def to_document(self, saved: "SavedSelection | None") -> dict[str, Any]:
        """Return the proposal as a command's document."""
        end = self.training_end
        return {
            "report": self.report.digest,
            "simulated": self.report.simulated,
            "universe": self.report.universe,
            **self.selection.to_document(),
            "refused": self.refused,
            "training_end": None if end is None else end.isoformat(),
            "usable_for_training": not self.has_seen_too_much,
            "saved": None if saved is None else saved.to_document(),
        }


def render_report(
    out: "Console", record: "FactorReportRecord", rows: Sequence[Mapping[str, Any]]
) -> None:
    """Show the factors of a report, one line each."""
    analysis = record.analysis
    if record.simulated:
        out.print(_SIMULATED)
    discovered = (analysis.summary["rank_ic_q"] <= record.rules.most_q_value).sum()
    horizon = analysis.rules.horizon_days
    out.print(
        f"{analysis.summary.height} factors, {analysis.first} to {analysis.last}, universe "
        f"{record.universe}, returns of {horizon} day{'s' if horizon > 1 else ''}; "
        f"{discovered} foretell them at a false discovery rate of {record.rules.most_q_value:g}"
    )
    table = _table("factor", "Rank IC", "ICIR", "t", "q", "decay", "turnover", "coverage", "flags")
    for row in rows:
        table.add_row(
            row["factor"],
            _written(row["rank_ic"], "+.4f"),
            _written(row["rank_icir"], "+.3f"),
            _written(row["rank_ic_t"], "+.1f"),
            _written(row["rank_ic_q"], ".1e"),
            sparkline([part["rank_ic"] for part in row["decay"]]),
            _written(row["turnover_top"], ".0%"),
            _written(row["coverage"], ".1%"),
            " ".join(row["flags"]),
        )
    _print_table(out, table)
    rules = analysis.rules
    out.print(
        f"by |Rank ICIR|; t with HAC errors; q by {_FALSE_DISCOVERY[rules.false_discovery]}; "
        f"decay: |Rank IC| over horizons of {rules.horizons[0]} to {rules.horizons[-1]} days; "
        "turnover of the top quantile a day"
    )
    if analysis.summary.height > len(rows):
        out.print(f"{analysis.summary.height - len(rows)} more; --top N shows N of them")
    out.print(f"report {record.folder}", soft_wrap=True)


def _table(*names: str) -> "Table":
    from rich import box
    from rich.table import Column, Table

    left = ("factor", "decay", "flags")
    columns = [Column(n, no_wrap=True, justify="left" if n in left else "right") for n in names]
    return Table(*columns, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)


def _print_table(out: "Console", table: "Table") -> None:
    """Print a table; where nobody's window limits it, as wide as it has to be."""
    if not out.is_terminal:
        out.width = 400
    out.print(table)


def sparkline(values: Sequence[float | None]) -> str:
    """Return the sizes of values as bars of their largest; a space where there is none."""
    largest = max((abs(value) for value in values if value is not None), default=0.0)
    return "".join(_bar(value, largest) for value in values)


def _bar(value: float | None, largest: float) -> str:
    if value is None:
        return " "
    return _HEIGHTS[round(abs(value) / largest * (len(_HEIGHTS) - 1)) if largest else 0]


def render_selection(
    out: "Console", proposal: Proposal, saved: "SavedSelection | None", *, explain: bool
) -> None:
    """Show what is kept, and why the others are not."""
    selection = proposal.selection
    if proposal.report.simulated:
        out.print(_SIMULATED)
    out.print(
        f"kept {len(selection.kept)} of {len(selection.decisions)} factors by the data from "
        f"{selection.first} to {selection.last}, universe {proposal.report.universe}"
    )
    if proposal.training_end is not None:
        out.print(f"training ends on {proposal.training_end}")
    _render_kept(out, selection)
    counts = ", ".join(f"{rule} {count}" for rule, count in proposal.refused.items())
    out.print(f"refused: {counts or 'none'}" + ("" if explain else "; --explain says why"))
    if explain:
        for decision in selection.decisions:
            if not decision.kept:
                out.print(f"  {decision.factor}: {decision.rule}: {decision.reason}", markup=False)
    _render_use(out, proposal, saved)


def _render_kept(out: "Console", selection: "Selection") -> None:
    if not selection.kept:
        return
    decisions = {decision.factor: decision for decision in selection.decisions}
    table = _table("#", "factor", "Rank IC", "ICIR", "t", "q", "stability", "coverage", "cluster")
    for place, name in enumerate(selection.kept, start=1):
        table.add_row(str(place), name, *_numbers(decisions[name]))
    _print_table(out, table)


def _numbers(decision: "Decision") -> list[str]:
    forms = {
        "rank_ic": "+.4f",
        "rank_icir": "+.3f",
        "rank_ic_t": "+.1f",
        "rank_ic_q": ".1e",
        "sign_stability": ".0%",
        "coverage": ".1%",
        "cluster": "d",
    }
    return [_written(decision.numbers[name], form) for name, form in forms.items()]


def _render_use(out: "Console", proposal: Proposal, saved: "SavedSelection | None") -> None:
    if proposal.has_seen_too_much:
        out.print(
            f"[yellow]training refuses it[/yellow]: it has seen days up to "
            f"{proposal.selection.last}, and training ends on {proposal.training_end}"
        )
    elif saved is None:
        out.print("to train with it: give --save NAME")
    if saved is not None:
        out.print(f"saved as {saved.name}: {saved.path}", soft_wrap=True)
        out.print(
            f'to train with it: features = ["selection:{saved.name}"] under [training] in '
            "qlops.toml, then qlops demo",
            markup=False,
        )


def _written(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
