"""``tuning_study``: one partition per study of a model's parameters."""

import json
from typing import Any, Final

import dagster as dg

from qlops_assets.core.studies.words import COMPLETE
from qlops_assets.defs.partitions import STUDY
from qlops_assets.defs.platform import Platform
from qlops_assets.defs.steps import step
from qlops_assets.defs.training.assets import EVERYTHING, GROUP, OWNERS

_SHOWN: Final = 10


class TuningConfig(dg.Config):
    """How long a study goes on.

    Attributes:
        trials: How many it is to have, those before included; as ``[tuning]`` says where None.
        jobs: How many of them at a time, each a process; likewise.
    """

    trials: int | None = None
    jobs: int | None = None


@dg.asset(
    partitions_def=STUDY,
    group_name=GROUP,
    deps=[
        dg.AssetDep("feature_table", partition_mapping=EVERYTHING),
        dg.AssetDep("bars", partition_mapping=EVERYTHING),
    ],
    kinds={"optuna", "qlib"},
    owners=OWNERS,
    code_version="1",
)
def tuning_study(
    context: dg.AssetExecutionContext,
    platform: dg.ResourceParam[Platform],
    config: TuningConfig,
) -> dg.MaterializeResult:
    """Trials of a model's parameters by walk-forward Rank IC; goes on where it was interrupted."""
    from dataclasses import replace

    from qlops_assets.core.digests import value_digest
    from qlops_assets.training.tuning.study import run_study

    settings, study = platform.settings, context.partition_key
    tuning = settings.tuning
    jobs = tuning.jobs if config.jobs is None else config.jobs
    settings = replace(settings, tuning=replace(tuning, jobs=jobs))
    trials = tuning.trials if config.trials is None else config.trials
    with step(context, platform, {"study": study}) as running:
        history = run_study(settings, study, platform.journal, trials=trials)
        running.facts.update({k: v for k, v in history.end.items() if not isinstance(v, dict)})
    return dg.MaterializeResult(
        metadata={**running.metadata(), **_shown(history)},
        data_version=dg.DataVersion(value_digest([[t.searched, t.value] for t in history.ended])),
    )


def _shown(history: Any) -> dict[str, Any]:
    """Return what a person looks for: the best parameters, what mattered, the best trials."""
    complete = sorted(
        (t for t in history.ended if t.state == COMPLETE), key=lambda t: t.value, reverse=True
    )
    rows = [
        f"| {t.number}{' (the recipe)' if t.is_baseline else ''} | {t.state} | {t.value:.4f} | "
        f"{', '.join(f'{ic:.4f}' for ic in t.rank_ics)} | `{json.dumps(dict(t.parameters))}` |"
        for t in complete[:_SHOWN]
    ]
    heads = ["| trial | state | Rank IC | by fold | parameters |", "|---|---|---|---|---|"]
    return {
        "best_parameters": dg.MetadataValue.json(dict(history.end.get("best_parameters") or {})),
        "importance": dg.MetadataValue.json(dict(history.importance)),
        "best_trials": dg.MetadataValue.md("\n".join([*heads, *rows])),
    }
