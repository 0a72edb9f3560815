"""``training_set``, ``trained_model``, ``model_evaluation``: one partition per model version."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from qlops_assets.defs.partitions import MODEL_VERSION
from qlops_assets.defs.platform import Platform
from qlops_assets.defs.training.attempts import ACTOR, training_step
from qlops_assets.registry.states import ModelEvent

GROUP = "training"
OWNERS = ["team:quant-research"]
# A training that starts, or is evaluated, leaves behind what became of the attempt before.
NO_TROUBLE = {"failure": None, "cancelled": None, "mlflow_run": None, "mlflow_experiment": None}
EVERYTHING = dg.AllPartitionMapping()


@dg.asset(
    partitions_def=MODEL_VERSION,
    group_name=GROUP,
    deps=[
        dg.AssetDep("feature_table", partition_mapping=EVERYTHING),
        dg.AssetDep("bars", partition_mapping=EVERYTHING),
    ],
    kinds={"polars"},
    owners=OWNERS,
    code_version="1",
)
def training_set(
    context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
) -> dg.MaterializeResult:
    """What one model sees: features, segments with an embargo, labels, the universe by day."""
    from qlops_assets.training.fit import prepare_training_set

    with training_step(context, platform) as running:
        prepared = prepare_training_set(platform.settings, running.version, running.progress)
        spec = prepared.spec
        running.facts.update(
            snapshot=spec.snapshot,
            universe=spec.universe,
            instruments=prepared.instruments,
            features=prepared.features,
            features_asked=", ".join(spec.feature_origin["asked"]),
            feature_definitions=spec.features,
            label=spec.label,
            simulated=spec.simulated,
            **{f"{name}_rows": count for name, count in prepared.rows.items()},
            **{name: " to ".join(days) for name, days in spec.segments.to_json().items()},
        )
    return dg.MaterializeResult(
        metadata=running.metadata(), data_version=dg.DataVersion(spec.digest)
    )


@dg.asset(
    partitions_def=MODEL_VERSION,
    group_name=GROUP,
    deps=[training_set],
    kinds={"qlib"},
    owners=OWNERS,
    code_version="1",
)
def trained_model(
    context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
) -> dg.MaterializeResult:
    """A model trained by Qlib with early stopping; its artifact cannot execute code."""
    from qlops_assets.training.fit import fit_model, read_training_set

    registry = platform.registry
    with training_step(context, platform) as running:
        version = running.version
        spec = read_training_set(platform.settings, version)
        facts = _what_is_trained(spec, context.run_id)
        registry.advance(version, ModelEvent.STARTED, by=ACTOR, why="training started", facts=facts)
        trained = fit_model(platform.settings, version, running.progress)
        numbers: dict[str, Any] = {
            "best_iteration": trained.best_iteration,
            "iterations": trained.iterations,
            "train_loss": trained.train_loss,
            "valid_loss": trained.valid_loss,
        }
        artifact = {
            "artifact_sha256": trained.artifact.sha256,
            "artifact_format": trained.artifact.format,
            "libraries": trained.libraries,
        }
        registry.advance(
            version,
            ModelEvent.TRAINED,
            by=ACTOR,
            why="training finished",
            facts={**numbers, **artifact},
        )
        running.facts.update(numbers, artifact_sha256=trained.artifact.sha256)
        running.facts.update(features=len(trained.artifact.features))
    return dg.MaterializeResult(
        metadata=running.metadata(), data_version=dg.DataVersion(trained.artifact.sha256)
    )


def _what_is_trained(spec: Mapping[str, Any], run_id: str) -> dict[str, Any]:
    names = ("snapshot", "source", "simulated", "universe", "segments", "label", "features")
    recorded = (
        "feature_names",
        "feature_definitions",
        "feature_origin",
        "source_snapshots",
        "source_manifest",
        "feature_table_version",
    )
    facts = {name: spec[name] for name in (*names, *recorded)}
    more = {"spec_digest": spec["digest"], "task": spec["task"], "dagster_run": run_id}
    if spec.get("study"):
        more["study"] = spec["study"]
    return {**facts, **more, **NO_TROUBLE}


@dg.asset(
    partitions_def=MODEL_VERSION,
    group_name=GROUP,
    deps=[trained_model],
    kinds={"qlib"},
    owners=OWNERS,
    code_version="1",
    check_specs=[
        dg.AssetCheckSpec(
            "rank_ic_above_minimum",
            asset="model_evaluation",
            description="The test Rank IC is above [training] min_rank_ic.",
        ),
        dg.AssetCheckSpec(
            "not_overfit",
            asset="model_evaluation",
            description="Nothing says that the model is overfit, by [overfitting].",
        ),
    ],
)
def model_evaluation(
    context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
) -> dg.MaterializeResult:
    """Qlib's metrics and backtest on the test segment, with the report; decides validation."""
    from qlops_assets.core.digests import value_digest
    from qlops_assets.training.evaluation import evaluate_model

    registry = platform.registry
    with training_step(context, platform) as running:
        evaluation = evaluate_model(platform.settings, running.version, running.progress)
        registry.advance(
            running.version,
            ModelEvent.VALIDATED if evaluation.passed else ModelEvent.REJECTED,
            by=ACTOR,
            why=evaluation.reason,
            facts={**evaluation.facts(), **NO_TROUBLE},
        )
        running.facts.update(evaluation.metadata())
    return dg.MaterializeResult(
        metadata={
            **running.metadata(),
            "report": dg.MetadataValue.path(str(evaluation.report)),
            "equity_and_drawdown": _picture(evaluation.picture),
        },
        data_version=dg.DataVersion(value_digest(evaluation.metrics())),
        check_results=[
            dg.AssetCheckResult(
                passed=check.passed,
                check_name=check.name,
                description=check.description,
                # A rejection is an outcome, not a fault of the run: it does not end it in red.
                severity=dg.AssetCheckSeverity.WARN,
            )
            for check in evaluation.checks
        ],
    )


def _picture(path: Path) -> dg.MarkdownMetadataValue:
    encoded = base64.b64encode(path.read_bytes()).decode()
    return dg.MetadataValue.md(f"![equity and drawdown](data:image/png;base64,{encoded})")


ASSETS = [training_set, trained_model, model_evaluation]
