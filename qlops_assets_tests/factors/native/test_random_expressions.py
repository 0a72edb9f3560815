"""Expressions drawn from the grammar: both engines, and long double where they differ."""

from collections.abc import Iterator

import numpy as np
import polars as pl
import pytest

from qlops_assets.core.errors import ExpressionError
from qlops_assets.factors.engine import evaluate
from qlops_assets.factors.grammar.expression import Call, walk
from qlops_assets.factors.grammar.operators import OPERATORS, Kind
from qlops_assets.factors.grammar.parser import parse
from qlops_assets_tests.support.expressions import deep_factors, different, mixtures
from qlops_assets_tests.support.parity import Verdict, settle

DRAWN = 300


@pytest.fixture(scope="module")
def drawn() -> dict[str, str]:
    """Return 300 expressions by their own text."""
    return {text: text for text in different(deep_factors(), DRAWN)}


@pytest.fixture(scope="module")
def verdict(drawn: dict[str, str], odd: pl.DataFrame) -> Verdict:
    return settle(drawn, odd)


def test_random_expressions_agree_with_qlib_or_with_their_definition(verdict: Verdict) -> None:
    assert verdict.wrong == []
    assert verdict.cells > DRAWN * 800


def test_random_expressions_are_disputed_and_undecided_in_few_cells(verdict: Verdict) -> None:
    assert verdict.disputed < 0.03 * verdict.cells
    assert verdict.undecided < 0.002 * verdict.cells


def test_random_expressions_have_all_but_every_operator(drawn: dict[str, str]) -> None:
    nodes = (node for text in drawn for node in walk(parse(text)))
    met = {node.operator for node in nodes if isinstance(node, Call)}
    all_ = {name for name in OPERATORS if OPERATORS[name].kind is not Kind.REFERENCE}
    assert len(all_ - met) <= 1  # another release of Hypothesis draws others
    assert all_ - met <= {name for name in all_ if not OPERATORS[name].parameters}


def test_random_expressions_are_not_mostly_nan(drawn: dict[str, str], odd: pl.DataFrame) -> None:
    values = evaluate(drawn, odd).drop("instrument", "date").to_numpy()
    filled = (~np.isnan(values)).any(axis=0).mean()
    assert filled > 0.8


def test_random_mixtures_of_kinds_of_values_agree(odd: pl.DataFrame) -> None:
    texts = {text: text for text in _readable(different(mixtures(), 150))}
    assert len(texts) > 60
    assert settle(texts, odd).wrong == []


def _readable(texts: list[str]) -> Iterator[str]:
    for text in texts:
        try:
            parse(text)
        except ExpressionError:
            continue
        yield text
