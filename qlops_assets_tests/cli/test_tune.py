"""``qlops tune``: a study by command, what is told of it, and the version that comes of it."""

import json

import pytest

from qlops_assets.core.atomic import write_json
from qlops_assets.core.settings import Settings
from qlops_assets_tests.cli.conftest import Qlops

QUICK = ("--set", "rounds=8", "--set", "topk=4", "--set", "n_drop=1", "--set", "threads=1")
FEW = ("--set", 'features=["KMID","KLEN","ROC5"]', "--set", "parameters.lambda_l1=0.1")
SMALL = ("--set", "parameters.lambda_l2=0.1", "--set", "parameters.num_leaves=4")


@pytest.fixture
def home(own_market: Settings) -> str:
    write_json(own_market.source_file, {"path": str(own_market.source.path)})  # as the demo does
    (own_market.home / "qlops.toml").write_text(
        "[recorder]\nenabled = false\n[tuning]\nfolds = 2\n"
        "[tuning.space]\nlearning_rate = { low = 0.05, high = 0.3 }\n"
    )
    return str(own_market.home)


def test_a_study_finds_parameters_and_trains_the_best(qlops: Qlops, home: str) -> None:
    command = ("tune", "--home", home, "--model", "lightgbm", *QUICK, *FEW, *SMALL, "--jobs", "1")
    said = qlops(*command, "--trials", "2", "--no-train", "--json")
    assert said.status == 0, said.err
    first = json.loads(said.out)
    study = first["study"]
    assert "learning_rate; 2 folds" in said.err
    assert (first["status"], first["complete"], "trained" in first) == ("finished", 2, False)
    assert first["baseline"]["parameters"] == {}

    said = qlops(*command, "--trials", "3", "--json")
    assert said.status == 0, said.err
    more = json.loads(said.out)
    assert (more["study"], more["complete"]) == (study, 3)
    assert more["all"][:2] == first["all"]
    trained = more["trained"]
    assert trained["state"] in ("validated", "rejected")
    best = more["best"]["parameters"]
    assert trained["task"]["kwargs"].items() >= best.items()
    assert trained["overfitting"]["measures"]["trials"] == 3
    assert trained["study"] == study

    listed = qlops("tune", "--home", home, "list")
    assert study in listed.out
    assert "3 of 3 trials" in listed.out
    shown = qlops("tune", "--home", home, "show", study)
    assert "finished, 3 of 3 trials: 3 complete, 0 pruned, 0 failed" in shown.out
    assert "the recipe as it is" in shown.out
    recipe = qlops("train", "--home", home, "recipe", trained["model_version"])
    assert f'study = "{study}"' in recipe.out

    late = qlops("tune", "--home", home, "cancel", study)
    assert late.status == 1
    assert f"study '{study}': it is finished; only one that runs can be cancelled" in late.err


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("--model", "lightgmb"), 1, "did you mean 'lightgbm'"),
        (("--trials", "0"), 2, "0 is not in the range x>=1"),
        (("--model", "xgboost"), 1, "[tuning.space] learning_rate: unknown XGBoost parameter"),
        (("--set", "min_days=100000"), 1, "the source"),
        (("show", "nothing"), 1, "unknown study 'nothing'"),
        (("cancel", "nothing"), 1, "study 'nothing': was never started"),
    ],
)
def test_what_cannot_be_tuned_is_refused(
    qlops: Qlops, home: str, words: tuple[str, ...], status: int, message: str
) -> None:
    said = qlops("tune", "--home", home, *words)
    assert said.status == status
    assert message in said.err


def test_a_home_without_a_study_says_how_to_make_one(qlops: Qlops, home: str) -> None:
    assert "qlops tune --model lightgbm --trials 20" in qlops("tune", "--home", home, "list").out
