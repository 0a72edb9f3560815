"""Which columns of indicators this home builds, and of what version. Light."""

from importlib.metadata import version
from typing import Final

from qlops_assets.core.digests import value_digest
from qlops_assets.core.errors import IndicatorError
from qlops_assets.core.settings import Settings
from qlops_assets.factors.custom import custom_factors
from qlops_assets.indicators.names import DEFAULT_NAMES, columns
from qlops_assets.indicators.own import own_indicators, place

# Raised where values of the same name change.
VERSION: Final = 1


def built_in_names(settings: Settings) -> list[str]:
    """Return the names of the indicators of ours that are built.

    Raises:
        IndicatorError: one is unknown, there twice, or also the name of a factor.
        FactorError: a factor of the user's own cannot be used.
    """
    given = settings.indicators.names
    names = list(DEFAULT_NAMES if given is None else given)
    try:
        columns(names)
    except IndicatorError as error:
        where = f"{place(settings, 'names')}: {error.where}"
        raise IndicatorError(where, error.found, error.accepted) from error
    factors = {name.lower(): name for name in custom_factors(settings)}
    for name in names:
        if name in factors:
            raise IndicatorError(
                f"indicator {name!r}",
                f"there is a factor {factors[name]!r} of your own too",
                "name the factor otherwise, or leave the indicator out of [indicators] names",
            )
    return names


def column_names(settings: Settings) -> list[str]:
    """Return the names of all columns that are built: of ours, then of the user's own.

    Raises:
        IndicatorError: one cannot be used.
        FactorError: a factor of the user's own cannot be used.
    """
    return [*built_in_names(settings), *own_indicators(settings)]


def definitions(settings: Settings) -> dict[str, str]:
    """Return what each column that is built is computed by, in a text that tells it from others.

    Raises:
        IndicatorError: one cannot be used.
        FactorError: a factor of the user's own cannot be used.
    """
    ours = f"{VERSION}-{version('polars-talib')}"
    built_in = {name: f"{name}@{ours}" for name in built_in_names(settings)}
    return built_in | {name: one.version for name, one in own_indicators(settings).items()}


def code_version(settings: Settings) -> str:
    """Return what the values depend on besides the bars: names, definitions, the code.

    Raises:
        IndicatorError: an indicator cannot be used.
        FactorError: a factor of the user's own cannot be used.
    """
    own = {name: one.version for name, one in own_indicators(settings).items()}
    definitions = value_digest([built_in_names(settings), own])[:12]
    return f"{VERSION}-{version('polars-talib')}-{definitions}"
