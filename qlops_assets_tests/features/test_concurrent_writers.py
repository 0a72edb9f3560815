"""Several processes refresh, tag and compact one table at once, while others read it."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from qlops_assets.core.errors import FeatureTableError
from qlops_assets.core.settings import Settings
from qlops_assets.features.store import FeatureStore
from qlops_assets.features.version import FeatureVersion
from qlops_assets.indicators.store import indicator_dataset
from qlops_assets_tests.features.test_store import change, everything, joined, same

ROOT = Path(__file__).parents[2]
OURS = {"writer-1": "2019-05", "writer-2": "2020-03"}
ROUNDS = 3
WORKER = """
import json, sys
from dataclasses import replace
from pathlib import Path
from qlops_assets.core.settings import Settings, SourceSettings
from qlops_assets.features.store import FeatureStore
from qlops_assets_tests.features.test_concurrent_writers import OURS, ROUNDS, digest, marked

home, source, days, role = sys.argv[1:]
settings = Settings(home=Path(home), source=SourceSettings(path=Path(source)))
settings = replace(settings, features=replace(settings.features, keep_days=float(days)))
store = FeatureStore(settings)
print("ready", flush=True)
sys.stdin.readline()
seen = {}
for number in range(ROUNDS):
    if role in OURS:
        marked(settings, OURS[role], number)
        store.refresh([OURS[role]] if number % 2 else None)
    elif role == "tagger":
        name = f"model-{number}"
        store.tag(name)
        seen[name] = digest(store.tagged(name))
    else:
        store.compact()
print(json.dumps(seen))
"""


def marked(settings: Settings, month: str, number: int) -> None:
    """Give all rows of a month one value, which tells a whole version from a mixed one."""
    dataset = indicator_dataset(settings)
    value = pl.lit(float(number), pl.Float32).alias("obv")
    change(dataset, month, dataset.read([month]).with_columns(value))


def digest(version: FeatureVersion) -> str:
    rows = everything(version)
    return hashlib.sha256(rows.select(sorted(rows.columns)).write_csv().encode()).hexdigest()


def whole(version: FeatureVersion) -> None:
    rows = everything(version)
    keys = rows.select("date", "instrument")
    assert rows.height == version.rows
    assert keys.n_unique() == keys.height
    assert keys.equals(keys.sort("date", "instrument"))
    month = pl.col("date").dt.strftime("%Y-%m")
    for ours in OURS.values():
        assert rows.filter(month == ours)["obv"].n_unique() == 1


def started(settings: Settings, role: str) -> subprocess.Popen[str]:
    days = str(settings.features.keep_days)
    words = [str(settings.home), str(settings.source_folder), days, role]
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, *words],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def go(processes: Iterable[subprocess.Popen[str]]) -> None:
    """Let processes begin at once, when all have imported what they need."""
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()


def whole_versions_read(settings: Settings, writers: Iterable[subprocess.Popen[str]]) -> int:
    """Read the newest version while there are writers; return how many could be read."""
    read = 0
    while any(process.poll() is None for process in writers):
        version = FeatureStore(settings).latest()
        assert version is not None
        try:
            whole(version)
        except FeatureTableError:  # it was let go while it was read
            if settings.features.keep_days:
                raise
        else:
            read += 1
    return read


@pytest.mark.parametrize("keep_days", [30.0, 0.0], ids=["kept", "let go at once"])
def test_many_writers_lose_nothing_and_readers_see_whole_versions_only(
    own_market: Settings, keep_days: float
) -> None:
    features = replace(own_market.features, keep_days=keep_days)
    settings = replace(own_market, features=features)
    for month in OURS.values():
        marked(settings, month, -1)
    first = FeatureStore(settings).refresh().version
    processes = {role: started(settings, role) for role in (*OURS, "tagger", "compactor")}
    go(processes.values())
    assert whole_versions_read(settings, processes.values())
    said = {role: process.communicate(timeout=60)[0] for role, process in processes.items()}
    assert {process.returncode for process in processes.values()} == {0}
    store = FeatureStore(settings)
    assert store.stale_months() == []
    assert same(everything(store.latest()), joined(settings))
    tags = json.loads(said["tagger"])
    assert sorted(store.tags()) == sorted(tags)
    store.compact()
    assert {name: digest(store.tagged(name)) for name in tags} == tags
    for publication in (p for p in store.versions() if p.number >= first):
        whole(store.as_of(publication.published_at))
