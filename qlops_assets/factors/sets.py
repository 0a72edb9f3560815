"""The sets of factors that are stored: Alpha158, and the user's own.

Light, but for the definitions of Alpha158, which are Qlib's.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from qlops_assets.core.digests import value_digest
from qlops_assets.core.settings import Settings
from qlops_assets.factors.custom import custom_factors
from qlops_assets.factors.grammar.look_back import look_back
from qlops_assets.factors.grammar.parser import parse
from qlops_assets.factors.native.version import ENGINE_VERSION

ALPHA158: Final = "alpha158"
CUSTOM: Final = "custom"
# Of each set, the name of its rows: of the dataset, and of the asset.
ROWS: Final[Mapping[str, str]] = {ALPHA158: "alpha158_factors", CUSTOM: "custom_factors"}

# More months than any source has: a factor of the whole history looks back to all of them.
WHOLE_HISTORY_MONTHS: Final = 1200

# Months together have at least 19 trading days each, but for 12 days of long holidays: in February
# 1999 China had 7 trading days, and in every other month of that winter 19 or more.
_DAYS_A_MONTH: Final = 19
_HOLIDAYS: Final = 12


@dataclass(frozen=True, slots=True)
class FactorSet:
    """Factors that are computed and stored together.

    Attributes:
        name: Of the set; the folder of its rows in the lake.
        expressions: Factor -> Qlib expression.
    """

    name: str
    expressions: Mapping[str, str]

    @property
    def rows_name(self) -> str:
        """What its rows are called."""
        return ROWS[self.name]

    @property
    def look_back(self) -> int | None:
        """Trading days that the factors look back; None for the whole history."""
        days = [look_back(parse(text)) for text in self.expressions.values()]
        known = [d for d in days if d is not None]
        return max(known, default=0) if len(known) == len(days) else None

    def code_version(self, settings: Settings) -> str:
        """Return what the values depend on besides the bars: engine, its version, definitions."""
        definitions = value_digest(self.expressions)[:12]
        return f"{engine_version(settings)}-{definitions}"


def look_back_months(days: int | None) -> int:
    """Return how many months before its own a day's look-back reaches, in a daily calendar.

    Args:
        days: Trading days before the day; None for the whole history.
    """
    if days is None:
        return WHOLE_HISTORY_MONTHS
    months = math.ceil((days + _HOLIDAYS) / _DAYS_A_MONTH) if days else 0
    return min(months, WHOLE_HISTORY_MONTHS)


def engine_version(settings: Settings) -> str:
    """Return the engine that computes the factors, and which values it gives."""
    return f"{settings.features.engine}-{ENGINE_VERSION}"


def alpha158_set() -> FactorSet:
    """Return Alpha158; imports Qlib."""
    from qlops_assets.factors.alpha158 import alpha158_expressions

    return FactorSet(ALPHA158, alpha158_expressions())


def custom_set(settings: Settings) -> FactorSet:
    """Return the user's own factors; it may have none.

    Raises:
        FactorError: one of them cannot be used.
        SettingsError: the file that keeps them is damaged.
    """
    return FactorSet(CUSTOM, custom_factors(settings))


def factor_set(settings: Settings, name: str) -> FactorSet:
    """Return the set of that name, :data:`ALPHA158` or :data:`CUSTOM`."""
    return alpha158_set() if name == ALPHA158 else custom_set(settings)
