"""``qlops models reproduce``: from kept files to the same artifact, bit for bit."""

import json
from pathlib import Path

import pytest

from qlops_assets.core.atomic import write_json
from qlops_assets.core.settings import Settings
from qlops_assets_tests.cli.conftest import Qlops
from qlops_assets_tests.support.market import restate

QUICK = (
    *("--set", "rounds=6", "--set", "topk=4", "--set", "n_drop=1"),
    *("--set", 'features=["KMID","ROC5"]'),
)
MODELS = {
    "lightgbm": (),
    "xgboost": (),
    "mlp": ("--set", "parameters={batch_size=256,eval_steps=2}"),
}


@pytest.fixture
def home(own_market: Settings) -> Settings:
    write_json(own_market.source_file, {"path": str(own_market.source.path)})  # as the demo does
    (own_market.home / "qlops.toml").write_text("[recorder]\nenabled = false\n")
    return own_market


def trained(qlops: Qlops, home: Settings, model: str) -> str:
    words = ("--model", model, *MODELS[model], *QUICK)
    said = qlops("train", "--home", str(home.home), *words, "--json")
    assert said.status == 0, said.err
    return str(said.document["model_version"])


@pytest.mark.parametrize("model", MODELS)
def test_version_is_trained_again_to_the_bit(
    qlops: Qlops, home: Settings, tmp_path: Path, model: str
) -> None:
    """Also when the source says something else by now."""
    version = trained(qlops, home, model)
    restate(home, "SH600000", home_day(home), close=99.0)
    kept = tmp_path / "kept"
    words = ("models", "reproduce", version, "--home", str(home.home), "--json")
    said = qlops(*words, "--keep", str(kept))
    assert said.status == 0, said.err
    document = said.document
    assert document["reproduced"] is True
    assert document["differing_inputs"] == {}
    both = document["artifact_sha256"]
    assert both["registered"] == both["reproduced"]
    assert (kept / "journal.db").is_file()  # it was trained, not copied


def home_day(home: Settings) -> object:
    from qlops_assets.lake.calendar import trading_days

    return trading_days(home)[5]


def test_input_that_differs_is_named(qlops: Qlops, home: Settings) -> None:
    version = trained(qlops, home, "lightgbm")
    recipe = home.models / version / "recipe.json"
    document = json.loads(recipe.read_text())
    document["training"]["seed"] = 8
    write_json(recipe, document)
    said = qlops("models", "reproduce", version, "--home", str(home.home))
    assert said.status == 1
    for words in ("not equal", "model and parameters: kwargs: seed", "was 7", "is  8"):
        assert words in said.out


def test_version_that_there_is_not_is_refused(qlops: Qlops, home: Settings) -> None:
    said = qlops("models", "reproduce", "none", "--home", str(home.home))
    assert said.status == 1
    assert "none" in said.err
