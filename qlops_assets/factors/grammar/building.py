"""The rules of the language beyond its syntax: arity, windows, kinds of values, limits."""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from functools import lru_cache
from typing import Final

from qlops_assets.core.errors import ExpressionError
from qlops_assets.factors.grammar.arithmetic import NotANumberError, fold, require_bounded
from qlops_assets.factors.grammar.expression import Call, Constant, Field, Node, Number
from qlops_assets.factors.grammar.operators import INFIX, OPERATORS, UNSUPPORTED, Kind, Operator
from qlops_assets.factors.grammar.tokens import REFUSED, read_number
from qlops_assets.factors.grammar.values import Operand, UnfitError, Values, values_of

MAX_DEPTH: Final = 100
MAX_WINDOW: Final = 10_000
# The smoothing factor that weighs the past like a window of MAX_WINDOW days.
_MIN_ALPHA: Final = 2 / (MAX_WINDOW + 1)

_INSTRUMENT: Final = re.compile(r"[A-Z0-9_^][A-Z0-9_^.=-]{0,31}", re.ASCII)
# Python asks the right side where the left one is a number: 1 < $close is Gt($close, 1).
_REFLECTED: Final = {"Lt": "Gt", "Le": "Ge", "Gt": "Lt", "Ge": "Le", "Eq": "Eq", "Ne": "Ne"}
_SWAPPED: Final = {**_REFLECTED, "Mul": "Mul"}  # and Qlib puts the number of 2 * $close last


@lru_cache(maxsize=256)
def _field(word: str) -> Field:
    return Field(word[1:].lower())


