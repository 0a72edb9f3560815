"""One new day of 750 instruments with Dagster's daemon at work: from file to readable rows.

Claim: at most 60 s from the rename of the file, with `qlops up` running, until the newest version
of the feature table gives all rows of the day. Nobody starts anything: the sensor sees the file,
a run makes the bars, declarative automation asks for the sets and the table. The peer, in the same
run: what the steps of these runs took themselves, which is what remains without Dagster around.

    python benchmarks/bench_new_day_daemon.py [--days 3886]
"""

import argparse
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import walks
from bench_new_day import put

from qlops_assets.cli.demo.monthly import MonthlyStages
from qlops_assets.core.settings import Settings
from qlops_assets.features.store import FeatureStore
from qlops_assets.lake.scan import scan

INSTRUMENTS, DAYS, RUNS, LIMIT_S = 750, 3886, 3, 60.0
LONGEST_S, UNDER_WAY = 300.0, {"QUEUED", "NOT_STARTED", "STARTING", "STARTED"}
CONFIGURATION = """
[source]
path = "{source}"

[console]
port = {console}
dagster_port = {dagster}
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--days", type=int, default=DAYS, help="of history")
    days_wanted = parser.parse_args().days
    bars = walks.bars(INSTRUMENTS, days_wanted).with_columns(factor=pl.lit(1.0))
    rounds = bars["date"].unique().sort().to_list()[-RUNS - 1 :]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = history(folder, bars.filter(pl.col("date") < rounds[0]))
        with up(folder, settings) as instance:
            found = [arrival(settings, instance, bars, day) for day in rounds]
    seconds, own = ([one[place] for one in found[1:]] for place in (0, 1))
    median = statistics.median(seconds)
    print(f"one new day {median:.1f} s (each {', '.join(f'{s:.1f}' for s in seconds)})")
    print(f"ratio {median / statistics.median(own):.1f}x what the steps themselves took")
    print(f"at most {LIMIT_S:g} s: {'holds' if median <= LIMIT_S else 'FAILS'}")
    sys.exit(0 if median <= LIMIT_S else 1)


def history(folder: Path, bars: pl.DataFrame) -> Settings:
    """Build a home as the main job would, up to the feature table."""
    source, home = folder / "source", folder / "home"
    home.mkdir()
    ports = dict(zip(("console", "dagster"), free_ports(2), strict=True))
    (home / "qlops.toml").write_text(CONFIGURATION.format(source=source, **ports))
    settings = Settings.read(home, home / "qlops.toml")
    for (year,), rows in bars.group_by(pl.col("date").dt.year(), maintain_order=True):
        put(source, year, rows)
    started = time.perf_counter()
    time.sleep(settings.source.quiet_seconds + 1)
    scan(settings)
    stages = MonthlyStages(settings, lambda _text: None)
    stages.build_bars()
    stages.build_features()
    print(f"history: {bars['date'].n_unique():,} days in {time.perf_counter() - started:.0f} s")
    return settings


@contextmanager
def up(folder: Path, settings: Settings) -> Iterator[Any]:
    """Run `qlops up` for the home until its sensors are quiet; stop it in the end."""
    import dagster as dg

    command = [sys.executable, "-m", "qlops_assets.cli", "--home", str(settings.home), "up"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("QLOPS_", "DAGSTER_"))}
    with (folder / "up.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        with dg.DagsterInstance.get() as instance:
            started = time.perf_counter()
            deadline = started + LONGEST_S
            while process.poll() is None and time.perf_counter() < deadline:
                if is_quiet(instance):
                    break
                time.sleep(0.5)
            else:
                logs = [folder / "up.log", settings.servers / "dagster.log"]
                said = [log.read_text()[-3000:] for log in logs if log.is_file()]
                sys.exit("\n".join([*said, "qlops up ended, or its sensors never looked: FAILS"]))
            print(f"qlops up: quiet after {time.perf_counter() - started:.0f} s")
            yield instance
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def arrival(
    settings: Settings, instance: Any, bars: pl.DataFrame, day: date
) -> tuple[float, float]:
    """Let a day's file arrive; return the seconds until its rows can be read, and of the steps."""
    wait_until(lambda: is_quiet(instance), "no run under way")
    before = {run.run_id for run in instance.get_runs()}
    inside = pl.col("date").dt.year() == day.year
    put(settings.source_folder, day.year, bars.filter(inside, pl.col("date") <= day))
    wall, started = time.time(), time.perf_counter()
    wait_until(lambda: readable(settings, day) == INSTRUMENTS, f"rows of {day}", every_s=0.1)
    seconds = time.perf_counter() - started
    wait_until(lambda: is_quiet(instance), "no run under way")
    own = 0.0
    print(f"{day}: {seconds:.1f} s")
    for record in reversed(instance.get_run_records(limit=20)):
        run = record.dagster_run
        if run.run_id in before:
            continue
        steps = instance.get_run_step_stats(run.run_id)
        done = [s for s in steps if s.end_time and s.end_time - wall <= seconds + 0.5]
        own += sum(s.end_time - s.start_time for s in done)
        asked = record.create_timestamp.timestamp() - wall
        began = ", ".join(
            f"{s.step_key} {s.start_time - wall:.1f} to {s.end_time - wall:.1f}"
            for s in sorted(steps, key=lambda s: s.start_time)
        )
        print(f"    asked for at {asked:.1f} s, began {record.start_time - wall:.1f}: {began}")
    return seconds, own


def readable(settings: Settings, day: date) -> int:
    version = FeatureStore(settings).latest()
    return version.online(day, None, ["KMID", "rsi_14"]).num_rows if version else 0


def is_quiet(instance: Any) -> bool:
    """Whether every sensor looked twice and no run is under way."""
    if any(run.status.value in UNDER_WAY for run in instance.get_runs(limit=20)):
        return False
    sensors = [s for s in instance.all_instigator_state() if s.instigator_type.value == "SENSOR"]
    ticks = [instance.get_ticks(s.instigator_origin_id, s.selector_id, limit=2) for s in sensors]
    ended = {"SKIPPED", "SUCCESS"}
    return len(sensors) == 2 and all(
        len(two) == 2 and all(tick.status.value in ended for tick in two[1:]) for two in ticks
    )


def wait_until(is_so: Callable[[], bool], what: str, *, every_s: float = 0.5) -> None:
    deadline = time.monotonic() + LONGEST_S
    while not is_so():
        if time.monotonic() > deadline:
            sys.exit(f"waited {LONGEST_S:g} s for {what}: FAILS")
        time.sleep(every_s)


def free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


if __name__ == "__main__":
    main()
