"""The chain from a column to the files, against computing the value from nothing else."""

from datetime import date

import polars as pl
import pytest

from qlops_assets.core.errors import DatasetMissingError, FactorError, SourceError
from qlops_assets.core.journal import Journal
from qlops_assets.core.settings import Settings
from qlops_assets.factors.engine import evaluate
from qlops_assets.factors.store import alpha158_dataset
from qlops_assets.features.lineage import file_lineage, row_lineage
from qlops_assets.lake.datasets import bars_dataset
from qlops_assets.lake.scan import load_manifest
from qlops_assets.registry.registry import Registry
from qlops_assets_tests.support.market_fixtures import Trained

DAY = date(2020, 3, 4)


def registry_of(settings: Settings) -> Registry:
    return Registry(Journal(settings.journal_url))


@pytest.mark.parametrize(
    ("column", "days"), [("KMID", 0), ("MA5", 4), ("ROC60", 60), ("CORD30", 30)]
)
def test_value_follows_from_the_bars_of_its_lineage_alone(
    market: Settings, column: str, days: int
) -> None:
    found = row_lineage(market, registry_of(market), column, day=DAY, instrument="SH600003")
    assert found.column.look_back_days == days
    bars = bars_dataset(market).read(first=found.first_bar, last=DAY)
    assert bars["date"].n_unique() == days + 1
    assert list(found.bars) == bars["date"].dt.strftime("%Y-%m").unique().sort().to_list()
    whose = pl.col("instrument") == "SH600003"
    alone = evaluate({column: found.column.expression}, bars.filter(whose))
    stored = alpha158_dataset(market).read([f"{DAY:%Y-%m}"], columns=[column])
    assert alone.filter(pl.col("date") == DAY)[column][0] == pytest.approx(
        stored.filter(whose & (pl.col("date") == DAY))[column][0], rel=1e-5
    )


def test_chain_ends_at_the_very_files_with_the_rows(market: Settings) -> None:
    found = row_lineage(market, registry_of(market), "MA60", day=DAY, instrument="SH600003")
    manifest = load_manifest(market)
    assert manifest is not None
    expected = {
        (f.path, f.digest)
        for f in manifest.files
        if has_rows(market, f.path, "SH600003", found.first_bar)
    }
    assert {(file.path, file.digest) for file in found.files} == expected
    assert found.snapshots == (1,)
    info = alpha158_dataset(market).info("2020-03")
    assert info is not None
    assert (found.column.rows, found.rows_digest) == ("alpha158_factors", info.digest)
    assert found.bars["2020-03"] == bars_dataset(market).info("2020-03").digest


def has_rows(settings: Settings, path: str, instrument: str, first: date) -> bool:
    folder = settings.source_folder
    file = next(p for p in (folder / "bars" / path, folder / path) if p.is_file())
    rows = pl.read_parquet(file)
    its = (pl.col("instrument") == instrument) & pl.col("date").is_between(first, DAY)
    return not rows.filter(its).is_empty()


def test_newest_day_is_meant_where_none_is_named(market: Settings) -> None:
    found = row_lineage(market, registry_of(market), "KMID")
    assert found.day == bars_dataset(market).read(columns=[])["date"].max()
    assert found.instrument is None


@pytest.mark.parametrize(
    ("column", "options", "error", "said"),
    [
        ("KMIDD", {}, FactorError, "did you mean 'KMID"),
        ("KMID", {"day": date(2031, 1, 6)}, DatasetMissingError, "a trading day from"),
        ("KMID", {"day": date(2020, 3, 1)}, DatasetMissingError, "a trading day from"),
        ("KMID", {"instrument": "600003"}, FactorError, "codes are as in the bars"),
    ],
)
def test_unknown_row_is_an_error(market: Settings, column, options, error, said) -> None:
    with pytest.raises(error, match=said):
        row_lineage(market, registry_of(market), column, **options)


def test_models_that_were_trained_on_a_column_and_a_file_are_named(trained: Trained) -> None:
    settings, registry = trained.settings, registry_of(trained.settings)
    both = [trained.first, trained.second]
    assert list(row_lineage(settings, registry, "KMID").models) == both
    manifest = load_manifest(settings)
    assert manifest is not None
    for file in manifest.files:
        (use,) = file_lineage(settings, registry, file.path)
        assert (use.version.change.kind, list(use.models)) == ("added", both)
    with pytest.raises(SourceError, match="no kept snapshot has a file"):
        file_lineage(settings, registry, "unheard-of.parquet")
