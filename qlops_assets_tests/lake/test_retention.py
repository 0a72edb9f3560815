"""What goes and what stays, and whether all that stays is whole."""

from dataclasses import replace
from datetime import timedelta

import pytest

from qlops_assets.core.errors import LakeError
from qlops_assets.core.settings import RetentionSettings
from qlops_assets.lake.bars import build_bars
from qlops_assets.lake.datasets import bars_dataset
from qlops_assets.lake.intake.blobs import blob_store
from qlops_assets.lake.manifest import month_versions
from qlops_assets.lake.scan import scan
from qlops_assets.lake.versions.provenance import bars_origin, training_origin
from qlops_assets.lake.versions.restore import restore
from qlops_assets.lake.versions.retention import prune
from qlops_assets.lake.versions.snapshots import snapshot_store
from qlops_assets.lake.versions.verify import verify
from qlops_assets_tests.support.monthly_files import month_bars


@pytest.fixture
def aged(two, make_bars, clock):
    """Five snapshots, a day apart: February in five versions, January in one."""
    for seed in range(5):
        two.write("2020-02.parquet", month_bars(make_bars, 2, seed=seed))
        scan(two.settings, clock=clock)
        clock.forward(86_400)
    return two


def keeping(source, days: int | None, least: int = 1):
    kept = RetentionSettings(snapshot_days=days, snapshots=least)
    return replace(source.settings, retention=kept)


def test_without_a_setting_nothing_ever_goes(aged, clock) -> None:
    done = prune(aged.settings, now=clock.now() + timedelta(days=9999), protected={})
    assert (done.snapshots, done.blobs, done.kept) == ((), 0, 5)


def test_replaced_versions_go_when_their_time_is_over(aged, clock) -> None:
    settings = keeping(aged, 2)
    done = prune(settings, now=clock.now(), protected={})
    # Seen on days 0 to 4, now is day 5: the first was replaced on day 1, the second on day 2.
    assert (done.snapshots, done.blobs, done.kept) == ((1, 2), 2, 3)
    assert snapshot_store(settings).numbers() == [3, 4, 5]
    assert len(blob_store(settings).digests()) == 4  # January, and three of February
    assert verify(settings).damages == ()


def test_state_in_force_at_the_edge_can_still_be_restored(aged, clock, tmp_path) -> None:
    settings = keeping(aged, 2)
    prune(settings, now=clock.now(), protected={})
    edge = clock.now() - timedelta(days=2, seconds=-1)
    head = snapshot_store(settings).at(edge)
    assert restore(settings, head.number, tmp_path / "then").files == 2


def test_what_a_model_used_stays_with_its_files(aged, clock, tmp_path) -> None:
    settings = keeping(aged, 0)
    done = prune(settings, now=clock.now(), protected={2: "lightgbm-1 used it"})
    assert done.snapshots == (1, 3, 4)
    assert done.protected == {2: "lightgbm-1 used it"}
    assert restore(settings, 2, tmp_path / "then").files == 2
    assert verify(settings).damages == ()


def test_the_newest_stay_however_old(aged, clock) -> None:
    done = prune(keeping(aged, 0, least=3), now=clock.now() + timedelta(days=999), protected={})
    assert done.snapshots == (1, 2)


def test_dry_run_says_the_same_and_removes_nothing(aged, clock) -> None:
    settings = keeping(aged, 2)
    shown = prune(settings, now=clock.now(), protected={}, only_show=True)
    assert len(snapshot_store(settings).numbers()) == 5
    assert prune(settings, now=clock.now(), protected={}) == shown


def test_version_of_a_held_file_stays(aged, clock) -> None:
    """The source's file is broken now; its last good version is what the bars are made of."""
    path = aged.folder / "2020-02.parquet"
    path.write_bytes(b"garbage")
    settings = keeping(aged, 0)
    manifest = scan(settings, clock=clock)
    prune(settings, now=clock.now() + timedelta(days=99), protected={})
    assert all(blob_store(settings).has(f.digest) for f in manifest.files)
    assert len(build_bars(settings, list(month_versions(manifest)))) == 2


