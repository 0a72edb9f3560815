"""Qlib's operators as one table: what each takes, and what numpy calls it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Kind(StrEnum):
    """The shape of an operator: what it takes and how it looks at rows."""

    ELEMENT = "element"
    PAIR = "pair"
    CHOICE = "choice"
    SHIFT = "shift"
    WINDOW = "window"
    PAIR_WINDOW = "pair_window"
    REFERENCE = "reference"


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator of ``qlib.data.ops``.

    Attributes:
        name: Qlib's class name.
        kind: Its shape.
        operands: How many series it takes; a number may stand for one of them where the kind is
            PAIR, and for the second and third of CHOICE.
        parameters: What it takes besides: ``days``, ``score`` (a quantile in [0, 1]) or
            ``instrument``.
        smallest: The shortest window that Qlib accepts, in days.
        expanding: Whether 0 days is accepted and means the whole history.
        symbol: Its infix form, if it has one.
        numpy: The numpy function behind an element-wise operator.
    """

    name: str
    kind: Kind
    operands: int
    parameters: tuple[str, ...] = ()
    smallest: int = 1
    expanding: bool = True
    symbol: str | None = None
    numpy: str | None = None

    @property
    def signature(self) -> str:
        """How it is written: ``Mean(x, days)``."""
        operands = ["condition", "x", "y"] if self.kind is Kind.CHOICE else ["x", "y"]
        parameters = ["'SH600000'" if p == "instrument" else p for p in self.parameters]
        arguments = [*operands[: self.operands], *parameters]
        if self.name == "ChangeInstrument":
            arguments.reverse()
        return f"{self.name}({', '.join(arguments)})"


def _elements() -> Iterator[Operator]:
    for name, numpy in (("Abs", "abs"), ("Sign", "sign"), ("Log", "log"), ("Not", "bitwise_not")):
        yield Operator(name, Kind.ELEMENT, 1, numpy=numpy)


def _pairs() -> Iterator[Operator]:
    for name, numpy, symbol in (
        ("Add", "add", "+"),
        ("Sub", "subtract", "-"),
        ("Mul", "multiply", "*"),
        ("Div", "divide", "/"),
        ("Power", "power", "**"),
        ("Greater", "maximum", None),
        ("Less", "minimum", None),
        ("Gt", "greater", ">"),
        ("Ge", "greater_equal", ">="),
        ("Lt", "less", "<"),
        ("Le", "less_equal", "<="),
        ("Eq", "equal", "=="),
        ("Ne", "not_equal", "!="),
        ("And", "bitwise_and", "&"),
        ("Or", "bitwise_or", "|"),
    ):
        yield Operator(name, Kind.PAIR, 2, symbol=symbol, numpy=numpy)


def _windows() -> Iterator[Operator]:
    for name in ("Ref", "Delta"):
        yield Operator(name, Kind.SHIFT, 1, ("days",))
    for name in (
        *("Mean", "Sum", "Std", "Var", "Max", "Min", "IdxMax", "IdxMin", "Med", "Mad"),
        *("Rank", "Count", "Slope", "Rsquare", "Resi", "WMA", "EMA"),
    ):
        yield Operator(name, Kind.WINDOW, 1, ("days",))
    yield Operator("Skew", Kind.WINDOW, 1, ("days",), smallest=3)
    yield Operator("Kurt", Kind.WINDOW, 1, ("days",), smallest=4)
    yield Operator("Quantile", Kind.WINDOW, 1, ("days", "score"))
    # Qlib's own Corr fails over the whole history: its mask asks pandas for a window of 0.
    yield Operator("Corr", Kind.PAIR_WINDOW, 2, ("days",), expanding=False)
    yield Operator("Cov", Kind.PAIR_WINDOW, 2, ("days",))


def _others() -> Iterator[Operator]:
    yield Operator("If", Kind.CHOICE, 3)
    for name in ("Mask", "ChangeInstrument"):
        yield Operator(name, Kind.REFERENCE, 1, ("instrument",))


OPERATORS: Final[Mapping[str, Operator]] = MappingProxyType(
    {
        operator.name: operator
        for family in (_elements(), _pairs(), _windows(), _others())
        for operator in family
    }
)

INFIX: Final[Mapping[str, Operator]] = MappingProxyType(
    {operator.symbol: operator for operator in OPERATORS.values() if operator.symbol}
)

# Qlib knows these names as well.
UNSUPPORTED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "TResample": "it changes the rows, and a factor has one value for every day",
        "Rolling": "it takes a pandas method by name; use the operator itself, such as Mean",
        "Feature": "a field is written with a dollar, such as $close",
        "PFeature": "it reads point-in-time reports, and bars hold none",
        "P": "it reads point-in-time reports, and bars hold none",
        "PRef": "it reads point-in-time reports, and bars hold none",
    }
)
