"""Names of factors, and of the fields that they may read."""

import re
from collections.abc import Collection
from typing import Final

from qlops_assets.core.columns import BARS, DATE, INSTRUMENT, LABEL, OPTIONAL
from qlops_assets.core.errors import ExpressionError, FactorError, nearest
from qlops_assets.factors.grammar.tokens import field_positions

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)
# ``change`` is the field that Qlib's files hold besides the columns of the bars.
_SETS: Final = ("alpha158", "custom")  # a training's feature list names them beside factors
_TAKEN: Final = {name.lower(): name for name in (*BARS, *OPTIONAL, "change", LABEL)}


def check_name(name: str) -> None:
    """Refuse a factor name that cannot be a column of a factor frame.

    Raises:
        FactorError: it is not 1 to 64 letters, digits and underscores, begins with a digit, or is
            the name of a key, of the label, of a field of the bars or of a set, in whatever case.
    """
    if not _NAME.fullmatch(name):
        raise FactorError(
            f"factor name {name[:80]!r}; a name has 1 to 64 letters, digits and underscores, "
            "and does not begin with a digit"
        )
    if name.lower() in _SETS:
        raise FactorError(
            f"factor name {name!r} is that of a set of factors; choose another, such as "
            f"'{name}_factor'"
        )
    taken = _TAKEN.get(name.lower())
    if taken is not None:
        what = "key" if taken in {INSTRUMENT, DATE} else "label" if taken == LABEL else "field"
        raise FactorError(
            f"factor name {name!r} is that of the {what} {taken!r}; choose another, such as "
            f"'{name}_factor'"
        )


def require_free(name: str, taken: Collection[str]) -> None:
    """Refuse a name that another factor has; tables that ignore case could not hold both.

    Raises:
        FactorError: a factor of that name exists, in whatever case.
    """
    for other in taken:
        if other.lower() == name.lower():
            raise FactorError(f"factor name {name!r}: there is a factor {other!r}; choose another")


def require_fields(text: str, known: Collection[str]) -> None:
    """Refuse an expression over a field that is not there; Qlib gives NaN without a word.

    Args:
        text: An expression that parses.
        known: The fields there are, in lower case and without the dollar.

    Raises:
        ExpressionError: it reads another; the error points at it.
    """
    for name, position in field_positions(text):
        if name not in known:
            listed = ", ".join(f"${field}" for field in known)
            hint = nearest(name, list(known)).removeprefix("; ")
            accepted = f"{hint} The fields are {listed}" if hint else f"the fields are {listed}"
            raise ExpressionError(text, position, f"unknown field '${name[:60]}'", accepted)
