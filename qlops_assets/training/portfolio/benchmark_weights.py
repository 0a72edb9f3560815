"""What the benchmark holds: a file of weights, else every name of the universe alike."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from qlops_assets.core.digests import file_digest
from qlops_assets.core.errors import SourceError
from qlops_assets.lake.instruments import canonical
from qlops_assets.training.portfolio.risk.returns import Floats
from qlops_assets.training.portfolio.strategy import RebalanceError

EQUAL: Final = "equal weights of the day's universe"
_COLUMNS: Final = ("instrument", "date", "weight")
_ACCEPTED: Final = (
    "[backtest] benchmark_weights is a Parquet file of instrument, date and weight, one weight of "
    "0 or more per instrument and date"
)
# Providers publish weights once a month or quarter; older ones are of another index.
_OLDEST_DAYS: Final = 100
# Of the benchmark's weight that the names with a score and a past have to hold.
_LEAST_COVER: Final = 0.95


def weights_digest(path: Path | None) -> str | None:
    """Return the digest of a file of weights; None where none is given.

    Raises:
        SourceError: there is no such file.
    """
    if path is None:
        return None
    if not path.is_file():
        raise SourceError(path, "no such file", _ACCEPTED)
    return file_digest(path)


@dataclass(frozen=True, slots=True)
class BenchmarkWeights:
    """Weights as of each day; ``rows`` is None where every name weighs the same."""

    origin: str
    rows: pl.DataFrame | None

    @classmethod
    def read(cls, path: Path | None) -> "BenchmarkWeights":
        """Read a file of weights.

        Raises:
            SourceError: it cannot be read, lacks a column, has a weight that is none, or one twice.
        """
        if path is None:
            return cls(EQUAL, None)
        try:
            table = pl.read_parquet(path)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise SourceError(path, f"is not a readable Parquet file ({error})", _ACCEPTED) from (
                error
            )
        missing = [name for name in _COLUMNS if name not in table.columns]
        if missing:
            raise SourceError(path, f"has no column {missing[0]!r}", _ACCEPTED)
        return cls(path.name, _checked(path, table.select(_COLUMNS)))

    def on(self, day: np.datetime64, codes: list[str], is_member: NDArray[np.bool_]) -> Floats:
        """Return the weights of names on a day, which sum to 1.

        Args:
            day: The newest weights up to and with it are taken.
            codes: The names.
            is_member: Whether each is of the day's universe; others weigh 0 where all are alike.

        Raises:
            RebalanceError: there are no weights for the day, they are too old or all 0, or the
                names hold too little of them.
        """
        if self.rows is None:
            return is_member.astype(np.float64) / float(is_member.sum())
        known = self._as_of(day)
        total = sum(known.values())
        weights = np.array([known.get(code, 0.0) for code in codes])
        if not total > 0 or weights.sum() < _LEAST_COVER * total:
            share = weights.sum() / total if total > 0 else 0.0
            raise RebalanceError(
                f"benchmark weights of {self.origin}: the names with a score and a past hold "
                f"{share:.1%} of them, need {_LEAST_COVER:.0%}"
            )
        shares: Floats = weights / weights.sum()
        return shares

    def _as_of(self, day: np.datetime64) -> dict[str, float]:
        assert self.rows is not None
        present = date.fromisoformat(str(day))
        until = self.rows.filter(pl.col("date") <= present)
        newest = until.select(pl.col("date").max()).item()
        if newest is None or (present - newest).days > _OLDEST_DAYS:
            raise RebalanceError(
                f"benchmark weights of {self.origin}: the newest are of {newest or 'a later day'}, "
                f"must be at most {_OLDEST_DAYS} days old"
            )
        latest = until.filter(pl.col("date") == newest)
        return dict(zip(latest["instrument"], latest["weight"], strict=True))


def _checked(path: Path, table: pl.DataFrame) -> pl.DataFrame:
    try:
        rows = table.with_columns(
            instrument=pl.Series([canonical(str(code)) for code in table["instrument"]]),
            date=pl.col("date").cast(pl.Date),
            weight=pl.col("weight").cast(pl.Float64),
        )
    except (pl.exceptions.PolarsError, ValueError) as error:
        raise SourceError(path, f"has a value of another kind ({error})", _ACCEPTED) from error
    wrong = rows.filter(
        ~(pl.col("weight").is_finite() & (pl.col("weight") >= 0)).fill_null(value=False)
    )
    if wrong.height:
        first = wrong.row(0)
        raise SourceError(path, f"has the weight {first[2]} for {first[0]} {first[1]}", _ACCEPTED)
    repeated = rows.filter(pl.struct("instrument", "date").is_duplicated())
    if repeated.height:
        first = repeated.row(0)
        raise SourceError(path, f"has {first[0]} {first[1]} more than once", _ACCEPTED)
    return rows
