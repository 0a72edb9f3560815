"""The file-change sensor: what changes in the source becomes runs for exactly those months.

Every expectation is computed from the rows that the test wrote, not from the lake.
"""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from qlops_assets.lake.bars import stale_months
from qlops_assets.lake.datasets import bars_dataset
from qlops_assets_tests.support.dagster_bench import Bench, day_changed, months

START = "dagster/asset_partition_range_start"
END = "dagster/asset_partition_range_end"


def months_in(rows: pl.DataFrame) -> set[str]:
    return set(rows["date"].dt.strftime("%Y-%m").unique())


def spans(result: dg.SensorResult | dg.SkipReason) -> list[tuple[str, str]]:
    assert isinstance(result, dg.SensorResult), result
    requests = result.run_requests or []
    return [(r.tags[START][:7], r.tags[END][:7]) for r in requests]


def requested(result: dg.SensorResult | dg.SkipReason) -> set[str]:
    """Return every month that the requested runs would materialize."""
    calendar = [f"2019-{month:02d}" for month in range(1, 13)]
    return {m for first, last in spans(result) for m in calendar if first <= m <= last}


def keys(result: dg.SensorResult | dg.SkipReason) -> list[str]:
    assert isinstance(result, dg.SensorResult), result
    return [str(r.run_key) for r in result.run_requests or []]


def reason(result: dg.SensorResult | dg.SkipReason) -> str:
    assert isinstance(result, dg.SkipReason), result
    return str(result.skip_message)


def carry_out(bench: Bench, result: dg.SensorResult | dg.SkipReason) -> None:
    """Do what the daemon would: execute each requested run."""
    assert isinstance(result, dg.SensorResult), result
    for request in result.run_requests or []:
        assert bench.execute("refresh_bars", tags=request.tags).success


@pytest.fixture
def settled(bench: Bench) -> Bench:
    """A home whose bars are those of the source: two files, a quarter each."""
    carry_out(bench, bench.tick())
    return bench


def test_first_look_asks_for_every_month_in_one_run(bench: Bench) -> None:
    result = bench.tick()
    assert spans(result) == [("2019-01", "2019-06")]
    assert isinstance(result, dg.SensorResult)
    (request,) = result.run_requests or []
    assert request.tags["qlops/trigger"] == "source-files-changed"


def test_sensor_is_quiet_after_the_requested_run(settled: Bench) -> None:
    assert reason(settled.tick()) == "2 files unchanged"
    assert stale_months(settled.settings) == []


def test_file_that_is_only_touched_asks_for_nothing(settled: Bench) -> None:
    for path in settled.source.iterdir():
        settled.age(path, 5)
    assert "unchanged" in reason(settled.tick())


def test_file_that_is_written_again_as_it_was_asks_for_nothing(settled: Bench) -> None:
    settled.write("2019-q1.parquet", months("2019-01", "2019-03"))
    assert "unchanged" in reason(settled.tick())


def test_changed_day_asks_for_its_month_and_for_none_beside_it_in_the_file(
    settled: Bench,
) -> None:
    rows = day_changed(months("2019-01", "2019-03"), date(2019, 2, 13))
    settled.write("2019-q1.parquet", rows)
    assert requested(settled.tick()) == {"2019-02"}


def test_file_of_the_same_rows_in_other_bytes_asks_for_nothing(settled: Bench) -> None:
    rows = months("2019-01", "2019-03")
    path = settled.source / "2019-q1.parquet"
    before = path.read_bytes()
    shuffled = rows.sample(fraction=1.0, shuffle=True, seed=1)
    shuffled.write_parquet(path, compression="gzip", row_group_size=7)
    settled.age(path, 30)
    assert path.read_bytes() != before
    assert "unchanged" in reason(settled.tick())
    assert stale_months(settled.settings) == []


def test_rows_that_move_to_another_file_ask_for_nothing(settled: Bench) -> None:
    rows = months("2019-01", "2019-03")
    settled.write("a.parquet", rows.head(10))
    settled.write("b.parquet", rows.tail(-10))
    (settled.source / "2019-q1.parquet").unlink()
    asked = requested(settled.tick())
    carry_out(settled, settled.tick())
    settled.write("c.parquet", rows.tail(-10))
    (settled.source / "b.parquet").unlink()
    assert asked == {"2019-01"}  # cut in two: its digests are two now
    assert "unchanged" in reason(settled.tick())


