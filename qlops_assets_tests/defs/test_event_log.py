"""Our event log against Dagster's own: the same rows in the same tables, in fewer transactions."""

import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import dagster as dg
import pytest

from qlops_assets.core.settings import set_environment
from qlops_assets.defs.event_log import EventLog
from qlops_assets.defs.versions import published

MONTHS: Final = ("2020-01-01", "2020-02-01", "2020-03-01", "2020-04-01")
OURS: Final = {"module": "qlops_assets.defs.event_log", "class": "HomeStorage"}


@dg.asset(
    partitions_def=dg.MonthlyPartitionsDefinition("2020-01-01", end_date="2020-06-01"),
    backfill_policy=dg.BackfillPolicy.single_run(),
    check_specs=[dg.AssetCheckSpec("whole", asset="rows")],
)
def rows(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
    months = [key[:7] for key in context.partition_keys]
    yield from published(
        context,
        {month: f"digest of {month}" for month in months},
        metadata={"many": len(months)},
        by_month={month: {"rows": place} for place, month in enumerate(months)},
        checks=[dg.AssetCheckResult(passed=True, check_name="whole")],
    )


@pytest.fixture(autouse=True)
def batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dagster hands over planned and materialized events together, as in every home."""
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")


def opened(folder: Path, *, ours: bool) -> dg.DagsterInstance:
    """Return the instance of a folder whose ``dagster.yaml`` names the one or the other storage."""
    folder.mkdir(exist_ok=True)
    place = {"base_dir": str(folder / "state")}
    storage = {"custom": {**OURS, "config": place}} if ours else {"sqlite": place}
    config = {"telemetry": {"enabled": False}, "storage": storage}
    (folder / "dagster.yaml").write_text(json.dumps(config))
    set_environment(DAGSTER_HOME=str(folder))
    return dg.DagsterInstance.get()


def materialize(instance: dg.DagsterInstance, months: tuple[str, ...] = MONTHS) -> str:
    tags = {
        "dagster/asset_partition_range_start": months[0],
        "dagster/asset_partition_range_end": months[-1],
    }
    job = dg.Definitions(assets=[rows]).resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(instance=instance, tags=tags)
    assert result.success
    return result.run_id


def content(folder: Path, runs: list[str]) -> dict[tuple[str, str], list[tuple[Any, ...]]]:
    """Return every row of the index and of the runs' databases, without what no two runs share."""
    names = {run_id: f"run {place}" for place, run_id in enumerate(runs)}
    found = {}
    for shard in ("index", *runs):
        path = folder / "state" / "history" / "runs" / f"{shard}.db"
        with closing(sqlite3.connect(path)) as connection:
            listed = "select name from sqlite_master where type = 'table' order by name"
            for (table,) in connection.execute(listed).fetchall():
                every = ordered(connection, table)
                found[names.get(shard, shard), table] = [shared(row, names) for row in every]
    return found


def ordered(connection: sqlite3.Connection, table: str) -> list[tuple[Any, ...]]:
    columns = [row[1] for row in connection.execute(f"pragma table_info({table})")]
    kept = [f'"{c}"' for c in columns if not c.endswith(("timestamp", "_completed"))]
    return connection.execute(f"select {', '.join(kept)} from {table} order by rowid").fetchall()


def shared(row: tuple[Any, ...], names: dict[str, str]) -> tuple[Any, ...]:
    return tuple(plain(value, names) if isinstance(value, str) else value for value in row)


def plain(text: str, names: dict[str, str]) -> Any:
    for run_id, name in names.items():
        text = text.replace(run_id, name)
    try:
        return dropped(json.loads(text))
    except json.JSONDecodeError:
        return text


def dropped(value: Any) -> Any:
    """Return a document without times, processes and places."""
    if isinstance(value, dict):
        every = {k: dropped(v) for k, v in value.items() if k not in {"timestamp", "user_message"}}
        of_a_process = {"EngineEventData", "ComputeLogsCaptureData", "StepSuccessData"}
        is_of_a_process = value.get("__class__") in of_a_process
        return None if is_of_a_process else every
    if isinstance(value, list):
        return [dropped(one) for one in value]
    if isinstance(value, str) and ("ms." in value or "pid" in value or "/" in value):
        return None
    return value


def test_rows_are_those_that_dagsters_own_storage_writes(tmp_path: Path) -> None:
    found = {}
    for name, ours in (("own", True), ("dagster", False)):
        with opened(tmp_path / name, ours=ours) as instance:
            assert isinstance(instance.event_log_storage, EventLog) is ours
            runs = [materialize(instance), materialize(instance, MONTHS[1:3])]
        found[name] = content(tmp_path / name, runs)
    own, dagster = found["own"], found["dagster"]
    assert own.keys() == dagster.keys()
    for table, expected in dagster.items():
        assert own[table] == expected, table
    assert len(dagster["run 0", "event_logs"]) > 20
    assert len(dagster["index", "asset_event_tags"]) >= len(MONTHS)


def test_a_home_is_opened_by_either_storage(tmp_path: Path) -> None:
    with opened(tmp_path, ours=True) as instance:
        materialize(instance)
    with opened(tmp_path, ours=False) as instance:
        materialize(instance, MONTHS[:1])
        assert instance.get_materialized_partitions(dg.AssetKey("rows")) == set(MONTHS)
    with opened(tmp_path, ours=True) as instance:
        log = instance.event_log_storage
        versions = log.get_latest_tags_by_partition(
            dg.AssetKey("rows"), dg.DagsterEventType.ASSET_MATERIALIZATION, ["dagster/data_version"]
        )
    assert {m: tags["dagster/data_version"] for m, tags in versions.items()} == {
        month: f"digest of {month[:7]}" for month in MONTHS
    }


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EventLog]:
    with opened(tmp_path, ours=True) as instance:
        materialize(instance)
        storage = instance.event_log_storage
        assert isinstance(storage, EventLog)
        yield storage


