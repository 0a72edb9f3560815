"""A home with a small source, its definitions, and an ephemeral Dagster instance to run them on."""

import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from qlops_assets.core.settings import IndicatorsSettings, Settings
from qlops_assets.definitions import build_definitions
from qlops_assets.defs.partitions import month_range_tags, partition_key
from qlops_assets.defs.platform import Platform
from qlops_assets_tests.support.market import market_settings, raw_bars

SENSOR = "source_files_changed"


@contextmanager
def quiet() -> Iterator[None]:
    """Ignore what Dagster says about its own beta classes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def months(first: str, last: str) -> pl.DataFrame:
    """Return the market's rows from the first to the last month, both included."""
    month = pl.col("date").dt.strftime("%Y-%m")
    return raw_bars().filter(month.is_between(pl.lit(first), pl.lit(last)))


@dataclass
class Bench:
    """One home, one source, one instance, factors of one's own, and the indicators chosen."""

    folder: Path
    instance: dg.DagsterInstance = field(default_factory=dg.DagsterInstance.ephemeral)
    factors: dict[str, str] = field(default_factory=dict)
    indicators: IndicatorsSettings = field(default_factory=IndicatorsSettings)

    @property
    def source(self) -> Path:
        """The folder that the user would own."""
        return self.folder / "source"

    @property
    def settings(self) -> Settings:
        """Settings of the home, with factors computed in this process."""
        settings = market_settings(self.folder / "home", self.source)
        features = replace(settings.features, jobs=1)
        return replace(
            settings, features=features, factors=self.factors, indicators=self.indicators
        )

    @property
    def platform(self) -> Platform:
        """What assets and sensors are handed."""
        return Platform(self.settings)

    def definitions(self) -> dg.Definitions:
        """Return the definitions as a code location that loads now would have them."""
        with quiet():
            return build_definitions(self.settings)

    def write(self, name: str, rows: pl.DataFrame) -> Path:
        """Write a file of the source, in one rename, and long ago enough to be quiet."""
        path = self.source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.part")
        rows.write_parquet(temporary)
        self.age(temporary, 60.0)
        temporary.rename(path)
        return path

    def age(self, path: Path, seconds: float) -> None:
        """Set a file's modification time to some seconds ago."""
        moment = time.time() - seconds
        os.utime(path, (moment, moment))

    def run(self, job: str, first: str, last: str, *, raise_on_error: bool = True) -> Any:
        """Run a job for a range of months, as the command line does."""
        return self.execute(job, tags=month_range_tags(first, last), raise_on_error=raise_on_error)

    def run_month(self, job: str, month: str) -> Any:
        """Run a job for one month by its partition key, as Dagster's UI does."""
        return self.execute(job, partition_key=partition_key(month))

    def execute(self, job: str, **options: Any) -> Any:
        """Execute a job of the definitions in this process."""
        with quiet():
            resolved = self.definitions().resolve_job_def(job)
            loggers = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
            return resolved.execute_in_process(
                instance=self.instance, run_config=loggers, **options
            )

    def tick(self) -> dg.SensorResult | dg.SkipReason:
        """Evaluate the file-change sensor once."""
        with quiet():
            sensor = self.definitions().resolve_sensor_def(SENSOR)
            context = dg.build_sensor_context(
                instance=self.instance, resources={"platform": self.platform}
            )
            result: Any = sensor(context)
        assert isinstance(result, dg.SensorResult | dg.SkipReason)
        return result

    def materialization(self, asset: str, month: str) -> dg.AssetMaterialization:
        """Return the newest materialization of one month of an asset."""
        found = self.instance.fetch_materializations(
            dg.AssetRecordsFilter(
                asset_key=dg.AssetKey(asset), asset_partitions=[partition_key(month)]
            ),
            limit=1,
        ).records
        assert found, f"{asset} {month} was never materialized"
        materialization = found[0].asset_materialization
        assert materialization is not None
        return materialization

    def data_version(self, asset: str, month: str) -> str:
        """Return the data version that Dagster shows for one month."""
        return str((self.materialization(asset, month).tags or {})["dagster/data_version"])

    def events(self, kind: str) -> list[dict[str, Any]]:
        """Return the facts of the pipeline's journal events of a kind."""
        journal = self.platform.journal
        return [dict(e.data) for e in journal.read_all("pipeline") if e.kind == kind]


def day_changed(rows: pl.DataFrame, day: date) -> pl.DataFrame:
    """Return the rows with one day's closes a little lower, still between low and high."""
    nearer = (pl.col("close") + pl.col("low")) / 2
    is_day = pl.col("date") == day
    return rows.with_columns(pl.when(is_day).then(nearer).otherwise("close").alias("close"))
