"""``[training] features``: what its entries mean, and what cannot be trained on."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from qlops_assets.core.errors import (
    DatasetMissingError,
    FactorError,
    QlopsError,
    SelectionError,
    TrainingError,
)
from qlops_assets.core.journal import Journal
from qlops_assets.core.progress import Unreported
from qlops_assets.core.settings import Settings
from qlops_assets.factors.alpha158 import alpha158_digest, alpha158_expressions
from qlops_assets.factors.report import Scope, build_report
from qlops_assets.factors.store import alpha158_dataset, factor_dataset
from qlops_assets.features.store import FeatureStore
from qlops_assets.models.artifact import load_predictor
from qlops_assets.training.features import FeatureList, report_scope, resolve_features
from qlops_assets.training.fit import fit_model, prepare_training_set
from qlops_assets.training.selections import save_selection
from qlops_assets.training.spec import training_spec
from qlops_assets_tests.support.market import copied, market_days
from qlops_assets_tests.support.own_factors import OWN, market_with_own_factors, with_features

DAYS = market_days()
ALPHA158 = list(alpha158_expressions())
SOME = ("KMID", "ROC5", "STD20", "BACK4")


@pytest.fixture(scope="module")
def home(market: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home with two factors of the user's own and two selections; only one may be trained on."""
    settings = market_with_own_factors(market, tmp_path_factory.mktemp("own"))
    journal = Journal(settings.journal_url)
    train_end = training_spec(settings).segments.train[1]
    for name, until in (("honest", train_end), ("late", DAYS[-1])):
        report = build_report(settings, Scope(SOME, until, until))
        assert report.selection is not None
        save_selection(settings, journal, name, report.selection, report, by="tests")
    journal.close()
    return settings


@pytest.fixture
def own_home(home: Settings, tmp_path: Path) -> Settings:
    return copied(home, tmp_path / "home")


def resolved(settings: Settings, *features: str) -> FeatureList:
    chosen = with_features(settings, *features)
    return resolve_features(chosen, training_spec(settings).segments)


def test_alpha158_alone_is_what_it_always_was(market: Settings) -> None:
    found = resolved(market, "alpha158")
    infos = alpha158_dataset(market).infos()
    assert list(found.names) == ALPHA158
    assert found.definitions == f"alpha158-{alpha158_digest()[:12]}"
    spec = training_spec(market)
    assert (spec.features, spec.factors) == (found.definitions, found.rows)
    from qlops_assets.core.digests import combined_digest

    assert found.rows == combined_digest(infos[month].digest for month in sorted(infos))
    assert found.origin == {"asked": ["alpha158"], "custom": {}, "selections": []}


def test_entries_are_sets_factors_and_selections_each_factor_once_where_it_came_first(
    home: Settings,
) -> None:
    assert list(resolved(home, "custom").names) == list(OWN)
    assert list(resolved(home, "ROC5", "KMID", "ROC5").names) == ["ROC5", "KMID"]
    assert list(resolved(home, "STD20", "alpha158", "custom").names) == [
        "STD20",
        *(name for name in ALPHA158 if name != "STD20"),
        *OWN,
    ]
    selected = resolved(home, "selection:honest")
    assert "BACK4" in selected.names
    assert set(selected.names) <= set(SOME)
    more = resolved(home, "SPREAD", "selection:honest", "custom")
    assert list(more.names) == ["SPREAD", *selected.names]


def test_origin_says_where_features_come_from(home: Settings) -> None:
    origin = resolved(home, "selection:honest", "KMID").origin
    assert origin["asked"] == ["selection:honest", "KMID"]
    assert origin["custom"] == {"BACK4": OWN["BACK4"]}
    (selection,) = origin["selections"]
    assert selection["name"] == "honest"
    assert selection["last"] == str(training_spec(home).segments.train[1])


def test_list_has_its_own_digest_whatever_names_it(home: Settings) -> None:
    one = resolved(home, "selection:honest")
    other = resolved(home, *one.names)
    assert (one.definitions, one.rows) == (other.definitions, other.rows)
    digests = {
        resolved(home, *features).definitions
        for features in (("KMID",), ("KMID", "ROC5"), ("ROC5", "KMID"), ("alpha158",), ("custom",))
    }
    assert len(digests) == 5


def test_expression_of_an_own_factor_is_part_of_the_digest(own_home: Settings) -> None:
    before = resolved(own_home, "custom").definitions
    changed = replace(own_home, factors={**OWN, "BACK4": "1-$close/Ref($close,3)"})
    from qlops_assets_tests.support.own_factors import build_own_factors

    build_own_factors(changed)
    assert resolved(changed, "custom").definitions != before