def materializations(log: EventLog) -> int:
    key = dg.AssetKey("rows")
    return len(log.fetch_materializations(key, limit=1000).records)


def a_materialization(log: EventLog) -> Any:
    record = log.fetch_materializations(dg.AssetKey("rows"), limit=1).records[0]
    return record.event_log_entry


def test_nothing_is_kept_of_a_transaction_that_fails(log: EventLog) -> None:
    event, before = a_materialization(log), materializations(log)

    def fail() -> None:
        with log.together(event.run_id):
            log.store_event(event)
            log.store_event(event)
            raise InterruptedError

    with pytest.raises(InterruptedError):
        fail()
    assert materializations(log) == before
    log.store_event(event)
    assert materializations(log) == before + 1


def test_events_are_seen_together_and_by_other_threads_only_at_the_end(log: EventLog) -> None:
    event, before = a_materialization(log), materializations(log)
    address = log.path_for_shard("index")
    count = "select count(*) from event_logs where dagster_event_type = 'ASSET_MATERIALIZATION'"
    with closing(sqlite3.connect(address)) as reader:
        (stored,) = reader.execute(count).fetchone()
        with log.together(event.run_id):
            log.store_event(event)
            with log.together(event.run_id):  # one in another is of the other
                log.store_event(event)
            assert reader.execute(count).fetchone() == (stored,)
        assert reader.execute(count).fetchone() == (stored + 2,)
    assert materializations(log) == before + 2


def test_another_thread_writes_after_those_together(log: EventLog) -> None:
    event, before = a_materialization(log), materializations(log)
    other = threading.Thread(target=log.store_event, args=(event,))
    with log.together(event.run_id):
        log.store_event(event)
        other.start()
        other.join(0.2)
        assert other.is_alive()
    other.join(30)
    assert materializations(log) == before + 2


def test_a_process_killed_among_events_leaves_none_of_them(tmp_path: Path, log: EventLog) -> None:
    event, before = a_materialization(log), materializations(log)
    code = (
        "import os, signal, dagster as dg\n"
        "with dg.DagsterInstance.get() as instance:\n"
        "    log = instance.event_log_storage\n"
        "    records = log.fetch_materializations(dg.AssetKey('rows'), limit=1).records\n"
        "    event = records[0].event_log_entry\n"
        "    with log.together(event.run_id):\n"
        "        log.store_event(event)\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert killed.returncode == -9, killed.stderr
    assert materializations(log) == before
    log.store_event(event)
    assert materializations(log) == before + 1


def test_other_storages_take_events_one_by_one(tmp_path: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        materialize(instance)
        assert instance.get_materialized_partitions(dg.AssetKey("rows")) == set(MONTHS)
