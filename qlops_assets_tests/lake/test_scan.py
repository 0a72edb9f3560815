import os
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from qlops_assets.core.errors import LakeError, SourceBusyError, SourceError
from qlops_assets.core.settings import Settings
from qlops_assets.lake.bars import build_bars
from qlops_assets.lake.datasets import bars_dataset
from qlops_assets.lake.manifest import changed_months, difference, month_versions
from qlops_assets.lake.scan import load_manifest, scan, scan_when_quiet
from qlops_assets.lake.versions.snapshots import snapshot_store
from qlops_assets_tests.support.monthly_files import month_bars, reason, usable

JANUARY, FEBRUARY, MARCH = "2020-01", "2020-02", "2020-03"


def test_first_scan_records_every_files_version(two, clock) -> None:
    manifest = scan(two.settings, clock=clock)
    assert usable(manifest) == ["2020-01.parquet", "2020-02.parquet"]
    january = manifest.files[0]
    status = (two.folder / january.path).stat()
    assert january.size == status.st_size
    assert january.modified_at == datetime.fromtimestamp(status.st_mtime_ns // 1000 / 1e6, UTC)
    assert january.observed_at == clock.now()
    assert (january.rows, january.instruments, january.months) == (45, 3, (JANUARY,))
    assert (january.first_date, january.last_date) == (date(2020, 1, 3), date(2020, 1, 23))
    assert manifest.rows == 90
    assert load_manifest(two.settings) == manifest
    assert list(month_versions(manifest)) == [JANUARY, FEBRUARY]


def test_digest_of_a_file_is_its_xxh3_128(two) -> None:
    import xxhash

    for file in scan(two.settings).files:
        content = (two.folder / file.path).read_bytes()
        assert file.digest == xxhash.xxh3_128_hexdigest(content)


def test_manifest_before_any_scan_is_none_and_damaged_is_an_error(two) -> None:
    assert load_manifest(two.settings) is None
    scan(two.settings)
    (two.settings.lake / "raw_bars" / "manifest.json").write_text("{", encoding="utf-8")
    with pytest.raises(LakeError, match="is not a manifest"):
        load_manifest(two.settings)


def test_second_scan_of_the_same_files_is_the_same_manifest(two, clock) -> None:
    first = scan(two.settings, clock=clock)
    written = (two.settings.lake / "raw_bars" / "manifest.json").stat().st_mtime_ns
    clock.forward(60)
    assert scan(two.settings, clock=clock) == first
    assert (two.settings.lake / "raw_bars" / "manifest.json").stat().st_mtime_ns == written


def test_unchanged_file_is_not_read_again(two) -> None:
    first = scan(two.settings)
    path = two.folder / "2020-01.parquet"
    status = path.stat()
    path.write_bytes(b"x" * status.st_size)  # unreadable, but of the same size and time
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert scan(two.settings) == first


def test_touched_file_of_the_same_content_changes_no_month(two, set_age) -> None:
    first = scan(two.settings)
    set_age(two.folder / "2020-01.parquet", 100)
    second = scan(two.settings)
    assert second.digest == first.digest
    assert changed_months(first, second) == set()


def test_changed_file_changes_its_months_alone(two, make_bars) -> None:
    first = scan(two.settings)
    two.write("2020-02.parquet", month_bars(make_bars, 2, seed=9))
    second = scan(two.settings)
    assert changed_months(first, second) == {FEBRUARY}
    heads = snapshot_store(two.settings).heads()
    assert [head.digest for head in heads] == [first.digest, second.digest]
    assert heads[1].touched_months == (FEBRUARY,)


def test_new_file_changes_its_months_alone(two, make_bars) -> None:
    first = scan(two.settings)
    two.write("2020-03.parquet", month_bars(make_bars, 3))
    assert changed_months(first, scan(two.settings)) == {MARCH}


def test_disappeared_file_changes_its_months_and_is_reported(two) -> None:
    first = scan(two.settings)
    build_bars(two.settings, [JANUARY, FEBRUARY])
    (two.folder / "2020-01.parquet").unlink()
    second = scan(two.settings)
    assert difference(first, second).removed == ("2020-01.parquet",)
    assert changed_months(first, second) == {JANUARY}
    assert build_bars(two.settings, [JANUARY])[JANUARY].rows == 0
    assert bars_dataset(two.settings).months() == [FEBRUARY]


def test_disappeared_source_changes_nothing(two) -> None:
    first = scan(two.settings)
    for path in two.folder.iterdir():
        path.unlink()
    with pytest.raises(SourceError, match="found no Parquet file"):
        scan(two.settings)
    assert load_manifest(two.settings) == first


def test_file_that_was_just_written_waits(two, set_age, clock) -> None:
    clock.moment = datetime.now(UTC)
    patient = two.with_source(quiet_seconds=5.0)
    set_age(two.folder / "2020-01.parquet", 60)
    first = scan(patient.settings, clock=clock)
    assert usable(first) == ["2020-01.parquet"]
    assert [w.path for w in first.waiting] == ["2020-02.parquet"]
    assert "within 5 s" in first.waiting[0].reason
    clock.forward(6)
    second = scan(patient.settings, clock=clock)
    assert usable(second) == ["2020-01.parquet", "2020-02.parquet"]
    assert changed_months(first, second) == {FEBRUARY}


def test_file_from_the_future_does_not_wait_for_ever(two, clock) -> None:
    clock.moment = datetime.now(UTC) - timedelta(days=1)
    assert len(usable(scan(two.with_source(quiet_seconds=5.0).settings, clock=clock))) == 2


def test_nothing_but_waiting_files_is_said_so(two) -> None:
    with pytest.raises(SourceBusyError, match=r"none of 2 files.*may still be written"):
        scan(two.with_source(quiet_seconds=60.0).settings)


def test_scan_when_quiet_comes_back_for_waiting_files(two) -> None:
    settings = two.with_source(quiet_seconds=0.4).settings
    for path in two.folder.iterdir():
        path.touch()
    assert len(usable(scan_when_quiet(settings))) == 2


def test_scan_when_quiet_gives_up_in_time(two) -> None:
    with pytest.raises(SourceBusyError):
        scan_when_quiet(two.with_source(quiet_seconds=60.0).settings, timeout_s=0.1)


APPENDER = """
import sys, time
content = open(sys.argv[2], "rb").read()
with open(sys.argv[1], "wb", buffering=0) as file:
    for start in range(0, len(content), 512):
        file.write(content[start:start + 512])
        time.sleep(0.02)
"""


def test_file_being_written_by_another_process_is_used_when_whole(two, make_bars, tmp_path) -> None:
    settings = two.with_source(quiet_seconds=0.5).settings
    whole = tmp_path / "whole.parquet"
    month_bars(make_bars, 3, instruments=[f"SH6000{n:02d}" for n in range(40)]).write_parquet(whole)
    time.sleep(0.6)
    target = two.folder / "2020-03.parquet"
    with subprocess.Popen([sys.executable, "-c", APPENDER, str(target), str(whole)]) as writer:
        try:
            while not target.exists():
                time.sleep(0.01)
            seen = 0
            while writer.poll() is None:
                manifest = scan(settings)
                seen += [w.path for w in manifest.waiting] == ["2020-03.parquet"]
                assert usable(manifest) == ["2020-01.parquet", "2020-02.parquet"]
                assert manifest.quarantined == ()
                time.sleep(0.05)
            assert seen
        finally:
            writer.kill()
    assert usable(scan_when_quiet(settings))[-1] == "2020-03.parquet"


def test_good_file_being_rewritten_keeps_its_good_version(two, clock) -> None:
    clock.moment = datetime.now(UTC) + timedelta(seconds=60)
    patient = two.with_source(quiet_seconds=5.0).settings
    first = scan(patient, clock=clock)
    expected = build_bars(patient, [JANUARY])
    clock.moment = datetime.now(UTC)
    (two.folder / "2020-01.parquet").write_bytes(b"PAR1 half")
    second = scan(patient, clock=clock)
    assert [w.path for w in second.waiting] == ["2020-01.parquet"]
    assert second.held == ["2020-01.parquet"]
    assert changed_months(first, second) == set()
    assert build_bars(patient, [JANUARY]) == expected


def test_good_file_that_broke_is_quarantined_and_its_bars_stay(two, clock) -> None:
    first = scan(two.settings, clock=clock)
    expected = build_bars(two.settings, [JANUARY])
    good = (two.folder / "2020-01.parquet").read_bytes()
    (two.folder / "2020-01.parquet").write_bytes(good[:-100])
    second = scan(two.settings)
    assert second.held == ["2020-01.parquet"]
    assert changed_months(first, second) == set()
    assert "not a readable Parquet" in reason(second, "2020-01.parquet")
    assert difference(first, second).quarantined == ("2020-01.parquet",)
    assert build_bars(two.settings, [JANUARY]) == expected
    assert scan(two.settings) == second
    (two.folder / "2020-01.parquet").write_bytes(good)
    third = scan(two.settings)
    assert (third.quarantined, third.digest) == ((), first.digest)


def test_file_that_was_never_good_is_quarantined_and_the_others_go_on(two, make_bars) -> None:
    two.write("2020-03.parquet", month_bars(make_bars, 3).drop("close"))
    two.text("2020-04.parquet", "not parquet")
    (two.folder / "2020-05.parquet").mkdir()
    manifest = scan(two.settings)
    assert usable(manifest) == ["2020-01.parquet", "2020-02.parquet"]
    assert "no column 'close'" in reason(manifest, "2020-03.parquet")
    assert "not a readable Parquet" in reason(manifest, "2020-04.parquet")
    assert sorted(build_bars(two.settings, [JANUARY, FEBRUARY])) == [JANUARY, FEBRUARY]
    blobs = {p.stem for p in (two.settings.lake / "raw_bars" / "blobs").iterdir()}
    assert blobs == {f.digest for f in manifest.files}


def test_no_usable_file_gives_the_first_reasons(source, make_bars) -> None:
    for n in range(5):
        source.write(f"{n}.parquet", month_bars(make_bars, 1).drop("low"))
    with pytest.raises(SourceError, match=r"none of 5 files.*0\.parquet.*'low'.*and 2 more"):
        scan(source.settings)
    assert load_manifest(source.settings) is None


@pytest.mark.parametrize("faulty", [1, 2])
def test_faulty_rows_are_tolerated_up_to_one_percent(source, make_bars, faulty: int) -> None:
    bars = make_bars(["SH600000"], days=100).with_columns(volume=pl.lit(100))
    wrong = pl.when(pl.int_range(pl.len()) < faulty).then(-1.0).otherwise(pl.col("close"))
    source.write("other.parquet", make_bars(["SZ000001"]))
    source.write("bars.pq.parquet", bars.with_columns(close=wrong))
    manifest = scan(source.settings)
    if faulty == 1:
        assert manifest.files[0].set_aside == 1
        return
    assert usable(manifest) == ["other.parquet"]
    assert "2 of 100 rows cannot be right: SH600000 2020-01-02: close is -1.0" in reason(
        manifest, "bars.pq.parquet"
    )


def test_repeated_rows_are_counted(source, make_bars) -> None:
    bars = make_bars()
    source.write("a.parquet", pl.concat([bars, bars.head(7)]))
    file = scan(source.settings).files[0]
    assert (file.rows, file.duplicates, file.set_aside) == (187, 7, 0)


def test_changed_column_mapping_reads_all_files_anew(two) -> None:
    first = scan(two.settings)
    renamed = pl.read_parquet(two.folder / "2020-01.parquet").rename({"close": "px"})
    two.write("2020-03.parquet", renamed.with_columns(pl.col("date").dt.offset_by("60d")))
    assert [q.path for q in scan(two.settings).quarantined] == ["2020-03.parquet"]
    mapped = two.with_source(columns={"close": "px"})
    second = scan(mapped.settings)
    # The versions that were good are not good under the new mapping: nothing is held.
    assert usable(second) == ["2020-03.parquet"]
    assert [q.path for q in second.quarantined] == ["2020-01.parquet", "2020-02.parquet"]
    assert scan(two.settings).files == tuple(
        f for f in scan(two.settings).files if f.digest in {g.digest for g in first.files}
    )


def test_lost_copy_of_a_file_is_taken_again(two) -> None:
    first = scan(two.settings)
    blob = two.settings.lake / "raw_bars" / "blobs" / f"{first.files[0].digest}.parquet"
    blob.unlink()
    with pytest.raises(
        LakeError, match=r"kept copy of 2020-01\.parquet is gone; scan the source again"
    ):
        build_bars(two.settings, [JANUARY])
    assert scan(two.settings).digest == first.digest
    assert build_bars(two.settings, [JANUARY])[JANUARY].rows == 45


def test_source_is_never_written_to(two, make_bars) -> None:
    two.write("benchmark.parquet", make_bars(["SH000300"]))
    two.text("u.txt", "SH600000\t2020-01-01\t2020-12-31\n")
    two.text("broken.parquet", "x")
    before = two.fingerprint()
    manifest = scan(two.settings)
    build_bars(two.settings, list(month_versions(manifest)))
    scan(two.settings)
    assert two.fingerprint() == before


def test_changed_layout_reads_all_files_anew(source, make_bars) -> None:
    bars = make_bars(["SH600000"])
    source.write("year=2020/good.parquet", bars)
    source.write("instrument=SZ000001/0.parquet", bars.drop("instrument"))
    flat = scan(source.with_source(layout="folder").settings)
    assert "no column 'instrument'" in reason(flat, "instrument=SZ000001/0.parquet")
    assert len(usable(scan(source.settings))) == 2


def test_file_name_that_is_not_utf8_is_used(source, make_bars) -> None:
    source.write("a.parquet", make_bars())
    (source.folder / "a.parquet").rename(source.folder / os.fsdecode(b"\xff\xbd.parquet"))
    assert usable(scan(source.settings)) == ["\\udcff\\udcbd.parquet"]
    assert load_manifest(source.settings) is not None


def test_built_in_market_need_not_be_quiet(tmp_path, make_bars) -> None:
    settings = Settings(home=tmp_path)
    (settings.source_folder / "bars").mkdir(parents=True)
    make_bars().write_parquet(settings.source_folder / "bars" / "2020.parquet")
    assert len(usable(scan(settings))) == 1


def test_progress_counts_files(two) -> None:
    seen: list[tuple] = []

    class Watcher:
        def report(self, stage, step, total, metrics=None) -> None:
            seen.append((stage, step, total))

    scan(two.settings, progress=Watcher())
    assert seen == [("scan", 1, 2), ("scan", 2, 2)]
    build_bars(two.settings, [JANUARY, FEBRUARY], progress=Watcher())
    assert seen[-1] == ("bars", 2, 2)


def test_of_many_files_only_the_changed_one_is_read_again(source, make_bars) -> None:
    for n in range(60):
        source.write(f"{n:02d}.parquet", make_bars([f"SH{600000 + n}"], days=3))
    scan(source.settings)
    # Garbage of the same size and time would be quarantined if any of it were read.
    for n in (5, 40):
        path = source.folder / f"{n:02d}.parquet"
        status = path.stat()
        path.write_bytes(b"x" * status.st_size)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    source.write("07.parquet", make_bars(["SH600007"], days=4))
    manifest = scan(source.settings)
    assert manifest.quarantined == ()
    (change,) = snapshot_store(source.settings).load(2).changes
    assert (change.path, change.kind) == ("07.parquet", "changed")
