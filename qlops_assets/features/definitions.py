"""What the columns of the feature table are computed by."""

from dataclasses import dataclass

from qlops_assets.core.errors import FactorError, nearest
from qlops_assets.core.settings import Settings
from qlops_assets.factors.alpha158 import alpha158_expressions
from qlops_assets.factors.custom import custom_factors
from qlops_assets.factors.grammar.look_back import fields, look_back
from qlops_assets.factors.grammar.parser import parse
from qlops_assets.factors.sets import ALPHA158, CUSTOM, ROWS
from qlops_assets.factors.store import factor_dataset
from qlops_assets.indicators.names import column as indicator_of
from qlops_assets.indicators.own import own_indicators, own_look_back
from qlops_assets.indicators.reads import bar_columns
from qlops_assets.indicators.sets import column_names
from qlops_assets.indicators.store import ROWS as ROWS_OF_INDICATORS
from qlops_assets.indicators.store import indicator_dataset
from qlops_assets.lake.datasets import MonthlyDataset


@dataclass(frozen=True, slots=True)
class ColumnDefinition:
    """What a column is computed by.

    Attributes:
        column: Its name.
        rows: The asset that holds its rows.
        expression: Its formula.
        fields: The columns of the bars that it reads.
        look_back_days: Trading days before a day that its value depends on; None for all history.
    """

    column: str
    rows: str
    expression: str
    fields: tuple[str, ...]
    look_back_days: int | None


def column_definition(settings: Settings, column: str) -> tuple[ColumnDefinition, MonthlyDataset]:
    """Return what a column is computed by, and the dataset of its rows.

    Raises:
        FactorError: there is no such column, or a factor of the user's own cannot be used.
    """
    sets = {ALPHA158: alpha158_expressions(), CUSTOM: custom_factors(settings)}
    for name, expressions in sets.items():
        if column in expressions:
            tree = parse(expressions[column])
            definition = ColumnDefinition(
                column,
                ROWS[name],
                expressions[column],
                tuple(sorted(fields(tree))),
                look_back(tree),
            )
            return definition, factor_dataset(settings, name)
    indicators = column_names(settings)
    if column in indicators:
        return _indicator(settings, column), indicator_dataset(settings)
    known = [*(name for expressions in sets.values() for name in expressions), *indicators]
    raise FactorError(
        f"unknown column {column!r}{nearest(column, known)} `qlops factor list` shows the factors, "
        "`qlops indicator list` the indicators"
    )


def _indicator(settings: Settings, name: str) -> ColumnDefinition:
    own = own_indicators(settings)
    reads = bar_columns(name, own)
    if name in own:
        return ColumnDefinition(
            name, ROWS_OF_INDICATORS, own[name].definition, reads, own_look_back(own, name)
        )
    found = indicator_of(name)
    given = ", ".join(f"{key} {value:g}" for key, value in found.parameters.items())
    formula = f"{found.indicator.formula} ({given})" if given else found.indicator.formula
    return ColumnDefinition(name, ROWS_OF_INDICATORS, formula, reads, found.look_back)