def test_file_that_lost_and_gained_a_month_asks_for_it(settled: Bench) -> None:
    before, after = months("2019-01", "2019-03"), months("2019-01", "2019-02")
    settled.write("2019-q1.parquet", after)
    assert requested(settled.tick()) == {"2019-03"}
    carry_out(settled, settled.tick())
    assert bars_dataset(settled.settings).months() == [
        *("2019-01", "2019-02"),
        *("2019-04", "2019-05", "2019-06"),
    ]
    settled.write("2019-q1.parquet", before)
    assert requested(settled.tick()) == {"2019-03"}


def test_new_file_asks_for_its_months_alone(settled: Bench) -> None:
    rows = months("2019-07", "2019-08")
    settled.write("2019-q3.parquet", rows)
    assert spans(settled.tick()) == [("2019-07", "2019-08")]


def test_removed_file_asks_for_its_months_and_they_go(settled: Bench) -> None:
    (settled.source / "2019-q2.parquet").unlink()
    result = settled.tick()
    assert requested(result) == {"2019-04", "2019-05", "2019-06"}
    carry_out(settled, result)
    assert bars_dataset(settled.settings).months() == ["2019-01", "2019-02", "2019-03"]
    assert "unchanged" in reason(settled.tick())


def test_two_changes_apart_become_two_runs(settled: Bench) -> None:
    settled.write("2019-q3.parquet", months("2019-08", "2019-08"))
    rows = day_changed(months("2019-01", "2019-03"), date(2019, 1, 8))
    settled.write("2019-q1.parquet", rows)
    result = settled.tick()
    assert spans(result) == [("2019-01", "2019-01"), ("2019-08", "2019-08")]
    assert len(set(keys(result))) == 2


def test_file_that_is_still_written_waits(settled: Bench) -> None:
    from dataclasses import replace

    from qlops_assets.defs.lake.sensors import changed_months_as_runs
    from qlops_assets.defs.partitions import build_partitions
    from qlops_assets.defs.platform import Platform

    patient = replace(settled.settings, source=replace(settled.settings.source, quiet_seconds=30.0))

    def tick() -> dg.SensorResult | dg.SkipReason:
        return changed_months_as_runs(Platform(patient), build_partitions(patient, "2019-01"))

    path = settled.write("2019-q3.parquet", months("2019-07", "2019-07"))
    settled.age(path, 1)
    assert "1 files are still being written" in reason(tick())
    settled.age(path, 31)
    assert spans(tick()) == [("2019-07", "2019-07")]


def test_broken_file_is_quarantined_with_its_reason(settled: Bench) -> None:
    path = settled.source / "2019-q3.parquet"
    path.write_bytes(b"PAR1" + b"\0" * 100)
    settled.age(path, 60)
    said = reason(settled.tick())
    assert "quarantined 2019-q3.parquet" in said
    assert "not a readable Parquet file" in said


def test_good_file_that_breaks_keeps_its_bars(settled: Bench) -> None:
    path = settled.source / "2019-q1.parquet"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    settled.age(path, 60)
    assert "quarantined 2019-q1.parquet" in reason(settled.tick())
    assert stale_months(settled.settings) == []
    path.write_bytes(content)
    settled.age(path, 50)
    assert "2 files unchanged" in reason(settled.tick())


def test_source_that_is_gone_is_a_reason_not_a_failure(settled: Bench) -> None:
    settled.source.rename(settled.folder / "elsewhere")
    assert "there is no such folder" in reason(settled.tick())


def test_same_state_asks_under_the_same_key(settled: Bench) -> None:
    settled.write("2019-q3.parquet", months("2019-07", "2019-07"))
    assert keys(settled.tick()) == keys(settled.tick())


def test_pending_request_keeps_its_key_when_something_else_changes(settled: Bench) -> None:
    settled.write("2019-q3.parquet", months("2019-08", "2019-08"))
    (pending,) = keys(settled.tick())
    rows = day_changed(months("2019-01", "2019-03"), date(2019, 1, 8))
    settled.write("2019-q1.parquet", rows)
    assert pending in keys(settled.tick())


def test_change_that_comes_back_asks_under_a_new_key(settled: Bench) -> None:
    """Dagster remembers a key for ever, and drops a second run of the same key in silence."""
    one = months("2019-01", "2019-03")
    other = day_changed(one, date(2019, 2, 13))
    seen = []
    for rows in (other, one, other, one):
        settled.write("2019-q1.parquet", rows)
        result = settled.tick()
        seen += keys(result)
        carry_out(settled, result)
    assert len(set(seen)) == 4


