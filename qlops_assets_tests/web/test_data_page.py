"""The page of the data, the page of a snapshot, and what both say as JSON."""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from qlops_assets.core.settings import Settings, SourceSettings
from qlops_assets.lake.bars import build_bars
from qlops_assets.lake.scan import scan
from qlops_assets.web.app import build_console
from qlops_assets.web.data.coverage import coverage
from qlops_assets_tests.support.asgi_client import TestClient
from qlops_assets_tests.support.dagster_bench import day_changed, months
from qlops_assets_tests.support.pages import Elements

HOSTILE = "<img src=x onerror=alert(1)>.parquet"


def write(folder: Path, name: str, rows, **options) -> None:
    rows.write_parquet(folder / name, **options)
    os.utime(folder / name, (time.time() - 60,) * 2)


@pytest.fixture
def seen(settings: Settings, tmp_path: Path) -> Settings:
    """A home that saw its source three times; the last state is not built yet."""
    folder = tmp_path / "bars"
    folder.mkdir()
    home = replace(settings, source=SourceSettings(path=folder, quiet_seconds=0.0))
    rows = months("2019-01", "2019-03")
    write(folder, "q1.parquet", rows)
    build_bars(home, list(scan(home).months))
    write(folder, "q1.parquet", rows, compression="gzip")
    scan(home)
    write(folder, "q1.parquet", day_changed(rows, date(2019, 2, 13)))
    (folder / HOSTILE).write_bytes(b"garbage")
    (folder / "pool.txt").write_text("SH600000\t2019-01-01\t2019-12-31\n")
    scan(home)
    return home


@pytest.fixture
def pages(seen: Settings) -> Iterator[TestClient]:
    with TestClient(build_console(seen), base_url="http://127.0.0.1:8080") as client:
        yield client


def test_page_names_what_was_seen_and_what_is_not_used(pages: TestClient) -> None:
    page = Elements(pages.get("/data").text)
    assert "1 recompressed" in page.text
    assert "none: the files say the same" in page.text
    assert "1 quarantined" in page.text
    assert "pool.txt" in page.text
    assert "beside the bars" in page.text
    assert "is not a readable Parquet file" in page.text
    assert "1 to be built" in page.text
    assert {"/data/snapshots/1", "/data/snapshots/2", "/data/snapshots/3"} <= page.addresses()
    assert not [tag for tag, a in page.elements if tag == "img" or "onerror" in a or "style" in a]


def test_json_says_the_same(pages: TestClient, seen: Settings) -> None:
    document = pages.get("/api/data").json()
    assert [s["snapshot"] for s in document["snapshots"]] == [3, 2, 1]
    assert document["stale"] == ["2019-02"]
    assert list(document["months"]) == ["2019-01", "2019-02", "2019-03"]
    assert [q["path"] for q in document["manifest"]["quarantined"]] == [HOSTILE]
    assert document["path"] == str(seen.source_folder)


def test_snapshot_shows_every_bar_that_changed(pages: TestClient) -> None:
    page = Elements(pages.get("/data/snapshots/3").text).text
    assert "23 bars changed, 0 added, 0 removed" in page
    assert "SH600000 2019-02-13" in page
    document = pages.get("/api/data/snapshots/3").json()
    assert (document["before"], document["after"]) == (2, None)
    assert document["bars"]["columns"] == {"close": 23}
    bar = document["bars"]["changed_bars"][0]
    assert bar["close"] != bar["close_old"]


def test_first_and_recompressed_snapshots_have_no_bars_to_show(pages: TestClient) -> None:
    assert "The first that is kept" in Elements(pages.get("/data/snapshots/1").text).text
    assert "nothing downstream is computed again" in pages.get("/data/snapshots/2").text


@pytest.mark.parametrize("path", ["/data/snapshots/9", "/api/data/snapshots/9"])
def test_unknown_snapshot_is_404_and_says_what_there_is(pages: TestClient, path: str) -> None:
    answer = pages.get(path)
    assert answer.status_code == 404
    assert "kept are 1 of" in answer.text


def test_home_without_a_scan_says_what_to_do(client: TestClient) -> None:
    assert "qlops data scan" in client.get("/data").text
    assert client.get("/api/data").json()["manifest"] is None


def test_damaged_record_is_said_and_the_page_stays(pages: TestClient, seen: Settings) -> None:
    (seen.lake / "raw_bars" / "snapshots" / "000002.json").write_text("{")
    answer = pages.get("/data")
    assert answer.status_code == 200
    assert "000002.json" in answer.text
    assert json.loads(pages.get("/api/data").text)["error"]


def test_coverage_has_a_bar_for_every_month_and_shows_holes() -> None:
    drawing = str(coverage({"2019-11": 10, "2020-02": 5}, {"2020-02", "2020-03"}))
    assert drawing.count('class="bar"') == 5  # the two months without rows have a place, too
    assert drawing.count('<g class="stale">') == 2
    assert "2019-12: no rows" in drawing
    assert "15 rows in 2 months from 2019-11 to 2020-03; 3 months without rows" in drawing
    assert str(coverage({}, set())) == ""
