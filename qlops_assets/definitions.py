"""The composition root: settings in, Dagster definitions out.

``defs`` is made when it is first asked for, so that importing this module costs nothing: Dagster
alone takes longer to import than ``qlops --help`` may take to answer.
"""

from typing import TYPE_CHECKING, Any

from qlops_assets.core.settings import Settings, keep_freed_memory

if TYPE_CHECKING:
    import dagster as dg

    defs: dg.Definitions


def build_definitions(settings: Settings) -> "dg.Definitions":
    """Return every asset, check, job and sensor for a home.

    Args:
        settings: Of the home; its source decides the first month, its environments the partitions
            of ``deployment``.
    """
    import warnings

    keep_freed_memory()
    import dagster as dg

    with warnings.catch_warnings():
        # Backfill policies and two partition mappings: beta in 1.13, which is what we are bound to.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return _definitions(settings)


def _definitions(settings: Settings) -> "dg.Definitions":
    import dagster as dg

    from qlops_assets.defs.automation import build_automation, build_jobs, build_schedules
    from qlops_assets.defs.deployment.assets import build_assets as deployment_assets
    from qlops_assets.defs.factors.assets import build_assets as factor_assets
    from qlops_assets.defs.factors.checks import build_checks as factor_checks
    from qlops_assets.defs.factors.report_asset import factor_report
    from qlops_assets.defs.features.assets import build_assets as feature_assets
    from qlops_assets.defs.indicators.assets import build_assets as indicator_assets
    from qlops_assets.defs.lake.assets import build_assets as lake_assets
    from qlops_assets.defs.lake.first_month import known_first_month
    from qlops_assets.defs.lake.retention import source_versions
    from qlops_assets.defs.partitions import build_partitions
    from qlops_assets.defs.platform import Platform
    from qlops_assets.defs.training.assets import ASSETS as TRAINING_ASSETS
    from qlops_assets.defs.training.tuning import tuning_study

    partitions = build_partitions(settings, known_first_month(settings))
    return dg.Definitions(
        assets=[
            *lake_assets(partitions),
            source_versions,
            *factor_assets(partitions, settings),
            factor_report,
            *indicator_assets(partitions, settings),
            *feature_assets(partitions),
            *TRAINING_ASSETS,
            tuning_study,
            *deployment_assets(partitions),
        ],
        asset_checks=factor_checks(),
        jobs=build_jobs(),
        sensors=build_automation(partitions),
        schedules=build_schedules(settings),
        resources={"platform": Platform(settings)},
        # One process a run: importing Qlib once, not once a step, and Qlib's state is per process.
        executor=dg.in_process_executor,
    )


def __getattr__(name: str) -> Any:
    if name == "defs":
        value = build_definitions(Settings.read())
        globals()["defs"] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    # Dagster looks for definitions among a module's members.
    return sorted([*globals(), "defs"])