def test_file_that_is_removed_twice_asks_under_a_new_key(settled: Bench) -> None:
    rows = months("2019-04", "2019-06")
    seen = []
    for _ in range(2):
        (settled.source / "2019-q2.parquet").unlink()
        result = settled.tick()
        seen += keys(result)
        carry_out(settled, result)
        settled.write("2019-q2.parquet", rows)
        carry_out(settled, settled.tick())
    assert len(set(seen)) == 2


def test_months_that_are_no_partitions_yet_are_named(bench: Bench) -> None:
    from qlops_assets.defs.lake.sensors import changed_months_as_runs
    from qlops_assets.defs.partitions import build_partitions

    loaded_earlier = build_partitions(bench.settings, "2019-06")
    result = changed_months_as_runs(bench.platform, loaded_earlier)
    assert spans(result) == [("2019-06", "2019-06")]
    loaded_much_earlier = build_partitions(bench.settings, "2020-01")
    said = reason(changed_months_as_runs(bench.platform, loaded_much_earlier))
    assert "2019-01 is no partition yet: reload the code location" in said


@pytest.fixture(scope="module")
def many_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A settled home over six files of one to three months that overlap in time, not in rows."""
    bench = Bench(tmp_path_factory.mktemp("many"))
    for name, rows in parts().items():
        bench.write(name, rows)
    carry_out(bench, bench.tick())
    yield bench
    bench.instance.dispose()


def parts() -> dict[str, pl.DataFrame]:
    rows = months("2019-01", "2019-06")
    shanghai = pl.col("instrument").str.starts_with("SH")
    cuts = {"a": ("2019-01", "2019-02"), "b": ("2019-03", "2019-03"), "c": ("2019-04", "2019-06")}
    month = pl.col("date").dt.strftime("%Y-%m")
    return {
        f"{side}-{name}.parquet": rows.filter(mine & month.is_between(pl.lit(low), pl.lit(high)))
        for side, mine in (("sh", shanghai), ("sz", ~shanghai))
        for name, (low, high) in cuts.items()
    }


@pytest.mark.parametrize("seed", range(8))
def test_requests_are_exactly_the_months_that_say_something_else(
    many_files: Bench, seed: int
) -> None:
    """Brute force: change, restate or remove random files; compare all rows of every month."""
    import random

    chance = random.Random(seed)
    before = present_rows(many_files)
    originals = parts()
    for name in chance.sample(sorted(originals), chance.randint(1, 3)):
        path = many_files.source / name
        action = chance.choice(["change", "restate", "remove"])
        if action == "remove" and path.exists():
            path.unlink()
        elif action == "change" or not path.exists():
            days = originals[name]["date"].unique().to_list()
            many_files.write(name, day_changed(originals[name], chance.choice(days)))
        else:
            many_files.write(name, pl.read_parquet(path))
    after = present_rows(many_files)
    expected = {
        month
        for month in before.keys() | after.keys()
        if month not in before or month not in after or not before[month].equals(after[month])
    }
    result = many_files.tick()
    if not expected:
        assert "unchanged" in reason(result)
        return
    assert requested(result) == expected
    carry_out(many_files, result)
    assert isinstance(many_files.tick(), dg.SkipReason)
    assert stale_months(many_files.settings) == []


def present_rows(bench: Bench) -> dict[str, pl.DataFrame]:
    rows = pl.concat([pl.read_parquet(path) for path in bench.source.iterdir()])
    month = pl.col("date").dt.strftime("%Y-%m").alias("month")
    keyed = rows.sort("instrument", "date").with_columns(month)
    return {str(key): part for (key,), part in keyed.partition_by("month", as_dict=True).items()}


def test_bars_of_a_lived_in_home_equal_those_of_a_fresh_one(
    many_files: Bench, tmp_path: Path
) -> None:
    fresh = Bench(tmp_path)
    for path in many_files.source.iterdir():
        fresh.write(path.name, pl.read_parquet(path))
    carry_out(fresh, fresh.tick())
    lived, new = bars_dataset(many_files.settings).infos(), bars_dataset(fresh.settings).infos()
    assert {m: i.digest for m, i in lived.items()} == {m: i.digest for m, i in new.items()}
