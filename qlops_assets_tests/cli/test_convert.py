"""``qlops data convert``: what it says and what it leaves behind."""

import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from qlops_assets.core.settings import Settings, SourceSettings
from qlops_assets.factors.store import alpha158_dataset
from qlops_assets.lake.bars import build_bars
from qlops_assets.lake.conversions.bin_reader import read_provider
from qlops_assets.lake.datasets import bars_dataset
from qlops_assets.lake.manifest import month_versions
from qlops_assets.lake.scan import scan
from qlops_assets_tests.cli.conftest import Qlops
from qlops_assets_tests.support.dagster_bench import months
from qlops_assets_tests.support.plain_provider import write_plain_provider


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    """The home ``.qlops`` with two months of bars, and a qlops.toml that names their source."""
    folder = tmp_path / "bars"
    folder.mkdir()
    months("2019-01", "2019-02").write_parquet(folder / "2019.parquet")
    os.utime(folder / "2019.parquet", (time.time() - 60,) * 2)
    (tmp_path / "qlops.toml").write_text(f'[source]\npath = "{folder}"\n')
    settings = Settings(home=tmp_path / ".qlops", source=SourceSettings(path=folder))
    build_bars(settings, list(month_versions(scan(settings))))
    return settings


@pytest.fixture
def provider(home: Settings, tmp_path: Path) -> Path:
    """The home's bars as a provider by another writer than ours."""
    return write_plain_provider(tmp_path / "cn_data", bars_dataset(home).read())


@pytest.mark.parametrize("form", ["qlib-bin", "csv", "pickle", "parquet"])
def test_bars_of_the_home_are_written_and_summed_up(
    qlops: Qlops, home: Settings, tmp_path: Path, form: str
) -> None:
    bars = bars_dataset(home).read()
    document = qlops("data", "convert", "--to", form, "--out", "out", "--json").document
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert document == {
        "form": form,
        "folder": str(tmp_path / "out"),
        "files": len(files),
        "bytes": sum(path.stat().st_size for path in files),
        "rows": bars.height,
        "instruments": bars["instrument"].n_unique(),
        "first": str(bars["date"].min()),
        "last": str(bars["date"].max()),
    }


def test_summary_tells_people_the_same(qlops: Qlops, home: Settings, tmp_path: Path) -> None:
    said = qlops("data", "convert", "--to", "pickle", "--out", "out")
    bars = bars_dataset(home).read()
    assert said.status == 0
    assert said.out.startswith(f"{tmp_path / 'out'}: 1 files, ")
    assert f"; {bars.height:,} rows of {bars['instrument'].n_unique()} instruments, " in said.out
    assert said.out.endswith(f"{bars['date'].min()} to {bars['date'].max()}\n")


def test_qlib_folder_comes_in_as_a_source_of_the_same_bars(
    qlops: Qlops, home: Settings, provider: Path, tmp_path: Path
) -> None:
    said = qlops("data", "convert", "--from", str(provider), "--to", "parquet", "--out", "mine")
    assert said.status == 0
    for path in (tmp_path / "mine" / "bars").iterdir():
        os.utime(path, (time.time() - 60,) * 2)
    scanned = qlops("data", "scan", "--bars", "mine", "--home", "other", "--json").document
    assert scanned["quarantined"] == []
    settings = Settings(home=tmp_path / "other", source=SourceSettings(path=tmp_path / "mine"))
    build_bars(settings, list(month_versions(scan(settings))))
    ours, theirs = (
        bars_dataset(one).read().with_columns(pl.selectors.float().cast(pl.Float32))
        for one in (settings, home)
    )
    assert ours.equals(theirs)


def test_conversion_of_a_path_needs_no_home(qlops: Qlops, provider: Path, tmp_path: Path) -> None:
    for form in ("csv", "pickle", "qlib-bin"):
        arguments = ("--from", str(provider), "--to", form, "--out", form, "--home", "none")
        assert qlops("data", "convert", *arguments).status == 0
    assert not (tmp_path / "none").exists()
    assert read_provider(tmp_path / "qlib-bin").equals(read_provider(provider))


