"""The seam between factor expressions and what computes them."""

import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Final, Protocol

import polars as pl

from qlops_assets.core.catalog import Catalog
from qlops_assets.core.columns import REQUIRED
from qlops_assets.core.errors import FactorError
from qlops_assets.core.progress import Progress
from qlops_assets.core.settings import Settings
from qlops_assets.lake.qlib_bin import FIELDS

_FIELD: Final = re.compile(r"\$(\w+)")


class Engine(Protocol):
    """Computes Qlib expressions over bars; all engines give Qlib's values and Qlib's rows."""

    def evaluate(self, expressions: Mapping[str, str], bars: pl.DataFrame) -> pl.DataFrame:
        """Return the factor frame of a bars frame."""
        ...

    def from_lake(
        self,
        settings: Settings,
        expressions: Mapping[str, str],
        *,
        first: date | None = None,
        last: date | None = None,
        progress: Progress | None = None,
    ) -> Iterator[pl.DataFrame]:
        """Yield factor frames of the lake's bars, in order of instruments, in bounded memory."""
        ...


ENGINES: "Catalog[type[Engine]]" = Catalog(
    "factor engine", {"qlib": "qlops_assets.factors.qlib_engine:QlibEngine"}
)


def evaluate(
    expressions: Mapping[str, str], bars: pl.DataFrame, *, engine: str = "qlib"
) -> pl.DataFrame:
    """Return factors by name for a bars frame.

    Qlib evaluates an expression as Python code: pass only expressions you trust.

    Args:
        expressions: Factor name -> Qlib expression such as ``Mean($close, 5)/$close``.
        bars: A bars frame (``core.columns``), sorted by instrument and date.
        engine: A name of :data:`ENGINES`.

    Returns:
        ``instrument, date`` and one float32 column per factor, in the order asked for.

    Raises:
        UnknownEntryError: there is no such engine.
        FactorError: the frame is empty or lacks a column that is required or that a factor uses,
            or no factor was asked for.
    """
    if not expressions:
        raise FactorError("no expressions were given; name at least one factor")
    require_bars(bars)
    for name, expression in expressions.items():
        _require_fields(name, expression, bars)
    return ENGINES.load(engine)().evaluate(expressions, bars)


def require_bars(bars: pl.DataFrame) -> None:
    """Refuse a frame that is not one of bars.

    Raises:
        FactorError: it lacks a required column, or has no row.
    """
    missing = [column for column in REQUIRED if column not in bars.columns]
    if missing:
        raise FactorError(
            f"bars frame: found columns {', '.join(bars.columns)}; needs {', '.join(missing)} too"
        )
    if bars.is_empty():
        raise FactorError("bars frame: has no row; needs at least one")


def _require_fields(name: str, expression: str, bars: pl.DataFrame) -> None:
    """Refuse an expression over a field that is not there; Qlib gives NaN without a word."""
    # All but vwap are required, computed (change) or 1 where they are not given (factor).
    known = [field for field in FIELDS if field != "vwap" or "vwap" in bars.columns]
    for field in _FIELD.findall(expression):
        if field.lower() not in known:
            raise FactorError(
                f"factor {name!r}: found ${field} in {expression!r}; the frame gives "
                f"{', '.join(f'${name}' for name in known)}"
            )
