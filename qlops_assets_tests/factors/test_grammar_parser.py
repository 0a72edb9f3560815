import ast
import math
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qlops_assets.core.errors import ExpressionError
from qlops_assets.factors.alpha158 import alpha158_expressions
from qlops_assets.factors.grammar.expression import Call, Constant, Field, Node
from qlops_assets.factors.grammar.operators import INFIX, OPERATORS
from qlops_assets.factors.grammar.parser import parse
from qlops_assets.factors.grammar.render import render
from qlops_assets_tests.support.expressions import (
    COMPARISONS,
    factors,
    fields,
    mixtures,
    qlib_computes,
    qlib_reads,
)

CLOSE, OPEN = Field("close"), Field("open")

PYTHON: dict[type[ast.AST], str] = {
    ast.Add: "Add",
    ast.Sub: "Sub",
    ast.Mult: "Mul",
    ast.Div: "Div",
    ast.Pow: "Power",
    ast.Lt: "Lt",
    ast.LtE: "Le",
    ast.Gt: "Gt",
    ast.GtE: "Ge",
    ast.Eq: "Eq",
    ast.NotEq: "Ne",
    ast.BitAnd: "And",
    ast.BitOr: "Or",
}


def python_reads(text: str) -> Node:
    """Return the tree that Python's own parser makes of operators between fields."""
    return _tree(ast.parse(text.replace("$", ""), mode="eval").body)


def _tree(node: ast.expr) -> Node:
    if isinstance(node, ast.Name):
        return Field(node.id)
    if isinstance(node, ast.UnaryOp):
        return Call("Mul", (_tree(node.operand), Constant(-1)))
    if isinstance(node, ast.Compare):
        (operator,), (right,) = node.ops, node.comparators
        return Call(PYTHON[type(operator)], (_tree(node.left), _tree(right)))
    assert isinstance(node, ast.BinOp)
    return Call(PYTHON[type(node.op)], (_tree(node.left), _tree(node.right)))


def joined(atoms: st.SearchStrategy[str], symbols: list[str]) -> st.SearchStrategy[str]:
    """Draw atoms with symbols between them."""
    rest = st.lists(st.tuples(st.sampled_from(symbols), atoms), min_size=1, max_size=6)
    return st.tuples(atoms, rest).map(lambda t: t[0] + "".join(f"{s} {a}" for s, a in t[1]))


def arithmetic() -> st.SearchStrategy[str]:
    signed = st.tuples(st.sampled_from(["", "-", "--"]), fields()).map("".join)
    symbols = ["+", "-", "*", "/", "**"]
    return st.recursive(
        signed, lambda inner: joined(inner | inner.map("({})".format), symbols), max_leaves=12
    )


def comparison() -> st.SearchStrategy[str]:
    return st.tuples(arithmetic(), st.sampled_from(COMPARISONS), arithmetic()).map("".join)


@given(arithmetic() | comparison())
@example("-$open**-$close**$low*$high")
def test_operators_bind_as_in_python(text: str) -> None:
    assert parse(text) == python_reads(text)


@given(joined(comparison().map("({})".format), ["&", "|"]))
@settings(max_examples=40)
def test_conditions_bind_as_in_python(text: str) -> None:
    assert parse(text) == python_reads(text)


@given(factors())
@settings(deadline=None)
def test_random_expression_is_read_as_qlib_reads_it(text: str) -> None:
    assert qlib_reads(render(parse(text))) == qlib_reads(text)


EVERY_OPERATOR = [
    *(f"{name}($close)" for name in ("Abs", "Sign", "Log")),
    *(f"{name}($close, $open)" for name in OPERATORS if OPERATORS[name].kind == "pair"),
    *(f"{name}(2, $open)" for name in OPERATORS if OPERATORS[name].kind == "pair"),
    *(f"{name}($close, 20)" for name in OPERATORS if OPERATORS[name].kind in {"window", "shift"}),
    *(f"{name}($close, $open, 20)" for name in ("Corr", "Cov")),
    "Not($close > $open)",
    "And($close > 1, $open > 1)",
    "Or($close > 1, $open > 1)",
    "Quantile($close, 5, 0.8)",
    "If($close > $open, $close, 1.5)",
    "Mask($close, 'SH000300')",
    'ChangeInstrument("SH000300", Mean($close, 5))',
    *(f"$close {symbol} $open" for symbol in INFIX if symbol not in "&|"),
    *(f"$close {symbol} 2" for symbol in INFIX if symbol not in "&|"),
    *(f"2 {symbol} $close" for symbol in INFIX if symbol not in "&|"),
    "($close > 1) & ($open > 1) | ($low > 1)",
    "Mean ($close, 2 * 5) / $close",
    "$close\t+  $open",
    "$volume ** 0.5 ** 2",
    "(1 - 2) * $close - 3 * 2",
    "$close_5 + $X5",
]
REFUSED_THERE = {"Quantile($close, 20)", "And(2, $open)", "Or(2, $open)"} | {
    f"{name}($close, $open)" for name in ("And", "Or")
}


