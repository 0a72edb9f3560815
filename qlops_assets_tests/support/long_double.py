"""What an expression is by definition: brute force in long double, for one instrument.

The judge where two engines differ. Element-wise steps are numpy's own, in the types that Qlib's
series have: they define what a window is computed from. A window statistic looks at all of its
values at once, as many passes as it takes, in long double, and is rounded once, to float64.

Rules that are Qlib's or pandas': a window has as many rows as there are, and needs one value; NaN
counts as absent, and an infinity as NaN, but for the line through a window (Slope, Rsquare, Resi),
which has no value then; IdxMax and IdxMin count from the window's first row and find a NaN before
any number, WMA divides by the number of values once more, Rsquare and Corr have no value where a
series hardly moves.
"""

import math
import operator
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from qlops_assets.factors.grammar.expression import Call, Constant, Field, Node, walk
from qlops_assets.factors.grammar.parser import parse

Values = NDArray[Any]
Statistic = Callable[[Values], Values]
Disturb = Callable[[Values], Values]

FLAT: Final = np.longdouble("2e-5")
_NAN: Final = np.longdouble("nan")
_LARGEST: Final = 1e75

_ELEMENTS: Final[Mapping[str, Callable[..., Any]]] = {
    "Abs": np.abs,
    "Log": np.log,
    "Not": np.bitwise_not,
    "Greater": np.maximum,
    "Add": operator.add,
    "Sub": operator.sub,
    "Mul": operator.mul,
    "Div": operator.truediv,
    "Power": operator.pow,
    "Less": np.minimum,
    "If": np.where,
    "Gt": operator.gt,
    "Ge": operator.ge,
    "Lt": operator.lt,
    "Le": operator.le,
    "Eq": operator.eq,
    "Ne": operator.ne,
    "And": operator.and_,
    "Or": operator.or_,
    "Sign": lambda x: np.sign(x.astype(np.float32)),
}


def long_double(
    text: str, rows: Mapping[str, Values], disturb: Disturb | None = None
) -> NDArray[np.float32]:
    """Return an expression's values over the rows of one instrument.

    Args:
        text: The expression; Mask and ChangeInstrument are not known here.
        rows: Field -> float32 values, as :func:`rows_of` gives them.
        disturb: Changes every window's result, to see how much the value depends on its digits.

    Raises:
        OverflowError: a window holds numbers whose fourth power float64 does not.
    """
    done: list[Any] = []
    with np.errstate(all="ignore"):
        for node in walk(parse(text, look_ahead=True)):
            count = len(node.operands) if isinstance(node, Call) else 0
            operands = done[len(done) - count :] if count else []
            del done[len(done) - count :]
            done.append(_value(node, operands, rows, disturb))
        values: NDArray[np.float32] = done.pop().astype(np.float32)
    return values


def rows_of(bars: pl.DataFrame, instrument: str) -> tuple[list[date], dict[str, Values]]:
    """Return an instrument's days and fields: every calendar day from its first bar to its last."""
    own = {bar["date"]: bar for bar in bars.filter(instrument=instrument).iter_rows(named=True)}
    calendar = sorted(set(bars["date"].to_list()))
    days = [day for day in calendar if min(own) <= day <= max(own)]
    rows = {name: [own.get(day, {}).get(name) for day in days] for name in bars.columns[2:]}
    if "factor" not in rows:
        rows["factor"] = [1.0 if day in own else None for day in days]
    rows["change"] = _changes(rows["close"])
    as_float = {k: [np.nan if v is None else v for v in values] for k, values in rows.items()}
    with np.errstate(over="ignore"):
        return days, {k: np.array(v, np.float64).astype(np.float32) for k, v in as_float.items()}


def _changes(closes: list[float | None]) -> list[float]:
    before, changes = np.nan, list[float]()
    with np.errstate(all="ignore"):
        for close in closes:
            changes.append(np.nan if close is None else np.float64(close) / before - 1)
            before = before if close is None else close
    return changes


def _value(node: Node, operands: list[Any], rows: Mapping[str, Values], disturb: Any) -> Any:
    if isinstance(node, Field):
        return rows[node.name]
    if isinstance(node, Constant):
        return node.value
    if node.operator in _ELEMENTS:
        return _ELEMENTS[node.operator](*operands)
    if node.operator in ("Ref", "Delta"):
        earlier = _earlier(operands[0], int(node.parameters[0]))
        return earlier if node.operator == "Ref" else operands[0] - earlier
    result = _windows(node, operands).astype(np.float64)
    return result if disturb is None else disturb(result)


