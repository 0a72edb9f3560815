"""Trainings on what nobody should train on: a clear error, or a correct result."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from qlops_assets.core.errors import FactorError
from qlops_assets.core.journal import Journal
from qlops_assets.core.prediction import Predictor
from qlops_assets.core.settings import Settings, UniverseSettings
from qlops_assets.lake.scan import scan
from qlops_assets.models.artifact import load_predictor
from qlops_assets.registry.registry import Registry
from qlops_assets.registry.states import ModelState
from qlops_assets.training.fit import predictions_path
from qlops_assets_tests.support.market import copied, elsewhere
from qlops_assets_tests.support.market_fixtures import market, own_market, shared_folder
from qlops_assets_tests.support.own_factors import build_own_factors, with_features
from qlops_assets_tests.support.small_disk import small_disk
from qlops_assets_tests.support.trainings import failure_of, run_training, version_of

__all__ = ["market", "own_market", "shared_folder"]

ODD = {
    "ENDLESS": "$close/($close-$close)",  # never finite
    "SELDOM": "If($close>Ref($close,1)*1.03,1/($close-$close),$close/Ref($close,4))",
}
MODELS = ["lightgbm", "linear", "mlp"]
# Few steps: what is asked is whether it is right, not whether it is good.
QUICK = {
    "lightgbm": {"lambda_l1": 0.1, "lambda_l2": 0.1, "num_leaves": 4},
    "linear": {},
    "mlp": {"batch_size": 64, "eval_steps": 5, "layers": [8]},
}


def quick(settings: Settings, model: str, **changes: object) -> Settings:
    training = replace(settings.training, model=model, parameters=QUICK[model], **changes)
    return replace(settings, training=training)


def state_of(settings: Settings, version: str) -> ModelState | None:
    return Registry(Journal(settings.journal_url)).state(version)


def loaded(settings: Settings, version: str) -> Predictor:
    """Return what a server would load: the artifact that the registry knows by its SHA-256."""
    facts = Registry(Journal(settings.journal_url)).card(version).facts
    return load_predictor(settings.models / version, sha256=facts["artifact_sha256"])


@pytest.fixture(scope="module")
def odd(market: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home with features that are never finite, or seldom."""
    home = tmp_path_factory.mktemp("odd") / "home"
    settings = replace(copied(market, home), factors=ODD)
    build_own_factors(settings)
    return settings


@pytest.mark.parametrize("model", MODELS)
def test_features_without_a_number_teach_a_model_nothing(odd: Settings, model: str) -> None:
    settings = quick(with_features(odd, "KMID", "MA5", *ODD), model)
    version = version_of(settings)
    result = run_training(settings)
    assert result.success
    scores = pl.read_parquet(predictions_path(settings, version)).get_column("score")
    assert scores.is_finite().all()
    assert scores.n_unique() > 100
    predictor = loaded(settings, version)
    rows = np.zeros((3, 4), np.float32)
    rows[1, 2], rows[2, 2] = np.nan, np.inf  # a server says the same whatever it is
    found = predictor.predict(rows)
    assert found[0] == found[1] == found[2]


def test_feature_that_never_has_a_value_is_refused_where_it_is_computed(
    own_market: Settings,
) -> None:
    settings = replace(own_market, factors={"NOTHING": "Log(0-$close)"})
    with pytest.raises(FactorError, match="no value in 1 of 1 factors, first 'NOTHING'"):
        build_own_factors(settings)


@pytest.mark.parametrize("model", MODELS)
def test_universe_of_five_instruments_is_trained_and_judged(
    market: Settings, tmp_path: Path, model: str
) -> None:
    copy = elsewhere(market, tmp_path)
    spans = [f"SH60000{n}\t2019-01-01\t2030-01-01\n" for n in range(5)]
    (Path(copy.source_folder) / "five.txt").write_text("".join(spans))
    scan(copy)
    copy = quick(replace(copy, universe=UniverseSettings(name="five")), model)
    copy = with_features(copy, "KMID", "MA5", "ROC5")
    version = version_of(copy)
    assert run_training(copy).success
    card = Registry(Journal(copy.journal_url)).card(version)
    assert card.state in (ModelState.VALIDATED, ModelState.REJECTED)
    assert np.isfinite(list(card.facts["metrics"].values())).all()


