import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlops_assets.core.errors import TrainingError
from qlops_assets.core.studies import words
from qlops_assets.core.studies.history import Trial
from qlops_assets.models.catalog import TRAINERS
from qlops_assets.training.tuning.search import ParameterSearch
from qlops_assets.training.tuning.spaces import Space, space_of

TABLE = TRAINERS.load("lightgbm").table
OWN: dict[str, Any] = {
    "learning_rate": {"low": 0.01, "high": 0.3, "log": True},
    "num_leaves": {"low": 8, "high": 64},
    "extra_trees": [True, False],
}


def space() -> Space:
    return space_of("LightGBM", TABLE, OWN)


def search_of(**changes: Any) -> ParameterSearch:
    given: dict[str, Any] = {"seed": 7, "startup": 4, "pruning": True}
    return ParameterSearch(space(), **(given | changes))


def worth(parameters: dict[str, Any]) -> float:
    """One hill: at a learning rate of 0.05; leaves hardly matter."""
    away = math.log(parameters["learning_rate"] / 0.05)
    return 0.05 - 0.02 * away**2 + 1e-5 * parameters["num_leaves"]


def ended(number: int, search: ParameterSearch, state: str = words.COMPLETE) -> Trial:
    """Suggest and end a trial as a study does."""
    parameters, searched = search.suggest(number)
    trial = Trial(number, parameters, searched, False, datetime.now(UTC), state=state)
    trial.value = None if state == words.FAILED else worth(parameters)
    if trial.value is not None:
        trial.folds = {0: {"rank_ic": trial.value}}
    search.end(number, state, trial.value)
    return trial


@pytest.mark.parametrize("name", TRAINERS.names())
def test_the_space_of_every_model_holds_only_what_it_takes(name: str) -> None:
    trainer = TRAINERS.load(name)
    found = space_of(trainer.title, trainer.table)
    assert found
    for parameter, dimension in found.items():
        search = dimension.search
        for value in search.choices or (search.low, search.high):
            assert trainer.table[parameter].fault(value) is None


@pytest.mark.parametrize("name", TRAINERS.names())
def test_every_suggestion_for_every_model_can_be_trained_with(name: str) -> None:
    trainer = TRAINERS.load(name)
    search = ParameterSearch(
        space_of(trainer.title, trainer.table), seed=1, startup=10, pruning=False
    )
    for number in range(8):
        parameters, searched = search.suggest(number)
        made = trainer(parameters, seed=1, threads=1, rounds=5, early_stopping_rounds=2)
        assert made.parameters.items() >= parameters.items()
        assert search.searched(parameters) == searched


def test_the_recipe_of_lightgbm_as_it_is_is_a_point_of_its_space() -> None:
    """So the search learns from the first trial, too."""
    search = ParameterSearch(space_of("LightGBM", TABLE), seed=1, startup=4, pruning=False)
    made = TRAINERS.load("lightgbm")({}, seed=1, threads=1, rounds=5, early_stopping_rounds=2)
    found = search.searched(made.effective())
    assert found is not None
    assert (found["learning_rate"], found["min_data_in_leaf"]) == (0.2, 20)


@pytest.mark.parametrize("interrupted_after", [0, 1, 3, 6])
def test_what_is_suggested_follows_from_the_seed_and_what_has_ended(
    interrupted_after: int,
) -> None:
    whole = search_of()
    trials = [ended(number, whole) for number in range(9)]
    again = search_of()
    again.restore(trials[:interrupted_after])
    more = [ended(number, again) for number in range(interrupted_after, 9)]
    assert [t.searched for t in more] == [t.searched for t in trials[interrupted_after:]]
    other = ended(0, search_of(seed=8))
    assert other.searched != trials[0].searched


def test_it_climbs_a_hill_on_which_random_drawing_stays_where_it_is() -> None:
    late = {}
    for startup in (5, 1000):
        values = []
        for seed in range(6):
            search = search_of(seed=seed, startup=startup)
            values += [ended(number, search).value or 0.0 for number in range(25)][15:]
        late[startup] = sum(values) / len(values)
    assert late[5] > late[1000] + 0.002


def test_importance_is_given_to_what_matters() -> None:
    search = search_of()
    assert search.importance() == {}
    for number in range(20):
        ended(number, search)
    found = search.importance()
    assert sum(found.values()) == pytest.approx(1.0, abs=1e-4)
    assert found["learning_rate"] > 0.8


def test_importance_of_trials_that_are_all_worth_the_same_is_unknown() -> None:
    search = search_of()
    for number in range(6):
        search.suggest(number)
        search.end(number, words.COMPLETE, 0.01)
    assert search.importance() == {}


@given(st.lists(st.floats(-0.1, 0.1), min_size=5, max_size=9), st.floats(-0.1, 0.1))
def test_a_trial_is_pruned_where_it_is_below_the_middle_of_the_others(
    others: list[float], own: float
) -> None:
    search = search_of()
    for number, value in enumerate(others):
        search.suggest(number)
        assert not search.is_hopeless(number, [value]) or number >= 4
        search.end(number, words.COMPLETE, value)
    search.suggest(99)
    middle = sorted(others)[len(others) // 2]
    if len(others) % 2 == 0:
        middle = (middle + sorted(others)[len(others) // 2 - 1]) / 2
    assert search.is_hopeless(99, [own]) == (own < middle)


def test_a_trial_that_failed_keeps_the_search_away_from_it() -> None:
    """Of equal seeds the one that knows of failures at small rates draws fewer small rates."""
    rates = {}
    for knows in (True, False):
        small = 0
        for seed in range(6):
            search = search_of(seed=seed, startup=6, pruning=False)
            for number in range(20):
                parameters, _ = search.suggest(number)
                fails = parameters["learning_rate"] < 0.08
                state = words.FAILED if fails and knows else words.COMPLETE
                search.end(number, state, None if fails and knows else 0.01)
                small += fails
        rates[knows] = small
    assert rates[True] < rates[False]


def test_a_space_that_is_used_up_is_told() -> None:
    tiny = space_of("LightGBM", TABLE, {"extra_trees": [True, False]})
    search = ParameterSearch(tiny, seed=1, startup=10, pruning=False)
    drawn = {search.suggest(number)[0]["extra_trees"] for number in range(2)}
    assert drawn == {True, False}
    with pytest.raises(TrainingError, match="it is too small for 3 trials"):
        search.suggest(2)


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"learning_rat": [0.1]}, "unknown LightGBM parameter; did you mean 'learning_rate'"),
        ({"learning_rate": {"low": 0.3, "high": 0.1}}, "with low below high"),
        ({"learning_rate": {"low": 0.0, "high": 0.1}}, "has 0.0, must be above 0"),
        ({"lambda_l1": {"low": 0.0, "high": 1, "log": True}}, "log needs low above 0"),
        ({"learning_rate": {"low": 0.1, "hihg": 0.2}}, "must be {low"),
        ({"learning_rate": []}, "must be {low"),
        ({"learning_rate": 0.1}, "must be {low"),
        ({"num_leaves": {"low": 1, "high": 9}}, "has 1, must be at least 2"),
        ({"num_leaves": {"low": 2.5, "high": 9}}, "has 2.5, must be a whole number"),
        ({"loss": ["mse", "mae"]}, "has 'mae', must be one of mse, binary"),
        ({"boosting": {"low": 1, "high": 2}}, "must be a list of values: it is no number"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused(own: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message) as raised:
        space_of("LightGBM", TABLE, own)
    assert str(raised.value).startswith("[tuning.space] ")
