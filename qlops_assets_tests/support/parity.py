"""How the values of two engines are compared, and how a dispute between them is settled."""

import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from qlops_assets.factors.engine import evaluate
from qlops_assets_tests.support.long_double import long_double, rows_of

Bools = NDArray[np.bool_]

KEY: Final = ["instrument", "date"]
# Relative, of the results of windows, and of the largest of them: what a change of rounding can do.
_ROUNDING: Final = 1e-12
_DISTURBANCES: Final = 400


def agree(found: NDArray[Any], expected: NDArray[Any]) -> Bools:
    """Return where |d| ≤ 1e-5 + 1e-4·|y|, both are NaN, or both are the same infinity."""
    x, y = found.astype(np.float64), expected.astype(np.float64)
    with np.errstate(all="ignore"):
        near = np.abs(x - y) <= 1e-5 + 1e-4 * np.abs(y)
    close: Bools = (near & np.isfinite(y)) | (x == y) | (np.isnan(x) & np.isnan(y))
    return close


def by_qlib(expressions: Mapping[str, str], bars: pl.DataFrame) -> pl.DataFrame:
    """Return Qlib's factor frame; what numpy and pandas warn of on the way is in the values."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return evaluate(expressions, bars, engine="qlib", look_ahead=True)


def by_long_double(expressions: Mapping[str, str], bars: pl.DataFrame) -> pl.DataFrame:
    """Return the factor frame of the definitions."""
    frames = []
    for code in bars["instrument"].unique().sort():
        days, rows = rows_of(bars, code)
        values = {name: long_double(text, rows) for name, text in expressions.items()}
        frames.append(pl.DataFrame({"instrument": code, "date": days, **values}))
    return pl.concat(frames)


def assert_same_bits(found: pl.DataFrame, expected: pl.DataFrame) -> None:
    """Fail unless two factor frames have the same rows and bit patterns; NaN is NaN."""
    assert found.columns == expected.columns
    assert found.select(KEY).equals(expected.select(KEY))
    for name in found.columns[2:]:
        x, y = found[name].to_numpy(), expected[name].to_numpy()
        assert x.dtype == y.dtype == np.float32
        other = (x.view(np.uint32) != y.view(np.uint32)) & ~(np.isnan(x) & np.isnan(y))
        if other.any():
            at = int(np.flatnonzero(other)[0])
            rows = f"{other.sum()} rows, first {found.row(at)[:2]}"
            raise AssertionError(f"{name}: {rows}: {x[at]!r}, expected {y[at]!r}")


@dataclass
class Verdict:
    """What came of comparing two engines cell by cell.

    Attributes:
        cells: How many were compared.
        disputed: Where native and Qlib differ.
        native_right: Of these, where native is what the definitions say.
        undecided: Of these, where the definitions themselves say nothing firm: the value turns on
            the last digits of a window's result, as in Rank over correlations that are all 1, or
            powers of values do not fit into float64.
        wrong: The others: expression, instrument, day, and the three values.
    """

    cells: int = 0
    disputed: int = 0
    native_right: int = 0
    undecided: int = 0
    wrong: list[tuple[object, ...]] = field(default_factory=list)
    by_expression: Counter[str] = field(default_factory=Counter)


def settle(expressions: Mapping[str, str], bars: pl.DataFrame) -> Verdict:
    """Compute by both engines, and judge every cell in which they differ in long double."""
    native = evaluate(expressions, bars)
    qlib = by_qlib(expressions, bars)
    assert native.select(KEY).equals(qlib.select(KEY))
    verdict = Verdict(cells=native.height * len(expressions))
    codes = native["instrument"].to_numpy()
    rows: dict[str, Any] = {}
    for name, text in expressions.items():
        disputed = ~agree(native[name].to_numpy(), qlib[name].to_numpy())
        for code in sorted(set(codes[disputed])):
            if code not in rows:
                rows[code] = rows_of(bars, code)[1]
            mine = codes == code
            values = native[name].to_numpy()[mine], qlib[name].to_numpy()[mine]
            _judge(verdict, text, code, values, disputed[mine], rows[code])
    return verdict


def _judge(
    verdict: Verdict,
    text: str,
    code: str,
    values: tuple[NDArray[Any], NDArray[Any]],
    disputed: Bools,
    rows: Mapping[str, NDArray[Any]],
) -> None:
    verdict.disputed += int(disputed.sum())
    verdict.by_expression[text] += int(disputed.sum())
    try:
        exact = long_double(text, rows)
    except OverflowError:
        verdict.undecided += int(disputed.sum())
        return
    open_ = disputed & ~agree(values[0], exact)
    verdict.native_right += int(disputed.sum() - open_.sum())
    loose = _turns_on_rounding(text, rows, exact, open_) if open_.any() else open_
    verdict.undecided += int(loose.sum())
    verdict.wrong += [
        (text, code, int(row), *(v[row] for v in (*values, exact)))
        for row in np.flatnonzero(open_ & ~loose)
    ]


def _turns_on_rounding(
    text: str, rows: Mapping[str, NDArray[Any]], exact: NDArray[Any], open_: Bools
) -> Bools:
    """Return which open cells change when the last digits of windows' results do."""
    rng = np.random.default_rng(0)
    loose = np.zeros_like(open_)

    def disturb(values: NDArray[Any]) -> NDArray[Any]:
        sign = rng.choice([-1.0, 1.0], values.size)
        return values * (1 + _ROUNDING * sign) + 1e-2 * _ROUNDING * _size(values) * sign

    shortening = [_shortening(share) for share in (1e-14, 1e-13, 1e-12)]
    for disturbance in [*shortening, *[disturb] * _DISTURBANCES]:
        if not (open_ & ~loose).any():
            break
        loose |= open_ & ~agree(long_double(text, rows, disturbance), exact)
    return loose


def _shortening(share: float) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Return what takes last digits away, so that numbers which differ in nothing else are equal.

    More of them from window to window, as errors of inner ones grow in outer ones.
    """
    shares = chain((share * 10.0**n for n in range(4)), repeat(share * 1e4))

    def shorten(values: NDArray[Any]) -> NDArray[Any]:
        step = 2.0 ** np.round(np.log2(next(shares) * _size(values)))
        shortened: NDArray[Any] = np.round(values / step) * step
        return shortened

    return shorten


def _size(values: NDArray[Any]) -> Any:
    return np.abs(values[np.isfinite(values)]).max(initial=0.0)
