"""Days that a source leaves out of an instrument's bars, and that have factor rows all the same.

Qlib has a row for every trading day between an instrument's first and its last bar. A source that
has no rows of a halt therefore gains rows of past months when the instrument comes back.
"""

import polars as pl

from qlops_assets.core.columns import DATE, INSTRUMENT
from qlops_assets.core.digests import value_digest
from qlops_assets.lake.datasets import MonthlyDataset


def gap_digests(bars: MonthlyDataset) -> dict[str, str]:
    """Return, for the months with such days only, a digest of whose they are and which."""
    days = bars.scan().select(INSTRUMENT, DATE)
    calendar = days.select(DATE).unique().sort(DATE).with_row_index("place").collect()
    spans = _spans_with_gaps(days, calendar)
    if spans.is_empty():
        return {}
    month = pl.col(DATE).dt.strftime("%Y-%m").alias("month")
    own = days.join(spans.lazy(), on=INSTRUMENT, how="semi")
    held = own.group_by(INSTRUMENT, month).len("held").collect()
    months = calendar.group_by(month).agg(first=pl.col("place").min(), last=pl.col("place").max())
    rows = (
        spans.join(months, how="cross")
        .filter((pl.col("start") <= pl.col("last")) & (pl.col("end") >= pl.col("first")))
        .join(held, on=[INSTRUMENT, "month"], how="left")
        .with_columns(
            begin=pl.max_horizontal("start", "first") - pl.col("first"),
            until=pl.min_horizontal("end", "last") - pl.col("first"),
        )
        .filter(pl.col("held").fill_null(0) < pl.col("until") - pl.col("begin") + 1)
        .select("month", INSTRUMENT, "begin", "until")
        .sort("month", INSTRUMENT)
    )
    parts = rows.partition_by("month", as_dict=True, include_key=False)
    return {str(key): value_digest(part.rows()) for (key,), part in parts.items()}


def _spans_with_gaps(days: pl.LazyFrame, calendar: pl.DataFrame) -> pl.DataFrame:
    """Return instruments with fewer bars than days from ``start`` to ``end``, as places."""
    day = pl.col(DATE)
    spans = days.group_by(INSTRUMENT).agg(start=day.min(), end=day.max(), held=pl.len()).collect()
    for edge in ("start", "end"):
        spans = spans.join(calendar.rename({DATE: edge, "place": f"{edge}_place"}), on=edge)
    places = spans.select(INSTRUMENT, "held", start="start_place", end="end_place")
    return places.filter(pl.col("held") < pl.col("end") - pl.col("start") + 1).drop("held")
