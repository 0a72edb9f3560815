"""What ``qlops tune`` does, and how it is told."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from qlops_assets.cli.demo.watching import progress_shown
from qlops_assets.cli.instance import Runs
from qlops_assets.cli.shell import Shell
from qlops_assets.cli.train.running import render_version, train_version
from qlops_assets.cli.tune.studies import render_study, study_document
from qlops_assets.core.settings import Settings


def run_tuning(
    shell: Shell,
    settings: Settings,
    *,
    trials: int | None,
    jobs: int | None,
    is_trained: bool,
    notes: Sequence[str],
) -> None:
    """Run a study to its end, train the best of its trials, and print what came of it.

    Args:
        shell: The command's surroundings.
        settings: Of the training whose parameters are searched for.
        trials: How many the study is to have; as ``[tuning]`` says where None.
        jobs: How many at a time; likewise.
        is_trained: Whether the best one is trained.
        notes: What of the recipe was not taken over.

    Raises:
        QlopsError: the study or the training cannot be done.
    """
    from qlops_assets.core.studies.history import StudyHistory
    from qlops_assets.core.studies.words import topic_of
    from qlops_assets.defs.automation import TUNING_JOB
    from qlops_assets.training.tuning.specification import keep_study, study_spec
    from qlops_assets.training.tuning.study import tuned

    spec, started = study_spec(settings), time.monotonic()
    log = shell.log()
    folds = f"{len(spec.folds)} folds, {spec.folds[0].valid[0]} to {spec.folds[-1].valid[1]}"
    log.print(f"study {spec.name}: {', '.join(spec.space)}; {folds}", markup=False)
    keep_study(settings, spec.name)
    with progress_shown(shell):
        runs = Runs(settings)
        runs.add_study(spec.name)
        config = {"trials": trials, "jobs": jobs}
        given = {name: value for name, value in config.items() if value is not None}
        run_config = {"ops": {"tuning_study": {"config": given}}}
        runs.run(TUNING_JOB, partition=spec.name, config=run_config)
    history = StudyHistory(shell.journal.read_all(topic_of(spec.name)))
    document: dict[str, Any] = {**study_document(shell, spec.name, history), "notes": list(notes)}
    document["wall_s"] = round(time.monotonic() - started, 1)
    if is_trained:
        document["trained"] = train_version(shell, tuned(settings, spec.name, history))
    shell.emit(document, lambda out: _render(out, document))


def _render(out: Any, document: Mapping[str, Any]) -> None:
    render_study(out, document)
    out.print(f"time         {document['wall_s']:.1f} s")
    if "trained" in document:
        out.print()
        render_version(out, document["trained"])
