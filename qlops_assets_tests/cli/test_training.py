"""``qlops train``: a version by command, by recipe and by a task of Qlib's."""

import json
from pathlib import Path
from typing import Any

import pytest

from qlops_assets.core.atomic import write_json
from qlops_assets.core.journal import Journal
from qlops_assets.core.settings import Settings
from qlops_assets.registry.registry import Registry
from qlops_assets.registry.states import ModelEvent
from qlops_assets_tests.cli.conftest import Qlops
from qlops_assets_tests.support.recorded import recording

QUICK = ("--set", "rounds=5", "--set", "topk=4", "--set", "n_drop=1", "--set", 'features=["KMID"]')


@pytest.fixture
def home(own_market: Settings, database: Path) -> str:
    """A home whose trainings are recorded in MLflow, as they are by default."""
    recording(own_market, database)
    write_json(own_market.source_file, {"path": str(own_market.source.path)})  # as the demo does
    return str(own_market.home)


def test_model_is_trained_evaluated_and_registered(qlops: Qlops, home: str) -> None:
    said = qlops("train", "--home", home, "--model", "xgboost", *QUICK, "--json")
    assert said.status == 0, said.err
    document = json.loads(said.out)
    version = document["model_version"]
    assert version.startswith("xgboost-")
    assert document["trained_now"]
    assert document["state"] in ("validated", "rejected")
    assert document["task"]["kwargs"]["eta"] == 0.0421
    assert set(document["metrics"]) >= {"ic", "rank_ic", "information_ratio"}
    assert Path(document["report"]).is_file()
    check_recorded(qlops, home, document)
    assert f"training {version}" in said.err

    again = qlops("train", "--home", home, "--model", "xgboost", *QUICK)
    assert again.status == 0, again.err
    assert f"{version} was trained before" in again.out

    recipe = qlops("train", "recipe", version, "--home", home)
    assert recipe.status == 0, recipe.err
    assert 'model = "xgboost"\n' in recipe.out
    file = Path(home) / "recipe.toml"
    file.write_text(recipe.out)
    same = qlops("train", "--home", home, "--spec", str(file), "--json")
    assert json.loads(same.out)["model_version"] == version
    assert not json.loads(same.out)["trained_now"]

    task = qlops("train", "--home", home, "export", version)
    assert task.status == 0, task.err
    assert "class: XGBModel" in task.out

    (Path(home) / "models" / version / "recipe.json").unlink()
    without = qlops("train", "recipe", version, "--home", home)
    assert without.status == 1
    assert "has no recipe" in without.err


def check_recorded(qlops: Qlops, home: str, document: dict[str, Any]) -> None:
    version, run = document["model_version"], document["mlflow_run"]
    shown = qlops("models", "show", version, "--home", home, "--json").document
    assert (shown["mlflow_run"], shown["mlflow_experiment"]) == (run, shown["source"])
    again = qlops("models", "record", version, "--home", home, "--json")
    assert again.document == {
        "model_version": version,
        "status": "FINISHED",
        "mlflow_run": run,
        "mlflow_experiment": shown["source"],
    }
    history = qlops("models", "history", version, "--home", home).out
    assert f"recorded in MLflow as {run}" in history


def test_recording_that_cannot_be_is_refused_in_a_line(qlops: Qlops, home: str) -> None:
    registry = Registry(Journal(f"sqlite:///{home}/journal.db"))
    registry.advance("alpha-1", ModelEvent.STARTED, by="tests", why="needed")
    for version, message in (("alpha-2", "did you mean 'alpha-1'"), ("alpha-1", "never trained")):
        said = qlops("models", "record", version, "--home", home)
        assert said.status == 1
        assert message in said.err
    (Path(home) / "qlops.toml").write_text("[recorder]\nenabled = false\n")
    said = qlops("models", "record", "alpha-1", "--home", home)
    assert said.status == 2
    assert "[recorder] enabled: was false" in said.err


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("--model", "xgbost"), 1, "did you mean 'xgboost'"),
        (("--model", "mlp", "--set", "parameters.layer=[8]"), 1, "did you mean 'layers'"),
        (("--model", "mlp", "--set", "parameters.layers=8"), 1, "a list of whole numbers"),
        (("--set", "round=5"), 2, "did you mean 'rounds'"),
        (("--set", "rounds"), 2, "must be KEY=VALUE"),
        (("--spec", "none.toml"), 1, "none.toml: cannot be read"),
        (("recipe", "none"), 1, "none"),
        (("--model", "lstm", "--set", 'parameters.device="cuda"', *QUICK), 1, "no GPU"),
    ],
)
def test_training_that_cannot_be_is_refused_in_a_line(
    qlops: Qlops, home: str, words: tuple[str, ...], status: int, message: str
) -> None:
    said = qlops("train", "--home", home, *words)
    assert said.status == status
    assert message in said.err
    assert "Traceback" not in said.err


def test_home_without_features_says_what_to_do(qlops: Qlops, tmp_path: Path) -> None:
    said = qlops("train", "--home", str(tmp_path))
    assert said.status == 1
    assert "qlops demo" in said.err
