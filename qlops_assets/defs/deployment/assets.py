"""``deployment``: one partition per environment and model version."""

import dagster as dg

from qlops_assets.core.digests import value_digest
from qlops_assets.defs.partitions import ENVIRONMENT_DIMENSION, VERSION_DIMENSION, Partitions
from qlops_assets.defs.platform import Platform
from qlops_assets.defs.steps import step

GROUP = "deployment"
OWNERS = ["team:devops"]


class DeploymentConfig(dg.Config):
    """How a deployment is done: who does it, and when an unused server stops by itself."""

    by: str = "dagster"
    idle_minutes: float | None = None


def build_assets(partitions: Partitions) -> list[dg.AssetsDefinition]:
    """Return the assets of this group."""
    by_version = dg.MultiToSingleDimensionPartitionMapping(
        partition_dimension_name=VERSION_DIMENSION
    )

    @dg.asset(
        partitions_def=partitions.environment_and_version,
        group_name=GROUP,
        deps=[dg.AssetDep("model_evaluation", partition_mapping=by_version)],
        kinds={"http"},
        owners=OWNERS,
        code_version="1",
    )
    def deployment(
        context: dg.AssetExecutionContext,
        config: DeploymentConfig,
        platform: dg.ResourceParam[Platform],
    ) -> dg.MaterializeResult:
        """A version serving in an environment: gates passed, artifact loaded, health checked."""
        return _deployment(context, config, platform)

    return [deployment]


def _deployment(
    context: dg.AssetExecutionContext, config: DeploymentConfig, platform: Platform
) -> dg.MaterializeResult:
    from qlops_assets.deployment.deploy import Deployer
    from qlops_assets.features.lookup import StoredFeatures

    key = context.partition_key
    if not isinstance(key, dg.MultiPartitionKey):
        raise TypeError(f"deployment: partition key was {key!r}, must name environment and version")
    environment = key.keys_by_dimension[ENVIRONMENT_DIMENSION]
    version = key.keys_by_dimension[VERSION_DIMENSION]
    about = {"model_version": version, "environment": environment}
    with step(context, platform, about) as running:
        deployer = Deployer(
            platform.settings,
            platform.journal,
            StoredFeatures(platform.settings),
            idle_minutes=config.idle_minutes,
        )
        report = deployer.deploy(version, environment, by=config.by)
        running.facts.update(
            url=report.url,
            previous_version=report.previous_version or "none",
            checked_day=report.health.day.isoformat(),
            checked_instruments=report.health.instruments,
            max_difference=report.health.max_difference,
            latency_ms=report.health.latency_ms,
        )
    return dg.MaterializeResult(
        metadata=running.metadata(),
        data_version=dg.DataVersion(value_digest([environment, version])),
    )
