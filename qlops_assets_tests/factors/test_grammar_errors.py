"""Whatever is no factor expression is refused at the character that is wrong."""

import pickle

import pytest

from qlops_assets.core.errors import ExpressionError, FactorError
from qlops_assets.factors.grammar.parser import parse

# The text, with ▸ before the character at which the error points; and a part of its message.
REFUSED = [
    # nothing, or no field
    ("▸", "the expression is empty"),
    ("   ▸", "the expression is empty"),
    ("▸5 * 3", "found the number 15 only; needs a field, such as $close"),
    ("▸1 < 2", "1 < 2 has no field on either side"),
    # names
    ("1 + ▸meen($close, 5)", "unknown operator 'meen'; did you mean 'Mean'? Write Mean(x, days)"),
    ("▸mean($close, 5)", "did you mean 'Mean'?"),
    ("▸STD($close, 5)", "did you mean 'Std'?"),
    ("▸Avg($close, 5)", "unknown operator 'Avg'; the operators are Abs, Add,"),
    ("▸TResample($close, '1M', 'last')", "operator 'TResample' is not supported"),
    ("▸Rolling($close, 5, 'mean')", "operator 'Rolling' is not supported"),
    ("▸PRef($$roe_q, 201401)", "operator 'PRef' is not supported"),
    ("▸P($$roe_q)", "operator 'P' is not supported"),
    ("▸Feature('close')", "operator 'Feature' is not supported; a field is written with a dollar"),
    ("$open + ▸close", "found 'close'; a field begins with a dollar, such as $close"),
    ("▸Mean", "found 'Mean'; write Mean(x, days)"),
    ("▸$$roe_q", "point-in-time"),
    ("▸$", "a field is a dollar and its name"),
    ("▸$收盘", "a field is a dollar and its name"),
    # arity
    ("1 + ▸Mean($close)", "Mean takes 2 arguments, found 1; write Mean(x, days)"),
    ("▸Mean($close, 5, 6)", "Mean takes 2 arguments, found 3"),
    ("▸Abs($close, 5)", "Abs takes 1 argument, found 2"),
    ("▸Corr($close, 5)", "write Corr(x, y, days)"),
    ("▸Mean()", "Mean takes 2 arguments, found 0"),
    ("▸If($close > 1, 2)", "write If(condition, x, y)"),
    # windows
    ("Mean($close, ▸-5)", "Mean found the number -5; needs a window of 1 day or more; 0 is the"),
    ("Mean($close, ▸5.0)", "Mean found the number 5.0; needs a whole number of days"),
    ("Mean($close, ▸10 / 2)", "needs a whole number of days"),
    ("Mean($close, ▸$open)", "Mean found a series; needs a whole number of days"),
    ("Mean($close, ▸10001)", "a window has at most 10,000 days"),
    ("Ref($close, ▸10001)", "a window has at most 10,000 days"),
    ("Skew($close, ▸2)", "needs a window of 3 days or more"),
    ("Kurt($close, ▸3)", "needs a window of 4 days or more"),
    ("Corr($close, $open, ▸0)", "Qlib has it over no whole history"),
    ("EMA($close, ▸1.0)", "or a weight of 0.0002 to 1"),
    ("EMA($close, ▸1e-9)", "or a weight of 0.0002 to 1"),
    ("EMA($close, ▸0.0)", "needs a whole number of days"),
    ("Max($close, ▸0.5)", "needs a whole number of days"),
    ("Quantile($close, 5, ▸1.5)", "needs a score of 0 to 1"),
    ("Quantile($close, 5, ▸-0.1)", "needs a score of 0 to 1"),
    ("Quantile($close, 5, ▸$open)", "needs a score of 0 to 1"),
    ("Ref($close, ▸-2)", "Ref by -2 looks 2 days ahead; only labels may"),
    ("Delta($close, ▸-1)", "Delta by -1 looks 1 days ahead"),
    # a number where there has to be a series
    ("Mean(▸5, $close)", "Mean found the number 5; needs a series there; write Mean(x, days)"),
    ("Corr($close, ▸5, 3)", "Corr found the number 5"),
    ("Abs(▸5)", "Abs found the number 5"),
    ("Add(▸1, 2) + $close", "+ (Add) found the number 1; one of its operands must be a series"),
    ("If(▸1, $close, $open)", "If found the number 1"),
    ("Ref(▸2 * 3, 1)", "Ref found the number 6"),
    # kinds of values
    ("Not(▸$close)", "Not found a series; needs a condition"),
    ("($close > 1) & ▸$open", "& (And) found a series; needs a condition"),
    ("▸1 | ($close > 1)", "| (Or) found the number 1; needs a condition"),
    ("$close > ▸1 & $open > 2", "& (And) found the number 1; needs a condition"),
    ("▸If($close > 1, 1, 0) & ($close > 1)", "found a series of whole numbers; needs a condition"),
    ("▸($close > 1) - ($open > 1)", "- (Sub) found a condition; needs a number"),
    ("▸($close > 1) / ($open > 1)", "/ (Div) found a condition; needs a number"),
    ("▸($close > 1) ** 2", "** (Power) found a condition; needs a number"),
    ("Log(▸$close > 1)", "Log found a condition; needs a number, such as If(condition, 1, 0)"),
    ("Ref(▸$close > 1, 1)", "Ref found a condition; needs a number, such as If(condition, 1, 0)"),
    ("Delta(▸$close > 1, 1)", "Delta found a condition"),
    ("If($close > 1, 1, 0) ** ▸-1", "needs a float where the base is whole"),
    ("2 ** ▸If($close > 1, 1, 0)", "needs a float where the base is whole"),
    ("▸+$close", "found '+' before a series; leave it out"),
    # numbers
    ("▸1 / 0 * $close", "1 / 0 divides by zero"),
    ("$close * ▸(2 - 3) ** 0.5", "-1 ** 0.5 is not a real number"),
    ("▸0 ** -1 * $close", "0 ** -1 divides by zero"),
    ("▸10.0 ** 400 * $close", "10.0 ** 400 is too large"),
    ("▸9 ** 9 ** 9 * $close", "is a whole number beyond 2**53"),
    ("▸1e300 * 1e300 * $close", "1e+300 * 1e+300 is too large"),
    ("$close * ▸1e999", "1e999 is too large"),
    ("$close * ▸9007199254740993", "is a whole number beyond 2**53"),
    ("$close * ▸05", "found '05'; a number is such as 5"),
    ("$close * ▸5abc", "found '5abc'"),
    ("$close * ▸0x10", "found '0x10'"),
    ("$close * ▸1j", "found '1j'"),
    ("$close * ▸1__0", "found '1__0'"),
    ("$close * ▸1.5.5", "found '1.5.5'"),
    ("$close * ▸5.real", "found '5.real'"),
    # syntax
    ("$close +▸", "the expression ends; write a field"),
    ("Mean($close,▸", "the expression ends"),
    ("▸* $close", "found '*'"),
    ("$close ▸$open", "found '$open'; write an operator"),
    ("$close ▸(1)", "found '('"),
    ("$close ▸5", "found '5'"),
    ("$close ▸Mean($close, 5)", "found 'Mean('"),
    ("1 + ▸($close", "found '(' that is not closed"),
    ("1 + ▸Mean($close, 5", "found '(' that is not closed"),
    ("$close▸)", "found ')'; there is no open '('"),
    ("▸)", "found ')'"),
    ("(▸)", "found ')'"),
    ("Mean($close,▸)", "found ')'"),
    ("Mean(▸, 5)", "found ','"),
    ("$close▸, $open", "found ','; only the arguments of an operator"),
    ("($close▸, $open)", "found ','; only the arguments of an operator"),
    ("1 < $close ▸< 2", "found '<' after another comparison; put each comparison in parentheses"),
    ("$close == $open ▸!= $low", "put each comparison in parentheses"),
    ("$close > 1 ▸and $open > 1", "found 'and'; write & between conditions in parentheses"),
    ("$close > 1 ▸or $open > 1", "write | between conditions in parentheses"),
    ("▸not $close", "found 'not'; write Not(condition)"),
    ("▸not ($close > 1)", "found 'not'; write Not(condition)"),
    ("▸~($close > 1)", "found '~'; write Not(condition)"),
    ("$close ▸if $open else 1", "write If(condition, x, y)"),
    ("$close ▸% 2", "there is no remainder"),
    ("$close ▸// 2", "there is no whole division"),
    ("$close ▸^ 2", "write ** for a power"),
    ("$close▸@5min", "a field has no frequency here"),
    ("$close ▸<< 1", "found '<<'"),
    ("$close ▸# comment", "an expression holds no comment"),
    ("$close▸; $open", "found ';'"),
    ("$close ▸＋ $open", "found '＋'"),
    ("$close\u00a0▸+ 1".replace("\u00a0▸", "▸\u00a0"), "write an operator"),
    ("Mean(▸feature=$close, N=5)", "found 'feature'"),
    ("Mean($close, ▸N=5)", "found 'N'"),
    ("$close ▸= 5", "write == to compare"),
    ("▸True & ($close > 1)", "write a comparison"),
    # quotes
    ("▸'SH600000'", "found the quoted text 'SH600000'; only an instrument is quoted"),
    ("Mean($close, ▸'5')", "found the quoted text '5'"),
    ("▸'$close' + 1", "found the quoted text"),
    ("Mask($close, ▸SH600000)", "found 'SH600000'"),
    ("Mask($close, ▸5)", "Mask found the number 5; needs a quoted instrument"),
    ("Mask(▸'SH600000', $close)", "Mask found a quoted text; needs a series there"),
    ("ChangeInstrument($close, ▸'A')", "write ChangeInstrument('SH600000', x)"),
    ("ChangeInstrument(▸$open, $close)", "needs a quoted instrument"),
    ("Mask($close, 'A' ▸+ 'B')", "found '+' after an instrument"),
    ("Mask($close, ▸'../../etc')", "found the instrument '../../etc'"),
    ("Mask($close, ▸'..')", "found the instrument '..'"),
    ("Mask($close, ▸'')", "found the instrument ''"),
    ("Mask($close, ▸'a$b')", "found the instrument 'a$b'"),
    ("Mask($close, ▸'A\\x00')", "found the instrument"),
    ("Mask($close, ▸'A", "the quote has no end"),
    # code
    ("▸[$close,[[].__class__.__base__.__subclasses__][0]()][0]", "found '['"),
    ("▸__import__('os').system('true')", "unknown operator '__import__'"),
    ("$close▸.__class__", "nothing has attributes here"),
    ("Mean($close, 5)▸.feature", "nothing has attributes here"),
    ("▸lambda x: 1", "found 'lambda'"),
    ("▸Operators", "found 'Operators'"),
    ("▸eval('1')", "unknown operator 'eval'"),
    ("$close▸[0]", "found '['"),
    ("▸{}", "found '{'"),
    ("▸(lambda: 1)()".replace("▸(", "(▸"), "found 'lambda'"),
    ("▸\\", "found '\\\\'"),
    ("▸`1`", "found '`'"),
]


