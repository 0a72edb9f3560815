"""What is odd about bars, as findings: what was looked for, what was found, examples.

Every check is a pure function of bars and of what earlier steps reported. None changes a bar.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import polars as pl

from qlops_assets.core.columns import DATE, INSTRUMENT, KEY
from qlops_assets.lake.bars import MonthReport
from qlops_assets.lake.manifest import Manifest
from qlops_assets.lake.universe import Universe

JUMP: Final = 0.30
_ROUNDING: Final = 1e-9
_OUTSIDE: Final = 0.001
_EXAMPLES: Final = 10


class Severity(StrEnum):
    """How bad it is when a check does not pass; the names are those of Dagster's asset checks."""

    WARN = "WARN"
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True)
class QualityFinding:
    """The outcome of one check. ``found`` is a sentence; ``examples`` are at most ten."""

    check: str
    passed: bool
    severity: Severity
    found: str
    examples: tuple[str, ...] = ()


def findings(
    bars: pl.DataFrame,
    *,
    reports: Iterable[MonthReport] = (),
    manifest: Manifest | None = None,
    universe: Universe | None = None,
) -> list[QualityFinding]:
    """Return the outcome of every check that has something to look at."""
    found = [
        no_duplicates(bars, reports),
        high_not_below_low(bars),
        no_gaps(bars),
        no_price_jumps(bars),
    ]
    if manifest is not None:
        found.append(no_quarantined_files(manifest))
    if universe is not None:
        found.append(universe_is_known(universe))
    return found


def no_duplicates(bars: pl.DataFrame, reports: Iterable[MonthReport] = ()) -> QualityFinding:
    """No (instrument, date) is there twice, neither in the bars nor in the source."""
    repeated = bars.filter(pl.struct(KEY).is_duplicated()).select(KEY).unique().sort(KEY)
    reported = list(reports)
    dropped = sum(r.duplicates for r in reported)
    aside = sum(r.set_aside for r in reported)
    return QualityFinding(
        "no_duplicates",
        passed=repeated.is_empty() and not dropped and not aside,
        severity=Severity.ERROR if repeated.height else Severity.WARN,
        found=f"{repeated.height} repeated keys in the bars; from the source {dropped} identical "
        f"rows were dropped and {aside} contradicting or impossible rows set aside",
        examples=_named(repeated),
    )


def high_not_below_low(bars: pl.DataFrame) -> QualityFinding:
    """High is not below low, and open and close lie between them (within 0.1 %)."""
    low, high = pl.col("low"), pl.col("high")
    crossed = high < low * (1 - _ROUNDING)
    outside = pl.any_horizontal(
        (pl.col(price) < low * (1 - _OUTSIDE)) | (pl.col(price) > high * (1 + _OUTSIDE))
        for price in ("open", "close")
    )
    wrong = bars.filter(crossed | outside)
    below = wrong.filter(crossed).height
    shown = wrong.head(_EXAMPLES).with_columns(
        pl.format("open {} high {} low {} close {}", "open", "high", "low", "close").alias("what")
    )
    return QualityFinding(
        "high_not_below_low",
        passed=wrong.is_empty(),
        severity=Severity.ERROR,
        found=f"{below} bars with high below low, {wrong.height - below} with open or close "
        "outside of them",
        examples=_named(shown, "what"),
    )


def no_gaps(bars: pl.DataFrame) -> QualityFinding:
    """No instrument misses a trading day between its first and its last.

    Trading days are the days on which any instrument of the frame has a row.
    """
    days = bars.select(pl.col(DATE).unique().sort()).with_row_index("place")
    placed = bars.select(KEY).join(days, on=DATE).sort(KEY)
    step = (pl.col("place").cast(pl.Int64) - pl.col("place").shift(1).over(INSTRUMENT)) - 1
    gaps = placed.with_columns(missing=step, after=pl.col(DATE).shift(1).over(INSTRUMENT))
    wrong = gaps.filter(pl.col("missing") > 0)
    shown = wrong.sort("missing", *KEY, descending=[True, False, False]).head(_EXAMPLES)
    shown = shown.with_columns(
        pl.format("{} days missing after {}", "missing", "after").alias("what")
    )
    return QualityFinding(
        "no_gaps",
        passed=wrong.is_empty(),
        severity=Severity.WARN,
        found=f"{int(wrong['missing'].sum())} days missing in {wrong[INSTRUMENT].n_unique()} "
        "instruments between their first and last day",
        examples=_named(shown, "what"),
    )


def no_price_jumps(bars: pl.DataFrame, limit: float = JUMP) -> QualityFinding:
    """No adjusted close moves by more than 30 % from one traded day to the next.

    Such a move is rare and possible (first days without a price limit); more often a factor is
    missing or wrong.
    """
    traded = bars.filter(pl.col("close").is_not_null()).sort(KEY)
    move = pl.col("close") / pl.col("close").shift(1).over(INSTRUMENT) - 1
    jumps = traded.with_columns(move=move).filter(pl.col("move").abs() > limit)
    shown = jumps.sort(pl.col("move").abs(), descending=True).head(_EXAMPLES)
    percent = (pl.col("move") * 100).round(1)
    return QualityFinding(
        "no_price_jumps",
        passed=jumps.is_empty(),
        severity=Severity.WARN,
        found=f"{jumps.height} moves of more than {limit:.0%} between consecutive traded days",
        examples=_named(shown.with_columns(pl.format("{} %", percent).alias("what")), "what"),
    )


def no_quarantined_files(manifest: Manifest) -> QualityFinding:
    """Every file of the source is used."""
    held = manifest.held
    kept = f"; the last good version of {len(held)} files is used" if held else ""
    return QualityFinding(
        "no_quarantined_files",
        passed=not manifest.quarantined,
        severity=Severity.WARN,
        found=f"{len(manifest.quarantined)} files are quarantined, {len(manifest.waiting)} wait, "
        f"{len(manifest.files)} are used{kept}",
        examples=_first(f"{q.path}: {q.reason}" for q in manifest.quarantined),
    )


def universe_is_known(universe: Universe) -> QualityFinding:
    """Every instrument of the universe has bars."""
    known = universe.spans[INSTRUMENT].n_unique()
    return QualityFinding(
        "universe_is_known",
        passed=not universe.unknown,
        severity=Severity.WARN,
        found=f"universe {universe.name!r} names {known + len(universe.unknown)} instruments, "
        f"{len(universe.unknown)} of them have no bars",
        examples=_first(universe.unknown),
    )


def _first(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(text for text, _ in zip(texts, range(_EXAMPLES), strict=False))


def _named(rows: pl.DataFrame, what: str | None = None) -> tuple[str, ...]:
    shown: Sequence[dict[str, object]] = rows.head(_EXAMPLES).to_dicts()
    return tuple(
        f"{row[INSTRUMENT]} {row[DATE]}" + (f": {row[what]}" if what else "") for row in shown
    )
