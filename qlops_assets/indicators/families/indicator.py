"""What a family of indicators is: what it says of itself, and how it is computed.

Light: names are read and listed without Polars.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import polars as pl

    from qlops_assets.indicators.families.inputs import Inputs

Number = int | float
Parameters = Mapping[str, Number]
Build = Callable[["Inputs", Parameters], Mapping[str, "pl.Expr"]]

# The longest window there may be, in bars, and the largest other parameter.
MOST: Final = 2_500
TALIB: Final = "TA-Lib"


class Group(StrEnum):
    """The groups that indicators are listed by."""

    TREND = "trend"
    MOMENTUM = "momentum"
    VOLUME = "volume"
    VOLATILITY = "volatility"
    COMPOSITE = "composite"


@dataclass(frozen=True, slots=True, kw_only=True)
class Indicator:
    """A family of indicators, such as all RSIs; its parameters tell them apart.

    It is computed for each instrument over the days on which that was traded: a day without
    trading is no bar, and has no value.

    Attributes:
        name: Of the family: ``rsi``.
        title: Its usual name.
        group: What it is listed under.
        formula: How a value follows from the bars.
        source: Whose definition it is, and what computes it.
        units: What a value is measured in.
        parameters: Name -> default, in the order in which a column's name gives them.
        warm_up: Bars before the first value, of parameters and an output.
        build: Expressions by output, and asks for what has to be computed before them.
        variants: Names of the columns that are built where nothing else is asked for.
        outputs: Suffix of a column's name -> what it holds; the suffix of the main one is empty.
        recursive: Whether a value depends on the whole history, not on a window.
        exact: Whether a window gives the same bits wherever the bars before it begin. Running
            sums do not: their rounding remembers all that passed through them.
        scale: By what a value is multiplied where all prices are multiplied by ``c``: ``"c"`` or
            ``"1"``.
        scales: The same of those outputs of which it is something else.
        least: Name -> least value of the parameters that may not be 2 or must be more.
        fault: Says what is wrong with parameters together; nothing where they fit.
        note: What else a user should know.
    """

    name: str
    title: str
    group: Group
    formula: str
    source: str
    units: str
    parameters: Parameters
    warm_up: Callable[[Parameters, str], int]
    build: Build
    variants: tuple[str, ...]
    outputs: Mapping[str, str] = field(default_factory=lambda: {"": ""})
    recursive: bool = False
    exact: bool = False
    scale: str = "1"
    scales: Mapping[str, str] = field(default_factory=dict)
    least: Parameters = field(default_factory=dict)
    fault: Callable[[Parameters], str] = lambda _: ""
    note: str = ""

    def look_back(self, parameters: Parameters, output: str = "") -> int | None:
        """Return how many bars before its own a value depends on; None for the whole history."""
        return None if self.recursive else self.warm_up(parameters, output)

    def scale_of(self, output: str) -> str:
        """Return by what an output is multiplied where all prices are multiplied by ``c``."""
        return self.scales.get(output, self.scale)

    def least_of(self, parameter: str) -> Number:
        """Return the least value that a parameter may have."""
        return self.least.get(parameter, 2)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of its outputs with the parameters' defaults."""
        return tuple(f"{self.name}_{suffix}" if suffix else self.name for suffix in self.outputs)