@pytest.mark.parametrize(("marked", "message"), REFUSED, ids=[marked for marked, _ in REFUSED])
def test_expression_that_is_none_is_refused_at_the_character(marked: str, message: str) -> None:
    text = marked.replace("▸", "")
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert (caught.value.position, caught.value.text) == (marked.index("▸"), text)
    assert message in str(caught.value).splitlines()[0]


def test_message_has_a_first_line_that_stands_alone_and_shows_the_character() -> None:
    with pytest.raises(FactorError) as caught:
        parse("$close + mean($open, 5)")
    assert str(caught.value).splitlines() == [
        "expression, character 10: unknown operator 'mean'; did you mean 'Mean'? "
        "Write Mean(x, days)",
        "  $close + mean($open, 5)",
        "           ^",
    ]


def test_message_for_a_long_expression_shows_only_the_surroundings_of_the_character() -> None:
    text = "$close + " * 40 + "meen($close, 5)" + " + $close" * 40
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    first, excerpt, caret = str(caught.value).splitlines()
    assert "character 361:" in first
    assert len(excerpt) <= 70
    assert excerpt[caret.index("^") :].startswith("meen(")


def test_message_holds_no_control_characters_of_the_expression() -> None:
    with pytest.raises(ExpressionError) as caught:
        parse("$close \x1b[31m\n\r %")
    assert "".join(str(caught.value).splitlines()).isprintable()
    assert str(caught.value).count("\n") == 2


def test_error_crosses_processes_whole() -> None:
    with pytest.raises(ExpressionError) as caught:
        parse("Mean($close, -5)")
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert (again.text, again.position, again.found, again.accepted) == (
        "Mean($close, -5)",
        13,
        "Mean found the number -5",
        "needs a window of 1 day or more; 0 is the whole history",
    )