@pytest.mark.parametrize("text", [text for text in EVERY_OPERATOR if text not in REFUSED_THERE])
def test_expression_is_read_as_qlib_reads_it(text: str) -> None:
    assert qlib_reads(render(parse(text))).lower() == qlib_reads(text).lower()


@pytest.mark.parametrize("name", alpha158_expressions())
def test_alpha158_expression_is_read_as_qlib_reads_it(name: str) -> None:
    text = alpha158_expressions()[name]
    tree = parse(text)
    assert qlib_reads(render(tree)) == qlib_reads(text)
    assert parse(render(tree)) == tree


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("2*$close", Call("Mul", (CLOSE, Constant(2)))),
        ("2+$close", Call("Add", (Constant(2), CLOSE))),
        ("1 < $close", Call("Gt", (CLOSE, Constant(1)))),
        ("Lt(1, $close)", Call("Lt", (Constant(1), CLOSE))),
        ("-$close", Call("Mul", (CLOSE, Constant(-1)))),
        ("$CLOSE", CLOSE),
        ("(($close))", CLOSE),
        ("+5 * $close", Call("Mul", (CLOSE, Constant(5)))),
        ("EMA($close, 0.5)", Call("EMA", (CLOSE,), (0.5,))),
        ("Mean($close, 10 - 5)", Call("Mean", (CLOSE,), (5,))),
        ("Mean($close, 0)", Call("Mean", (CLOSE,), (0,))),
        ("Mask($close, 'sh000300')", Call("Mask", (CLOSE,), ("SH000300",))),
        ("ChangeInstrument('^gspc', $close)", Call("ChangeInstrument", (CLOSE,), ("^GSPC",))),
        ("Sub($close > 1, 1)", Call("Sub", (Call("Gt", (CLOSE, Constant(1))), Constant(1)))),
    ],
)
def test_expression_gives_the_tree(text: str, tree: Node) -> None:
    assert repr(parse(text)) == repr(tree)  # repr tells 1 from 1.0


def numbers() -> st.SearchStrategy[str]:
    whole = st.integers(0, 50).map(str)
    decimal = st.floats(0, 50).map(repr)
    written = st.sampled_from(["1_000", "05.5", "5.", ".5", "1e3", "1E-2", "00", "1_0.2_5e+1_0"])
    signed = st.tuples(st.sampled_from(["", "-", "+"]), whole | decimal | written).map("".join)
    return st.recursive(
        signed,
        lambda inner: (
            joined(inner.map("({})".format), ["+", "-", "*", "/"]) | inner.map("({})**2".format)
        ),
        max_leaves=5,
    )


def read(text: str) -> Node | ExpressionError:
    try:
        return parse(text)
    except ExpressionError as error:
        return error


@given(numbers())
def test_numbers_are_those_of_python(text: str) -> None:
    found = read(f"$close / ({text})")
    try:
        number = eval(text)
    except (ZeroDivisionError, OverflowError):
        number = math.nan
    if isinstance(found, ExpressionError):
        # There is none, or one on the way to it was too large.
        assert math.isnan(number) or "2**53" in found.found or "too large" in found.found
    else:
        assert repr(found) == repr(Call("Div", (CLOSE, Constant(number))))


@pytest.mark.parametrize(
    "text", ["Ref($close, -2) / Ref($close, -1) - 1", "Delta($close, -5)", "Ref($close, 0 - 3)"]
)
def test_look_ahead_is_read_only_where_it_is_allowed(text: str) -> None:
    assert isinstance(parse(text, look_ahead=True), Call)
    with pytest.raises(ExpressionError, match=r"looks \d days ahead"):
        parse(text)