def test_days_and_instruments_limit_what_is_written(
    qlops: Qlops, provider: Path, tmp_path: Path
) -> None:
    (provider / "instruments" / "pool.txt").write_text("IDX001\t2019-01-01\t2019-12-31\n")
    known = read_provider(provider)["instrument"].unique().sort().to_list()
    arguments = ("--from", str(provider), "--to", "pickle", "--first", "2019-01-10")
    limited = qlops(
        *("data", "convert", *arguments, "--last", "2019-01-20", "--out", "a", "--json"),
        *("--instruments", f"{known[0]},{known[1].lower()}"),
    ).document
    assert limited["instruments"] == 2
    assert "2019-01-10" <= limited["first"] < limited["last"] <= "2019-01-20"
    (provider / "instruments" / "pool.txt").write_text(f"{known[2]}\t2019-01-01\t2019-12-31\n")
    of_list = qlops(
        "data", "convert", *arguments, "--instruments", "pool", "--out", "b", "--json"
    ).document
    assert of_list["instruments"] == 1


def test_factors_of_the_home_become_a_pickle_for_qlib(
    qlops: Qlops, home: Settings, tmp_path: Path
) -> None:
    keys = bars_dataset(home).read(["2019-01"]).select("instrument", "date")
    factors = keys.with_columns(
        pl.Series(name, np.random.default_rng(1).normal(size=keys.height), dtype=pl.Float32)
        for name in ("KMID", "KLEN")
    )
    alpha158_dataset(home).write("2019-01", factors, inputs="", code="")
    arguments = ("data", "convert", "--dataset", "factors", "--to", "pickle", "--out", "out")
    assert qlops(*arguments, "--json").document["rows"] == keys.height
    read = pd.read_pickle(tmp_path / "out" / "factors.pkl")
    assert list(read.columns) == [("feature", "KMID"), ("feature", "KLEN")]
    expected = factors.sort("date", "instrument").select("KMID", "KLEN").to_numpy()
    np.testing.assert_array_equal(read.to_numpy(), expected)


def test_one_file_of_csv_has_every_instrument(qlops: Qlops, home: Settings, tmp_path: Path) -> None:
    assert qlops("data", "convert", "--to", "csv", "--out", "out", "--one-file").status == 0
    bars = bars_dataset(home).read()
    assert len((tmp_path / "out" / "bars.csv").read_text().splitlines()) == bars.height + 1


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["--to", "csv", "--out", "full"], "full: is there already and not empty; name a new"),
        (["--to", "csv", "--out", "new", "--from", "none"], "none: there is no such file or"),
        (["--to", "csv", "--out", "new", "--from", "full"], "full: holds nothing that can be"),
        (["--to", "csv", "--out", "new"], "bars: no data for any month; materialize bars first"),
        (["--to", "csv", "--out", "new", "--dataset", "factors"], "alpha158_factors: no data"),
    ],
)
def test_conversion_that_cannot_be_done_says_why_in_one_line(
    qlops: Qlops, tmp_path: Path, arguments: list[str], found: str
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("precious")
    said = qlops("data", "convert", *arguments)
    assert said.status == 1
    assert said.err.count("\n") == 1
    assert found in said.err
    assert not (tmp_path / "new").exists()


def test_hostile_pickle_is_refused_by_name(qlops: Qlops, tmp_path: Path) -> None:
    (tmp_path / "x.pkl").write_bytes(b"cposix\nsystem\n(S'touch was-run'\ntR.")
    said = qlops("data", "convert", "--from", "x.pkl", "--to", "csv", "--out", "new")
    assert said.status == 1
    assert "it names posix.system" in said.err
    assert not (tmp_path / "was-run").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--out", "x"],
        ["--to", "csv"],
        ["--to", "hdf", "--out", "x"],
        ["--to", "csv", "--out", "x", "--from-format", "parquet"],
        ["--to", "csv", "--out", "x", "--first", "2020"],
    ],
)
def test_wrong_usage_is_status_2(qlops: Qlops, arguments: list[str]) -> None:
    assert qlops("data", "convert", *arguments).status == 2
