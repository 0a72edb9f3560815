from pathlib import Path

import numpy as np
import pytest

from qlops_assets.core.errors import ArtifactError, UnknownModelError
from qlops_assets.core.journal import Journal
from qlops_assets.core.settings import Settings
from qlops_assets.deployment.model_source import RegisteredModels
from qlops_assets.registry.registry import Registry
from qlops_assets.registry.states import ModelEvent
from qlops_assets_tests.support.served_models import (
    FEATURES,
    expected_scores,
    random_rows,
    register,
    set_live,
    train_text,
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


@pytest.fixture
def journal(settings: Settings) -> Journal:
    return Journal(settings.journal_url)


def test_registered_version_is_loaded_with_its_features(
    settings: Settings, journal: Journal
) -> None:
    text = train_text(1)
    register(settings, journal, "v1", text, source="s")
    models = RegisteredModels(settings, journal)
    predictor = models.load("v1")
    rows = random_rows(3, 20)
    assert predictor.features == FEATURES
    np.testing.assert_array_equal(predictor.predict(rows), expected_scores(text, rows))
    assert models.describe("v1")["state"] == "validated"
    assert models.describe("v1")["source"] == "s"


def test_live_version_is_the_environments(settings: Settings, journal: Journal) -> None:
    models = RegisteredModels(settings, journal)
    assert models.live_version("staging") is None
    set_live(journal, "staging", "v1")
    assert (models.live_version("staging"), models.live_version("production")) == ("v1", None)


def test_version_that_is_not_registered_is_refused(settings: Settings, journal: Journal) -> None:
    models = RegisteredModels(settings, journal)
    for ask in (models.load, models.describe):
        with pytest.raises(UnknownModelError, match="'v1' Known: none yet"):
            ask("v1")


def test_version_whose_training_did_not_finish_is_refused(
    settings: Settings, journal: Journal
) -> None:
    Registry(journal).advance("v1", ModelEvent.STARTED, by="t", why="t")
    with pytest.raises(ArtifactError, match="no artifact; its training did not finish"):
        RegisteredModels(settings, journal).load("v1")


def test_artifact_other_than_the_registered_one_is_refused(
    settings: Settings, journal: Journal
) -> None:
    """Also where the record beside it was changed to match: the registry's digest decides."""
    from qlops_assets.models.artifact import save_artifact

    register(settings, journal, "v1", train_text(1))
    save_artifact(
        settings.models / "v1",
        content=train_text(2).encode(),
        format_name="lightgbm-text",
        features=FEATURES,
    )
    with pytest.raises(ArtifactError, match=r"SHA-256 was .* as registered"):
        RegisteredModels(settings, journal).load("v1")
