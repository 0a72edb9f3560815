"""Alpha158: Qlib's 158 factors, taken from Qlib's own definitions."""

import ast
from collections.abc import Callable
from datetime import date
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import polars as pl

from qlops_assets.core.digests import value_digest
from qlops_assets.factors.engine import NATIVE, evaluate

Lists = tuple[list[str], list[str]]  # expressions and names, as Qlib gives them


@cache
def alpha158_expressions() -> dict[str, str]:
    """Return name -> Qlib expression of the 158 factors, in Qlib's order.

    Source: ``qlib.contrib.data.loader.Alpha158DL.get_feature_config``. The function alone is run:
    it needs nothing of Qlib, whose import takes two seconds.
    """
    try:
        fields, names = _alone("contrib/data/loader.py", "Alpha158DL", "get_feature_config")()
    except (LookupError, NameError, OSError):  # another Qlib, where it is elsewhere or needs more
        from qlib.contrib.data.loader import Alpha158DL

        fields, names = Alpha158DL.get_feature_config()
    return dict(zip(names, fields, strict=True))


def _alone(path: str, owner: str, name: str) -> Callable[[], Lists]:
    """Return a static method of the installed Qlib's without importing the module it is in.

    Raises:
        LookupError: there is no such method.
        OSError: there is no such file.
    """
    qlib = find_spec("qlib")
    if qlib is None or not qlib.submodule_search_locations:
        raise LookupError("qlib")
    file = Path(qlib.submodule_search_locations[0]) / path
    tree = ast.parse(file.read_text(encoding="utf-8"))
    classes = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == owner)
    for node in (inner for found in classes for inner in found.body):
        if isinstance(node, ast.FunctionDef) and node.name == name:
            node.decorator_list = []
            namespace: dict[str, Callable[[], Lists]] = {}
            exec(compile(ast.Module([node], []), file, "exec"), namespace)
            return namespace[name]
    raise LookupError(f"{file}: {owner}.{name}")


def alpha158_digest() -> str:
    """Return the digest of the definitions: the code version of every factor row."""
    return value_digest(alpha158_expressions())


def alpha158(
    bars: pl.DataFrame, *, engine: str = NATIVE, since: date | None = None
) -> pl.DataFrame:
    """Return the 158 factors of a bars frame.

    Args:
        bars: A bars frame (``core.columns``).
        engine: A name of ``factors.engine.ENGINES``.
        since: Only rows from this day on; earlier bars serve as look-back.

    Returns:
        ``instrument, date`` and one float32 column per factor, in Qlib's order and with Qlib's
        rows: every calendar day between an instrument's first and last bar.

    Raises:
        UnknownEntryError: there is no such engine.
        FactorError: the bars are empty or lack a column that a factor needs, such as vwap.
    """
    return evaluate(alpha158_expressions(), bars, engine=engine, since=since)
