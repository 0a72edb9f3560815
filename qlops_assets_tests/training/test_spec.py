import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlops_assets.core.errors import DatasetMissingError, TrainingError, UnknownEntryError
from qlops_assets.core.settings import (
    ConsoleSettings,
    FeaturesSettings,
    Settings,
    TrainingSettings,
    UniverseSettings,
)
from qlops_assets.factors.store import alpha158_dataset
from qlops_assets.features.store import FeatureStore
from qlops_assets.lake.datasets import bars_dataset, snapshot_digest
from qlops_assets.lake.scan import scan
from qlops_assets.training.segments import Segments
from qlops_assets.training.spec import TrainingSpec, training_spec
from qlops_assets_tests.support.market import elsewhere, market_days, restate

DAYS = market_days()


@pytest.fixture(scope="module")
def digest(market: Settings) -> str:
    return training_spec(market).digest


def test_spec_is_the_same_for_the_same_lake_and_settings(market: Settings, digest: str) -> None:
    assert training_spec(market).digest == digest


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 8},
        {"threads": 2},
        {"rounds": 41},
        {"early_stopping_rounds": 11},
        {"parameters": {"num_leaves": 9}},
        {"label": "Ref($close,-3)/Ref($close,-1)-1"},
        {"train_share": 0.61},
        {"valid_share": 0.21},
        {"embargo_days": 3},
        {"topk": 3},
        {"n_drop": 2},
        {"account": 2e7},
        {"region": "us"},
        {"min_rank_ic": 0.01},
        {"processors": {"learn": [{"class": "DropnaLabel"}]}},
        {"model": "xgboost", "parameters": {}},
        {"features": ("KMID", "ROC5")},
    ],
    ids=lambda change: next(iter(change)),
)
def test_spec_changes_with_each_setting_that_decides_the_outcome(
    market: Settings, digest: str, change: dict[str, Any]
) -> None:
    changed = replace(market, training=replace(market.training, **change))
    assert training_spec(changed).digest != digest


def test_every_training_setting_is_accounted_for() -> None:
    """A new setting must be put into the spec, or into this list with a reason."""
    in_spec = {
        *(
            "model",
            "features",
            "seed",
            "threads",
            "rounds",
            "early_stopping_rounds",
            "parameters",
            "processors",
            "label",
        ),
        *("train_end", "valid_end", "train_share", "valid_share", "embargo_days"),  # as segments
        *("segments", "purge"),
        *("topk", "n_drop", "account", "region", "min_rank_ic"),
        "study",  # whose trials count in the verdict
    }
    only_refuse = {"label_horizon_days", "min_days"}
    assert set(TrainingSettings.__dataclass_fields__) == in_spec | only_refuse


@pytest.mark.parametrize(
    "change",
    [
        {"features": FeaturesSettings(jobs=3)},
        {"console": ConsoleSettings(port=9)},
        {"universe": UniverseSettings(name="core")},  # what it is without a name
    ],
    ids=lambda change: next(iter(change)),
)
def test_spec_does_not_change_with_settings_that_decide_nothing(
    market: Settings, digest: str, change: dict[str, Any]
) -> None:
    assert training_spec(replace(market, **change)).digest == digest


def test_spec_changes_with_the_universe(market: Settings, digest: str) -> None:
    changed = replace(market, universe=UniverseSettings(name="all"))
    assert training_spec(changed).digest != digest


def _restate_a_bar(settings: Settings) -> None:
    restate(settings, "SH600000", DAYS[100], close=30.0)


def _restate_a_factor(settings: Settings) -> None:
    dataset = alpha158_dataset(settings)
    rows = dataset.read(["2019-05"]).with_columns(pl.col("KMID") + 1)
    dataset.write("2019-05", rows, inputs="", code="")
    FeatureStore(settings).refresh()


def _drop_a_month(settings: Settings) -> None:
    bars_dataset(settings).remove("2019-03")


@pytest.mark.parametrize("change", [_restate_a_bar, _restate_a_factor, _drop_a_month])
def test_spec_changes_with_the_data(
    own_market: Settings, digest: str, change: Callable[[Settings], None]
) -> None:
    change(own_market)
    assert training_spec(own_market).digest != digest


def _a_member_leaves(folder: Any) -> None:
    lines = (folder / "core.txt").read_text().splitlines(keepends=True)
    (folder / "core.txt").write_text("".join(lines[1:]))


