"""Expressions made ready to be computed over a panel."""

from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qlops_assets.core.errors import FactorError
from qlops_assets.factors.grammar.look_back import look_back
from qlops_assets.factors.grammar.parser import parse
from qlops_assets.factors.native.panel import Integers, Panel
from qlops_assets.factors.native.program import Columns, Program
from qlops_assets.factors.native.references import References


class Factors:
    """A set of expressions: their program, and the programs of instruments that they name.

    Attributes:
        names: The factors, in the order asked for.
        look_back: Days of history that a value depends on; None for all.
        program: What computes them, over fields and columns of other instruments.
    """

    def __init__(self, expressions: Mapping[str, str]) -> None:
        trees = {name: parse(text, look_ahead=True) for name, text in expressions.items()}
        self.names = list(trees)
        days = [look_back(tree) for tree in trees.values()]
        known = [d for d in days if d is not None]
        self.look_back = max(known, default=0) if len(known) == len(days) else None
        references = References()
        own = references.take_out(trees)
        self._others = {
            column: (code, Program.of({column: tree}, {}))
            for column, (code, tree) in references.columns.items()
        }
        self.program = Program.of(
            own, {column: _aligned_dtype(program) for column, (_, program) in self._others.items()}
        )

    @staticmethod
    def of(expressions: Mapping[str, str]) -> "Factors":
        """Return the factors of expressions; the last few sets are remembered."""
        return _remembered(tuple(expressions.items()))

    @property
    def instruments(self) -> set[str]:
        """The instruments that expressions name."""
        return {code for code, _ in self._others.values()}

    def require_instruments(self, known: Collection[str]) -> None:
        """Refuse expressions that name an instrument without bars.

        Args:
            known: The instruments that have bars on any day, also on one that is not computed from.

        Raises:
            FactorError: one does.
        """
        for code in sorted(self.instruments.difference(known)):
            raise FactorError(
                f"found instrument {code!r} in an expression; it has no bars, as "
                f"{', '.join(sorted(known)[:3])} and others have"
            )

    def fields(self, panel: Panel, threads: int) -> dict[str, NDArray[Any]]:
        """Return the values by row of everything that the program reads."""
        return {
            name: self._of_another(panel, name, threads)
            if name in self._others
            else panel.field(name)
            for name in self.program.fields
        }

    def columns(self, panel: Panel, threads: int) -> Columns:
        """Return every factor for every row of a panel."""
        return self.program.compute(self.fields(panel, threads), panel.bounds, threads=threads)

    def last_day(self, panel: Panel) -> Columns:
        """Return every factor for the instruments that have a row on the panel's last day."""
        days = min((self.look_back or 0) + 1, panel.calendar.size)
        tables, ages = last_tables(panel, self.fields(panel, 1), days)
        return self.program.compute_last_day(tables, ages)

    def _of_another(self, panel: Panel, column: str, threads: int) -> NDArray[Any]:
        code, program = self._others[column]
        dtype = _aligned_dtype(program)
        if code not in panel.codes:  # it has bars on other days only
            return np.full(panel.rows, np.nan, dtype)
        place = panel.codes.index(code)
        own = panel.part(place, place + 1)
        fields = {name: own.field(name) for name in program.fields}
        values = program.compute(fields, own.bounds, threads=threads, dtype=dtype)
        return panel.at_places(code, values[0])


@lru_cache(maxsize=16)
def _remembered(expressions: tuple[tuple[str, str], ...]) -> Factors:
    return Factors(dict(expressions))


def _aligned_dtype(program: Program) -> np.dtype[Any]:
    """Return the type of another instrument's values beside one's own: missing days are NaN."""
    (dtype,) = program.dtypes()
    return dtype if dtype.kind == "f" else np.dtype(np.float64)


def last_tables(
    panel: Panel, fields: Mapping[str, NDArray[Any]], days: int
) -> tuple[dict[str, NDArray[Any]], Integers]:
    """Return the last days of the instruments that have a row on the last, as tables.

    Returns:
        Field -> days by instruments, NaN where an instrument has no row yet; and the place of each
        row in its instrument's history, from 1, less than 1 where there is none.
    """
    begins, ends = panel.bounds[:-1], panel.bounds[1:]
    present = panel.first + (ends - begins) == panel.calendar.size
    begin, end = begins[present], ends[present]
    rows = end[None, :] - np.arange(days, 0, -1, dtype=np.int64)[:, None]
    ages = rows - begin[None, :] + 1
    rows = np.maximum(rows, begin[None, :])
    tables = {name: values[rows] for name, values in fields.items()}
    for table in tables.values():
        table[ages < 1] = np.nan
    return tables, ages
