import random
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest

from qlops_assets.core.errors import StudyCancelledError, TrainingError
from qlops_assets.core.journal import Journal
from qlops_assets.core.settings import Settings
from qlops_assets.core.studies import words
from qlops_assets.core.studies.history import StudyHistory
from qlops_assets.core.studies.status import request_cancel, study_status
from qlops_assets.training.tuning.specification import study_folder, study_spec
from qlops_assets.training.tuning.study import DATA, run_study, tuned
from qlops_assets.training.tuning.trials import trials_of
from qlops_assets_tests.support.market import copied
from qlops_assets_tests.support.study_process import (
    history_of,
    kept,
    study_process,
    tuning_settings,
)
from qlops_assets_tests.support.waiting import wait_for


def run(settings: Settings, trials: int) -> tuple[str, StudyHistory]:
    study = kept(settings)
    return study, run_study(settings, study, Journal(settings.journal_url), trials=trials)


def told(history: StudyHistory) -> list[tuple[object, ...]]:
    return [(t.number, dict(t.parameters), t.state, t.value) for t in history.ended]


def workers_of(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


@dataclass(frozen=True)
class Finished:
    """A home with a study of four trials."""

    settings: Settings
    study: str
    history: StudyHistory


@pytest.fixture(scope="module")
def finished(market: Settings, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Not to be changed."""
    home = tmp_path_factory.mktemp("finished") / "home"
    settings = tuning_settings(copied(market, home))
    return Finished(settings, *run(settings, 4))


def test_a_study_judges_every_trial_by_all_folds_and_begins_with_the_recipe(
    finished: Finished,
) -> None:
    settings, history = finished.settings, finished.history
    assert [trial.state for trial in history.ended] == [words.COMPLETE] * 4
    assert history.trials[0].is_baseline
    assert history.trials[0].parameters == {}
    for trial in history.ended:
        assert sorted(trial.folds) == [0, 1]
        assert trial.value == pytest.approx(np.mean(trial.rank_ics))
    values = [trial.value for trial in history.ended]
    assert history.best is not None
    assert history.best.value == max(values)
    assert set(history.importance) == set(study_spec(settings).space)
    assert sum(history.importance.values()) == pytest.approx(1.0, abs=1e-4)
    assert history.outcome == words.FINISHED
    data = study_folder(settings, finished.study) / DATA
    assert not data.exists()  # gigabytes on a real market


def test_a_trial_is_worth_what_a_training_of_its_fold_is_worth(finished: Finished) -> None:
    """The same through Qlib's dataset as any training has it, in one process, from the lake."""
    from qlops_assets.core.columns import DATE
    from qlops_assets.core.progress import Unreported
    from qlops_assets.features.current import current_version
    from qlops_assets.lake.qlib_bin import build_provider
    from qlops_assets.models.qlib_session import qlib_session
    from qlops_assets.training.frame import (
        compute_labels,
        qlib_dataset,
        training_frame,
    )
    from qlops_assets.training.metrics import qlib_series
    from qlops_assets.training.segments import Segments
    from qlops_assets.training.spec import trainer_of

    settings, history = finished.settings, finished.history
    trial, spec = history.trials[1], study_spec(settings)
    fold = spec.folds[1]
    training = replace(
        settings.training,
        parameters={**settings.training.parameters, **trial.parameters},
        threads=history.about["threads"],
    )
    labels = compute_labels(settings, spec.training.label, Unreported())
    names = spec.training.feature_names
    frame, rows = training_frame(settings, current_version(settings, names), labels, names)
    with qlib_session(build_provider(settings)):
        from qlib.contrib.eva.alpha import calc_ic

        segments = Segments(fold.train, fold.stop, fold.valid)
        dataset = qlib_dataset(frame, segments, spec.training.processors)
        trainer = trainer_of(replace(settings, training=training))
        fitted = trainer.fit(dataset, Unreported())
        scores = trainer.predict(fitted, dataset, "test").sort_index()
        inside = rows.filter(rows.get_column(DATE).is_between(*fold.valid))
        _, label = qlib_series(inside.with_columns(score=0.0))
        _, rank_ic = calc_ic(scores, label.reindex(scores.index))
    assert trial.folds[1]["rank_ic"] == pytest.approx(float(rank_ic.mean()), abs=1e-12)
    assert trial.folds[1]["best_iteration"] == fitted.best_iteration


def goes_on(settings: Settings, study: str, *, before: int) -> bool:
    """Whether a trial is in its fit, and one has ended since."""
    history = history_of(settings, study)
    return len(history.ended) > before and any(trial.last for trial in history.interrupted)


def gone(processes: list[psutil.Process]) -> bool:
    return not any(process.is_running() for process in processes)


def test_a_study_that_is_killed_at_random_moments_has_every_trial_once(
    own_market: Settings,
) -> None:
    settings, trials = tuning_settings(own_market), 8
    moments, study, journal = random.Random(3), kept(settings), Journal(own_market.journal_url)
    for _ in range(2):
        before = len(history_of(settings, study).ended)
        with study_process(settings, trials) as process:
            wait_for(partial(goes_on, settings, study, before=before), 120.0)
            time.sleep(moments.uniform(0.0, 0.5))  # somewhere in a fit
            workers = workers_of(process.pid)
            process.kill()
            process.wait()
        wait_for(partial(gone, workers), 30.0)
        history, now = history_of(settings, study), datetime.now(UTC)
        assert study_status(history, settings.studies, study, now) == "dead"
        with pytest.raises(TrainingError, match="it is dead; only one that runs"):
            request_cancel(journal, settings.studies, study, by="ann", why="")
    _, history = run(settings, trials)
    assert [(t.number, t.state) for t in history.ended] == [
        (number, words.COMPLETE) for number in range(trials)
    ]
    assert len({str(t.searched) for t in history.ended}) == trials
    events = journal.read_all(words.topic_of(study))
    ends = [event.data["trial"] for event in events if event.kind == words.TRIAL_ENDED]
    assert sorted(ends) == list(range(trials))  # and none ended twice
    assert sum(trial.starts for trial in history.ended) > trials


def test_a_finished_study_goes_on_when_it_is_asked_for_more(
    finished: Finished, tmp_path: Path
) -> None:
    settings = replace(
        copied(finished.settings, tmp_path / "home"), tuning=finished.settings.tuning
    )
    study, same = run(settings, 4)
    assert told(same) == told(finished.history)
    assert history_of(settings, study).starts == 1  # nothing was left to do
    _, more = run(settings, 5)
    assert told(more)[:4] == told(finished.history)
    assert len(more.ended) == 5


def test_a_worker_that_is_killed_costs_no_trial(own_market: Settings) -> None:
    settings = tuning_settings(own_market)
    study = kept(settings)

    def under_way() -> list[bool]:
        return [bool(trial.last) for trial in history_of(settings, study).interrupted]

    with study_process(settings, 8) as process:
        wait_for(lambda: under_way() == [True, True], 120.0)
        workers = workers_of(process.pid)
        for worker in workers:
            worker.suspend()  # so that none is killed between two trials
        try:
            wait_for(lambda: len(under_way()) == len(workers) == 2)
        finally:
            workers[0].kill()
            workers[1].resume()
        assert process.wait(timeout=240) == 0
    history = history_of(settings, study)
    assert [trial.state for trial in history.ended] == [words.COMPLETE] * 8
    lost = Journal(settings.journal_url).read_all(words.topic_of(study))
    assert any(event.kind == words.TRIAL_LOST for event in lost)


def test_a_study_stops_when_it_is_asked_to_and_goes_on_later(own_market: Settings) -> None:
    settings = tuning_settings(own_market)
    study = kept(settings)
    journal = Journal(settings.journal_url)
    with study_process(settings, 50) as process:
        wait_for(lambda: len(history_of(settings, study).ended) >= 1, 120.0)
        history, now = history_of(settings, study), datetime.now(UTC)
        assert study_status(history, settings.studies, study, now) == "running"
        with pytest.raises(TrainingError, match="another process works on it"):
            run(settings, 2)
        request_cancel(journal, settings.studies, study, by="ann", why="lunch")
        assert process.wait(timeout=60) == 1
    history = history_of(settings, study)
    assert history.outcome == words.CANCELLED
    assert history.end == {"by": "ann", "why": "lunch"}
    ended = len(history.ended)
    _, more = run(settings, ended + 1)
    assert len(more.ended) == ended + 1


def test_pruning_ends_trials_that_are_worse_than_the_others(own_market: Settings) -> None:
    settings = tuning_settings(own_market, pruning=True, startup_trials=2, jobs=1)
    _, history = run(settings, 7)
    pruned = [trial for trial in history.ended if trial.state == words.PRUNED]
    assert pruned
    for trial in pruned:
        others = [
            np.mean(o.rank_ics[: len(trial.folds)])
            for o in history.ended
            if o.state == words.COMPLETE and o.number < trial.number
        ]
        assert np.mean(trial.rank_ics) < np.median(others)
        assert len(trial.folds) < 2


def test_a_study_whose_trials_all_fail_ends_and_says_why(own_market: Settings) -> None:
    hopeless = {"lambda_l1": [1e6, 2e6, 3e6, 4e6, 5e6]}  # one leaf: all scores are the same
    settings = tuning_settings(own_market, space=hopeless, jobs=1)
    settings = replace(settings, training=replace(settings.training, parameters={"lambda_l1": 1e7}))
    with pytest.raises(TrainingError, match="trials failed; the last: its scores rank nothing"):
        run(settings, 5)
    history = history_of(settings, kept(settings))
    assert history.outcome == words.FAILED
    assert all(trial.state == words.FAILED for trial in history.ended)


def test_a_study_of_other_data_is_refused(own_market: Settings) -> None:
    settings = tuning_settings(own_market)
    study = kept(settings)
    changed = replace(settings, universe=replace(settings.universe, name="all"))
    with pytest.raises(TrainingError, match="is of other data or settings; what is here now is"):
        run_study(changed, study, Journal(settings.journal_url), trials=2)


def test_an_unknown_study_is_refused(own_market: Settings) -> None:
    with pytest.raises(TrainingError, match="'nothing': there is none of that name"):
        run_study(own_market, "nothing", Journal(own_market.journal_url), trials=2)


def test_a_cancelled_study_is_told_in_one_sentence() -> None:
    error = StudyCancelledError("s", by="ann", why="lunch", ended=3, trials=20)
    assert str(error) == (
        "study s cancelled by ann: lunch; 3 of 20 trials had ended and are kept: ask for it again "
        "to go on"
    )


def test_the_best_trial_becomes_a_version_whose_trials_count(finished: Finished) -> None:
    from qlops_assets.core.progress import Unreported
    from qlops_assets.training.evaluation import evaluate_model
    from qlops_assets.training.fit import fit_model, prepare_training_set
    from qlops_assets.training.recipes import keep_recipe
    from qlops_assets.training.spec import training_spec

    settings, study, history = finished.settings, finished.study, finished.history
    best = tuned(settings, study, history)
    assert history.best is not None
    assert best.training.parameters == settings.training.parameters | history.best.parameters
    version = training_spec(best).version
    assert version != training_spec(replace(best, training=replace(best.training, study=None)))
    keep_recipe(best, version)
    prepare_training_set(settings, version, Unreported())
    fit_model(settings, version, Unreported())
    evaluation = evaluate_model(settings, version, Unreported())
    trials = trials_of(settings, study)
    assert trials is not None
    assert evaluation.evidence.trials == trials.count == 4
    assert evaluation.evidence.choice is not None
    assert evaluation.evidence.choice.trials == 4
