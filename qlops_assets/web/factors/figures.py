"""What a report's numbers are called, how they are written and what they mean."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from qlops_assets.web.wording import MISSING, count, decimal

SIGNIFICANT: Final = 0.05
_SUPERSCRIPTS: Final = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True, slots=True)
class Figure:
    """A number of a factor.

    Attributes:
        key: Its name in the report.
        label: Its name on the page.
        form: How it is written, a key of ``_FORMS``.
        meaning: What it says, in a sentence; ``{horizon}`` stands for the report's horizon.
        unit: Said beside the name where the number alone would not tell; else empty.
        is_signed: Whether its sign matters, so that it is coloured.
        descends: Whether the first wish of who sorts by it is to see the largest.
    """

    key: str
    label: str
    form: str
    meaning: str
    unit: str = ""
    is_signed: bool = False
    descends: bool = True


def _figures(*figures: Figure) -> Mapping[str, Figure]:
    return MappingProxyType({figure.key: figure for figure in figures})


RANK: Final = Figure(
    "rank", "#", "count", "place by strength: by the absolute Rank ICIR", descends=False
)
NAME: Final = Figure("factor", "Factor", "text", "name of the factor", descends=False)
CLUSTER: Final = Figure(
    "cluster",
    "Cluster",
    "count",
    "factors of one cluster say much the same; ● marks the strongest of its cluster",
    descends=False,
)

GROUPS: Final[Mapping[str, Mapping[str, Figure]]] = {
    "Signal": _figures(
        Figure(
            "rank_ic",
            "Rank IC",
            "ic",
            "mean over days of the Spearman correlation with the {horizon} return",
            is_signed=True,
        ),
        Figure(
            "rank_icir",
            "Rank ICIR",
            "ratio",
            "mean daily Rank IC over its standard deviation; not annualised",
            is_signed=True,
        ),
        Figure(
            "rank_ic_t",
            "t of Rank IC",
            "t",
            "of the mean being 0, with Newey–West (HAC) errors",
            is_signed=True,
        ),
        Figure("rank_ic_p", "p of Rank IC", "chance", "two-sided, of that t alone", descends=False),
        Figure(
            "rank_ic_q",
            "q of Rank IC",
            "chance",
            "least false discovery rate, over the whole set, at which this is a discovery",
            descends=False,
        ),
        Figure("rank_ic_std", "Deviation of Rank IC", "ic", "standard deviation over days"),
    ),
    "Linear signal": _figures(
        Figure(
            "ic",
            "IC",
            "ic",
            "mean over days of the Pearson correlation with the {horizon} return",
            is_signed=True,
        ),
        Figure("icir", "ICIR", "ratio", "mean daily IC over its deviation", is_signed=True),
        Figure("ic_t", "t of IC", "t", "with Newey–West (HAC) errors", is_signed=True),
        Figure("ic_p", "p of IC", "chance", "two-sided, of that t alone", descends=False),
        Figure("ic_q", "q of IC", "chance", "as for the Rank IC", descends=False),
        Figure("ic_std", "Deviation of IC", "ic", "standard deviation over days"),
        Figure("positive_share", "Days with IC > 0", "share", "share of days"),
    ),
    "Portfolio": _figures(
        Figure(
            "spread",
            "Spread",
            "bp",
            "mean {horizon} return of the top quantile less that of the bottom one, before cost",
            unit="bp",
            is_signed=True,
        ),
        Figure(
            "monotonicity",
            "Monotonicity",
            "ratio",
            "rank correlation of a quantile's number and its mean return; ±1 is strictly ordered",
            is_signed=True,
        ),
        Figure(
            "turnover",
            "Turnover",
            "share",
            "share of names new in the top or bottom quantile from one day to the next",
            unit="a day",
        ),
        Figure("turnover_top", "Turnover, top", "share", "of the top quantile", unit="a day"),
        Figure(
            "turnover_bottom", "Turnover, bottom", "share", "of the bottom quantile", unit="a day"
        ),
        Figure(
            "autocorrelation",
            "Autocorrelation",
            "ratio",
            "mean rank correlation of a day's values with those of the day before",
        ),
    ),
    "Reliability": _figures(
        Figure(
            "sign_stability",
            "Stability",
            "share",
            "share of years whose mean Rank IC has the sign of the whole",
        ),
        Figure("coverage", "Coverage", "share", "share of the universe's rows that have a value"),
        Figure("covered_days", "Covered days", "share", "share of days with enough names"),
        Figure("days", "Days", "count", "days that have a Rank IC"),
    ),
}
FIGURES: Final[Mapping[str, Figure]] = {
    key: figure for group in GROUPS.values() for key, figure in group.items()
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table: a figure, and its shorter name there."""

    figure: Figure
    label: str


COLUMNS: Final = (
    Column(FIGURES["rank_ic"], "Rank IC"),
    Column(FIGURES["rank_icir"], "Rank ICIR"),
    Column(FIGURES["rank_ic_t"], "t (HAC)"),
    Column(FIGURES["rank_ic_q"], "q-value"),
    Column(FIGURES["spread"], "Spread"),
    Column(FIGURES["turnover"], "Turnover"),
    Column(FIGURES["autocorrelation"], "Autocorr."),
    Column(FIGURES["coverage"], "Coverage"),
    Column(FIGURES["sign_stability"], "Stability"),
)
SORTABLE: Final[Mapping[str, Figure]] = {
    figure.key: figure for figure in (RANK, NAME, *(c.figure for c in COLUMNS), CLUSTER)
}


def chance(value: Any) -> str:
    """Return a p- or q-value: ``0.043``, ``2.4×10⁻⁹``; ``< 10⁻³⁰⁰`` for what underflowed."""
    if decimal(value) == MISSING:
        return MISSING
    if value == 0:
        return "< 10⁻³⁰⁰"
    if value >= 0.001:
        return f"{value:.3f}"
    exponent = math.floor(math.log10(value))
    mantissa = f"{value / 10.0**exponent:.1f}"
    if mantissa == "10.0":
        mantissa, exponent = "1.0", exponent + 1
    return f"{mantissa}×10{str(exponent).translate(_SUPERSCRIPTS)}"


def written(value: Any, form: str) -> str:
    """Return a number in the form of its figure."""
    return _FORMS[form](value)


def _scaled(value: Any, factor: float, digits: int) -> str:
    shown = decimal(value, digits)
    return shown if shown == MISSING else decimal(factor * value, digits)


def _share(value: Any) -> str:
    shown = _scaled(value, 100, 1)
    return shown if shown == MISSING else f"{shown}\N{NO-BREAK SPACE}%"


_FORMS: Final = {
    "ic": decimal,
    "ratio": lambda value: decimal(value, 3),
    "t": lambda value: decimal(value, 2),
    "chance": chance,
    "bp": lambda value: _scaled(value, 10_000, 1),
    "share": _share,
    "count": count,
}