def test_universe_of_four_instruments_is_refused_with_what_it_needs(
    market: Settings, tmp_path: Path
) -> None:
    copy = elsewhere(market, tmp_path)
    spans = [f"SH60000{n}\t2019-01-01\t2030-01-01\n" for n in range(4)]
    (Path(copy.source_folder) / "four.txt").write_text("".join(spans))
    scan(copy)
    copy = quick(replace(copy, universe=UniverseSettings(name="four")), "linear")
    copy = with_features(copy, "KMID", "MA5", "ROC5")
    result = run_training(copy)
    assert not result.success
    assert "no day has five instruments" in failure_of(result).description
    assert state_of(copy, version_of(copy)) == ModelState.TRAINED  # and can be evaluated again


def test_labels_without_a_number_are_refused_before_anything_is_fitted(
    own_market: Settings,
) -> None:
    label = "Log(0-Ref($close,-1))"
    settings = quick(with_features(own_market, "KMID"), "linear", label=label)
    result = run_training(settings)
    assert not result.success
    assert "segment 'train'" in failure_of(result).description
    assert "no row has a label" in failure_of(result).description
    assert not list(settings.models.glob("*/artifact*"))


def test_validation_of_one_day_is_refused_with_what_it_needs(own_market: Settings) -> None:
    from qlops_assets.core.errors import HistoryTooShortError
    from qlops_assets.lake.calendar import trading_days

    days = trading_days(own_market)
    segments = {
        "train": (days[0], days[200]),
        "valid": (days[210], days[210]),
        "test": (days[220], days[-1]),
    }
    training = replace(own_market.training, segments=segments, train_end=None, valid_end=None)
    with pytest.raises(HistoryTooShortError, match="segment 'valid'"):
        version_of(replace(own_market, training=training))


def test_read_only_folder_of_models_is_named_and_nothing_half_is_registered(
    own_market: Settings,
) -> None:
    settings = quick(with_features(own_market, "KMID"), "linear")
    version = version_of(settings)
    with small_disk(settings.models, megabytes=4) as disk:
        remount = ["mount", "-o", "remount,ro", str(disk.folder)]
        subprocess.run(remount, check=True, capture_output=True)
        result = run_training(settings)
    assert not result.success
    description = failure_of(result).description
    assert "Read-only file system" in description
    assert version in description
    assert state_of(settings, version) is None
    assert run_training(settings).success  # once it can be written to


_TRAIN = """
import sys
from dataclasses import replace
from pathlib import Path
from qlops_assets_tests.defs.test_odd_trainings import quick
from qlops_assets_tests.support.market import market_settings
from qlops_assets_tests.support.own_factors import with_features
from qlops_assets_tests.support.trainings import run_training

settings = market_settings(Path(sys.argv[1]), Path(sys.argv[2]))
result = run_training(quick(with_features(settings, "KMID", "MA5"), "linear"))
sys.exit(0 if result.success else 3)
"""


def test_two_trainings_of_one_version_at_once_leave_one_whole_version(
    own_market: Settings,
) -> None:
    """As two people start them in Dagster: `qlops train` lets one at a time into a home."""
    settings = quick(with_features(own_market, "KMID", "MA5"), "linear")
    version = version_of(settings)
    places = [str(settings.home), str(settings.source_folder)]
    both = [subprocess.Popen([sys.executable, "-c", _TRAIN, *places]) for _ in range(2)]
    statuses = sorted(process.wait(timeout=300) for process in both)
    assert statuses in ([0, 0], [0, 3])
    card = Registry(Journal(settings.journal_url)).card(version)
    assert card.state in (ModelState.VALIDATED, ModelState.REJECTED)
    predictor = loaded(settings, version)
    assert predictor.features == ["KMID", "MA5"]
