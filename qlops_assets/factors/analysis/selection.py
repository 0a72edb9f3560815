"""Which factors to train on: effective, stable, covered, not redundant; and why not the others.

A selection may know only what the training period knew. ``FactorAnalysis.last`` says how far the
analysis has seen, and ``select(until=…)`` refuses one that has seen further.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, Final

from qlops_assets.core.errors import FactorError
from qlops_assets.factors.analysis.analysis import FactorAnalysis, finite
from qlops_assets.factors.analysis.tables import CONSTANT, EMPTY, FACTOR, FEW_DAYS, FLAGS

KEPT: Final = "kept"
UNUSABLE: Final = "unusable"
COVERAGE: Final = "coverage"
EFFECT: Final = "effect"
STABILITY: Final = "stability"
REDUNDANCY: Final = "redundancy"
COUNT: Final = "count"

_NUMBERS: Final = (
    "days",
    "coverage",
    "rank_ic",
    "rank_icir",
    "rank_ic_t",
    "rank_ic_p",
    "rank_ic_q",
    "sign_stability",
    "cluster",
)


@dataclass(frozen=True, slots=True)
class SelectionRules:
    """What a factor has to be to be kept.

    Attributes:
        most_q_value: Its Rank IC has to be a discovery at this false discovery rate.
        least_rank_ic: Its mean |Rank IC| has to be at least this.
        least_sign_stability: In this share of years the Rank IC has to have the sign of the whole.
        least_coverage: This share of rows has to have a value.
        most_correlation: Its |rank correlation| with each kept, stronger factor has to be below.
        one_per_cluster: Also refuse a factor whose cluster has a kept one.
        most_factors: Keep no more than these, the strongest by |Rank ICIR|; any number where None.
    """

    most_q_value: float = 0.05
    least_rank_ic: float = 0.0
    least_sign_stability: float = 0.6
    least_coverage: float = 0.5
    most_correlation: float = 0.7
    one_per_cluster: bool = False
    most_factors: int | None = None

    def __post_init__(self) -> None:
        """Refuse rules out of range.

        Raises:
            FactorError: a rule is out of range.
        """
        for name in ("most_q_value", "most_correlation"):
            if not 0 < getattr(self, name) <= 1:
                raise _rule_error(name, getattr(self, name), "in (0, 1]")
        for name in ("least_rank_ic", "least_sign_stability", "least_coverage"):
            if not 0 <= getattr(self, name) <= 1:
                raise _rule_error(name, getattr(self, name), "in [0, 1]")
        if self.most_factors is not None and self.most_factors < 1:
            raise _rule_error("most_factors", self.most_factors, "at least 1, or left out")


def _rule_error(name: str, found: object, accepted: str) -> FactorError:
    return FactorError(f"factor selection: {name}: was {found!r}, must be {accepted}")


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided about a factor.

    Attributes:
        factor: Its name.
        kept: Whether it is proposed.
        rule: ``kept``, or the first rule that refused it: ``unusable``, ``coverage``, ``effect``,
            ``stability``, ``redundancy``, ``count``.
        reason: A sentence with the numbers that decided.
        numbers: Those of the summary that selection looks at; None is missing.
    """

    factor: str
    kept: bool
    rule: str
    reason: str
    numbers: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Selection:
    """A proposed set of factors.

    Attributes:
        kept: Names, the strongest by |Rank ICIR| first: a training's feature list.
        decisions: One for each factor, in the analysis' order.
        rules: By which it was decided.
        first: First day the analysis saw.
        last: Last day it saw.
    """

    kept: list[str]
    decisions: list[Decision]
    rules: SelectionRules
    first: date
    last: date

    def to_document(self) -> dict[str, Any]:
        """Return the selection, ready for JSON."""
        return {
            "first": self.first.isoformat(),
            "last": self.last.isoformat(),
            "rules": asdict(self.rules),
            "kept": list(self.kept),
            "decisions": [finite(asdict(decision)) for decision in self.decisions],
        }


_DEFAULT_RULES: Final = SelectionRules()


