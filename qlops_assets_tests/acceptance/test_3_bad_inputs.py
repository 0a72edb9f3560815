"""Bad input, end to end: one line that says what was found and what would be accepted."""

import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qlops_assets_tests.support.dagster_bench import months
from qlops_assets_tests.support.journeys import Finished, Journey


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Journey]:
    """An empty home over an empty source."""
    journey = Journey(tmp_path)
    journey.source.mkdir()
    yield journey
    journey.close()


Demo = Callable[[], Finished]


@pytest.fixture
def demo(place: Journey) -> Demo:
    """Run the main job on the source, whose files have been quiet for a while."""

    def run() -> Finished:
        if place.source.is_dir():
            for path in place.source.iterdir():
                os.utime(path, (time.time() - 60,) * 2)
        return place.qlops("demo", "--bars", str(place.source), "--json")

    return run


def refused(finished: Finished) -> str:
    """Return the error of a command that failed as it should."""
    assert finished.status == 1, finished.err
    assert "Traceback" not in finished.err
    error = str(finished.document["error"])
    assert finished.error == f"error: {error}"
    return error


def test_missing_folder_is_named_and_does_not_become_the_home_s(place: Journey, demo: Demo) -> None:
    place.source.rmdir()
    error = refused(demo())
    assert error.startswith(f"{place.source}: there is no such folder; accepted is")
    assert not (place.home / "source.json").exists()


def test_empty_folder_says_what_it_found(place: Journey, demo: Demo) -> None:
    (place.source / "bars.xls").write_bytes(b"no Parquet")
    assert "found no Parquet file, but 1 .xls; accepted is" in refused(demo())


def test_truncated_file_alone_is_refused_with_its_reason(place: Journey, demo: Demo) -> None:
    path = place.source / "2019.parquet"
    months("2019-01", "2019-03").write_parquet(path)
    path.write_bytes(path.read_bytes()[:5_000])
    error = refused(demo())
    assert "none of 1 files can be used: 2019.parquet: is not a readable" in error


def test_missing_column_names_the_key_to_set(place: Journey, demo: Demo) -> None:
    rows = months("2019-01", "2019-03").rename({"instrument": "ts_code", "volume": "vol"})
    rows.write_parquet(place.source / "2019.parquet")
    error = refused(demo())
    assert "has no column 'instrument'; did you mean 'ts_code'?" in error
    assert 'set instrument = "ts_code" under [source.columns] in qlops.toml' in error


def test_mapped_columns_are_read(place: Journey, demo: Demo) -> None:
    rows = months("2019-01", "2019-03").rename({"instrument": "ts_code", "volume": "vol"})
    rows.write_parquet(place.source / "2019.parquet")
    toml = place.home / "qlops.toml"
    mapping = '\n[source.columns]\ninstrument = "ts_code"\nvolume = "vol"\n'
    toml.write_text(toml.read_text() + mapping)
    document = place.qlops("data", "scan", "--bars", str(place.source), "--json").document
    assert document["rows"] == rows.height
    assert document["quarantined"] == []


def test_too_little_history_is_refused_before_the_factors(place: Journey, demo: Demo) -> None:
    rows = months("2019-01", "2019-03")
    path = place.source / "2019.parquet"
    rows.write_parquet(path)
    content = path.read_bytes()
    finished = demo()
    days = rows["date"].n_unique()
    assert f"found {days} trading days, need at least 250; add history" in refused(finished)
    assert "alpha158_factors" not in finished.err
    # However far it came, the source is as it was.
    assert [p.name for p in place.source.iterdir()] == ["2019.parquet"]
    assert path.read_bytes() == content


def test_port_in_use_is_refused_before_any_work(place: Journey, demo: Demo) -> None:
    months("2019-01", "2019-03").write_parquet(place.source / "2019.parquet")
    port = place.ports["production"]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        error = refused(demo())
    assert error.startswith(
        f"port {port} is already in use; the model server of production needs a free one"
    )
    assert not (place.home / "lake").exists()


def test_two_environments_on_one_port_are_refused(place: Journey, demo: Demo) -> None:
    toml = place.home / "qlops.toml"
    production, staging = place.ports["production"], place.ports["staging"]
    toml.write_text(toml.read_text().replace(f"port = {production}", f"port = {staging}"))
    assert f"port {staging} is already in use" in refused(demo())


def test_environment_of_the_main_job_must_be_configured(place: Journey, demo: Demo) -> None:
    toml = place.home / "qlops.toml"
    toml.write_text(toml.read_text().replace("[environments.staging]", "[environments.lab]"))
    assert "unknown environment 'staging'" in refused(demo())


def test_file_that_was_just_written_is_waited_for(place: Journey) -> None:
    toml = place.home / "qlops.toml"
    toml.write_text(toml.read_text().replace("quiet_seconds = 0.3", "quiet_seconds = 2.5"))
    months("2019-01", "2019-03").write_parquet(place.source / "2019.parquet")
    finished = place.qlops("demo", "--bars", str(place.source), "--json")
    assert "need at least 250" in refused(finished)  # so it was read, not refused as unfinished
    assert finished.wall_s > 2.0


def test_unwritable_home_is_one_line(place: Journey, demo: Demo) -> None:
    months("2019-01", "2019-03").write_parquet(place.source / "2019.parquet")
    (place.home / "lake").write_text("a file where a folder should be")
    assert str(place.home / "lake") in refused(demo())


def test_half_a_date_range_is_wrong_usage(place: Journey) -> None:
    finished = place.qlops("demo", "--bars", str(place.source), "--train-end", "2019-06-28")
    assert finished.status == 2
    assert finished.error == (
        "error: --train-end and --valid-end go together; give both or neither"
    )
