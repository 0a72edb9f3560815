"""An expression tried over the bars of a home, before it becomes a factor."""

import time
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, Final

import polars as pl

from qlops_assets.core.columns import DATE, INSTRUMENT
from qlops_assets.core.digests import value_digest
from qlops_assets.core.settings import Settings
from qlops_assets.factors.agreement import Agreement, compared, computed_by_qlib, sampled
from qlops_assets.factors.engine import ENGINES
from qlops_assets.factors.missing import MOSTLY
from qlops_assets.factors.sets import CUSTOM, FactorSet
from qlops_assets.lake.datasets import bars_dataset

_NAME: Final = "value"
_QUANTILES: Final = {"min": 0.0, "1%": 0.01, "25%": 0.25, "50%": 0.5, "75%": 0.75, "99%": 0.99}


@dataclass(frozen=True, slots=True)
class Trial:
    """What an expression gave.

    Attributes:
        engine: That computed it.
        rows: Qlib's rows: every trading day from an instrument's first bar to its last.
        instruments: How many there are.
        first: First day.
        last: Last day.
        missing: Rows without a value.
        infinite: Rows with an infinite one.
        quantiles: Of the finite values: ``min``, ``1%`` … ``max``; none where there is no value.
        seconds: It took so long, with reading the bars.
        agreement: Of a sample with Qlib, where that was asked for.
    """

    engine: str
    rows: int
    instruments: int
    first: date
    last: date
    missing: int
    infinite: int
    quantiles: dict[str, float]
    seconds: float
    agreement: Agreement | None = None

    @property
    def missing_share(self) -> float:
        """The share of rows without a value."""
        return self.missing / max(1, self.rows)

    @property
    def is_mostly_missing(self) -> bool:
        """Whether more than half of the rows have no value."""
        return self.missing_share > MOSTLY

    @property
    def fault(self) -> str | None:
        """Why it cannot be used as a factor; None where it can."""
        if self.missing == self.rows:
            return (
                f"no value on any of {self.rows:,} rows, {self.first} to {self.last}; is a window "
                "longer than the history, or is it the logarithm of a negative number?"
            )
        if self.agreement is not None and not self.agreement.agrees:
            return str(self.agreement)
        return None

    def to_document(self) -> dict[str, Any]:
        """Return what it found for JSON."""
        found = {**asdict(self), "missing_share": round(self.missing_share, 6)}
        found["fault"] = self.fault
        return {**found, "agreement": self.agreement and self.agreement.to_document()}


def try_expression(
    settings: Settings, expression: str, *, engine: str | None = None, against_qlib: bool = False
) -> Trial | None:
    """Compute an expression over all bars; return ``None`` where there are none.

    Args:
        settings: Of the home.
        expression: In Qlib's language.
        engine: Of the catalog; that of the settings where None.
        against_qlib: Whether to compare a sample of instruments with Qlib's values.

    Raises:
        FactorError: it cannot be computed, as it names an instrument without bars.
    """
    months = bars_dataset(settings).months()
    if not months:
        return None
    name = engine or settings.features.engine
    started = time.perf_counter()
    blocks = ENGINES.load(name)().from_lake(settings, {_NAME: expression})
    rows = pl.concat(list(blocks))
    seconds = time.perf_counter() - started
    value = pl.col(_NAME)
    finite = rows.filter(value.is_finite()).get_column(_NAME)
    facts = rows.select(
        instruments=pl.col(INSTRUMENT).n_unique(),
        first=pl.col(DATE).min(),
        last=pl.col(DATE).max(),
        missing=value.is_nan().sum(),
        infinite=value.is_infinite().sum(),
    ).row(0, named=True)
    return Trial(
        engine=name,
        rows=rows.height,
        **facts,
        quantiles=_quantiles(finite),
        seconds=round(seconds, 3),
        agreement=_agreement(settings, expression, rows) if against_qlib else None,
    )


def _quantiles(values: pl.Series) -> dict[str, float]:
    if values.is_empty():
        return {}
    at = {**_QUANTILES, "max": 1.0}
    found = {name: values.quantile(q, "nearest") for name, q in at.items()}
    return {name: float(value) for name, value in found.items() if value is not None}


def _agreement(settings: Settings, expression: str, rows: pl.DataFrame) -> Agreement:
    sample = sampled(rows.get_column(INSTRUMENT).unique(), seed=value_digest(expression))
    months = sorted(rows.get_column(DATE).dt.strftime("%Y-%m").unique())
    factors = FactorSet(CUSTOM, {_NAME: expression})
    ours = rows.filter(pl.col(INSTRUMENT).is_in(sample))
    qlibs = computed_by_qlib(settings, factors, sample, months)
    return compared(ours, qlibs, months, sample)
