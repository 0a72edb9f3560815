"""Text to tree, by a stack of operators that wait for their right side.

Nothing is evaluated and nothing recurses, so no text can run code or exhaust Python's stack.
Precedence is Python's, as Qlib leaves it to Python: ``**``, minus sign, ``* /``, ``+ -``, ``&``,
``|``, comparisons.
"""

import re
from functools import lru_cache
from typing import Final

from qlops_assets.core.errors import ExpressionError
from qlops_assets.factors.grammar.building import MAX_DEPTH, Builder
from qlops_assets.factors.grammar.expression import Constant, Node
from qlops_assets.factors.grammar.operators import OPERATORS, UNSUPPORTED, Kind, Operator
from qlops_assets.factors.grammar.tokens import REFUSED, TOKENS
from qlops_assets.factors.grammar.values import Operand, Values

MAX_LENGTH: Final = 10_000
_REMEMBERED: Final = 1_000  # characters; the trees of longer texts would fill the memory

_OPEN: Final = 0
_COMPARISON: Final = 1
_BINDING: Final = {
    **dict.fromkeys(("<", "<=", ">", ">=", "==", "!="), _COMPARISON),
    "|": 2,
    "&": 3,
    **dict.fromkeys(("+", "-"), 4),
    **dict.fromkeys(("*", "/"), 5),
    "**": 7,
}
_SIGN: Final = 6


def parse(text: str, *, look_ahead: bool = False) -> Node:
    """Return the tree of an expression in Qlib's language, such as ``Mean($close, 5)/$close``.

    An expression has at most 10,000 characters, 100 levels (brackets within brackets, operators
    within operators, terms of a sum) and windows of at most 10,000 days.

    Args:
        text: The expression.
        look_ahead: Whether ``Ref`` and ``Delta`` may look at later days, as a label does.

    Raises:
        ExpressionError: it is none; the error points at the character.
    """
    return (_remembered if len(text) <= _REMEMBERED else _read)(text, look_ahead)


def _read(text: str, look_ahead: bool) -> Node:
    if len(text) > MAX_LENGTH:
        raise ExpressionError(
            text,
            MAX_LENGTH,
            f"the expression has {len(text):,} characters",
            f"at most {MAX_LENGTH:,} are accepted",
        )
    return _Parser(text, look_ahead=look_ahead).tree()


_remembered = lru_cache(maxsize=1024)(_read)


class _Waiting:
    """Something that waits for what stands to its right: an operator, a sign, an open bracket."""

    __slots__ = ("base", "binding", "operator", "position", "symbol")

    def __init__(
        self,
        symbol: str,
        binding: int,
        position: int,
        *,
        operator: Operator | None = None,
        base: int = 0,
    ) -> None:
        self.symbol, self.binding, self.position = symbol, binding, position
        self.operator, self.base = operator, base  # of a bracket: whose, and its first argument