def select(
    report: FactorAnalysis, rules: SelectionRules = _DEFAULT_RULES, *, until: date | None = None
) -> Selection:
    """Propose a set of factors, with a decision and its reason for each.

    Those that pass on their own are taken by descending |Rank ICIR|, each unless it is redundant
    with one taken before.

    Args:
        report: The analysis of the set.
        rules: What a factor has to be.
        until: Last day of the training period; the analysis must not have seen a later one.

    Raises:
        FactorError: the analysis has seen days after ``until``.
    """
    if until is not None and report.last > until:
        raise FactorError(
            f"factor selection: the analysis has seen bars up to {report.last}, the training "
            f"period ends on {until}; analyse with last={until} first"
        )
    rows = {row[FACTOR]: row for row in report.summary.iter_rows(named=True)}
    decisions = {name: _on_its_own(row, rules) for name, row in rows.items()}
    passed = [name for name, decision in decisions.items() if decision.kept]
    passed.sort(key=lambda name: -abs(rows[name]["rank_icir"] or 0.0))
    correlation = dict(
        zip(report.factors, report.correlation.drop(FACTOR).rows(named=True), strict=True)
    )
    kept: list[str] = []
    for name in passed:
        refusal = _refusal(rows, correlation, name, kept, rules)
        if refusal is None:
            kept.append(name)
        else:
            decisions[name] = _decided(rows[name], *refusal)
    return Selection(kept, list(decisions.values()), rules, report.first, report.last)


def _decided(row: Mapping[str, Any], rule: str, reason: str) -> Decision:
    numbers = {name: row[name] for name in _NUMBERS}
    return Decision(row[FACTOR], rule == KEPT, rule, reason, numbers)


def _on_its_own(row: Mapping[str, Any], rules: SelectionRules) -> Decision:
    for flag in (EMPTY, CONSTANT, FEW_DAYS):
        if flag in row["flags"]:
            return _decided(row, UNUSABLE, f"{FLAGS[flag]} ({row['days']} days have a Rank IC)")
    for rule, name, words, most, bound in (
        (COVERAGE, "coverage", "coverage", False, rules.least_coverage),
        (EFFECT, "rank_ic_q", "q-value of the Rank IC", True, rules.most_q_value),
        (EFFECT, "rank_ic", "|Rank IC|", False, rules.least_rank_ic),
        (
            STABILITY,
            "sign_stability",
            "share of years of one sign",
            False,
            rules.least_sign_stability,
        ),
    ):
        found = None if row[name] is None else abs(row[name])
        if found is None:
            return _decided(row, rule, f"{words} is not known")
        if found > bound if most else found < bound:
            accepted = f"must be {'at most' if most else 'at least'} {bound:g}"
            return _decided(row, rule, f"{words} is {found:.4g}, {accepted}")
    return _decided(
        row,
        KEPT,
        f"Rank IC {row['rank_ic']:.4f} with t {row['rank_ic_t']:.2f} and q {row['rank_ic_q']:.2g}, "
        f"the same sign in {row['sign_stability']:.0%} of years",
    )


def _refusal(
    rows: Mapping[str, Mapping[str, Any]],
    correlation: Mapping[str, Mapping[str, float | None]],
    name: str,
    kept: list[str],
    rules: SelectionRules,
) -> tuple[str, str] | None:
    if rules.most_factors is not None and len(kept) >= rules.most_factors:
        return COUNT, f"the {rules.most_factors} strongest are kept already, and no more may be"
    for other in kept:
        related = abs(correlation[name][other] or 0.0)
        if related >= rules.most_correlation:
            return REDUNDANCY, (
                f"|rank correlation| with {other}, which is stronger, is {related:.3f}, must be "
                f"below {rules.most_correlation:g}"
            )
        if rules.one_per_cluster and rows[name]["cluster"] == rows[other]["cluster"]:
            cluster = rows[name]["cluster"]
            return REDUNDANCY, f"{other}, which is stronger, is kept of cluster {cluster}"
    return None
