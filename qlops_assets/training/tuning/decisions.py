"""What a study does next: whom it gives which trial, which one it ends, when it has enough."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from qlops_assets.core.errors import TrainingError
from qlops_assets.core.studies import words
from qlops_assets.core.studies.history import Trial
from qlops_assets.models.catalog import TRAINERS
from qlops_assets.training.tuning import messages
from qlops_assets.training.tuning.messages import Setup
from qlops_assets.training.tuning.record import TRIALS, StudyRecord
from qlops_assets.training.tuning.search import ParameterSearch
from qlops_assets.training.tuning.team import Team, Worker, last_words

_LISTEN_S: Final = 0.2
# A trial whose process is lost so often is taken to be what ends it.
MOST_STARTS: Final = 3
_MOST_FAILURES: Final = 3


class Decisions:
    """Runs the trials of a study: what the workers say goes to the record and to the search.

    The first trial is the recipe as it is, so that what tuning adds can be seen.
    """

    def __init__(
        self,
        record: StudyRecord,
        search: ParameterSearch,
        team: Team,
        setup: Setup,
        *,
        trials: int,
    ) -> None:
        self._record, self._search, self._team, self._setup = record, search, team, setup
        self._history, self._trials = record.history, trials
        self._lost = 0
        search.restore(self._history.ended)

    def run(self) -> None:
        """Go on until as many trials have ended as there are to be.

        Raises:
            TrainingError: the first trials all fail, workers are lost one after the other, or the
                space is too small.
            StudyCancelledError: somebody asked for the study to stop.
        """
        self._tell_progress()
        while (ended := len(self._history.ended)) < self._trials:
            self._team.fill(self._trials - ended)
            for worker in self._team.idle():
                self._give(worker)
            for message in self._team.hear(_LISTEN_S):
                self._take(message)
            self._record.require_wanted()
            self._require_a_chance()

    def _give(self, worker: Worker) -> None:
        """Give a worker what was interrupted, else something new, if any more is wanted."""
        waiting = [t for t in self._history.interrupted if t.state == words.WAITING]
        trial = waiting[0] if waiting else None
        if trial is None and len(self._history.trials) >= self._trials:
            return
        if trial is None:
            trial = self._new(len(self._history.trials))
        else:
            self._search.resume(trial)
            self._say_started(trial.number, trial.parameters, trial.searched, trial.is_baseline)
        left = [n for n in range(len(self._setup.folds)) if n not in trial.folds]
        self._team.give(worker, trial.number, trial.parameters, left)

    def _new(self, number: int) -> Trial:
        if number == 0:
            searched = self._search.searched(self._defaults())
            if searched is not None:
                self._search.adopt(number, searched)
            self._say_started(number, {}, searched or {}, True)
        else:
            parameters, suggested = self._search.suggest(number)
            self._say_started(number, parameters, suggested, False)
        return self._history.trials[number]

    def _defaults(self) -> dict[str, Any]:
        """Return the recipe's parameters, the defaults of model and library included."""
        trainer = TRAINERS.load(self._setup.model)(
            self._setup.parameters,
            seed=self._setup.seed,
            threads=self._setup.threads,
            rounds=self._setup.rounds,
            early_stopping_rounds=self._setup.early_stopping_rounds,
        )
        return trainer.effective()

    def _say_started(
        self,
        number: int,
        parameters: Mapping[str, Any],
        searched: Mapping[str, Any],
        is_baseline: bool,
    ) -> None:
        self._record.say(
            words.TRIAL_STARTED,
            trial=number,
            parameters=dict(parameters),
            searched=dict(searched),
            is_baseline=is_baseline,
        )

    def _take(self, message: Mapping[str, Any]) -> None:
        kind = message["kind"]
        told = {k: v for k, v in message.items() if k not in ("kind", "worker")}
        if kind == messages.PROGRESS:
            self._record.say(words.TRIAL_PROGRESS, **told)
        elif kind == messages.FOLD:
            self._record.say(words.FOLD_FINISHED, **told)
            self._after_fold(self._history.trials[told["trial"]])
        elif kind == messages.DONE:
            self._end(told["trial"], words.COMPLETE)
        elif kind == messages.STOPPED:
            self._end(told["trial"], words.PRUNED)
        elif kind == messages.FAILED:
            self._end(told["trial"], words.FAILED, told["error"])
        elif kind == messages.GONE:
            self._lose(message)

    def _after_fold(self, trial: Trial) -> None:
        """Have a trial end that is worse than the others were after as many folds."""
        is_last = len(trial.folds) == len(self._setup.folds)
        if self._search.is_hopeless(trial.number, trial.rank_ics) and not is_last:
            self._team.stop(trial.number)

    def _end(self, number: int, state: str, error: str | None = None) -> None:
        trial = self._history.trials[number]
        ics = trial.rank_ics
        value = None if state == words.FAILED or not ics else sum(ics) / len(ics)
        self._search.end(number, state, value)
        facts = {"error": error} if error else {}
        self._record.say(words.TRIAL_ENDED, trial=number, state=state, value=value, **facts)
        self._lost = 0
        if state == words.COMPLETE and (importance := self._search.importance()):
            self._record.say(words.IMPORTANCE, importance=importance)
        self._tell_progress()

    def _lose(self, message: Mapping[str, Any]) -> None:
        """Take note that a worker is gone; its trial is done again by another."""
        self._lost += 1
        number, status = message["trial"], message["status"]
        words_left = last_words(Path(self._setup.study), message["worker"], self._team.jobs)
        found = f"its process ended with status {status}" + (
            f": {words_left}" if words_left else ""
        )
        if number is not None:
            self._record.say(words.TRIAL_LOST, trial=number, error=found)
            if self._history.trials[number].starts >= MOST_STARTS:
                self._end(number, words.FAILED, f"{MOST_STARTS} times {found}")
        elif self._lost > MOST_STARTS:
            raise TrainingError(f"a worker of the study cannot be kept alive: {found}")

    def _require_a_chance(self) -> None:
        ended = self._history.ended
        if len(ended) >= _MOST_FAILURES and all(t.state == words.FAILED for t in ended):
            raise TrainingError(
                f"all of the first {len(ended)} trials failed; the last: {ended[-1].error}"
            )

    def _tell_progress(self) -> None:
        best = self._history.best
        metrics = {"best": best.value} if best and best.value is not None else {}
        self._record.report(TRIALS, len(self._history.ended), self._trials, metrics)
