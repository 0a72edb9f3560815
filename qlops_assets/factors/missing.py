"""Factors without values: how much is missing, and what may not be missing altogether."""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl

from qlops_assets.core.columns import DATE, INSTRUMENT, KEY
from qlops_assets.core.errors import FactorError
from qlops_assets.core.months import first_day, next_month
from qlops_assets.core.settings import Settings
from qlops_assets.factors.grammar.expression import Call, walk
from qlops_assets.factors.grammar.look_back import look_back
from qlops_assets.factors.grammar.parser import parse
from qlops_assets.factors.sets import FactorSet
from qlops_assets.lake.datasets import MonthlyDataset, PartitionInfo, bars_dataset

MOSTLY: Final = 0.5


@dataclass(frozen=True, slots=True)
class FactorReport:
    """One month of factor rows.

    Attributes:
        partition: Its file.
        missing: Factor -> how many of the rows have no value.
    """

    partition: PartitionInfo
    missing: Mapping[str, int]

    @property
    def missing_share(self) -> float:
        """The share of cells without a value."""
        return sum(self.missing.values()) / max(1, self.partition.rows * len(self.missing))

    @property
    def mostly_missing(self) -> dict[str, float]:
        """The factors of which more than half is missing, with that share, the worst first."""
        return mostly_missing([self])


def missing_counts(frame: pl.DataFrame) -> dict[str, int]:
    """Return for each factor of an engine's frame how many rows have no value."""
    return frame.drop(KEY).select(pl.all().is_nan().sum()).row(0, named=True)


def missing_shares(reports: Iterable[FactorReport]) -> dict[str, float]:
    """Return for each factor the share of rows of all those months without a value."""
    rows, missing = 0, dict[str, int]()
    for report in reports:
        rows += report.partition.rows
        for name, count in report.missing.items():
            missing[name] = missing.get(name, 0) + count
    return {name: count / max(1, rows) for name, count in missing.items()}


def mostly_missing(reports: Iterable[FactorReport]) -> dict[str, float]:
    """Return the factors of which more than half is missing in those months, the worst first."""
    shares = missing_shares(reports)
    worst = sorted(shares, key=lambda name: (-shares[name], name))
    return {name: shares[name] for name in worst if shares[name] > MOSTLY}


def require_values(
    settings: Settings,
    factors: FactorSet,
    empty: Collection[str],
    *,
    last: str,
    stored: MonthlyDataset,
    months: Collection[str],
) -> None:
    """Refuse factors that never had a value; Qlib gives NaN, not an error, for what is not there.

    A factor may have none in some months: its window is longer than the history, nothing was
    traded, or it speaks of what is rare. Then it has one in other months.

    Args:
        settings: Where the bars are.
        factors: The set.
        empty: Those of it without a value in the months that were computed.
        last: The last of those months.
        stored: The set's rows.
        months: The other months whose stored rows are up to date.

    Raises:
        FactorError: one has no value in any of the months, and the history is long enough for one.
    """
    history = _longest_history(settings, last)
    due = [name for name in empty if history > _history_needed(factors.expressions[name])]
    never = _without_values(stored, months, due)
    if not never:
        return
    first = never[0]
    raise FactorError(
        f"{factors.rows_name} up to {last}: no value in {len(never)} of "
        f"{len(factors.expressions)} factors, first {first!r} = {factors.expressions[first]}; "
        "check that the bars have what it reads, and that it can have a value at all"
    )


def _history_needed(text: str) -> int:
    """Return after how many days an expression must have had a value, if it ever has one.

    Its look-back; where that is the whole history, all the days that it names together.
    """
    tree = parse(text)
    days = look_back(tree)
    if days is not None:
        return days
    named = [
        node.parameters[0] for node in walk(tree) if isinstance(node, Call) and node.parameters
    ]
    return sum(math.ceil(abs(n)) for n in named if not isinstance(n, str))


def _longest_history(settings: Settings, last: str) -> int:
    """Return the trading days of the instrument that has the most, up to the end of a month."""
    bars = bars_dataset(settings).scan().filter(pl.col(DATE) < first_day(next_month(last)))
    held = bars.group_by(INSTRUMENT).len("days").select(pl.col("days").max()).collect()
    return int(held.item() or 0)


def _without_values(
    dataset: MonthlyDataset, months: Collection[str], names: list[str]
) -> list[str]:
    if not names or not months:
        return names
    found = dataset.read(months, columns=names).select(pl.col(names).is_not_null().any())
    return [name for name, has_value in found.row(0, named=True).items() if not has_value]
