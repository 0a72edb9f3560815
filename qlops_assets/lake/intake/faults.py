"""Rows that cannot be right: impossible numbers, and keys that are there more than once.

Rows with a fault are set aside with the reason. Where more than :data:`TOLERATED` of a file's rows
are faulty, the file as a whole is not what it should be, and none of it is used.
"""

from dataclasses import dataclass
from functools import cache
from typing import Final

import polars as pl

from qlops_assets.core.columns import DATE, INSTRUMENT, KEY, PRICES
from qlops_assets.lake.intake.rows import NUMBERS

TOLERATED: Final = 0.01
REASON: Final = "reason"
_NO_REASON: Final = pl.lit(None, pl.String).alias(REASON)
_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Sorted:
    """Rows told apart: ``good`` ones, ``bad`` ones with a reason, identical repeats dropped."""

    good: pl.DataFrame
    bad: pl.DataFrame
    duplicates: int

    @property
    def bad_share(self) -> float:
        """Share of the different rows that are bad."""
        return self.bad.height / max(1, self.bad.height + self.good.height)

    def examples(self) -> str:
        """Return the first bad rows with their reasons, for a message."""
        shown = self.bad.head(_SHOWN).iter_rows(named=True)
        return "; ".join(f"{r[INSTRUMENT]} {r[DATE]}: {r[REASON]}" for r in shown)


def sorted_out(frame: pl.DataFrame) -> Sorted:
    """Tell good rows from bad ones in a frame sorted by instrument and date.

    1. Rows equal in every value are kept once.
    2. Rows of the same instrument and date that differ are all bad: nobody can say which is right.
    3. Rows with an impossible number are bad.
    """
    unique, contradicting, dropped = _without_repeats(frame)
    is_faulty = unique.select(_is_faulty()).to_series()
    if not is_faulty.any() and contradicting.is_empty():
        return Sorted(unique, unique.clear().with_columns(_NO_REASON), dropped)
    faulty, good = unique.filter(is_faulty), unique.filter(~is_faulty)
    bad = pl.concat(
        [
            faulty.with_columns(_fault().alias(REASON)),
            contradicting.with_columns(pl.lit("two rows that differ").alias(REASON)),
        ]
    )
    return Sorted(good, bad.sort(KEY), dropped)


def _without_repeats(frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, int]:
    same = pl.all_horizontal(pl.col(name) == pl.col(name).shift(1) for name in KEY)
    repeated = frame.select(same.fill_null(value=False)).to_series()
    if not repeated.any():
        return frame, frame.clear(), 0
    involved = repeated | repeated.shift(-1, fill_value=False)
    different = frame.filter(involved).unique(subset=[*KEY, *NUMBERS], maintain_order=True)
    alone = pl.len().over(KEY) == 1
    kept = pl.concat([frame.filter(~involved), different.filter(alone)]).sort(KEY)
    return kept, different.filter(~alone), int(involved.sum()) - different.height


def _impossible(name: str) -> pl.Expr:
    value = pl.col(name)
    return (value.is_null() | ~value.is_finite() | (value <= 0)).fill_null(value=True)


def _impossible_volume() -> pl.Expr:
    return (pl.col("volume") < 0) | ~pl.col("volume").is_finite()


@cache  # files come by the thousand
def _is_faulty() -> pl.Expr:
    needed = pl.any_horizontal(_impossible(name) for name in (*PRICES, "factor"))
    return _impossible_volume() | ((pl.col("volume") > 0) & needed)


def _fault() -> pl.Expr:
    reasons = [
        pl.when(_impossible(name)).then(
            pl.format(
                "{} is {}, must be above 0 on a traded day",
                pl.lit(name),
                pl.col(name).cast(pl.String).fill_null("missing"),
            )
        )
        for name in (*PRICES, "factor")
    ]
    volume = pl.format("volume is {}, must be 0 or more", pl.col("volume"))
    return pl.coalesce(pl.when(_impossible_volume()).then(volume), *reasons)
