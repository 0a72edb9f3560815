"""``qlops data versions``, ``diff``, ``restore``, ``verify`` and ``prune``."""

import csv
import os
import time
from datetime import date
from pathlib import Path

import pytest

from qlops_assets.core.journal import Journal
from qlops_assets.core.settings import Settings, SourceSettings
from qlops_assets.lake.intake.blobs import blob_store
from qlops_assets.lake.scan import scan
from qlops_assets.registry.registry import Registry
from qlops_assets.registry.states import ModelEvent
from qlops_assets_tests.cli.conftest import Qlops
from qlops_assets_tests.support.dagster_bench import day_changed, months

DAY = date(2019, 2, 13)


def write(folder: Path, name: str, rows, **options) -> None:
    rows.write_parquet(folder / name, **options)
    os.utime(folder / name, (time.time() - 60 - len(name),) * 2)


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    """A home that saw its source three times: new, one day restated, recompressed."""
    folder = tmp_path / "bars"
    folder.mkdir()
    (tmp_path / "qlops.toml").write_text(f'[source]\npath = "{folder}"\n')
    settings = Settings(home=tmp_path / ".qlops", source=SourceSettings(path=folder))
    rows = months("2019-01", "2019-03")
    write(folder, "q1.parquet", rows)
    scan(settings)
    (tmp_path / "first.parquet").write_bytes((folder / "q1.parquet").read_bytes())
    write(folder, "q1.parquet", day_changed(rows, DAY), row_group_size=1000)
    scan(settings)
    write(folder, "q1.parquet", day_changed(rows, DAY), compression="gzip")
    scan(settings)
    return settings


def test_versions_lists_what_was_seen_newest_first(qlops: Qlops, home: Settings) -> None:
    document = qlops("data", "versions", "--json").document
    assert document["kept"] == 3
    found = [(s["snapshot"], s["changes"], s["touched_months"]) for s in document["snapshots"]]
    assert found == [
        (3, {"recompressed": 1}, []),
        (2, {"changed": 1}, ["2019-02"]),
        (1, {"added": 1}, ["2019-01", "2019-02", "2019-03"]),
    ]
    shown = qlops("data", "versions", "--limit", "1").out
    assert "1 recompressed" in shown
    assert "2 older ones: --limit 3" in shown


def test_versions_of_a_file_say_what_each_touched(qlops: Qlops, home: Settings) -> None:
    document = qlops("data", "versions", "--file", "q1.parquet", "--json").document
    kinds = [(v["change"], v["touched_months"]) for v in document["versions"]]
    assert kinds[:2] == [("recompressed", []), ("changed", ["2019-02"])]
    assert "3 versions" in qlops("data", "versions", "--file", "q1.parquet").out
    unknown = qlops("data", "versions", "--file", "q2.parquet")
    assert unknown.status == 1
    assert "did you mean 'q1.parquet'" in unknown.err


def test_versions_before_the_first_scan_is_empty(qlops: Qlops) -> None:
    assert "no snapshot yet" in qlops("data", "versions").out


def test_diff_shows_old_and_new_values(qlops: Qlops, home: Settings, tmp_path: Path) -> None:
    document = qlops("data", "diff", "1", "2", "--json").document
    assert (document["changed"], document["added"], document["removed"]) == (23, 0, 0)
    assert (document["months"], document["columns"]) == (["2019-02"], {"close": 23})
    bar = document["changed_bars"][0]
    assert bar["date"] == str(DAY)
    assert bar["close"] != bar["close_old"]
    shown = qlops("data", "diff", "1", "2", "--limit", "2", "--csv", "out.csv").out
    assert "23 changed (close 23)" in shown
    assert f"{bar['close_old']:.8g} → {bar['close']:.8g}" in shown
    assert "21 more" in shown
    rows = list(csv.DictReader((tmp_path / "out.csv").open(encoding="utf-8")))
    assert len(rows) == 23
    assert {row["kind"] for row in rows} == {"changed"}


def test_diff_of_recompressed_files_says_that_nothing_is_done(qlops: Qlops, home) -> None:
    assert "nothing downstream is computed again" in qlops("data", "diff", "2", "3").out


def test_diff_of_an_unknown_version_is_an_error(qlops: Qlops, home: Settings) -> None:
    said = qlops("data", "diff", "1", "7")
    assert said.status == 1
    assert "qlops data versions" in said.err


def test_restore_gives_the_exact_file(qlops: Qlops, home: Settings, tmp_path: Path) -> None:
    first = qlops("data", "versions", "--json").document["snapshots"][-1]
    document = qlops(
        "data", "restore", "--as-of", first["known_at"], "--to", "r", "--json"
    ).document
    assert (document["snapshot"], document["files"]) == (1, 1)
    original = (tmp_path / "first.parquet").read_bytes()
    assert (tmp_path / "r" / "q1.parquet").read_bytes() == original
    again = qlops("data", "restore", "--snapshot", "1", "--to", "r")
    assert again.status == 1
    assert "not empty" in again.err


@pytest.mark.parametrize("options", [[], ["--snapshot", "1", "--as-of", "2026-01-01T00:00Z"]])
def test_restore_without_one_version_is_wrong_usage(qlops: Qlops, home, options) -> None:
    said = qlops("data", "restore", *options, "--to", "r")
    assert said.status == 2
    assert "either --as-of TIME or --snapshot" in said.err


def test_verify_ends_with_status_1_where_a_copy_is_damaged(qlops: Qlops, home: Settings) -> None:
    good = qlops("data", "verify", "--json")
    assert (good.status, good.document["blobs"], good.document["damages"]) == (0, 3, [])
    blobs = blob_store(home)
    path = blobs.path(sorted(blobs.digests())[0])
    path.write_bytes(path.read_bytes() + b"x")
    bad = qlops("data", "verify")
    assert bad.status == 1
    assert str(path) in bad.out.replace("\n", "")
    assert "a version of q1.parquet" in bad.out


def test_prune_keeps_what_a_registered_model_used(
    qlops: Qlops, home: Settings, tmp_path: Path
) -> None:
    folder = home.source_folder
    (tmp_path / "qlops.toml").write_text(
        f'[source]\npath = "{folder}"\n[retention]\nsnapshot_days = 0\nsnapshots = 1\n'
    )
    facts = {"source": home.source_name, "source_snapshots": [1]}
    Registry(Journal(home.journal_url)).advance(
        "lightgbm-x", ModelEvent.STARTED, by="test", why="test", facts=facts
    )
    dry = qlops("data", "prune", "--dry-run", "--json").document
    assert (dry["snapshots"], dry["protected"], dry["kept"]) == (
        [2],
        {"1": "lightgbm-x used it"},
        2,
    )
    said = qlops("data", "prune").out
    assert "1 snapshots and 1 file versions are gone" in said
    assert "snapshot 1 stays: lightgbm-x used it" in said
    assert qlops("data", "verify").status == 0
