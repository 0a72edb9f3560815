"""Factors of the user's own on the small market, one of which holds its planted signal."""

from dataclasses import replace
from pathlib import Path

from qlops_assets.core.settings import Settings
from qlops_assets_tests.support.market import build_table, copied

# The market gives four days' moves back two days later; ``MA5`` and others of Alpha158 see it too.
OWN = {"BACK4": "1-$close/Ref($close,4)", "SPREAD": "($high-$low)/$close"}


def with_own_factors(settings: Settings) -> Settings:
    """Return settings that define them."""
    return replace(settings, factors=OWN)


def with_features(settings: Settings, *features: str) -> Settings:
    """Return settings of a training on these features."""
    return replace(settings, training=replace(settings.training, features=features))


def build_own_factors(settings: Settings) -> None:
    """Compute and store the rows of the user's own factors for every month of bars."""
    from qlops_assets.factors.sets import CUSTOM, factor_set
    from qlops_assets.factors.store import build_factors
    from qlops_assets.lake.datasets import bars_dataset

    build_factors(settings, factor_set(settings, CUSTOM), bars_dataset(settings).months())
    build_table(settings)


def market_with_own_factors(market: Settings, folder: Path) -> Settings:
    """Copy a home into a folder and store the rows of the user's own factors there."""
    settings = with_own_factors(copied(market, folder / "home"))
    build_own_factors(settings)
    return settings