def test_whole_numbers_and_conditions_are_told_apart_like_numpy_does() -> None:
    condition = "($close > 1)"
    for text in (
        f"Abs({condition}) & {condition}",
        f"({condition} + {condition}) & {condition}",
        f"If({condition}, {condition}, {condition}) | {condition}",
        f"Not(Mask({condition}, 'A'))",
        f"Ref(If({condition}, 1, 0), 1) ** -1",
        f"If({condition}, 1, 0) ** 2",
        f"If({condition}, 1, 0) ** -1.0",
        f"If({condition}, 1.0, 0) ** -1",
        f"Ref({condition} * 2, 5)",
        f"({condition} - 1) * {condition}",
        f"Mean({condition}, 5) ** -1",
        f"If({condition} * 2, 1, 0)",
        f"Slope({condition}, 5)",
    ):
        assert isinstance(parse(text), Call), text


def damaged() -> st.SearchStrategy[str]:
    """Draw expressions of which a part was replaced by something else."""
    other = st.text("$ab5.e'\"()+-*/<>=&|, _~%[", max_size=3) | st.sampled_from(["Mean", "not "])
    return st.tuples(factors(leaves=4), st.integers(0, 60), st.integers(0, 3), other).map(
        lambda t: t[0][: t[1]] + t[3] + t[0][t[1] + t[2] :]
    )


@given(st.text(max_size=200) | st.text("$ab5.e'\"()+-*/<>=&|, _MeanRef", max_size=60) | damaged())
def test_any_text_is_read_or_refused_at_a_character(text: str) -> None:
    found = read(text)
    if isinstance(found, ExpressionError):
        assert 0 <= found.position <= len(text)
        assert str(found).count("\n") == 2
    else:
        assert repr(parse(render(found))) == repr(found)


@given(damaged())
@settings(deadline=None, max_examples=300)
def test_whatever_is_read_qlib_reads_the_same_or_not_at_all(text: str) -> None:
    found = read(text)
    if isinstance(found, ExpressionError):
        return
    try:
        theirs = qlib_reads(text)
    except TypeError:  # Qlib has no minus sign before a series
        assert "-" in text
        return
    assert qlib_reads(render(found)).lower() == theirs.lower()


@given(mixtures())
@settings(deadline=None, max_examples=400)
@example("If($close > 1, 1, 0) ** 2")
@example("Ref(If($close > 1, 1, 0), 1) ** -1")
@example("Not(If($close > 1, $close > 2, $open > 2))")
def test_whatever_is_read_qlib_computes(text: str) -> None:
    found = read(text)
    if not isinstance(found, ExpressionError):
        computed = qlib_computes(render(found))
        assert (len(computed), computed.dtype.kind in "bif") == (30, True)


@pytest.mark.parametrize(
    "text",
    [
        *(character * 100_000 for character in "(-+$5.'aé \n"),
        *("(" * 9_999, "-" * 9_999, "-" * 9_998 + "$a", "$a+" * 4_999 + "$a"),
        *("2**" * 3_000 + "$a", "$a**" * 2_499 + "$a", "Abs(" * 2_499, "9" * 9_999),
        *("Abs(" * 101 + "$a" + ")" * 101, "1e" + "9" * 4_000, "9**9**9**9*$a", "''" * 4_999),
        *("$a<" * 3_000 + "$a", "a" * 9_000 + "(", "Mean(" + "$a," * 3_000, "(" * 101 + "$a"),
    ],
    ids=lambda text: f"{text[:6]}x{len(text)}",
)
def test_monstrous_text_is_refused_at_once(text: str) -> None:
    began = time.perf_counter()
    with pytest.raises(ExpressionError):
        parse(text)
    assert time.perf_counter() - began < 1


def test_depth_of_a_hundred_is_read_by_qlib_too() -> None:
    for text in ("$a" + "+$a" * 99, "Abs(" * 99 + "$a" + ")" * 99, "(" * 100 + "$a" + ")" * 100):
        assert qlib_reads(render(parse(text))) == qlib_reads(text)
    for text in ("$a" + "+$a" * 100, "Abs(" * 100 + "$a" + ")" * 100, "-" * 100 + "$a"):
        with pytest.raises(ExpressionError, match="deeper than 100"):
            parse(text)