def test_unreadable_snapshot_stops_the_clean_up(aged, clock) -> None:
    store = snapshot_store(aged.settings)
    (store.folder / "000004.files.json.gz").write_bytes(b"damaged")
    before = sorted(blob_store(aged.settings).digests())
    with pytest.raises(LakeError, match="000004"):
        prune(keeping(aged, 2), now=clock.now(), protected={})
    assert sorted(blob_store(aged.settings).digests()) == before
    assert store.numbers() == [1, 2, 3, 4, 5]


def test_verification_names_every_damaged_copy_and_what_needs_it(aged) -> None:
    blobs = blob_store(aged.settings)
    files = {n: snapshot_store(aged.settings).load(n).manifest.files for n in (1, 5)}
    altered, gone = blobs.path(files[1][1].digest), blobs.path(files[5][0].digest)
    altered.write_bytes(altered.read_bytes()[:-1] + b"!")
    gone.unlink()
    found = verify(aged.settings)
    assert [(d.what, d.paths, d.snapshots) for d in found.damages] == [
        (str(altered), ("2020-02.parquet",), (1,)),
        (str(gone), ("2020-01.parquet",), (1, 2, 3, 4, 5)),
    ]
    assert found.snapshots == 5


def test_verification_reads_bars_and_snapshots_too(aged) -> None:
    settings = aged.settings
    build_bars(settings, ["2020-01", "2020-02"])
    assert verify(settings).months == 2
    path = bars_dataset(settings).info("2020-01").path
    path.write_bytes(path.read_bytes()[:200])
    (snapshot_store(settings).folder / "000002.files.json.gz").write_bytes(b"")
    assert [d.what for d in verify(settings).damages] == ["snapshot 2", "bars 2020-01"]


def test_bars_know_the_snapshot_that_they_were_made_of(two, make_bars, clock) -> None:
    settings = two.settings
    build_bars(settings, list(month_versions(scan(settings, clock=clock))))
    two.write("2020-02.parquet", month_bars(make_bars, 2, seed=7))
    later = scan(settings, clock=clock)  # seen, and not built
    assert bars_origin(settings).snapshots == {"2020-01": 1, "2020-02": 1}
    build_bars(settings, ["2020-02"])
    origin = bars_origin(settings)
    assert origin.snapshots == {"2020-01": 1, "2020-02": 2}
    assert origin.files == tuple(
        (f.path, f.digest, n) for f, n in zip(later.files, (1, 2), strict=True)
    )
    assert bars_origin(settings, ["2020-01"]).numbers == [1]


def test_recompressed_files_do_not_change_where_bars_come_from(two, make_bars) -> None:
    settings = two.settings
    build_bars(settings, list(month_versions(scan(settings))))
    before = bars_origin(settings)
    two.write("2020-02.parquet", month_bars(make_bars, 2), compression="gzip")
    scan(settings)
    assert bars_origin(settings) == before


def test_bars_of_a_forgotten_snapshot_are_an_error_that_says_what_to_do(two, make_bars) -> None:
    settings = two.settings
    build_bars(settings, list(month_versions(scan(settings))))
    two.write("2020-02.parquet", month_bars(make_bars, 2, seed=7))
    scan(settings)
    snapshot_store(settings).remove(1)
    with pytest.raises(LakeError, match=r"2020-02.*materialize raw_bars and bars"):
        bars_origin(settings)


def test_universe_that_a_training_used_is_protected_with_its_snapshot(two, make_bars) -> None:
    build_bars(two.settings, list(month_versions(scan(two.settings))))
    assert training_origin(two.settings) == bars_origin(two.settings)
    two.text("pool.txt", "SH600000\t2020-01-01\t2020-12-31\n")
    manifest = scan(two.settings)
    origin = training_origin(two.settings)
    assert origin.numbers == [1, 2]  # bars are of the first, the universe of the second
    assert ("pool.txt", manifest.others[0].digest, 2) in origin.files
    assert origin.digest != bars_origin(two.settings).digest
