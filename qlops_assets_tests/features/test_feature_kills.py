"""A table that is written all the time, and its writer killed at any moment."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl

from qlops_assets.core.settings import Settings
from qlops_assets.features.store import FeatureStore
from qlops_assets.indicators.store import indicator_dataset
from qlops_assets_tests.features.test_store import change, everything, joined, same

ROOT = Path(__file__).parents[2]
KILLS = 15
WORKER = """
import sys
from pathlib import Path
from qlops_assets.core.settings import Settings, SourceSettings
from qlops_assets.features.store import FeatureStore
import lance, polars

home, source, compact = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
store = FeatureStore(
    Settings(home=home, source=SourceSettings(path=source, quiet_seconds=0.0))
)
store.latest()
print("ready", flush=True)
sys.stdin.readline()
store.refresh()
if compact == "compact":
    store.compact()
print("done", flush=True)
"""


def worker(settings: Settings, *, compact: bool = False) -> subprocess.Popen[str]:
    words = [str(settings.home), str(settings.source_folder), "compact" if compact else "no"]
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, *words],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def some_change(settings: Settings, chance: random.Random) -> None:
    """Change rows of some months, take some away or add a column, as the stages before would."""
    dataset = indicator_dataset(settings)
    months = chance.sample(dataset.months(), k=chance.choice([1, 2, 4]))
    for month in months:
        rows = dataset.read([month])
        if chance.random() < 0.2:
            rows = rows.slice(chance.randrange(5))
        change(dataset, month, rows.with_columns(pl.col("obv") + 1))
    if chance.random() < 0.2:
        for month in dataset.months():
            rows = dataset.read([month])
            odd = {"extra": "obv"} if "extra" not in rows.columns else {}
            named = [pl.col(old).alias(new) for new, old in odd.items()]
            change(dataset, month, rows.drop("extra", strict=False).with_columns(named))


def whole(version_rows: pl.DataFrame) -> None:
    keys = version_rows.select("date", "instrument")
    assert keys.n_unique() == keys.height
    assert keys.equals(keys.sort("date", "instrument"))


def test_fifteen_kills_leave_the_last_good_version_and_nothing_half_visible(
    own_market: Settings,
) -> None:
    chance, finished = random.Random(3), 0
    store = FeatureStore(own_market)
    good = {store.versions()[-1].number: everything(store.latest())}
    for kill in range(KILLS):
        some_change(own_market, chance)
        expected = joined(own_market)
        with worker(own_market, compact=kill % 3 == 2) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdout.readline()
            process.stdin.write("go\n")
            process.stdin.flush()
            time.sleep(chance.uniform(0.0, 0.25))
            finished += process.poll() is not None
            process.send_signal(signal.SIGKILL)
        fresh = FeatureStore(own_market)
        version = fresh.latest()
        assert version is not None
        rows = everything(version)
        whole(rows)
        # Either the last good version, or all of what was to be written.
        assert same(rows, expected) or same(rows, good[max(good)])
        good[version.number] = rows
        for publication in fresh.versions():
            if publication.number in good:
                moment = publication.published_at
                assert same(everything(fresh.as_of(moment)), good[publication.number])
    assert finished < KILLS / 2, "the kills came too late to mean anything"
    store.refresh()
    store.compact()
    assert same(everything(store.latest()), joined(own_market))


def test_rows_half_written_before_a_source_went_back_are_not_seen(own_market: Settings) -> None:
    """A killed writer's commits beyond the last publication are undone by the next."""
    store, dataset = FeatureStore(own_market), indicator_dataset(own_market)
    before, rows = everything(store.latest()), dataset.read(["2019-05"])
    info = dataset.info("2019-05")
    assert info is not None
    change(dataset, "2019-05", rows.with_columns(pl.col("obv") + 1))
    log = store._log
    add, log.add = log.add, lambda _publication: (_ for _ in ()).throw(KeyboardInterrupt)
    try:
        store.refresh()
    except KeyboardInterrupt:
        log.add = add
    assert same(everything(FeatureStore(own_market).latest()), before)
    dataset.write("2019-05", rows, inputs=info.inputs, code=info.code)
    change(dataset, "2019-08", dataset.read(["2019-08"]).with_columns(pl.col("obv") + 1))
    FeatureStore(own_market).refresh()
    assert same(everything(FeatureStore(own_market).latest()), joined(own_market))