class Builder:
    """Makes operands of the parts of one expression, or says what is wrong with them."""

    __slots__ = ("look_ahead", "text")

    def __init__(self, text: str, *, look_ahead: bool) -> None:
        self.text, self.look_ahead = text, look_ahead

    def error(self, position: int, found: str, accepted: str) -> ExpressionError:
        """Return the error for a character of the text."""
        return ExpressionError(self.text, position, found, accepted)

    def field(self, word: str, position: int) -> Operand:
        """Return ``$close``."""
        return Operand(_field(word), Values.NUMBERS, position)

    def number(self, word: str, position: int) -> Operand:
        """Return a number as Python reads it."""
        number = read_number(word)
        if number is None:
            raise self.error(
                position, f"found {word[:60]!r}", "a number is such as 5, 0.5 or 1e-12"
            )
        return self._constant(number, position, word)

    def instrument(self, word: str, position: int) -> Operand:
        """Return a quoted instrument, in upper case."""
        code = word[1:-1].strip().upper()
        if not _INSTRUMENT.fullmatch(code):
            raise self.error(
                position,
                f"found the instrument {word[:60]}",
                "an instrument has 1 to 32 letters, digits and . - _ ^ =, such as 'SH600000'",
            )
        return Operand(Field(code), Values.TEXT, position)  # a word; no tree will hold it

    def operator(self, name: str, position: int) -> Operator:
        """Return the operator of that name."""
        operator = OPERATORS.get(name)
        if operator is not None:
            return operator
        if name in REFUSED:
            raise self.error(position, f"found {name!r}", REFUSED[name])
        if name in UNSUPPORTED:
            raise self.error(position, f"operator {name!r} is not supported", UNSUPPORTED[name])
        raise self.error(position, f"unknown operator {name[:60]!r}", _closest(name))

    def negative(self, operand: Operand, position: int) -> Operand:
        """Return ``-x``; Qlib has it for numbers only, and ``x * -1`` is the same."""
        if isinstance(operand.node, Constant):
            return self._constant(-operand.node.value, position, "it")
        minus = Operand(Constant(-1), Values.CONSTANT, position)
        return self._call(OPERATORS["Mul"], (operand, minus), (), position)

    def positive(self, operand: Operand, position: int) -> Operand:
        """Return ``+5``; Qlib has none for a series."""
        if not isinstance(operand.node, Constant):
            raise self.error(position, "found '+' before a series", "leave it out")
        return Operand(operand.node, Values.CONSTANT, position)

    def infix(self, symbol: str, left: Operand, right: Operand) -> Operand:
        """Return ``left symbol right`` as Qlib's classes and Python make it."""
        operator = INFIX[symbol]
        if isinstance(left.node, Constant):
            if isinstance(right.node, Constant):
                return self._folded(operator, left, right)
            if operator.name in _SWAPPED:
                swapped = OPERATORS[_SWAPPED[operator.name]]
                return self._call(swapped, (right, left), (), left.position)
        return self._call(operator, (left, right), (), left.position)

    def call(self, operator: Operator, arguments: Sequence[Operand], position: int) -> Operand:
        """Return ``Operator(arguments)``."""
        wanted = operator.operands + len(operator.parameters)
        if len(arguments) != wanted:
            plural = "argument" if wanted == 1 else "arguments"
            raise self.error(
                position,
                f"{operator.name} takes {wanted} {plural}, found {len(arguments)}",
                f"write {operator.signature}",
            )
        if operator.name == "ChangeInstrument":
            arguments = arguments[::-1]
        operands = tuple(arguments[: operator.operands])
        self._require_series(operator, operands)
        given = arguments[operator.operands :]
        return self._call(operator, operands, self._parameters(operator, given), position)

    def _constant(self, number: Number, position: int, what: str) -> Operand:
        try:
            require_bounded(number)
        except NotANumberError as error:
            raise self.error(position, f"{what} {error}", "write a smaller number") from None
        return Operand(Constant(number), Values.CONSTANT, position)

    def _folded(self, operator: Operator, left: Operand, right: Operand) -> Operand:
        assert isinstance(left.node, Constant)
        assert isinstance(right.node, Constant)
        one, other = left.node.value, right.node.value
        try:
            return Operand(
                Constant(fold(operator.name, one, other)), Values.CONSTANT, left.position
            )
        except NotANumberError as error:
            raise self.error(
                left.position,
                f"{one!r} {operator.symbol} {other!r} {error}",
                "write numbers with a finite result, or a field such as $close",
            ) from None

    def _call(
        self,
        operator: Operator,
        operands: tuple[Operand, ...],
        parameters: tuple[Number | str, ...],
        position: int,
    ) -> Operand:
        try:
            values = values_of(operator, operands, parameters[0] if parameters else None)
        except UnfitError as unfit:
            raise self._unfit(operator, unfit.operand, unfit.accepted) from None
        depth = 1 + max([operand.depth for operand in operands])
        if depth > MAX_DEPTH:
            raise self.error(
                operands[-1].position,
                f"{operator.name} is nested deeper than {MAX_DEPTH} levels",
                f"an expression has at most {MAX_DEPTH}, and each term of a sum is one",
            )
        nodes: tuple[Node, ...] = tuple([operand.node for operand in operands])
        return Operand(Call(operator.name, nodes, parameters), values, position, depth)

    def _require_series(self, operator: Operator, operands: tuple[Operand, ...]) -> None:
        """Refuse numbers where Qlib needs a series, and texts."""
        pair = operator.kind is Kind.PAIR
        free = 2 if pair or operator.kind is Kind.CHOICE else 0  # the last ones may be numbers
        for operand in operands[: len(operands) - free]:
            if operand.values is Values.CONSTANT or operand.values is Values.TEXT:
                raise self._unfit(
                    operator, operand, f"needs a series there; write {operator.signature}"
                )
        for operand in operands:
            if operand.values is Values.TEXT:
                raise self._unfit(operator, operand, f"write {operator.signature}")
        if pair and operands[0].values is operands[1].values is Values.CONSTANT:
            raise self._unfit(operator, operands[0], "one of its operands must be a series")

    def _unfit(self, operator: Operator, operand: Operand, accepted: str) -> ExpressionError:
        named = f"{operator.symbol} ({operator.name})" if operator.symbol else operator.name
        return self.error(operand.position, f"{named} found {_shown(operand)}", accepted)

    def _parameters(self, operator: Operator, given: Sequence[Operand]) -> tuple[Number | str, ...]:
        if operator.kind is Kind.REFERENCE:
            return (self._code(operator, given[0]),)
        if not given:
            return ()
        days = self._days(operator, given[0])
        return (days, self._score(operator, given[1])) if len(given) > 1 else (days,)

    def _code(self, operator: Operator, operand: Operand) -> str:
        if operand.values is not Values.TEXT or not isinstance(operand.node, Field):
            raise self._unfit(
                operator, operand, f"needs a quoted instrument; write {operator.signature}"
            )
        return operand.node.name

    def _days(self, operator: Operator, operand: Operand) -> Number:
        days = self._parameter(operator, operand, "a whole number of days, such as 5")
        if isinstance(days, int):
            self._require_window(operator, days, operand)
        elif operator.name != "EMA" or not _MIN_ALPHA <= days < 1:
            also = f", or a weight of {_MIN_ALPHA:.4f} to 1" if operator.name == "EMA" else ""
            raise self._unfit(operator, operand, f"needs a whole number of days{also}")
        return days

    def _require_window(self, operator: Operator, days: int, operand: Operand) -> None:
        shift = operator.kind is Kind.SHIFT
        if shift and days < 0 and not self.look_ahead:
            raise self.error(
                operand.position,
                f"{operator.name} by {days} looks {-days} days ahead",
                "only labels may; write a positive number of days",
            )
        if abs(days) > MAX_WINDOW:
            raise self._unfit(operator, operand, f"a window has at most {MAX_WINDOW:,} days")
        if days == 0 and not operator.expanding:
            raise self._unfit(operator, operand, "Qlib has it over no whole history; write days")
        if not shift and days != 0 and days < operator.smallest:
            least = f"a window of {operator.smallest} day{'s' * (operator.smallest > 1)}"
            history = "; 0 is the whole history" if operator.expanding else ""
            raise self._unfit(operator, operand, f"needs {least} or more{history}")

    def _score(self, operator: Operator, operand: Operand) -> Number:
        score = self._parameter(operator, operand, "a score of 0 to 1, such as 0.8")
        if not 0 <= score <= 1:
            raise self._unfit(operator, operand, "needs a score of 0 to 1, such as 0.8")
        return score

    def _parameter(self, operator: Operator, operand: Operand, wanted: str) -> Number:
        if not isinstance(operand.node, Constant):
            raise self._unfit(operator, operand, f"needs {wanted}; write {operator.signature}")
        return operand.node.value


def _closest(name: str) -> str:
    by_lower = {known.lower(): known for known in OPERATORS}
    close = get_close_matches(name.lower(), by_lower, n=1)
    if not close:
        return f"the operators are {', '.join(sorted(OPERATORS))}"
    operator = OPERATORS[by_lower[close[0]]]
    return f"did you mean {operator.name!r}? Write {operator.signature}"


def _shown(operand: Operand) -> str:
    if isinstance(operand.node, Constant):
        return f"the number {operand.node.value!r}"
    return "a series" if operand.values is Values.NUMBERS else str(operand.values)
