"""What was trained, as parameters: Qlib's names, nothing cut in silence."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from qlops_assets.core.atomic import read_json, write_json
from qlops_assets.core.settings import Settings
from qlops_assets.training.recording.configuration import (
    _flat,
    configuration_of,
    write_configuration,
)
from qlops_assets_tests.support.market_fixtures import Trained

NAMES = st.text("abc_. /-", min_size=1, max_size=4)
TREES = st.dictionaries(
    NAMES,
    st.recursive(
        st.none() | st.integers() | st.lists(st.integers(), max_size=3) | st.text("xy", max_size=9),
        lambda inner: st.dictionaries(NAMES, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)


@given(TREES)
def test_parameters_are_flat_as_qlib_flattens_a_task(tree: dict[str, Any]) -> None:
    from qlib.utils import flatten_dict

    assert _flat(tree) == {name: str(value) for name, value in flatten_dict(tree).items()}


def test_parameter_that_is_too_long_says_that_it_was_cut_and_odd_names_are_allowed() -> None:
    long = "x" * 20_000
    found = _flat({"a": {"b@5": long, "c": "y" * 500}})
    assert found["a.c"] == "y" * 500
    assert found["a.b_5"] == f"{'x' * 500}… (20000 characters, whole in the artifacts)"


def test_configuration_is_qlibs_task_with_the_rest_of_the_spec(
    trained: Trained, tmp_path: Path
) -> None:
    import pickle

    from ruamel.yaml import YAML

    found = configuration_of(trained.settings, trained.first, None)
    parameters = found.parameters
    assert parameters["model.class"] == "LGBModel"
    assert parameters["model.kwargs.learning_rate"] == "0.1"
    assert parameters["dataset.kwargs.handler.class"] == "DataHandlerLP"
    spec = read_json(trained.settings.models / trained.first / "training_set.json")
    assert spec is not None
    assert parameters["dataset.kwargs.segments.test"] == str(spec["segments"]["test"])
    assert (parameters["features"], parameters["universe"]) == ("158", "core")
    assert max(map(len, parameters.values())) < 1000  # where Qlib has MLflow cut them
    write_configuration(tmp_path, found)
    task = YAML(typ="safe").load(tmp_path / "task.yaml")["task"]
    assert task == found.task == pickle.loads((tmp_path / "task").read_bytes())
    expressions, names = task["dataset"]["kwargs"]["handler"]["kwargs"]["data_loader"]["kwargs"][
        "config"
    ]["feature"]
    assert len(expressions) == len(names) == 158
    assert read_json(tmp_path / "training_set.json") == spec
    assert found.note == ""


def test_training_that_qlib_has_no_words_for_is_described_by_its_spec(
    own_trained: Trained, tmp_path: Path
) -> None:
    """On an indicator; its lake is another by now, which is told in the same way."""
    settings, version = own_trained.settings, own_trained.first
    other = replace(settings, training=replace(settings.training, features=("rsi_14",)))
    (settings.models / version / "recipe.json").unlink()
    found = configuration_of(other, version, None)
    assert found.task is None
    assert "was named after other data or settings" in found.note
    assert found.parameters["model.class"] == "LGBModel"
    assert found.parameters["dataset.kwargs.segments.train"].startswith("['2019-")
    assert "processors.learn" in found.parameters
    (folder := tmp_path / "artifacts").mkdir()
    write_configuration(folder, found)
    assert [p.name for p in folder.iterdir()] == ["training_set.json"]


def test_training_that_failed_before_its_data_were_known_has_the_model_of_the_failure(
    tmp_path: Path,
) -> None:
    settings = Settings(home=tmp_path)
    failure = {"task": {"class": "LGBModel", "kwargs": {"seed": 7}}}
    found = configuration_of(settings, "alpha-1", failure)
    assert found.parameters == {"model.class": "LGBModel", "model.kwargs.seed": "7"}
    assert configuration_of(settings, "alpha-1", None).parameters == {}
    write_json(settings.models / "other.json", {})
    assert found.spec is None