def _earlier(x: Values, days: int) -> Values:
    if days == 0:
        return np.full_like(x, x[0])
    shifted = np.full(x.size, np.nan, x.dtype if x.dtype.kind == "f" else np.float64)
    for row in range(x.size):
        if 0 <= row - days < x.size:
            shifted[row] = x[row - days]
    return shifted


def _windows(node: Call, operands: list[Values]) -> Values:
    days: Any = node.parameters[0]
    long = [operand.astype(np.longdouble) for operand in operands]
    if any(np.abs(_finite(x)).max(initial=0, where=np.isfinite(x)) > _LARGEST for x in long):
        raise OverflowError(node.operator)
    length = min(math.ceil(days) or long[0].size, long[0].size)
    if node.operator in _STATISTICS:
        return _STATISTICS[node.operator](_matrix(_finite(long[0]), length))
    if node.operator in _LINES:
        return _LINES[node.operator](_matrix(long[0], length))
    if node.operator in ("Corr", "Cov"):
        return _together(node.operator, long[0], long[1], length, masked=days != 0)
    return _others(node.operator, long[0], length, node.parameters)


def _others(name: str, x: Values, length: int, parameters: tuple[Any, ...]) -> Values:
    if name == "EMA":
        result = _exponential(_finite(x), float(parameters[0]))
    elif name == "Count":
        result = _sum(_matrix((~np.isnan(x)).astype(np.longdouble), length))
    elif name == "Rsquare":
        result = _rsquare(x, length, masked=parameters[0] != 0)
    else:
        statistic = _quantile(parameters[1]) if name == "Quantile" else _PLACED[name]
        result = _by_row(statistic, _finite(x), length)
    return result


def _finite(x: Values) -> Values:
    return np.where(np.isinf(x), _NAN, x)


def _matrix(x: Values, length: int) -> Values:
    """Return a row for each window, NaN where there is no row yet."""
    padded = np.concatenate([np.full(length - 1, _NAN), x])
    return np.lib.stride_tricks.sliding_window_view(padded, length)


def _by_row(statistic: Callable[[Values], Any], x: Values, length: int) -> Values:
    """Return a statistic of each window's rows, NaN where none has a value."""
    windows = [x[max(0, row - length + 1) : row + 1] for row in range(x.size)]
    return np.array([_NAN if np.isnan(w).all() else statistic(w) for w in windows], np.longdouble)


def _count(m: Values) -> Values:
    return (~np.isnan(m)).sum(axis=1).astype(np.longdouble)


def _sum(m: Values) -> Values:
    return np.where(_count(m) > 0, np.nansum(m, axis=1), _NAN)


def _mean(m: Values) -> Values:
    return _sum(m) / _count(m)


def _power(m: Values, power: int) -> Values:
    """Return the sum of powers of distances from the mean."""
    return _sum((m - _mean(m)[:, None]) ** power)


def _var(m: Values) -> Values:
    n = _count(m)
    return np.where(n > 1, _power(m, 2) / (n - 1), _NAN)


def _std(m: Values) -> Values:
    return np.sqrt(_var(m))


def _skew(m: Values) -> Values:
    n, spread = _count(m), _power(m, 2) / _count(m)
    skew = np.sqrt(n * (n - 1)) / (n - 2) * (_power(m, 3) / n) / spread ** np.longdouble("1.5")
    return _shaped(skew, spread, n >= 3, 0.0)


def _kurt(m: Values) -> Values:
    n, spread = _count(m), _power(m, 2) / _count(m)
    kurt = (n * n - 1) * (_power(m, 4) / n) / spread**2 - 3 * (n - 1) ** 2
    return _shaped(kurt / ((n - 2) * (n - 3)), spread, n >= 4, -3.0)


def _shaped(shape: Values, spread: Values, enough: Values, flat: float) -> Values:
    """Return pandas' answers for windows that do not move, hardly move, and move."""
    moving = np.where(spread <= np.longdouble("1e-14"), _NAN, shape)
    return np.where(enough, np.where(spread == 0, np.longdouble(flat), moving), _NAN)


def _mad(m: Values) -> Values:
    return _mean(np.abs(m - _mean(m)[:, None]))


def _largest(m: Values) -> Values:
    return np.where(_count(m) > 0, np.where(np.isnan(m), -np.inf, m).max(axis=1), _NAN)


