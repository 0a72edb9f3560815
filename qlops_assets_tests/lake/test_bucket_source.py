"""A bucket as the source, on a real S3 server of this machine (moto)."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import boto3
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from qlops_assets.core.errors import SettingsError, SourceError
from qlops_assets.core.settings import Settings, SourceSettings
from qlops_assets.core.settings_file import Url, location
from qlops_assets.lake.bars import build_bars
from qlops_assets.lake.benchmark import load_benchmark
from qlops_assets.lake.datasets import bars_dataset
from qlops_assets.lake.manifest import changed_months, month_versions
from qlops_assets.lake.scan import load_manifest, scan
from qlops_assets.lake.sources.bucket import Bucket
from qlops_assets.lake.universe import load_universe
from qlops_assets.lake.versions.restore import restore
from qlops_assets_tests.support.monthly_files import month_bars, reason, usable

PREFIX = "vendor/daily"


@dataclass(frozen=True)
class Store:
    """A bucket that a test fills, and settings that read its prefix."""

    client: Any
    name: str
    settings: Settings

    def put(self, key: str, content: bytes | pl.DataFrame) -> bytes:
        if isinstance(content, pl.DataFrame):
            written = BytesIO()
            content.write_parquet(written)
            content = written.getvalue()
        self.client.put_object(Bucket=self.name, Key=key, Body=content)
        return content

    def drop(self, key: str) -> None:
        self.client.delete_object(Bucket=self.name, Key=key)

    def with_source(self, **changes: Any) -> Settings:
        return replace(self.settings, source=replace(self.settings.source, **changes))


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL of an S3 server on a free port of the loopback."""
    from moto.server import ThreadedMotoServer

    names = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    before = dict(os.environ)
    os.environ.update(names, AWS_DEFAULT_REGION="us-east-1")
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def bucket(server: str, tmp_path: Path, request: pytest.FixtureRequest) -> Store:
    client = boto3.client("s3", endpoint_url=server)
    name = f"b{abs(hash(request.node.name)) % 10**12}"
    client.create_bucket(Bucket=name)
    source = SourceSettings(
        path=Url(f"s3://{name}/{PREFIX}"), quiet_seconds=0.0, endpoint_url=server
    )
    return Store(client, name, Settings(home=tmp_path / "home", source=source))


@pytest.fixture
def filled(bucket: Store, make_bars) -> Store:
    """A bucket of two months, an index and a universe."""
    for month in (1, 2):
        bucket.put(f"{PREFIX}/bars/2020-0{month}.parquet", month_bars(make_bars, month))
    index = make_bars(["SH000300"], days=40).select("instrument", "date", "close")
    bucket.put(f"{PREFIX}/benchmark.parquet", index)
    bucket.put(f"{PREFIX}/pool.txt", b"SH600000\t2020-01-01\t2020-12-31\n")
    bucket.put("vendor/other/2020-01.parquet", b"not ours")
    return bucket


def test_bars_of_a_bucket_are_those_of_a_folder(filled: Store, make_source, make_bars) -> None:
    local = make_source("local")
    for month in (1, 2):
        local.write(f"bars/2020-0{month}.parquet", month_bars(make_bars, month))
    found = []
    for settings in (filled.settings, local.settings):
        build_bars(settings, list(month_versions(scan(settings))))
        found.append(bars_dataset(settings).read())
    assert_frame_equal(*found, check_exact=True)
    manifest = load_manifest(filled.settings)
    assert manifest is not None
    assert manifest.source == f"s3://{filled.name}/{PREFIX}"
    assert usable(manifest) == ["2020-01.parquet", "2020-02.parquet"]


def test_universe_and_index_come_from_the_bucket(filled: Store) -> None:
    build_bars(filled.settings, list(month_versions(scan(filled.settings))))
    assert load_universe(filled.settings).name == "pool"
    assert load_benchmark(filled.settings).name == "SH000300"


def test_second_scan_reads_no_object_again(filled: Store, monkeypatch) -> None:
    first = scan(filled.settings)
    read: list[str] = []
    copy = Bucket.copy
    monkeypatch.setattr(
        Bucket, "copy", lambda self, name, to: read.append(name) or copy(self, name, to)
    )
    assert scan(filled.settings) == first
    assert read == []
    filled.put(f"{PREFIX}/pool.txt", b"SZ000001\t2020-01-01\t2020-12-31\n")
    assert scan(filled.settings).digest != first.digest
    assert read == ["pool.txt"]


def test_object_replaced_by_other_rows_changes_its_months_alone(filled: Store, make_bars) -> None:
    first = scan(filled.settings)
    filled.put(f"{PREFIX}/bars/2020-02.parquet", month_bars(make_bars, 2, seed=9))
    second = scan(filled.settings)
    assert changed_months(first, second) == {"2020-02"}
    filled.drop(f"{PREFIX}/bars/2020-01.parquet")
    assert changed_months(second, scan(filled.settings)) == {"2020-01"}


