"""Trials of LightGBM as Qlib's example of tuning runs them: nothing of this project is imported.

One Alpha158 handler for all of them, Optuna in threads, each trial Qlib's own model, as in Qlib's
`examples/hyperparameter/LightGBM/hyperparameter_158.py`, but on given folds and by the Rank IC that
Qlib's function finds. The parameters are given, so that it is the same work. Qlib's model writes
its metrics to a recorder one by one, which two threads cannot do: here it writes none.

    python benchmarks/qlib_tuning.py STORE TASK OUT
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

STARTED = time.monotonic()
UNIVERSE = "csi300"


class Silent:
    """A recorder that keeps nothing."""

    def log_metrics(self, **_: Any) -> None:
        """Keep nothing."""


def run(store: Path, task: dict) -> dict:
    import optuna
    import qlib
    from qlib.contrib.data.handler import Alpha158
    from qlib.contrib.eva.alpha import calc_ic
    from qlib.contrib.model import gbdt
    from qlib.data.dataset import DatasetH

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    qlib.init(provider_uri=str(store), region="cn", kernels=task["jobs"])
    gbdt.R = Silent()
    folds = task["folds"]
    first, last = folds[0]["train"][0], folds[-1]["valid"][1]
    handler = Alpha158(
        instruments=UNIVERSE,
        start_time=first,
        end_time=last,
        fit_start_time=first,
        fit_end_time=folds[0]["train"][1],
    )
    datasets = [
        DatasetH(
            handler,
            segments={"train": fold["train"], "valid": fold["stop"], "judged": fold["valid"]},
        )
        for fold in folds
    ]
    prepared = time.monotonic()
    rank_ics: dict[int, list[float]] = {}

    def objective(trial: "optuna.Trial") -> float:
        found = []
        for dataset in datasets:
            model = gbdt.LGBModel(**task["parameters"], **task["trials"][trial.number])
            model.fit(dataset, verbose_eval=0)
            scores = model.predict(dataset, "judged")
            label = dataset.prepare("judged", col_set="label", data_key="raw").iloc[:, 0]
            _, rank_ic = calc_ic(scores, label)
            found.append(float(rank_ic.mean()))
        rank_ics[trial.number] = found
        return sum(found) / len(found)

    study = optuna.create_study(direction="maximize")
    study.optimize(objective, n_trials=len(task["trials"]), n_jobs=task["jobs"])
    return {
        "rank_ics": [rank_ics[number] for number in range(len(task["trials"]))],
        "data_s": prepared - STARTED,
        "trials_s": time.monotonic() - prepared,
    }


if __name__ == "__main__":
    provider, asked, out = map(Path, sys.argv[1:])
    out.write_text(json.dumps(run(provider, json.loads(asked.read_text()))))
