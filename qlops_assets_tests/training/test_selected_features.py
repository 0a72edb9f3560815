"""A model on selected and own factors, from the report to the rows that a server scores."""

from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest

from qlops_assets.core.journal import Journal
from qlops_assets.core.progress import Unreported
from qlops_assets.core.settings import Settings
from qlops_assets.deployment.model_source import RegisteredModels
from qlops_assets.factors.alpha158_names import ALPHA158_NAMES
from qlops_assets.factors.report import build_report
from qlops_assets.features.lookup import StoredFeatures
from qlops_assets.features.store import FeatureStore
from qlops_assets.models.artifact import load_predictor
from qlops_assets.registry.registry import Registry
from qlops_assets.training.features import report_scope
from qlops_assets.training.fit import predictions_path, read_training_set
from qlops_assets.training.frame import compute_labels, training_frame
from qlops_assets.training.selections import save_selection
from qlops_assets.training.spec import training_spec
from qlops_assets_tests.support.own_factors import OWN, market_with_own_factors, with_features
from qlops_assets_tests.support.trained import train


@dataclass(frozen=True)
class Selected:
    """A home whose model was trained on a selection and the user's own factors."""

    settings: Settings
    version: str
    features: list[str]


@pytest.fixture(scope="module")
def selected(market: Settings, tmp_path_factory: pytest.TempPathFactory) -> Selected:
    settings = market_with_own_factors(market, tmp_path_factory.mktemp("own"))
    scope, _ = report_scope(settings)
    report = build_report(settings, scope)
    assert report.selection is not None
    journal = Journal(settings.journal_url)
    save_selection(settings, journal, "strong", report.selection, report, by="tests")
    journal.close()
    chosen = with_features(settings, "SPREAD", "selection:strong", "KLEN")
    expected = dict.fromkeys(["SPREAD", *report.selection.kept, "KLEN"])
    return Selected(chosen, train(chosen), list(expected))


@pytest.fixture(scope="module")
def predictions(selected: Selected) -> pl.DataFrame:
    return pl.read_parquet(predictions_path(selected.settings, selected.version))


def test_selection_holds_the_planted_signal_and_is_small(selected: Selected) -> None:
    assert "BACK4" in selected.features
    assert 3 < len(selected.features) < 60


def test_artifact_and_training_set_name_the_features_in_order(selected: Selected) -> None:
    source = RegisteredModels(selected.settings, Journal(selected.settings.journal_url))
    assert source.load(selected.version).features == selected.features
    document = read_training_set(selected.settings, selected.version)
    assert document["features"] == len(selected.features)
    assert document["feature_names"] == selected.features
    assert document["feature_definitions"] == training_spec(selected.settings).features
    origin = document["feature_origin"]
    assert origin["asked"] == ["SPREAD", "selection:strong", "KLEN"]
    assert origin["custom"] == OWN
    assert origin["selections"][0]["last"] == document["segments"]["train"][1]


def test_rows_of_two_sets_are_joined_by_instrument_and_day(selected: Selected) -> None:
    settings = selected.settings
    labels = compute_labels(settings, settings.training.label, Unreported())
    table = FeatureStore(settings).latest()
    assert table is not None
    both, _ = training_frame(settings, table, labels, ["BACK4", "KMID", "SPREAD"])
    alpha158, _ = training_frame(settings, table, labels, ALPHA158_NAMES)
    own, _ = training_frame(settings, table, labels, list(OWN))
    assert both["feature"].columns.tolist() == ["BACK4", "KMID", "SPREAD"]
    for name, frame in (("KMID", alpha158), ("BACK4", own), ("SPREAD", own)):
        assert both["feature"][name].equals(frame["feature"][name])
        assert both["label"].equals(frame["label"])


def test_stored_rows_through_the_artifact_give_the_predictions_bit_for_bit(
    selected: Selected, predictions: pl.DataFrame
) -> None:
    """What a server does for a day equals what was evaluated, with rows of both sets."""
    facts = Registry(Journal(selected.settings.journal_url)).card(selected.version).facts
    predictor = load_predictor(
        selected.settings.models / selected.version, sha256=facts["artifact_sha256"]
    )
    lookup = StoredFeatures(selected.settings)
    days = predictions["date"].unique().sort()
    for day in days.gather_every(15):
        expected = predictions.filter(pl.col("date") == day)
        rows = lookup.rows(day, predictor.features, expected["instrument"].to_list())
        assert rows.instruments == expected["instrument"].to_list()
        np.testing.assert_array_equal(predictor.predict(rows.values), expected["score"].to_numpy())
    assert lookup.last_date() == days[-1]


def test_few_selected_features_find_the_signal_out_of_sample(selected: Selected) -> None:
    facts = Registry(Journal(selected.settings.journal_url)).card(selected.version).facts
    assert facts["metrics"]["rank_ic"] > 0.05
