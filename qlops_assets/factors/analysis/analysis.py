"""The statistics of a set of factors over a universe."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from itertools import chain
from math import isfinite
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from qlops_assets.core.columns import DATE, KEY
from qlops_assets.core.errors import FactorError
from qlops_assets.core.progress import Progress, Unreported
from qlops_assets.factors.analysis import tables
from qlops_assets.factors.analysis.blocks import Members, parts_in_order
from qlops_assets.factors.analysis.measures import Measures, measure_parts
from qlops_assets.factors.analysis.returns import Closes
from qlops_assets.factors.analysis.rules import DEFAULT_RULES, AnalysisRules

_EPOCH: Final = date(1970, 1, 1)
_END: Final = 1 << 30
_ACCEPTED: Final = "choose other dates, another universe, or compute the factors first"


@dataclass(frozen=True, slots=True)
class FactorAnalysis:
    """What was found about a set of factors; missing figures are null.

    Attributes:
        summary: One row per factor: ``days`` with a Rank IC; ``coverage``, the share of rows with a
            value, and ``covered_days`` with enough of them; ``ic, ic_std, icir, ic_t, ic_p, ic_q``
            and the same of ``rank_ic``; ``positive_share`` of days with IC > 0; ``spread`` of the
            top over the bottom quantile; ``monotonicity``; ``turnover_top, turnover_bottom,
            autocorrelation``; ``sign_stability`` over years; ``cluster``, and whether it is its
            ``representative``; ``flags``, words of ``tables.FLAGS``.
        daily: ``date, factor, ic, rank_ic`` of the main horizon, by factor.
        decay: ``factor, horizon, ic, rank_ic``.
        quantiles: ``factor, quantile, mean_return, mean_excess, count``.
        yearly: ``factor, year, rank_ic, days``.
        correlation: ``factor`` and one column per factor: mean rank correlation.
        rules: By which it was measured.
        first: First day with factor rows.
        last: Last day whose bars were used. Nothing after it had any influence.
    """

    summary: pl.DataFrame
    daily: pl.DataFrame
    decay: pl.DataFrame
    quantiles: pl.DataFrame
    yearly: pl.DataFrame
    correlation: pl.DataFrame
    rules: AnalysisRules
    first: date
    last: date

    @property
    def factors(self) -> list[str]:
        """Names of the factors, in the order they were given."""
        return self.summary[tables.FACTOR].to_list()

    def to_document(self) -> dict[str, Any]:
        """Return everything but the daily figures and the correlations, ready for JSON."""
        parts = {"decay": self.decay, "quantiles": self.quantiles, "yearly": self.yearly}
        by_factor = {
            name: frame.partition_by(tables.FACTOR, as_dict=True, include_key=False)
            for name, frame in parts.items()
        }
        factors = []
        for row in self.summary.iter_rows(named=True):
            own = {name: frames[(row[tables.FACTOR],)] for name, frames in by_factor.items()}
            factors.append(row | {name: frame.to_dicts() for name, frame in own.items()})
        return {
            "first": self.first.isoformat(),
            "last": self.last.isoformat(),
            "rules": asdict(self.rules) | {"horizons": list(self.rules.horizons)},
            "factors": [finite(factor) for factor in factors],
        }


def finite(value: Any) -> Any:
    """Return a value for JSON, which knows no infinite numbers: None in their place."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def analyse(
    factors: pl.DataFrame | Iterable[pl.DataFrame],
    bars: pl.DataFrame,
    *,
    rules: AnalysisRules = DEFAULT_RULES,
    members: pl.DataFrame | None = None,
    first: date | None = None,
    last: date | None = None,
    names: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> FactorAnalysis:
    """Return how well factors foretell the returns of the instruments they rank.

    Args:
        factors: A factor frame (instrument, date, one column per factor; NaN or null is missing),
            or such frames in order of days, each with all instruments of its days: the months of
            the store need no more memory than one of them.
        bars: A bars frame (``core.columns``) of all instruments, for their returns.
        rules: What to measure, and how.
        members: ``instrument, date``: the rows of the universe. Other factor rows are left out, and
            rows without a factor row count as missing. All factor rows are the universe where None.
        first: First day of factors.
        last: Last day of factors and of bars: what the returns of a training period may use.
        names: The factors to analyse; all where None.
        progress: Is told the days done.

    Raises:
        FactorError: a frame is not what it should be, or nothing is left to analyse.
    """
    if first is not None and last is not None and first > last:
        raise FactorError(f"factor analysis: first was {first}, must not be after last, {last}")
    closes = Closes.of(bars, last=last)
    lower = _number(first) if first is not None else -_END
    upper = _number(last) if last is not None else _END
    universe = None if members is None else _members(members, closes, lower)
    parts = parts_in_order(factors, names, lower, upper)
    start = next(parts, None)
    if start is None:
        raise FactorError(f"factor frame: has no row from {first or 'its start'} on; {_ACCEPTED}")
    candidates = _candidates(factors, closes, max(lower, start.first_day))
    measures = measure_parts(
        start.names,
        chain([start], parts),
        closes,
        members=universe,
        sampled=_spread_out(candidates, rules.correlation_days),
        rules=rules,
        progress=progress or Unreported(),
        days=candidates.size,
    )
    if not measures.rows:
        raise FactorError(f"factor frame: none of its rows belongs to the universe; {_ACCEPTED}")
    return _reported(measures, closes, universe.count if universe else measures.rows)


def _reported(measures: Measures, closes: Closes, rows: int) -> FactorAnalysis:
    days = closes.days[measures.days]
    daily = tables.daily_table(measures, days)
    yearly, quantiles = tables.yearly_table(daily), tables.quantile_table(measures)
    return FactorAnalysis(
        summary=tables.summary_table(measures, rows, yearly, quantiles),
        daily=daily,
        decay=tables.decay_table(measures),
        quantiles=quantiles,
        yearly=yearly,
        correlation=tables.correlation_table(measures),
        rules=measures.rules,
        first=_day(days[0]),
        last=_day(closes.days[-1]),
    )


def _number(day: date) -> int:
    return (day - _EPOCH).days


def _day(number: int) -> date:
    return _EPOCH + timedelta(days=int(number))


def _members(members: pl.DataFrame, closes: Closes, lower: int) -> Members:
    if missing := [name for name in KEY if name not in members.columns]:
        raise FactorError(
            f"members: found columns {', '.join(members.columns)}; needs {', '.join(missing)} too"
        )
    return Members(members, lower, int(closes.days[-1]))


def _candidates(
    factors: pl.DataFrame | Iterable[pl.DataFrame], closes: Closes, lower: int
) -> NDArray[np.int64]:
    """Return the calendar rows on which there may be factor rows."""
    upper = _END
    if isinstance(factors, pl.DataFrame):
        upper = int(factors[DATE].to_physical().cast(pl.Int64).to_numpy().max())
    return np.flatnonzero((closes.days >= lower) & (closes.days <= upper))


def _spread_out(candidates: NDArray[np.int64], count: int) -> frozenset[int]:
    """Return so many of the candidates, evenly spaced."""
    wanted = min(count, candidates.size)
    places = (np.arange(wanted) * candidates.size + candidates.size // 2) // max(1, wanted)
    return frozenset(candidates[places].tolist())
