"""The asset ``source_versions`` and its schedule."""

from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import dagster as dg
import pytest

from qlops_assets.core.settings import RetentionSettings, Settings
from qlops_assets.defs.lake.retention import weekly_retention
from qlops_assets.defs.platform import Platform
from qlops_assets.lake.versions.snapshots import snapshot_store
from qlops_assets.registry.states import ModelEvent
from qlops_assets_tests.support.dagster_bench import Bench, day_changed, months, quiet


@dataclass
class Keeping(Bench):
    """A bench whose old versions may go at once."""

    @property
    def settings(self) -> Settings:
        kept = RetentionSettings(snapshot_days=0, snapshots=1)
        return replace(super().settings, retention=kept)


@pytest.fixture
def keeping(tmp_path) -> Keeping:
    """A home that saw three states of its source."""
    bench = Keeping(tmp_path)
    rows = months("2019-01", "2019-02")
    for day in (None, date(2019, 1, 8), date(2019, 2, 13)):
        bench.write("2019.parquet", rows if day is None else day_changed(rows, day))
        bench.tick()
    return bench


def shown(bench: Bench) -> dict[str, Any]:
    event = bench.instance.get_latest_materialization_event(dg.AssetKey("source_versions"))
    assert event is not None
    assert event.asset_materialization is not None
    return {k: v.value for k, v in event.asset_materialization.metadata.items()}


def test_old_versions_go_and_what_models_used_stays(keeping: Keeping) -> None:
    source = keeping.settings.source_name
    facts = {"source": source, "source_snapshots": [1]}
    registry = keeping.platform.registry
    registry.advance("m", ModelEvent.STARTED, by="tests", why="needed", facts=facts)
    registry.advance("m", ModelEvent.FAILED, by="tests", why="a failed one counts as well")
    assert keeping.execute("prune_source_versions").success
    assert snapshot_store(keeping.settings).numbers() == [1, 3]
    found = shown(keeping)
    assert (found["snapshots_removed"], found["file_versions_removed"]) == (1, 1)
    assert (found["kept_for_models"], found["snapshots_kept"]) == ("1", 2)


def test_versions_used_by_another_sources_model_do_not_stay(keeping: Keeping) -> None:
    facts = {"source": "elsewhere", "source_snapshots": [1]}
    keeping.platform.registry.advance(
        "m", ModelEvent.STARTED, by="tests", why="needed", facts=facts
    )
    assert keeping.execute("prune_source_versions").success
    assert snapshot_store(keeping.settings).numbers() == [3]


def test_schedule_asks_only_where_something_may_go(keeping: Keeping, bench: Bench) -> None:
    def evaluated(settings: Settings) -> object:
        with quiet():
            context = dg.build_schedule_context(resources={"platform": Platform(settings)})
            return weekly_retention(context)

    assert isinstance(evaluated(keeping.settings), dg.RunRequest)
    skipped = evaluated(bench.settings)
    assert isinstance(skipped, dg.SkipReason)
    assert "every version is kept" in str(skipped.skip_message)


def test_raw_bars_say_which_snapshot_they_are(keeping: Keeping) -> None:
    keeping.run("refresh_bars", "2019-01", "2019-02")
    metadata = keeping.materialization("raw_bars", "2019-01").metadata
    assert metadata["source_snapshot"].value == 3
