"""The features that are defined now, and the version of the table that has them."""

from collections.abc import Iterable, Sequence

from qlops_assets.core.errors import DatasetMissingError, FactorError
from qlops_assets.core.settings import Settings
from qlops_assets.factors.alpha158_names import ALPHA158_NAMES
from qlops_assets.factors.custom import custom_factors
from qlops_assets.factors.sets import ALPHA158, CUSTOM, custom_set
from qlops_assets.features.parts import PART_ROWS
from qlops_assets.features.refresh import TABLE
from qlops_assets.features.store import FeatureStore
from qlops_assets.features.version import FeatureVersion
from qlops_assets.indicators.own import own_indicators
from qlops_assets.indicators.sets import code_version, column_names
from qlops_assets.indicators.store import INDICATORS


def known_features(settings: Settings) -> dict[str, list[str]]:
    """Return the names of the features that are defined, by set.

    Raises:
        FactorError: a factor of the user's own cannot be used.
        IndicatorError: an indicator cannot be used.
    """
    return {
        ALPHA158: list(ALPHA158_NAMES),
        CUSTOM: list(custom_factors(settings)),
        INDICATORS: column_names(settings),
    }


def own_definitions(settings: Settings) -> dict[str, str]:
    """Return what the user's own features are computed by: expressions and Python functions."""
    indicators = {name: one.version for name, one in own_indicators(settings).items()}
    return {**custom_factors(settings), **indicators}


def current_version(settings: Settings, names: Iterable[str]) -> FeatureVersion:
    """Return the newest version of the table, if it has these features as they are defined now.

    Raises:
        DatasetMissingError: it was never built, is behind its sets, or a set lacks months.
        FactorError: rows of the user's own are not those of their present definitions.
    """
    store = FeatureStore(settings)
    version = store.latest()
    if version is None:
        raise DatasetMissingError(TABLE, [], f"materialize {TABLE} first")
    behind = store.stale_months()
    if behind:
        raise DatasetMissingError(
            TABLE, behind, f"it is behind the rows of its sets: materialize {TABLE} of these months"
        )
    for part in parts_of(settings, names):
        _require_whole(version, part)
        _require_present_code(settings, version, part)
    return version


def parts_of(settings: Settings, names: Iterable[str]) -> list[str]:
    """Return the sets that hold features, in the order of the table's columns."""
    known = known_features(settings)
    owners = {name: part for part, features in known.items() for name in features}
    used = {owners[name] for name in names}
    return [part for part in PART_ROWS if part in used]


def _require_whole(version: FeatureVersion, part: str) -> None:
    rows = PART_ROWS[part]
    missing = [month for month, state in version.months.items() if part not in state.parts]
    if missing or not version.months:
        raise DatasetMissingError(rows, missing, f"materialize {rows} first")


def _require_present_code(settings: Settings, version: FeatureVersion, part: str) -> None:
    if part == ALPHA158:
        return
    code = (
        code_version(settings)
        if part == INDICATORS
        else custom_set(settings).code_version(settings)
    )
    others = _of_other_code(version, part, code)
    if others:
        rows = PART_ROWS[part]
        raise FactorError(
            f"{rows}: {len(others)} months, the first {others[0]}, are of other definitions than "
            f"the present ones, or of another engine; materialize {rows} first"
        )


def _of_other_code(version: FeatureVersion, part: str, code: str) -> Sequence[str]:
    return [month for month, state in version.months.items() if state.parts[part].code != code]
