"""The way back: exact files, bars as of a moment, while the source goes on changing."""

import hashlib
import random
import subprocess
import sys
import time
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from qlops_assets.core.errors import LakeError, UnknownSnapshotError
from qlops_assets.core.settings import Settings, SourceSettings
from qlops_assets.lake.bars import build_bars
from qlops_assets.lake.datasets import bars_dataset
from qlops_assets.lake.intake.blobs import blob_store
from qlops_assets.lake.manifest import month_versions
from qlops_assets.lake.scan import scan
from qlops_assets.lake.versions.history import bars
from qlops_assets.lake.versions.restore import restore
from qlops_assets.lake.versions.snapshots import snapshot_store
from qlops_assets_tests.support.monthly_files import month_bars

ROOT = Path(__file__).parents[2]


def contents(folder: Path) -> dict[str, tuple[str, int]]:
    """Return the SHA-256 and the modification time in microseconds of every file."""
    return {
        path.relative_to(folder).as_posix(): (
            hashlib.sha256(path.read_bytes()).hexdigest(),
            path.stat().st_mtime_ns // 1000,
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_restored_files_are_those_of_the_snapshot_byte_for_byte(two, make_bars, tmp_path) -> None:
    scan(two.settings)
    before = contents(two.folder)
    two.write("2020-02.parquet", month_bars(make_bars, 2, seed=9))
    (two.folder / "2020-01.parquet").unlink()
    scan(two.settings)
    done = restore(two.settings, 1, tmp_path / "then")
    assert contents(tmp_path / "then") == before
    assert (done.files, done.bytes) == (2, sum(f.stat().st_size for f in done.folder.iterdir()))
    restore(two.settings, 2, tmp_path / "now")
    assert contents(tmp_path / "now") == contents(two.folder)


def test_files_of_folders_are_restored_where_they_were(make_source, make_bars, tmp_path) -> None:
    source = make_source("nested")
    for name in ("bars/year=2020/a.parquet", "bars/b.parquet"):
        code = "SH600000" if name.endswith("a.parquet") else "SZ000001"
        source.write(name, make_bars([code], days=20))
    scan(source.settings)
    restore(source.settings, 1, tmp_path / "then")
    assert contents(tmp_path / "then") == contents(source.folder)


def test_restored_folder_is_a_source_with_the_same_data(two, make_bars, tmp_path) -> None:
    first = scan(two.settings)
    two.write("2020-02.parquet", month_bars(make_bars, 2, seed=9))
    scan(two.settings)
    restore(two.settings, 1, tmp_path / "then")
    again = Settings(
        home=tmp_path / "again", source=SourceSettings(path=tmp_path / "then", quiet_seconds=0.0)
    )
    manifest = scan(again)
    assert (manifest.digest, manifest.months) == (first.digest, first.months)


def test_folder_that_holds_something_is_refused_and_left_alone(two, tmp_path) -> None:
    scan(two.settings)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError):
        restore(two.settings, 1, tmp_path / "full")
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("damage", ["altered", "gone"])
def test_damaged_copy_is_an_error_and_nothing_is_left_half_restored(
    two, tmp_path, damage: str
) -> None:
    manifest = scan(two.settings)
    blob = blob_store(two.settings).path(manifest.files[1].digest)
    if damage == "gone":
        blob.unlink()
    else:
        blob.write_bytes(blob.read_bytes()[:-1] + b"x")
    with pytest.raises(LakeError, match=r"2020-02\.parquet"):
        restore(two.settings, 1, tmp_path / "then")
    assert list(tmp_path.glob("*then*")) == []


def test_unusable_files_are_named_as_absent(two, tmp_path) -> None:
    (two.folder / "2020-03.parquet").write_bytes(b"garbage")
    scan(two.settings)
    done = restore(two.settings, 1, tmp_path / "then")
    (reason,) = done.absent
    assert reason.startswith("2020-03.parquet: is not a readable Parquet file")


def test_bars_as_of_a_moment_are_those_that_were_built_then(two, make_bars, clock) -> None:
    settings, moments, built = two.settings, [], []
    chance = random.Random(3)
    for step in range(4):
        seed = chance.randint(1, 99)
        two.write(f"2020-0{chance.randint(1, 3)}.parquet", month_bars(make_bars, 1 + step % 3))
        two.write("2020-02.parquet", month_bars(make_bars, 2, seed=seed))
        if step == 3:
            (two.folder / "2020-01.parquet").unlink()
        manifest = scan(settings, clock=clock)
        build_bars(settings, [*month_versions(manifest), *bars_dataset(settings).months()])
        moments.append(clock.now())
        built.append(bars_dataset(settings).read())
        clock.forward(3600)
    for moment, expected in zip(moments, built, strict=True):
        assert bars(settings, as_of=moment).equals(expected)
    cut = bars(settings, as_of=moments[1], first=date(2020, 1, 10), last=date(2020, 2, 10))
    inside = pl.col("date").is_between(date(2020, 1, 10), date(2020, 2, 10))
    assert cut.equals(built[1].filter(inside))
    assert bars(settings).equals(built[-1])


def test_bars_of_a_moment_before_the_first_scan_are_an_error(two) -> None:
    scan(two.settings)
    with pytest.raises(UnknownSnapshotError, match="kept are 1"):
        bars(two.settings, as_of=datetime(2001, 1, 1, tzinfo=UTC))
    with pytest.raises(UnknownSnapshotError, match="no zone"):
        bars(two.settings, as_of=datetime(2030, 1, 1))  # noqa: DTZ001 - it is refused


OVERWRITER = """
import os, random, sys, time
from pathlib import Path
import polars as pl
folder, seed = Path(sys.argv[1]), int(sys.argv[2])
chance = random.Random(seed)
print("ready", flush=True)
while True:
    name = chance.choice(["2020-01.parquet", "2020-02.parquet", "2020-03.parquet"])
    frame = pl.read_parquet(folder / "kept" / name).with_columns(
        close=pl.col("close") + chance.randint(0, 5) / 100,
        high=pl.col("high") + 1,
    )
    if chance.random() < 0.5:  # as careful writers do
        frame.write_parquet(folder / ".new")
        os.replace(folder / ".new", folder / "bars" / name)
    else:  # and as others do: in place, bit by bit
        frame.write_parquet(folder / "bars" / name, row_group_size=5)
    if chance.random() < 0.1:
        (folder / "bars" / name).unlink(missing_ok=True)
    time.sleep(chance.uniform(0, 0.02))
"""


def test_fifty_past_moments_are_restored_exactly_while_the_source_is_overwritten(
    make_source, make_bars, tmp_path
) -> None:
    """What a scan saw is restored as it saw it, whatever is written at the same time.

    A scan copies a file before it hashes it, so the digest is of the very bytes that are kept; a
    file that changes in between waits for the next scan. Truth here: SHA-256 of the kept copies,
    taken right after each scan by other code than that which restores.
    """
    source = make_source("busy")
    for month in (1, 2, 3):
        source.write(f"kept/2020-0{month}.parquet", month_bars(make_bars, month))
        source.write(f"bars/2020-0{month}.parquet", month_bars(make_bars, month))
    settings, truth, chance = source.settings, {}, random.Random(11)
    blobs = blob_store(settings)
    arguments = [sys.executable, "-c", OVERWRITER, str(source.folder), "4"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, cwd=ROOT) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        deadline = time.monotonic() + 120
        while len(truth) < 50 and time.monotonic() < deadline:
            manifest = scan(settings)
            head = snapshot_store(settings).latest()
            assert head is not None
            truth[head.number] = (
                datetime.now(UTC),
                {
                    f"bars/{f.path}": hashlib.sha256(blobs.path(f.digest).read_bytes()).hexdigest()
                    for f in manifest.files
                },
            )
            time.sleep(0.01)
        while_writing = chance.sample(sorted(truth), 25)
        for number in while_writing:
            check_restored(settings, number, truth[number], tmp_path / f"w{number}")
        writer.kill()
    assert len(truth) == 50
    for number in sorted(truth):
        check_restored(settings, number, truth[number], tmp_path / f"a{number}")


def check_restored(settings: Settings, number: int, truth: tuple, to: Path) -> None:
    moment, expected = truth
    assert snapshot_store(settings).at(moment).number == number
    restore(settings, number, to)
    found = {name: digest for name, (digest, _) in contents(to).items()}
    assert found == expected
    for name in found:  # each is a whole file, not one half-way to another
        assert pl.read_parquet(to / name).height == 45
    assert [path.name for path in to.iterdir()] == ["bars"]
