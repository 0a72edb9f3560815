import pytest

from qlops_assets.core.columns import BARS, OPTIONAL
from qlops_assets.core.errors import ExpressionError, FactorError
from qlops_assets.factors.alpha158 import alpha158_expressions
from qlops_assets.factors.grammar.names import check_name, require_fields, require_free

KNOWN = ("open", "high", "low", "close", "volume")


@pytest.mark.parametrize("name", ["a", "_", "Momentum_20", "x" * 64, "_5", "LABEL1", "closes"])
def test_name_that_can_be_a_column_is_accepted(name: str) -> None:
    check_name(name)


def test_names_of_alpha158_are_accepted_but_for_those_of_fields() -> None:
    for name in alpha158_expressions():
        check_name(name)


@pytest.mark.parametrize(
    "name", ["", "5a", "a-b", "a b", "a.b", "x" * 65, "é", "a\n", "$close", "a/b", "x'", "５"]
)
def test_name_that_cannot_be_a_column_is_refused(name: str) -> None:
    with pytest.raises(FactorError, match="1 to 64 letters, digits and underscores"):
        check_name(name)


@pytest.mark.parametrize("name", [*BARS, *OPTIONAL, "change", "LABEL0", "label0", "Close", "DATE"])
def test_name_of_a_column_of_ours_is_refused(name: str) -> None:
    with pytest.raises(FactorError, match=r"is that of the (key|label|field)"):
        check_name(name)


@pytest.mark.parametrize("name", ["alpha158", "Alpha158", "custom"])
def test_name_of_a_set_is_refused(name: str) -> None:
    with pytest.raises(FactorError, match="is that of a set of factors; choose another, such as"):
        check_name(name)


@pytest.mark.parametrize("name", ["MA5", "ma5", "Ma5"])
def test_name_that_shadows_another_factor_is_refused(name: str) -> None:
    with pytest.raises(FactorError, match="there is a factor 'MA5'; choose another"):
        require_free(name, alpha158_expressions())


def test_name_that_no_factor_has_is_free() -> None:
    require_free("MY_MA5", alpha158_expressions())


def test_expression_over_known_fields_is_accepted() -> None:
    require_fields("Mean($Close, 5)/$VOLUME", KNOWN)


def test_expression_over_an_unknown_field_is_refused_at_it_with_the_nearest() -> None:
    text = "Mean($close, 5)/$colse"
    with pytest.raises(ExpressionError) as caught:
        require_fields(text, KNOWN)
    assert caught.value.position == text.index("$colse")
    assert "unknown field '$colse'; did you mean 'close'?" in str(caught.value)
    assert "'close'? The fields are $open, $high, $low, $close, $volume" in str(caught.value)
