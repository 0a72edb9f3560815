"""The words of an expression, and what to say about those that are none."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from qlops_assets.factors.grammar.expression import Number

# The name of the group that matched is the kind of the token; whatever is no token is ``other``.
TOKENS: Final = re.compile(
    r"""
      (?P<field>\$[A-Za-z_]\w*)
    | (?P<number>(?:[0-9]|\.[0-9])(?:[eE][-+]|[\w.])*)
    | (?P<call>[A-Za-z_]\w*\s*\()
    | (?P<name>[A-Za-z_]\w*)
    | (?P<symbol>\*\*|//|<<|>>|<=|>=|==|!=|->|:=|[-+*/<>&|(),])
    | (?P<quoted>'[^'\n]*'|"[^"\n]*")
    | (?P<other>\$\$|\S)
    """,
    re.VERBOSE | re.ASCII,
)

_WHOLE: Final = re.compile(r"0(?:_?0)*|[1-9](?:_?[0-9])*")
_DIGITS: Final = r"[0-9](?:_?[0-9])*"
_DECIMAL: Final = re.compile(
    rf"(?:{_DIGITS}\.?(?:{_DIGITS})?|\.{_DIGITS})(?:[eE][-+]?{_DIGITS})?", re.ASCII
)
_LONGEST_NUMBER: Final = 60

REFUSED: Final[Mapping[str, str]] = {
    "and": "write & between conditions in parentheses: ($close > 1) & ($open > 1)",
    "or": "write | between conditions in parentheses: ($close > 1) | ($open > 1)",
    "not": "write Not(condition)",
    "~": "write Not(condition)",
    "^": "write ** for a power",
    "=": "write == to compare; arguments are given by place, not by name",
    "if": "write If(condition, x, y)",
    "else": "write If(condition, x, y)",
    "True": "write a comparison, such as $close > 0",
    "False": "write a comparison, such as $close > 0",
    "//": "there is no whole division; write /",
    "%": "there is no remainder",
    "@": "a field has no frequency here; write $close",
    ".": "nothing has attributes here",
    "$$": "point-in-time fields are not supported, as bars hold none; write $close",
    "$": "a field is a dollar and its name in letters, digits and _, such as $close",
    "[": "write parentheses to group",
    "{": "write parentheses to group",
    "'": "the quote has no end; only an instrument is quoted, as in Mask($close, 'SH600000')",
    '"': "the quote has no end; only an instrument is quoted, as in Mask($close, 'SH600000')",
    "#": "an expression holds no comment",
}


def read_number(word: str) -> Number | None:
    """Return the number that Python reads in a word, or ``None`` where it reads no real number."""
    if len(word) > _LONGEST_NUMBER:
        return None
    if _WHOLE.fullmatch(word):
        return int(word)
    if _DECIMAL.fullmatch(word) and not word.replace("_", "").isdigit():
        return float(word)
    return None


def field_positions(text: str) -> Iterator[tuple[str, int]]:
    """Yield the name and the position of every field of an expression."""
    for match in TOKENS.finditer(text):
        if match.lastgroup == "field":
            yield match[0][1:].lower(), match.start()
