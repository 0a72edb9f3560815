"""Stored factor rows against Qlib's own values, computed anew for a sample of instruments."""

import random
import tempfile
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from qlops_assets.core.atomic import remove_leftovers
from qlops_assets.core.columns import DATE, INSTRUMENT, KEY
from qlops_assets.core.digests import combined_digest
from qlops_assets.core.months import first_day, next_month
from qlops_assets.core.settings import Settings
from qlops_assets.factors.grammar.look_back import instruments
from qlops_assets.factors.grammar.parser import parse
from qlops_assets.factors.qlib_engine import Request, compute_blocks, rendered
from qlops_assets.factors.sets import FactorSet
from qlops_assets.factors.store import factor_dataset
from qlops_assets.lake.calendar import trading_days
from qlops_assets.lake.datasets import bars_dataset
from qlops_assets.lake.qlib_bin import write_provider

# |ours - Qlib's| ≤ ABSOLUTE + RELATIVE × |Qlib's|, and no value exactly where Qlib has none.
ABSOLUTE: Final = 1e-5
RELATIVE: Final = 1e-4

_INSTRUMENTS: Final = 6
_MONTHS: Final = 2
_SHOWN: Final = 10
_ROW: Final = "#row"  # no factor has such a name; its values are there on every row


@dataclass(frozen=True, slots=True)
class Cell:
    """One value of ours beside Qlib's; None is no value."""

    factor: str
    instrument: str
    date: date
    ours: float | None
    qlib: float | None

    def __str__(self) -> str:
        ours, qlib = ("none" if v is None else f"{v:.9g}" for v in (self.ours, self.qlib))
        return f"{self.factor} of {self.instrument} on {self.date}: {ours}, Qlib has {qlib}"