def test_object_of_the_same_size_and_second_is_told_by_its_etag(bucket: Store, make_bars) -> None:
    text = make_bars(days=20).write_csv()
    bucket.put(f"{PREFIX}/bars.csv", text.encode())
    first = scan(bucket.settings)
    bucket.put(f"{PREFIX}/bars.csv", text.replace("SH600000", "SH600009").encode())
    second = scan(bucket.settings)
    assert [f.size for f in first.files] == [f.size for f in second.files]
    assert changed_months(first, second) == {"2020-01"}


def test_state_of_a_bucket_is_restored_after_its_objects_are_gone(
    filled: Store, tmp_path: Path
) -> None:
    scan(filled.settings)
    listed = filled.client.list_objects_v2(Bucket=filled.name, Prefix=f"{PREFIX}/")["Contents"]
    before = {
        item["Key"].removeprefix(f"{PREFIX}/"): filled.client.get_object(
            Bucket=filled.name, Key=item["Key"]
        )["Body"].read()
        for item in listed
    }
    filled.drop(f"{PREFIX}/bars/2020-01.parquet")
    scan(filled.settings)
    done = restore(filled.settings, 1, tmp_path / "then")
    files = {p.relative_to(done.folder).as_posix(): p for p in done.folder.rglob("*.*")}
    assert {name: path.read_bytes() for name, path in files.items()} == before


def test_marker_of_a_bucket_finishes_a_sync(filled: Store, make_bars) -> None:
    settings = filled.with_source(marker="_SUCCESS")
    with pytest.raises(SourceError, match="there is no _SUCCESS yet"):
        scan(settings)
    filled.put(f"{PREFIX}/_SUCCESS", b"")
    assert len(usable(scan(settings))) == 2


def test_garbage_is_quarantined_and_its_good_version_stays(filled: Store) -> None:
    first = scan(filled.settings)
    filled.put(f"{PREFIX}/bars/2020-01.parquet", b"garbage")
    second = scan(filled.settings)
    assert "not a readable Parquet file" in reason(second, "2020-01.parquet")
    assert second.held == ["2020-01.parquet"]
    assert changed_months(first, second) == set()


def test_names_that_would_lead_out_of_a_folder_are_passed_over(filled: Store, make_bars) -> None:
    for key in ("bars/../../../etc/x.parquet", "bars//x.parquet", "bars/./x.parquet"):
        filled.put(f"{PREFIX}/{key}", make_bars(["SZ300001"], days=3))
    assert usable(scan(filled.settings)) == ["2020-01.parquet", "2020-02.parquet"]


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("s3://no-such-bucket/x", "cannot be listed"),
        ("s3://{name}/vendor/nothing", "has no object"),
        ("s3://{name}/vendor/dail", "has no object"),  # a prefix is a folder, not a beginning
    ],
)
def test_bucket_that_cannot_be_listed_loses_nothing(filled: Store, url: str, found: str) -> None:
    first = scan(filled.settings)
    elsewhere = filled.with_source(path=Url(url.format(name=filled.name)))
    with pytest.raises(SourceError, match=found):
        scan(elsewhere)
    assert load_manifest(filled.settings) == first


def test_server_that_is_away_loses_nothing_and_says_so(filled: Store) -> None:
    first = scan(filled.settings)
    with pytest.raises(SourceError, match=r"cannot be listed \(.*Could not connect"):
        scan(filled.with_source(endpoint_url="http://127.0.0.1:9"))
    assert load_manifest(filled.settings) == first


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3://b", Url("s3://b")),
        ("s3://b/x/", Url("s3://b/x")),
        ("s3://b//x", Url("s3://b/x")),
        ("file:///data/x", Path("/data/x")),
    ],
)
def test_location_is_a_url_or_an_absolute_path(text: str, expected: Path | Url) -> None:
    found = location(text)
    assert (type(found) is Url, str(found)) == (type(expected) is Url, str(expected))


@pytest.mark.parametrize("text", ["gs://b/x", "s3://", "s3:///x", "http://x/y", "s3://b/../c"])
def test_other_urls_are_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must be a folder, or s3://bucket/prefix"):
        location(text)
    config = tmp_path / "qlops.toml"
    config.write_text(f'[source]\npath = "{text}"\n', encoding="utf-8")
    with pytest.raises(SettingsError, match=r"\[source\] path: was .*s3://bucket/prefix"):
        Settings.read(tmp_path, config)


def test_settings_of_a_bucket_have_a_name_that_folders_can_have(tmp_path: Path) -> None:
    config = tmp_path / "qlops.toml"
    config.write_text('[source]\npath = "s3://market/cn/Daily Bars"\n', encoding="utf-8")
    settings = Settings.read(tmp_path, config)
    assert settings.source.path == "s3://market/cn/Daily Bars"
    assert settings.source_name.startswith("daily-bars-")
    assert settings.lake.parent == tmp_path / "lake"
