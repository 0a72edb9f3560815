"""A source that keeps changing, and a process that takes it in and is killed at any moment."""

import random
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import polars as pl

from qlops_assets.core.settings import Settings, SourceSettings
from qlops_assets.lake.bars import build_bars, stale_months
from qlops_assets.lake.datasets import bars_dataset
from qlops_assets.lake.scan import load_manifest, scan
from qlops_assets.lake.versions.provenance import bars_origin
from qlops_assets.lake.versions.snapshots import snapshot_store
from qlops_assets.lake.versions.verify import verify

ROOT = Path(__file__).parents[2]
KILLS = 15
# Forked where everything is imported already, so that a kill hits the work and not the imports.
WORKER = """
import os, sys
from pathlib import Path
from qlops_assets.core.settings import Settings, SourceSettings
from qlops_assets.lake.bars import build_bars, stale_months
from qlops_assets.lake.scan import scan

home, source = map(Path, sys.argv[1:])
settings = Settings(home=home, source=SourceSettings(path=source, quiet_seconds=0.0))
print("ready", flush=True)
sys.stdin.readline()
scan(settings)
months = stale_months(settings)
for month in months:
    build_bars(settings, [month])
print("done", flush=True)
"""


def changed(folder: Path, chance: random.Random) -> None:
    """Restate a value, take a file away or bring it back, as a user's sync would."""
    names = sorted(p.name for p in (folder / "all").iterdir())
    name = chance.choice(names)
    target = folder / "bars" / name
    if chance.random() < 0.2 and target.exists() and len(list((folder / "bars").iterdir())) > 2:
        target.unlink()
        return
    frame = pl.read_parquet(folder / "all" / name)
    at = chance.randrange(frame.height)
    high = [v + 0.01 if i == at else v for i, v in enumerate(frame["high"])]
    new = folder / ".new"
    frame.with_columns(high=pl.Series(high)).write_parquet(new)
    new.rename(target)


def test_fifteen_kills_lose_nothing_and_leave_nothing_half_visible(
    make_source, make_bars, tmp_path
) -> None:
    source = make_source("living")
    for month in range(1, 6):
        rows = make_bars(first=date(2020, month, 3), days=15)
        source.write(f"all/2020-{month:02d}.parquet", rows)
        source.write(f"bars/2020-{month:02d}.parquet", rows)
    settings, chance = source.settings, random.Random(8)
    finished = 0
    for _ in range(KILLS):
        arguments = [sys.executable, "-c", WORKER, str(settings.home), str(source.folder)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with subprocess.Popen(arguments, cwd=ROOT, text=True, **pipes) as worker:
            assert worker.stdin is not None
            assert worker.stdout is not None
            worker.stdout.readline()
            changed(source.folder, chance)
            worker.stdin.write("go\n")
            worker.stdin.flush()
            time.sleep(chance.uniform(0.0, 0.12))
            finished += worker.poll() is not None
            worker.send_signal(signal.SIGKILL)
        whole(settings)
    assert finished < KILLS / 2, "the kills came too late to mean anything"
    scan(settings)
    build_bars(settings, stale_months(settings))
    fresh = Settings(
        home=tmp_path / "fresh", source=SourceSettings(path=source.folder, quiet_seconds=0.0)
    )
    manifest = scan(fresh)
    build_bars(fresh, list(manifest.months))
    assert bars_dataset(settings).read().equals(bars_dataset(fresh).read())
    assert load_manifest(settings).digest == manifest.digest
    assert bars_origin(settings).numbers[-1] <= snapshot_store(settings).latest().number
    assert verify(settings).damages == ()


def whole(settings: Settings) -> None:
    """Whatever is visible can be read, and is what it says it is."""
    store = snapshot_store(settings)
    numbers = store.numbers()
    assert numbers == list(range(1, len(numbers) + 1))
    for number in numbers:
        store.load(number)
    load_manifest(settings)
    assert verify(settings).damages == ()
    bars = bars_dataset(settings)
    for month in bars.months():
        bars.verify(month)
        keys = bars.read([month], columns=[])
        assert keys.height == keys.unique().height == 45