@dataclass(frozen=True, slots=True)
class Agreement:
    """What a comparison with Qlib found.

    Attributes:
        months: Whose rows were compared.
        instruments: The sample.
        cells: How many values were compared.
        violations: How many of them differ by more than the tolerance or are missing on one side.
        nan_mismatches: Of those, how many are missing on one side.
        rows_differ: Rows that only one side has, as ``instrument date``.
        worst: The cells that differ most, missing ones first.
    """

    months: tuple[str, ...]
    instruments: tuple[str, ...]
    cells: int = 0
    violations: int = 0
    nan_mismatches: int = 0
    rows_differ: tuple[str, ...] = ()
    worst: tuple[Cell, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether every value and every row is Qlib's."""
        return not self.violations and not self.rows_differ

    def to_document(self) -> dict[str, Any]:
        """Return what was found for JSON."""
        return {
            "agrees": self.agrees,
            "months": len(self.months),
            "instruments": list(self.instruments),
            "cells": self.cells,
            "violations": self.violations,
            "nan_mismatches": self.nan_mismatches,
            "rows_on_one_side": len(self.rows_differ),
            "worst": [asdict(cell) for cell in self.worst],
        }

    def __str__(self) -> str:
        many = f"{len(self.months)} months" if len(self.months) > _MONTHS else ""
        where = (
            f"{len(self.instruments)} instruments in {many or ', '.join(self.months) or 'no month'}"
        )
        if self.agrees:
            return f"{self.cells:,} values of {where} are Qlib's"
        said = f"{self.violations:,} of {self.cells:,} values of {where} are not Qlib's"
        if self.worst:
            said += f", first {self.worst[0]}"
        if self.rows_differ:
            said += f"; {len(self.rows_differ)} rows are on one side only: {self.rows_differ[0]}"
        return said


def stored_seed(settings: Settings, factors: FactorSet, months: Sequence[str]) -> str:
    """Return a seed that follows from the content of months: other rows, another sample."""
    infos = factor_dataset(settings, factors.name).infos()
    return combined_digest(infos[month].digest for month in sorted(months) if month in infos)


def check_agreement(
    settings: Settings, factors: FactorSet, months: Sequence[str], *, seed: str
) -> Agreement:
    """Compare stored rows with what Qlib computes from the bars.

    Of the months that are stored, the newest and one more are looked at, for a few instruments.
    Qlib gets their whole history: it would cut off what ``EMA`` remembers, and so a look-back that
    is too short on our side is found.

    Args:
        settings: Where rows and bars are.
        factors: The set whose rows are compared.
        months: Those just written.
        seed: Decides the sample.
    """
    dataset = factor_dataset(settings, factors.name)
    stored = set(dataset.months())
    chosen = _some_months(seed, [month for month in sorted(set(months)) if month in stored])
    if not chosen:
        return Agreement((), ())
    rows = dataset.read(chosen, columns=list(factors.expressions))
    present = set(rows.get_column(INSTRUMENT).unique())
    present |= set(bars_dataset(settings).read(chosen, columns=[]).get_column(INSTRUMENT).unique())
    sample = sampled(present, seed=seed)
    ours = rows.filter(pl.col(INSTRUMENT).is_in(sample))
    return compared(ours, computed_by_qlib(settings, factors, sample, chosen), chosen, sample)


def sampled(codes: Iterable[str], *, seed: str) -> list[str]:
    """Return a few of some instruments, by chance."""
    known = sorted(codes)
    return sorted(random.Random(seed).sample(known, min(_INSTRUMENTS, len(known))))


def computed_by_qlib(
    settings: Settings, factors: FactorSet, sample: Sequence[str], months: Collection[str]
) -> pl.DataFrame:
    """Return Qlib's rows of some instruments in some months, from their whole history."""
    named = (instruments(parse(text)) for text in factors.expressions.values())
    needed = sorted({*sample, *(code for codes in named for code in codes)})
    bars = bars_dataset(settings).scan().filter(pl.col(INSTRUMENT).is_in(needed))
    home = settings.lake / "qlib"
    home.mkdir(parents=True, exist_ok=True)
    remove_leftovers(home)
    with tempfile.TemporaryDirectory(dir=home, prefix=".agreement-", suffix=".tmp") as folder:
        provider = Path(folder) / "provider"
        held = bars.sort(KEY).collect()
        # The days of the market, not of the sample alone: they are the rows.
        write_provider(provider, held, calendar=trading_days(settings))
        expressions = {_ROW: "$close", **rendered(factors.expressions)}
        last = first_day(next_month(max(months))) - timedelta(days=1)
        request = Request(provider, expressions, sample, last=last)
        rows = pl.concat(list(compute_blocks(request))).drop(_ROW)
    return _own_rows(rows, held).filter(pl.col(DATE).dt.strftime("%Y-%m").is_in(list(months)))


def _own_rows(rows: pl.DataFrame, bars: pl.DataFrame) -> pl.DataFrame:
    """Return the rows from each instrument's first to its last bar.

    An expression over another instrument has that one's days in Qlib, fewer or more than these.
    """
    spans = bars.group_by(INSTRUMENT).agg(start=pl.col(DATE).min(), end=pl.col(DATE).max())
    own = rows.join(spans, on=INSTRUMENT).filter(pl.col(DATE).is_between("start", "end"))
    return own.drop("start", "end")


def compared(
    ours: pl.DataFrame, qlibs: pl.DataFrame, months: Sequence[str], sample: Sequence[str]
) -> Agreement:
    """Return how far two frames of the same factors, by instrument and date, agree.

    Args:
        ours: Missing values may be null or NaN.
        qlibs: What they should be.
        months: Said in the result.
        sample: Said in the result.
    """
    names = [name for name in qlibs.columns if name not in KEY]
    both = ours.select(*KEY, *names).join(qlibs, on=KEY, how="inner", suffix="_qlib").sort(KEY)
    mine = _values(both, names)
    theirs = _values(both, [f"{name}_qlib" for name in names])
    excess = _excess(mine, theirs)
    bad = np.argwhere(excess > 0)
    order = np.argsort(-excess[excess > 0], kind="stable")[:_SHOWN]
    return Agreement(
        months=tuple(months),
        instruments=tuple(sample),
        cells=excess.size,
        violations=len(bad),
        nan_mismatches=int((np.isnan(mine) != np.isnan(theirs)).sum()),
        rows_differ=_rows_on_one_side(ours, qlibs),
        worst=tuple(_cell(both, names, (mine, theirs), bad[i]) for i in order),
    )


def _some_months(seed: str, months: list[str]) -> list[str]:
    """Return the newest month and others by chance."""
    others = random.Random(seed).sample(months[:-1], min(_MONTHS - 1, len(months[:-1])))
    return sorted({*months[-1:], *others})


def _values(frame: pl.DataFrame, names: Sequence[str]) -> NDArray[np.float64]:
    values = frame.select(pl.col(names).cast(pl.Float64).fill_null(np.nan)).to_numpy()
    return np.asarray(values, dtype=np.float64)


def _excess(ours: NDArray[np.float64], qlibs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return by how many tolerances values differ beyond the first; infinitely where one is NaN."""
    with np.errstate(invalid="ignore"):  # of infinities, which are equal or not
        difference = np.abs(ours - qlibs) / (ABSOLUTE + RELATIVE * np.abs(qlibs))
    excess = np.where(difference > 1, difference, 0.0)
    excess[np.isnan(difference)] = np.inf
    excess[(ours == qlibs) | (np.isnan(ours) & np.isnan(qlibs))] = 0.0
    return excess


def _rows_on_one_side(ours: pl.DataFrame, qlibs: pl.DataFrame) -> tuple[str, ...]:
    one = ours.join(qlibs, on=KEY, how="anti").select(KEY)
    other = qlibs.join(ours, on=KEY, how="anti").select(KEY)
    rows = pl.concat([one, other]).sort(KEY).rows()
    return tuple(f"{instrument} {day}" for instrument, day in rows)


def _cell(
    both: pl.DataFrame,
    names: Sequence[str],
    sides: tuple[NDArray[np.float64], NDArray[np.float64]],
    place: NDArray[np.int64],
) -> Cell:
    row, column = int(place[0]), int(place[1])
    instrument, day = both.select(KEY).row(row)
    values = (float(side[row, column]) for side in sides)
    ours, qlib = (None if np.isnan(value) else value for value in values)
    return Cell(names[column], instrument, day, ours, qlib)