def _the_index_is_restated(folder: Any) -> None:
    levels = pl.read_parquet(folder / "benchmark.parquet")
    levels.with_columns(pl.col("close") * 2 - 1).write_parquet(folder / "benchmark.parquet")


@pytest.mark.parametrize("change", [_a_member_leaves, _the_index_is_restated])
def test_spec_changes_with_what_lies_beside_the_bars(
    market: Settings, tmp_path: Any, change: Callable[[Any], None]
) -> None:
    copy = elsewhere(market, tmp_path)
    before = training_spec(copy)
    change(copy.source_folder)
    scan(copy)
    after = training_spec(copy)
    assert (before.snapshot, before.factors) == (after.snapshot, after.factors)
    assert before.digest != after.digest


def test_snapshot_is_of_all_bars(own_market: Settings) -> None:
    before = snapshot_digest(own_market)
    assert snapshot_digest(own_market) == before
    restate(own_market, "SH600000", DAYS[0], close=30.0)
    assert snapshot_digest(own_market) != before


def test_version_names_model_source_and_last_day(market: Settings) -> None:
    spec = training_spec(market)
    assert spec.version == f"lightgbm-{market.source.name}-20200811-{spec.digest[:6]}"
    assert spec.last_day == DAYS[-1]
    assert (spec.universe, spec.benchmark, spec.simulated) == ("core", "SH000300", False)
    assert spec.features.startswith("alpha158-")
    document = json.loads(json.dumps(spec.to_json()))
    assert document["segments"]["train"][0] == "2019-01-02"
    assert document["digest"] == spec.digest


@given(source=st.text(max_size=40))
def test_version_is_a_legal_partition_key_folder_and_part_of_a_url(source: str) -> None:
    day = date(2020, 1, 2)
    spec = TrainingSpec(
        model="lightgbm",
        task={},
        fitting={},
        processors={},
        features="",
        feature_names=(),
        feature_origin={},
        label="",
        segments=Segments((day, day), (day, day), (day, day)),
        universe="",
        universe_digest="",
        benchmark="",
        benchmark_digest="",
        snapshot="",
        factors="",
        source=source,
        simulated=False,
        last_day=day,
        backtest={},
        min_rank_ic=0.0,
        overfitting={},
    )
    assert re.fullmatch(r"[a-z0-9][a-z0-9.-]*", spec.version)
    assert len(spec.version) < 100


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"model": "lightgmb"}, UnknownEntryError, "did you mean 'lightgbm'"),
        ({"region": "mars"}, TrainingError, "region: was 'mars', must be one of cn, us"),
        ({"topk": 0}, TrainingError, "topk: was 0, must be above 0"),
        ({"n_drop": -1}, TrainingError, "n_drop: was -1, must be above 0"),
        ({"account": 0.0}, TrainingError, "account: was 0.0, must be above 0"),
        ({"parameters": {"leaves": 3}}, TrainingError, "unknown LightGBM parameter 'leaves'"),
        ({"embargo_days": 0}, TrainingError, "embargo_days: was 0"),
        ({"min_days": 421}, TrainingError, "found 420 trading days, need at least 421"),
    ],
)
def test_settings_that_cannot_be_trained_by_are_refused_before_anything_is_computed(
    market: Settings, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        training_spec(replace(market, training=replace(market.training, **change)))


def test_lake_without_bars_or_factors_says_what_to_materialize(own_market: Settings) -> None:
    for month in alpha158_dataset(own_market).months():
        alpha158_dataset(own_market).remove(month)
    with pytest.raises(DatasetMissingError, match="behind the rows of its sets"):
        training_spec(own_market)
    FeatureStore(own_market).refresh()
    with pytest.raises(DatasetMissingError, match="materialize alpha158_factors first"):
        training_spec(own_market)
    for month in bars_dataset(own_market).months():
        bars_dataset(own_market).remove(month)
    with pytest.raises(DatasetMissingError, match="materialize"):
        training_spec(own_market)
    with pytest.raises(DatasetMissingError, match="materialize raw_bars and bars first"):
        snapshot_digest(own_market)


def test_overfitting_settings_make_another_version_only_where_they_can_reject_it(
    market: Settings, digest: str
) -> None:
    def with_rules(**changes: Any) -> str:
        rules = replace(market.overfitting, **changes)
        return training_spec(replace(market, overfitting=rules)).digest

    assert with_rules(confidence=0.9) == digest
    blocking = with_rules(blocks=True)
    assert blocking != digest
    assert with_rules(blocks=True, confidence=0.9) != blocking
