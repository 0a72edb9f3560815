"""What is tried next, what is pruned, what mattered: Optuna, in the one process that decides.

Optuna's study lives in memory and is made anew from the journal whenever a study goes on: there is
no second record that could disagree with it, and nothing of it can be locked or half-written.
"""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from qlops_assets.core.errors import TrainingError
from qlops_assets.core.studies import words
from qlops_assets.core.studies.history import Trial
from qlops_assets.training.tuning.spaces import Dimension, Space

if TYPE_CHECKING:
    import optuna

_REDRAWS: Final = 50
_FEWEST_FOR_IMPORTANCE: Final = 4


class ParameterSearch:
    """Suggests parameters of a space by what the trials so far were worth.

    The sampler is Optuna's tree-structured Parzen estimator, seeded by the study's seed and the
    number of the trial: what it suggests follows from these and from what has ended by then, also
    after the study was killed. A trial is pruned by Optuna's median rule: where the mean Rank IC of
    its folds so far is below the middle of the others' at the same fold.
    """

    def __init__(self, space: Space, *, seed: int, startup: int, pruning: bool) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space, self._seed, self._startup = space, seed, startup
        self._distributions = {name: _distribution(one) for name, one in space.items()}
        median = optuna.pruners.MedianPruner(n_startup_trials=startup)
        pruner = median if pruning else optuna.pruners.NopPruner()
        self._study = optuna.create_study(direction="maximize", pruner=pruner)
        self._open: dict[int, optuna.Trial] = {}
        self._tried: set[str] = set()

    def restore(self, trials: Sequence[Trial]) -> None:
        """Tell the search of trials that ended before it began."""
        import optuna

        complete, pruned = optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED
        for trial in trials:
            self._tried.add(_key(trial.searched))
            if set(trial.searched) != set(self._space):  # a recipe from outside of the space
                continue
            is_failed = trial.state == words.FAILED
            means = [] if is_failed else _running_means(trial.rank_ics)
            is_complete = trial.state == words.COMPLETE
            self._study.add_trial(
                optuna.trial.create_trial(
                    state=complete if is_complete else pruned,
                    value=trial.value if is_complete else None,
                    params=dict(trial.searched),
                    distributions=self._distributions,
                    intermediate_values=dict(enumerate(means)),
                )
            )

    def suggest(self, number: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what a new trial changes of the recipe, and the same in the search's words.

        Raises:
            TrainingError: everything in the space was tried.
        """
        import numpy as np
        import optuna

        for redraw in range(_REDRAWS):
            sequence = np.random.SeedSequence([self._seed, number, redraw])
            self._study.sampler = optuna.samplers.TPESampler(
                n_startup_trials=self._startup, seed=int(sequence.generate_state(1)[0])
            )
            trial = self._study.ask(self._distributions)
            if (key := _key(trial.params)) not in self._tried:
                self._tried.add(key)
                self._open[number] = trial
                return self.parameters(trial.params), dict(trial.params)
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
        raise TrainingError(
            f"[tuning.space]: all that was drawn {_REDRAWS} times over had been tried; it is too "
            f"small for {number + 1} trials: widen it or ask for fewer"
        )

    def resume(self, trial: Trial) -> None:
        """Have a trial that was interrupted go on after the folds that it had finished."""
        if trial.number in self._open or set(trial.searched) != set(self._space):
            return
        self.adopt(trial.number, trial.searched)
        for fold, mean in enumerate(_running_means(trial.rank_ics)):
            self._open[trial.number].report(mean, fold)

    def adopt(self, number: int, searched: Mapping[str, Any]) -> None:
        """Take a trial that was not suggested now, with a value for every part of the space."""
        self._tried.add(_key(searched))
        self._study.enqueue_trial(dict(searched))
        self._open[number] = self._study.ask(self._distributions)

    def is_hopeless(self, number: int, rank_ics: Sequence[float]) -> bool:
        """Return whether a trial may end now, after so many of its folds."""
        trial = self._open.get(number)
        if trial is None:
            return False
        trial.report(_running_means(rank_ics)[-1], len(rank_ics) - 1)
        return bool(trial.should_prune())

    def end(self, number: int, state: str, value: float | None) -> None:
        """Tell how a trial ended.

        One that failed is told as pruned before its first fold: the sampler takes these for the
        worst and keeps away from them, and learns nothing from those that it is told failed.
        """
        import optuna

        trial = self._open.pop(number, None)
        if trial is None:
            return
        if state == words.COMPLETE:
            self._study.tell(trial, value)
        elif state == words.PRUNED:
            self._study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
            self._study.add_trial(
                optuna.trial.create_trial(
                    state=optuna.trial.TrialState.PRUNED,
                    params=trial.params,
                    distributions=self._distributions,
                )
            )

    def importance(self) -> dict[str, float]:
        """Return the share of the variance of the values that each parameter explains.

        Source: functional ANOVA over a random forest (Hutter, Hoos and Leyton-Brown, 2014), as
        ``optuna.importance.FanovaImportanceEvaluator``. Empty before four trials are complete, or
        where all of them were worth the same.
        """
        import optuna

        complete = self._study.get_trials(
            deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,)
        )
        if len(complete) < _FEWEST_FOR_IMPORTANCE or len({t.value for t in complete}) < 2:
            return {}
        moving = [n for n in self._space if len({str(t.params[n]) for t in complete}) > 1]
        if not moving:
            return {}
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=self._seed)
        found = optuna.importance.get_param_importances(
            self._study, evaluator=evaluator, params=moving
        )
        return {name: round(float(value), 6) for name, value in found.items()}

    def parameters(self, searched: Mapping[str, Any]) -> dict[str, Any]:
        """Return a suggestion as the model takes it."""
        return {name: _taken(self._space[name], value) for name, value in searched.items()}

    def searched(self, parameters: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return parameters in the search's words; None where one lies outside of the space."""
        if any(n not in parameters or not d.holds(parameters[n]) for n, d in self._space.items()):
            return None
        return {name: _told(one, parameters[name]) for name, one in self._space.items()}


def _distribution(dimension: Dimension) -> "optuna.distributions.BaseDistribution":
    from optuna import distributions

    search = dimension.search
    if search.low is None or search.high is None:
        return distributions.CategoricalDistribution([_text(v) for v in search.choices])
    if dimension.whole:
        return distributions.IntDistribution(int(search.low), int(search.high), log=search.log)
    return distributions.FloatDistribution(search.low, search.high, log=search.log)


def _text(value: Any) -> Any:
    """Return a choice as Optuna keeps it: a list is none of its kinds."""
    return json.dumps(list(value)) if isinstance(value, list | tuple) else value


def _told(dimension: Dimension, value: Any) -> Any:
    if dimension.search.choices:
        return _text(value)
    return int(value) if dimension.whole else float(value)


def _taken(dimension: Dimension, value: Any) -> Any:
    choices = dimension.search.choices
    return next(v for v in choices if _text(v) == value) if choices else value


def _key(searched: Mapping[str, Any]) -> str:
    return json.dumps(dict(searched), sort_keys=True)


def _running_means(values: Sequence[float]) -> list[float]:
    return [sum(values[: n + 1]) / (n + 1) for n in range(len(values))]