def test_features_are_part_of_the_model_version(home: Settings) -> None:
    versions = {
        training_spec(with_features(home, *features)).version
        for features in (("alpha158",), ("KMID", "ROC5"), ("custom",), ("selection:honest",))
    }
    assert len(versions) == 4
    spec = training_spec(with_features(home, "custom", "KMID"))
    assert spec.feature_names == (*OWN, "KMID")
    assert spec.to_json()["feature_origin"]["custom"] == OWN


def test_trained_model_tells_what_its_own_features_were_computed_by(own_home: Settings) -> None:
    short = with_features(own_home, "custom", "KMID")
    settings = replace(short, training=replace(short.training, rounds=3))
    version = training_spec(settings).version
    prepare_training_set(settings, version, Unreported())
    trained = fit_model(settings, version, Unreported())
    loaded = load_predictor(settings.models / version, sha256=trained.artifact.sha256)
    assert loaded.features == [*OWN, "KMID"]
    assert loaded.expressions == OWN


def test_rows_of_own_factors_count_only_where_they_are_used(own_home: Settings) -> None:
    before = {f: resolved(own_home, f).rows for f in ("alpha158", "custom")}
    dataset = factor_dataset(own_home, "custom")
    info = dataset.info("2019-05")
    assert info is not None
    rows = dataset.read(["2019-05"]).with_columns(SPREAD=0.5)
    dataset.write("2019-05", rows, inputs=info.inputs, code=info.code)
    with pytest.raises(DatasetMissingError, match="2019-05; it is behind the rows of its sets"):
        resolved(own_home, "alpha158")
    FeatureStore(own_home).refresh()
    assert resolved(own_home, "alpha158").rows == before["alpha158"]
    assert resolved(own_home, "custom").rows != before["custom"]


@pytest.mark.parametrize(
    ("features", "error", "message"),
    [
        (("alpha185",), TrainingError, "unknown feature 'alpha185'; did you mean 'alpha158'"),
        (("KMIDD",), TrainingError, "unknown feature 'KMIDD'; did you mean 'KMID'"),
        (("selektion:honest",), TrainingError, "did you mean 'selection:honest'"),
        (("selection:honset",), SelectionError, "no selection 'honset'; did you mean 'honest'"),
        (("selection:",), SelectionError, "a name has 1 to 64 letters"),
        ((), TrainingError, r"features: was \[\], must name at least one"),
    ],
)
def test_entry_that_names_nothing_is_refused(
    home: Settings, features: tuple[str, ...], error: type[QlopsError], message: str
) -> None:
    with pytest.raises(error, match=message):
        resolved(home, *features)


def test_selection_that_has_seen_validation_or_test_is_refused_with_its_days(
    home: Settings,
) -> None:
    train_end = training_spec(home).segments.train[1]
    with pytest.raises(TrainingError, match=f"to {DAYS[-1]}, but training ends on {train_end}"):
        training_spec(with_features(home, "KMID", "selection:late"))


def test_selection_is_refused_where_training_is_made_to_end_earlier(home: Settings) -> None:
    training = replace(
        home.training,
        features=("selection:honest",),
        train_end=date(2019, 9, 30),
        valid_end=date(2020, 3, 31),
    )
    with pytest.raises(TrainingError, match="but training ends on 2019-09-26"):
        training_spec(replace(home, training=training))


def test_selected_factor_that_is_no_longer_defined_is_refused(home: Settings) -> None:
    forgotten = replace(home, factors={"SPREAD": OWN["SPREAD"]})
    with pytest.raises(TrainingError, match="keeps 'BACK4', which is no longer defined"):
        resolved(forgotten, "selection:honest")


def test_set_without_a_factor_is_refused(market: Settings) -> None:
    with pytest.raises(TrainingError, match="'custom' has no factor; define one under"):
        resolved(market, "custom")


def test_factor_whose_rows_are_not_stored_is_refused(market: Settings) -> None:
    defined = replace(market, factors=OWN)
    with pytest.raises(QlopsError, match="materialize custom_factors first"):
        resolved(defined, "KMID", "BACK4")
    assert list(resolved(defined, "KMID").names) == ["KMID"]


def test_rows_of_another_definition_are_refused(home: Settings) -> None:
    changed = replace(home, factors={**OWN, "BACK4": "1-$close/Ref($close,3)"})
    with pytest.raises(FactorError, match="of other definitions than the present ones"):
        training_spec(with_features(changed, "BACK4"))


def test_scope_of_a_report_ends_its_selection_with_the_training_period(home: Settings) -> None:
    scope, reason = report_scope(home, factors=["KMID"], until=DAYS[300])
    assert (scope.factors, scope.until, reason) == (("KMID",), DAYS[300], None)
    assert scope.training_end == training_spec(home).segments.train[1]


def test_scope_of_a_history_too_short_for_a_training_says_why(home: Settings) -> None:
    short = replace(home, training=replace(home.training, min_days=421))
    scope, reason = report_scope(short)
    assert scope == Scope()
    assert reason is not None
    assert "found 420 trading days, need at least 421" in reason
