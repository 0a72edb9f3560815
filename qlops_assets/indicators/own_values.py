"""Values of the user's own indicators."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import polars as pl

from qlops_assets.core.columns import BARS, DATE, INSTRUMENT, KEY
from qlops_assets.core.digests import file_digest
from qlops_assets.core.errors import FactorError, IndicatorError
from qlops_assets.factors.native.engine import NativeEngine
from qlops_assets.indicators.names import columns
from qlops_assets.indicators.own import OwnIndicator, require_usable

# Of the files of users' modules when they were loaded, by module.
_DIGESTS: Final[dict[str, str]] = {}


def own_values(
    bars: pl.DataFrame, own: Mapping[str, OwnIndicator], since: date | None = None
) -> pl.DataFrame:
    """Return own indicators for a bars frame, with its keys and rows.

    Expressions are Qlib's: they see every calendar day, and a day without trading as missing. So
    does a function, which is given all bars, with all their columns.

    Raises:
        IndicatorError: one cannot be computed; says where it was written.
    """
    from qlops_assets.indicators.apply import built_in

    ordered = require_usable(own)
    bars = bars.with_columns(pl.col(INSTRUMENT).cast(pl.String))  # what a user's code expects
    reads = [name for one in ordered.values() for name in one.reads if name not in own]
    frame = bars.select(name for name in BARS if name in bars.columns)
    if reads:
        needed = columns(list(dict.fromkeys(reads)))
        frame = frame.hstack(built_in(bars, needed).drop(KEY))
    expressions: list[OwnIndicator] = []
    for one in ordered.values():
        if one.is_function:
            frame = frame.with_columns(function_values(one, bars))
            continue
        if any(other.name in one.reads for other in expressions):
            frame, expressions = _with_expressions(frame, expressions), []
        expressions.append(one)
    frame = _with_expressions(frame, expressions)
    values = frame.select(*KEY, *(_finite(name) for name in ordered))
    return values if since is None else values.filter(pl.col(DATE) >= since)


def function_values(one: OwnIndicator, bars: pl.DataFrame) -> pl.Series:
    """Return what a user's function gives for bars.

    Raises:
        IndicatorError: it cannot be loaded, failed, or gave something else than a number per row.
    """
    function = _loaded(one)
    try:
        given = function(bars)
        if isinstance(given, pl.Expr):
            given = bars.select(given.alias(one.name)).to_series()
    except Exception as error:  # whatever a user's code may raise
        found = f"{one.definition} failed: {type(error).__name__}: {error}"
        raise IndicatorError(one.place, found, "mend the function") from error
    return _checked(one, given, bars.height)


def _loaded(one: OwnIndicator) -> Callable[[pl.DataFrame], Any]:
    module, _, name = one.definition.partition(":")
    try:
        loaded = _up_to_date(importlib.import_module(module))
    except Exception as error:  # whatever a user's module may raise
        found = f"module {module!r} cannot be imported: {type(error).__name__}: {error}"
        raise IndicatorError(one.place, found, "name one on Python's path") from error
    function = getattr(loaded, name, None)
    if not callable(function):
        found = f"module {module!r} has no function {name!r}"
        raise IndicatorError(one.place, found, "write package.module:function")
    found_function: Callable[[pl.DataFrame], Any] = function
    return found_function


def _up_to_date(module: ModuleType) -> ModuleType:
    """Return a module as its file is now, as that is the version which rows are stored under."""
    file = getattr(module, "__file__", None)
    if file is None or module.__spec__ is None:  # built in, or the program itself
        return module
    digest = file_digest(Path(file))
    if _DIGESTS.setdefault(module.__name__, digest) == digest:
        return module
    _DIGESTS[module.__name__] = digest
    return importlib.reload(module)


def _checked(one: OwnIndicator, given: object, rows: int) -> pl.Series:
    accepted = f"must return a Polars Series of {rows:,} numbers, one per row, or an expression"
    if not isinstance(given, pl.Series):
        raise IndicatorError(one.place, f"{one.definition} gave a {type(given).__name__}", accepted)
    if given.len() != rows:
        raise IndicatorError(one.place, f"{one.definition} gave {given.len():,} values", accepted)
    if not (given.dtype.is_numeric() or given.dtype in (pl.Boolean, pl.Null)):
        raise IndicatorError(one.place, f"{one.definition} gave {given.dtype}", accepted)
    return given.cast(pl.Float64).alias(one.name)


def _with_expressions(frame: pl.DataFrame, own: Sequence[OwnIndicator]) -> pl.DataFrame:
    if not own:
        return frame
    if frame.is_empty():  # of which the engine makes nothing
        return frame.with_columns(pl.lit(None, pl.Float64).alias(one.name) for one in own)
    for one in own:
        if "vwap" in one.fields and "vwap" not in frame.columns:
            raise IndicatorError(one.place, "reads $vwap, which the bars lack", "give it")
    places = ", ".join(one.place for one in own)
    try:
        values = NativeEngine().evaluate({one.name: one.definition for one in own}, frame)
    except FactorError as error:
        raise IndicatorError(places, str(error), "write it otherwise") from error
    if values.height != frame.height:  # it has rows of days that a source leaves out
        values = frame.select(KEY).join(values, on=KEY, how="left", maintain_order="left")
    return frame.hstack(values.select(one.name for one in own))


def _finite(name: str) -> pl.Expr:
    value = pl.col(name).cast(pl.Float64)
    return pl.when(value.is_finite()).then(value).alias(name)
