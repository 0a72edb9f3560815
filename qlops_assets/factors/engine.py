"""The seam between factor expressions and what computes them."""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Final, Protocol

import polars as pl

from qlops_assets.core.catalog import Catalog
from qlops_assets.core.columns import DATE, FIELDS, INSTRUMENT, REQUIRED
from qlops_assets.core.errors import ExpressionError, FactorError
from qlops_assets.core.progress import Progress
from qlops_assets.core.settings import Settings
from qlops_assets.factors.grammar.names import require_fields
from qlops_assets.factors.grammar.parser import parse

NATIVE: Final = "native"


class Engine(Protocol):
    """Computes Qlib expressions over bars; all engines give Qlib's values and Qlib's rows."""

    def evaluate(
        self, expressions: Mapping[str, str], bars: pl.DataFrame, *, since: date | None = None
    ) -> pl.DataFrame:
        """Return the factor frame of a bars frame, of all rows or of those from a day on."""
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
    "factor engine",
    {
        NATIVE: "qlops_assets.factors.native.engine:NativeEngine",
        "qlib": "qlops_assets.factors.qlib_engine:QlibEngine",
    },
)


def evaluate(
    expressions: Mapping[str, str],
    bars: pl.DataFrame,
    *,
    engine: str = NATIVE,
    since: date | None = None,
    look_ahead: bool = False,
) -> pl.DataFrame:
    """Return factors by name for a bars frame.

    Args:
        expressions: Factor name -> Qlib expression such as ``Mean($close, 5)/$close``.
        bars: A bars frame (``core.columns``), sorted by instrument and date.
        engine: A name of :data:`ENGINES`.
        since: Only rows from this day on. Earlier bars serve as look-back, as many as the
            expressions need; the values are those of the whole computation.
        look_ahead: Whether expressions may use later days, as labels do.

    Returns:
        ``instrument, date`` and one float32 column per factor, in the order asked for, with Qlib's
        rows: every calendar day between an instrument's first and last bar.

    Raises:
        UnknownEntryError: there is no such engine.
        ExpressionError: an expression is not one of Qlib's language, or looks ahead.
        FactorError: the frame is empty or lacks a column that is required or that a factor uses,
            or no factor was asked for.
    """
    require_bars(bars)
    require_expressions(expressions, bars, look_ahead=look_ahead)
    return ENGINES.load(engine)().evaluate(expressions, bars, since=since)


def require_bars(bars: pl.DataFrame) -> None:
    """Refuse a frame that is not one of bars.

    Raises:
        FactorError: it lacks a required column, has no row, or a column is of the wrong type.
    """
    missing = [column for column in REQUIRED if column not in bars.columns]
    if missing:
        raise FactorError(
            f"bars frame: found columns {', '.join(bars.columns)}; needs {', '.join(missing)} too"
        )
    if bars.is_empty():
        raise FactorError("bars frame: has no row; needs at least one")
    _require_types(bars)


def _require_types(bars: pl.DataFrame) -> None:
    for column, wanted in ((INSTRUMENT, pl.String), (DATE, pl.Date)):
        found = bars.schema[column]
        if found != wanted:
            raise FactorError(f"bars frame: column {column!r} is {found}; needs {wanted}")
        if nulls := bars.get_column(column).null_count():
            raise FactorError(f"bars frame: {nulls} rows have no {column}; each needs one")
    for column in FIELDS:
        if column in bars.columns and not bars.schema[column].is_numeric():
            raise FactorError(f"bars frame: column {column!r} is {bars.schema[column]}, no number")


def require_expressions(
    expressions: Mapping[str, str], bars: pl.DataFrame, *, look_ahead: bool = False
) -> None:
    """Refuse what is not a Qlib expression over the fields of a bars frame.

    Raises:
        ExpressionError: an expression is malformed, names an unknown field, or looks ahead.
        FactorError: there is none, or one is named like a key column.
    """
    if not expressions:
        raise FactorError("no expressions were given; name at least one factor")
    # All but vwap are required, computed (change) or 1 where they are not given (factor).
    known = [field for field in FIELDS if field != "vwap" or "vwap" in bars.columns]
    for name, text in expressions.items():
        if name in (INSTRUMENT, DATE):
            raise FactorError(f"factor {name!r}: is a key column's name; choose another")
        try:
            parse(text, look_ahead=look_ahead)
            require_fields(text, known)
        except ExpressionError as error:
            found = f"factor {name!r}: {error.found}"
            raise ExpressionError(text, error.position, found, error.accepted) from error
