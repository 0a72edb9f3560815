"""Indicators of a bars frame."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import polars as pl

from qlops_assets.indicators.families.inputs import Inputs
from qlops_assets.indicators.market import GROUP, Market
from qlops_assets.indicators.names import DEFAULT_NAMES, Column, columns
from qlops_assets.indicators.own import OwnIndicator
from qlops_assets.indicators.placing import placed

_BLOCK_ROWS: Final = 250_000  # bounds what is in memory beside the result
_DTYPE: Final = pl.Float64


def indicators(
    bars: pl.DataFrame,
    names: Sequence[str] | None = None,
    *,
    own: Mapping[str, OwnIndicator] | None = None,
    since: date | None = None,
    dtype: type[pl.DataType] = _DTYPE,
) -> pl.DataFrame:
    """Return indicators by name for a bars frame.

    Args:
        bars: A bars frame (``core.columns``), sorted by instrument and date.
        names: Of indicators, such as ``rsi_14``; ``DEFAULT_NAMES`` where None.
        own: The user's own, by name (``own.own_indicators``); they come after the others.
        since: Only rows from this day on; the values are those of the whole computation, to the
            bit.
        dtype: Of the values: ``Float64`` or ``Float32``.

    Returns:
        ``instrument, date`` and a column for each name, with the rows of the bars in their order.
        A day without trading has no value, nor have an instrument's first bars.

    Raises:
        IndicatorError: a name is unknown, one's own cannot be computed, or the frame is none of
            bars or not sorted.
    """
    wanted = columns(DEFAULT_NAMES if names is None else names)
    mine = own or {}
    if not mine:
        return built_in(bars, wanted, since, dtype)
    from qlops_assets.indicators.own_values import own_values

    rows = built_in(bars, wanted, since, dtype)  # refuses a frame that is none of bars
    values = own_values(bars, mine, since)
    return rows.hstack(values.select(pl.col(list(mine)).cast(dtype)))


def built_in(
    bars: pl.DataFrame,
    wanted: Sequence[Column],
    since: date | None = None,
    dtype: type[pl.DataType] = _DTYPE,
) -> pl.DataFrame:
    """Return indicators of ours for a bars frame; the rest is as for :func:`indicators`."""
    market = Market.of(bars, since)
    if since is None:
        values = _values(market, wanted, None, dtype)
        return market.keys.hstack(values.select(one.name for one in wanted))
    exact = [one for one in wanted if one.indicator.exact]
    others = [one for one in wanted if not one.indicator.exact]
    reach = max((one.warm_up for one in exact), default=0)
    values = pl.concat(
        [_values(market, others, None, dtype), _values(market, exact, reach, dtype)],
        how="horizontal",
    )
    return market.keys.hstack(values.select(one.name for one in wanted))


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is computed first, then, and last."""

    inputs: Inputs
    outputs: dict[str, pl.Expr]

    @classmethod
    def of(cls, wanted: Iterable[Column]) -> "_Plan":
        inputs = Inputs()
        outputs = {
            one.name: one.indicator.build(inputs, one.parameters)[one.output] for one in wanted
        }
        return cls(inputs, outputs)


def _values(
    market: Market, wanted: Sequence[Column], before: int | None, dtype: type[pl.DataType]
) -> pl.DataFrame:
    """Return indicators by name, with the rows that are wanted; they come in chunks.

    Args:
        market: The bars.
        wanted: The indicators.
        before: Bars before the first wanted one that they need to the bit; None for all.
        dtype: Of the values.
    """
    if not wanted:
        return pl.DataFrame()
    plan = _Plan.of(wanted)
    blocks = market.blocks(_BLOCK_ROWS, before) or [market.bars.clear()]
    parts = (_block(market, plan, block) for block in blocks)
    return placed(market, parts, list(plan.outputs), dtype)


def _block(market: Market, plan: _Plan, block: pl.DataFrame) -> pl.DataFrame:
    inputs = plan.inputs
    # Not as lazy queries: these are planned for one thread.
    rows = block.with_columns(**inputs.extremes).with_columns(**inputs.prepared)
    if inputs.series:
        grouped = rows.group_by(GROUP, maintain_order=True).agg(**inputs.series)
        rows = rows.hstack(grouped.select(pl.col(list(inputs.series)).explode()))
    wanted = market.is_wanted(rows)
    return (rows if wanted.all() else rows.filter(wanted)).select(**plan.outputs)