class _Parser:
    """One reading of one text."""

    __slots__ = ("_build", "_depth", "_ready", "_text", "_waiting")

    def __init__(self, text: str, *, look_ahead: bool) -> None:
        self._text = text
        self._build = Builder(text, look_ahead=look_ahead)
        self._ready: list[Operand] = []
        self._waiting: list[_Waiting] = []
        self._depth = 0  # open brackets

    def tree(self) -> Node:
        """Read the whole text."""
        wants_operand = True
        for match in TOKENS.finditer(self._text):
            wants_operand = self._operand(match) if wants_operand else self._operator(match)
        end = len(self._text)
        if wants_operand:
            found = "the expression ends" if self._text.strip() else "the expression is empty"
            raise self._build.error(end, found, "write a field, a number or an operator there")
        self._settle(_OPEN + 1)
        if self._waiting:
            opened = self._waiting[-1].position
            raise self._build.error(opened, "found '(' that is not closed", "write ')' after it")
        node = self._ready.pop().node
        if isinstance(node, Constant):
            raise self._build.error(
                0, f"found the number {node.value!r} only", "needs a field, such as $close"
            )
        return node

    def _operand(self, match: re.Match[str]) -> bool:
        """Take a token where an operand should begin; return whether one is still wanted."""
        word, position = match[0], match.start()
        match match.lastgroup:
            case "field":
                self._ready.append(self._build.field(word, position))
            case "number":
                self._ready.append(self._build.number(word, position))
            case "call":
                self._open(position, self._build.operator(word[:-1].rstrip(), position))
                return True
            case "symbol":
                return self._sign_or_bracket(word, position)
            case "quoted":
                self._quoted(word, position)
            case _:
                raise self._no_operand(word, position)
        return False

    def _operator(self, match: re.Match[str]) -> bool:
        """Take a token after an operand; return whether an operand is wanted next."""
        word, position = match[0], match.start()
        binding = _BINDING.get(word)
        if binding is not None:
            self._infix(word, binding, position)
            return True
        if word == ",":
            self._separate(position)
            return True
        if word != ")":
            raise self._no_operator(word, position)
        self._close(position)
        return False

    def _infix(self, symbol: str, binding: int, position: int) -> None:
        if self._ready[-1].values is Values.TEXT:
            raise self._build.error(
                position, f"found {symbol!r} after an instrument", "write a comma or ')' there"
            )
        # A power waits for the power to its right; everything else is taken from the left.
        self._settle(binding + 1 if symbol == "**" or binding == _COMPARISON else binding)
        if binding == _COMPARISON and self._waiting and self._waiting[-1].binding == _COMPARISON:
            raise self._build.error(
                position,
                f"found {symbol!r} after another comparison",
                "put each comparison in parentheses: ($close > 1) & ($open > 1)",
            )
        self._waiting.append(_Waiting(symbol, binding, position))

    def _settle(self, binding: int) -> None:
        """Apply what waits and binds at least as tightly."""
        waiting, ready, build = self._waiting, self._ready, self._build
        while waiting and waiting[-1].binding >= binding:
            last = waiting.pop()
            right = ready.pop()
            if last.binding != _SIGN:
                ready.append(build.infix(last.symbol, ready.pop(), right))
            elif last.symbol == "-":
                ready.append(build.negative(right, last.position))
            else:
                ready.append(build.positive(right, last.position))

    def _sign_or_bracket(self, word: str, position: int) -> bool:
        if word == "(":
            self._open(position)
            return True
        if word in {"-", "+"}:
            self._waiting.append(_Waiting(word, _SIGN, position))
            return True
        last = self._waiting[-1] if self._waiting else None
        if word == ")" and last and last.operator and last.base == len(self._ready):
            self._close(position)  # which tells how many arguments are missing
            return False
        raise self._no_operand(word, position)

    def _open(self, position: int, operator: Operator | None = None) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._build.error(
                position,
                f"found more than {MAX_DEPTH} open brackets",
                f"at most {MAX_DEPTH} may be open at once",
            )
        base = len(self._ready)
        self._waiting.append(_Waiting("(", _OPEN, position, operator=operator, base=base))

    def _close(self, position: int) -> None:
        self._settle(_OPEN + 1)
        if not self._waiting:
            raise self._build.error(position, "found ')'", "there is no open '(' before it")
        opened = self._waiting.pop()
        self._depth -= 1
        if opened.operator is None:
            self._ready[-1].position = opened.position
            return
        arguments = self._ready[opened.base :]
        del self._ready[opened.base :]
        self._ready.append(self._build.call(opened.operator, arguments, opened.position))

    def _separate(self, position: int) -> None:
        self._settle(_OPEN + 1)
        if not self._waiting or self._waiting[-1].operator is None:
            raise self._build.error(
                position, "found ','", "only the arguments of an operator are separated by one"
            )

    def _quoted(self, word: str, position: int) -> None:
        operator = self._waiting[-1].operator if self._waiting else None
        if operator is None or operator.kind is not Kind.REFERENCE:
            raise self._build.error(
                position,
                f"found the quoted text {word[:60]}",
                "only an instrument is quoted, as in Mask($close, 'SH600000')",
            )
        self._ready.append(self._build.instrument(word, position))

    def _no_operand(self, word: str, position: int) -> ExpressionError:
        if word in OPERATORS:
            accepted = f"write {OPERATORS[word].signature}"
        elif word in UNSUPPORTED:
            accepted = UNSUPPORTED[word]
        elif word[0].isalpha() or word[0] == "_":
            accepted = REFUSED.get(word, f"a field begins with a dollar, such as ${word[:30]}")
        else:
            accepted = REFUSED.get(word, "write a field, a number or an operator there")
        return self._build.error(position, f"found {word[:60]!r}", accepted)

    def _no_operator(self, word: str, position: int) -> ExpressionError:
        name = word[:-1].rstrip() if word.endswith("(") else word
        accepted = REFUSED.get(name, "write an operator such as + or a comma there")
        return self._build.error(position, f"found {word[:60]!r}", accepted)