def _rank(m: Values) -> Values:
    today = m[:, -1:]
    place = (m < today).sum(axis=1) + ((m == today).sum(axis=1) + np.longdouble(1)) / 2
    return np.where(np.isnan(today[:, 0]), _NAN, place / _count(m))


def _line(m: Values) -> tuple[Values, Values, Values]:
    """Return the slope, the means of days and values, of the least-squares line over days."""
    days = np.where(np.isnan(m), _NAN, np.arange(m.shape[1], dtype=np.longdouble))
    dx, dy = days - _mean(days)[:, None], m - _mean(m)[:, None]
    slope = np.where(_count(m) > 1, _sum(dx * dy) / _sum(dx * dx), _NAN)
    return np.where(np.isinf(m).any(axis=1), _NAN, slope), _mean(days), _mean(m)


def _resi(m: Values) -> Values:
    slope, day, value = _line(m)
    return m[:, -1] - (value + slope * (m.shape[1] - 1 - day))


def _rsquare(x: Values, length: int, *, masked: bool) -> Values:
    m = _matrix(x, length)
    slope, _, _ = _line(m)
    days = np.where(np.isnan(m), _NAN, np.arange(length, dtype=np.longdouble))
    result = slope**2 * _power(days, 2) / _power(m, 2)
    return np.where(masked & (_std(_matrix(_finite(x), length)) <= FLAT), _NAN, result)


def _together(name: str, x: Values, y: Values, length: int, *, masked: bool) -> Values:
    x, y = _finite(x), _finite(y)
    absent = np.isnan(x) | np.isnan(y)
    mx, my = (_matrix(np.where(absent, _NAN, v), length) for v in (x, y))
    n = _count(mx)
    products = _sum((mx - _mean(mx)[:, None]) * (my - _mean(my)[:, None]))
    if name == "Cov":
        return np.where(n > 1, products / (n - 1), _NAN)
    scatter = _power(mx, 2) * _power(my, 2)
    result = np.where((n > 1) & (scatter > 0), products / np.sqrt(scatter), _NAN)
    flat = (_std(_matrix(x, length)) <= FLAT) | (_std(_matrix(y, length)) <= FLAT)
    return np.where(masked & flat, _NAN, result)


def _quantile(score: float) -> Callable[[Values], Any]:
    def quantile(window: Values) -> Any:
        ordered = np.sort(window[~np.isnan(window)])
        place = np.longdouble(score) * (ordered.size - 1)
        low = int(place)
        high = min(low + 1, ordered.size - 1)
        return ordered[low] + (ordered[high] - ordered[low]) * (place - low)

    return quantile


def _weighted(window: Values) -> Any:
    weights = np.arange(1, window.size + 1, dtype=np.longdouble)
    return np.nanmean(weights / weights.sum() * window)


def _exponential(x: Values, days: float) -> Values:
    out = np.full(x.size, _NAN)
    for row in range(x.size):
        present = np.flatnonzero(~np.isnan(x[: row + 1]))
        if not present.size:
            continue
        if days == 0:  # Qlib's own: the smoothing follows the rows there are, absent ones weigh too
            every = (1 - np.longdouble(2) / (row + 2)) ** np.arange(row, -1, -1)
            out[row] = (every[present] * x[present]).sum() / every.sum()
        else:
            alpha = (
                np.longdouble(days) if days < 1 else np.longdouble(2) / (np.longdouble(days) + 1)
            )
            weights = (1 - alpha) ** (present[-1] - present)
            out[row] = (weights * x[present]).sum() / weights.sum()
    return out


_PLACED: Final[Mapping[str, Callable[[Values], Any]]] = {
    "IdxMax": lambda window: window.argmax() + 1,
    "IdxMin": lambda window: window.argmin() + 1,
    "WMA": _weighted,
}
_LINES: Final[Mapping[str, Statistic]] = {"Slope": lambda m: _line(m)[0], "Resi": _resi}
_STATISTICS: Final[Mapping[str, Statistic]] = {
    "Sum": _sum,
    "Mean": _mean,
    "Var": _var,
    "Std": _std,
    "Skew": _skew,
    "Kurt": _kurt,
    "Mad": _mad,
    "Max": _largest,
    "Rank": _rank,
    "Min": lambda m: -_largest(-m),
    "Med": lambda m: np.array([_NAN if np.isnan(w).all() else _middle(w) for w in m]),
}


def _middle(window: Values) -> Any:
    ordered = np.sort(window[~np.isnan(window)])
    return (ordered[(ordered.size - 1) // 2] + ordered[ordered.size // 2]) / 2
