"""An analysis as a folder: whole or absent, and back as it was."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from qlops_assets.core.errors import FactorError
from qlops_assets.factors.analysis.analysis import FactorAnalysis, analyse
from qlops_assets.factors.analysis.files import DOCUMENT, TABLES, load, save
from qlops_assets.factors.analysis.rules import AnalysisRules
from qlops_assets_tests.support.factor_frames import (
    next_day_returns,
    random_bars,
    random_factors,
)

RULES = AnalysisRules(horizons=(1, 2), correlation_days=3, false_discovery="fdr_by")


@pytest.fixture(scope="module")
def analysis() -> FactorAnalysis:
    """Return an analysis with missing and infinite figures."""
    bars = random_bars(40, 15)
    factors = random_factors(40, 15, 3).with_columns(F1=pl.lit(np.nan, pl.Float32))
    perfect = next_day_returns(bars).rename({"earned": "perfect"})
    return analyse(factors.join(perfect, on=["instrument", "date"]), bars, rules=RULES)


def test_analysis_comes_back_as_it_was_saved(analysis: FactorAnalysis, tmp_path: Path) -> None:
    save(analysis, tmp_path / "report")
    found = load(tmp_path / "report")
    for table in TABLES:
        assert getattr(found, table).equals(getattr(analysis, table))
        assert getattr(found, table).schema == getattr(analysis, table).schema
    assert (found.rules, found.first, found.last) == (RULES, analysis.first, analysis.last)
    assert found.to_document() == analysis.to_document()
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_document_is_strict_json_with_every_factor(analysis: FactorAnalysis) -> None:
    document = json.loads(json.dumps(analysis.to_document(), allow_nan=False))
    assert [factor["factor"] for factor in document["factors"]] == analysis.factors
    first, nothing, _, perfect = document["factors"]
    assert [point["horizon"] for point in first["decay"]] == [1, 2]
    assert [row["quantile"] for row in first["quantiles"]] == [1, 2, 3, 4, 5]
    assert first["yearly"][0]["year"] == 2020
    assert nothing["rank_ic"] is None
    assert nothing["flags"] == ["empty", "mostly_missing", "few_days"]
    assert perfect["rank_ic"] == pytest.approx(1.0)
    assert perfect["rank_ic_t"] is None  # without any error it would be infinite
    assert perfect["rank_ic_p"] == 0.0
    assert document["rules"]["horizons"] == [1, 2]


def test_saving_again_replaces_the_earlier_one(analysis: FactorAnalysis, tmp_path: Path) -> None:
    folder = tmp_path / "report"
    save(analysis, folder)
    (folder / "summary.parquet").write_bytes(b"old")
    save(analysis, folder)
    assert load(folder).summary.equals(analysis.summary)


def test_loading_what_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(FactorError, match="has no factor analysis"):
        load(tmp_path / "report")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (DOCUMENT, b"{"),
        (DOCUMENT, b"\xff"),
        (DOCUMENT, b"[]"),
        (DOCUMENT, b"{}"),
        ("daily.parquet", b"no parquet"),
    ],
)
def test_loading_a_damaged_file_names_it(
    analysis: FactorAnalysis, tmp_path: Path, name: str, content: bytes
) -> None:
    save(analysis, tmp_path / "report")
    (tmp_path / "report" / name).write_bytes(content)
    with pytest.raises(FactorError, match=f"{name}: cannot be read"):
        load(tmp_path / "report")


def test_loading_without_a_table_names_it(analysis: FactorAnalysis, tmp_path: Path) -> None:
    save(analysis, tmp_path / "report")
    (tmp_path / "report" / "decay.parquet").unlink()
    with pytest.raises(FactorError, match=r"decay\.parquet: cannot be read"):
        load(tmp_path / "report")
