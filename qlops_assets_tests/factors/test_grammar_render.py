import re

import pytest
from hypothesis import given, settings

from qlops_assets.factors.grammar.parser import parse
from qlops_assets.factors.grammar.render import render
from qlops_assets_tests.support.expressions import factors, qlib_reads


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("$close/$open - 1", "Sub(Div($close,$open),1)"),
        ("-$close", "Mul($close,-1)"),
        ("$close*(0 - 0.5)", "Mul($close,-0.5)"),
        ("$close * -0.0", "Mul($close,-0.0)"),
        ("$close+1e30", "Add($close,1e+30)"),
        ("Ref($CLOSE, 5)", "Ref($close,5)"),
        ("Quantile($close, 5, .2)", "Quantile($close,5,0.2)"),
        ("If($close>$open, 1, -1)", "If(Gt($close,$open),1,-1)"),
        ('Mask ($close, "sh600000")', "Mask($close,'SH600000')"),
        ("ChangeInstrument('sh000300', $close)", "ChangeInstrument('SH000300',$close)"),
    ],
)
def test_rendered_tree_is_canonical(text: str, canonical: str) -> None:
    assert render(parse(text)) == canonical
    assert repr(parse(canonical)) == repr(parse(text))


@given(factors(leaves=20))
@settings(deadline=None)
def test_rendered_tree_is_read_back_exactly_by_us_and_by_qlib(text: str) -> None:
    tree = parse(text)
    again = render(tree)
    assert repr(parse(again)) == repr(tree)
    # Qlib prints the very form that we render.
    assert qlib_reads(again) == again


@given(factors(leaves=20))
@settings(deadline=None)
def test_rendered_text_holds_only_what_the_language_has(text: str) -> None:
    assert re.fullmatch(r"(?:[A-Za-z]+\(|\$[a-z]+|-?[0-9][0-9.e+-]*|[,)])+", render(parse(text)))


def test_label_is_read_back_with_its_look_ahead() -> None:
    label = parse("Ref($close, -2)/Ref($close, -1) - 1", look_ahead=True)
    assert render(label) == "Sub(Div(Ref($close,-2),Ref($close,-1)),1)"
    assert parse(render(label), look_ahead=True) == label
