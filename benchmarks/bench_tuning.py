"""A tuning study on real bars that is killed again and again, against Qlib's own way to tune.

Claims, on 2 cores: twenty trials of LightGBM on three folds, `kill -9` at random moments: twenty
complete trials, none repeated; the mean Rank IC of a trial is
what Qlib's own handler and classes find with the same parameters on the same days, within 0.001;
and a study is not slower than Qlib's example of tuning
(`examples/hyperparameter/LightGBM/hyperparameter_158.py`: one dataset, Optuna in threads).

    python benchmarks/bench_tuning.py [--data ../shared/data/cn-csi300] [--home DIR]
        [--trials 20] [--kills 3] [--peer-trials 6]
"""

import argparse
import json
import math
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from bench_workflow import SAMPLED_S, Peak, measured

ROOT = Path(__file__).resolve().parents[1]
PEER = Path(__file__).with_name("qlib_tuning.py")
JOBS, CLOSE = 2, 0.001
CONFIGURATION = """\
[source]
path = "{data}"
[universe]
name = "csi300"
[indicators]
names = []
[training]
train_end = 2016-12-31
valid_end = 2018-12-31
threads = 2
[tuning]
folds = 3
jobs = {jobs}
pruning = false
"""


def build(data: Path, home: Path) -> None:
    """Make bars, factors and feature table, where the home does not have them."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "qlops.toml").write_text(CONFIGURATION.format(data=data, jobs=JOBS))
    from qlops_assets.cli.demo.monthly import MonthlyStages
    from qlops_assets.core.settings import Settings
    from qlops_assets.lake.scan import scan_when_quiet

    settings = Settings.read(home)
    scan_when_quiet(settings)
    stages = MonthlyStages(settings, print)
    stages.build_bars()
    stages.build_features()


def run_study(home: Path, trials: int, kills: int) -> dict:
    """Run a study, kill it so many times; return seconds and peak of each run, and what it told."""
    moments, peak, spent = random.Random(11), Peak(), []
    command = [sys.executable, "-m", "qlops_assets.cli", "tune", "--home", str(home), "--json"]
    command += ["--model", "lightgbm", "--trials", str(trials), "--no-train"]
    for attempt in range(kills + 1):
        lasts = moments.uniform(15, 60) if attempt < kills else math.inf
        began = time.monotonic()
        with (home / "said.txt").open("w") as said:
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said, cwd=home)
        tree = psutil.Process(process.pid)
        while process.poll() is None and time.monotonic() - began < lasts:
            peak.look(tree)
            time.sleep(SAMPLED_S)
        outlived = process.poll() is None
        if outlived:
            process.kill()
        elif process.returncode:
            sys.exit(f"failed: {' '.join(command)}\n{(home / 'said.txt').read_text()[-3000:]}")
        process.wait()
        spent.append(time.monotonic() - began)
        how = "killed" if outlived else "ended by itself"
        print(f"  {how} after {spent[-1]:.0f} s: {len(told(home).ended)} trials had ended")
    return {"spent_s": spent, "peak_mb": peak.bytes / 1e6}


def told(home: Path):
    """Return what the journal knows of the newest study."""
    from qlops_assets.core.journal import Journal
    from qlops_assets.core.settings import Settings
    from qlops_assets.core.studies.history import StudyHistory

    journal = Journal(Settings.read(home).journal_url)
    events = [event for event in journal.read_all() if event.topic.startswith("study/")]
    newest = events[-1].topic
    return StudyHistory([event for event in events if event.topic == newest])


def run_peer(data: Path, history, trials: int, folder: Path) -> dict:
    """Have Qlib compute the first trials of a study."""
    from qlib_workflow import LIGHTGBM, write_bins

    write_bins(data, folder / "store")
    fixed = {**LIGHTGBM, "seed": history.about["seed"], "num_threads": 1}
    asked = {
        "folds": history.about["folds"],
        "jobs": JOBS,
        "trials": [dict(trial.parameters) for trial in history.ended[:trials]],
        "parameters": {},
    }
    asked["trials"] = [{**fixed, **one} for one in asked["trials"]]
    (folder / "task.json").write_text(json.dumps(asked))
    return measured(
        [sys.executable, str(PEER), str(folder / "store"), str(folder / "task.json")], folder
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data/cn-csi300")
    parser.add_argument("--home", type=Path, help="a home that has the features, or will")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--peer-trials", type=int, default=6)
    arguments = parser.parse_args()
    if not arguments.data.is_dir():
        print(f"SKIPPED: no data at {arguments.data}")
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        home = (arguments.home or folder / "home").absolute()
        data = arguments.data.resolve()
        build(data, home)
        own = run_study(home, arguments.trials, arguments.kills)
        history = told(home)
        peer = run_peer(data, history, min(arguments.peer_trials, arguments.trials), folder)
    sys.exit(not verdict(history, own, peer, arguments.trials))


def verdict(history, own: dict, peer: dict, trials: int) -> bool:
    """Print what was found and whether what is claimed holds."""
    ended = sorted(history.ended, key=lambda trial: trial.number)
    print(f"{'trial':>5} {'Rank IC':>9} {'Qlib':>9}   parameters")
    theirs = [sum(ics) / len(ics) for ics in peer["rank_ics"]]
    for trial in ended:
        qlibs = f"{theirs[trial.number]:9.5f}" if trial.number < len(theirs) else f"{'-':>9}"
        short = ", ".join(f"{k} {v:.4g}" for k, v in trial.parameters.items())
        print(f"{trial.number:>5} {trial.value:9.5f} {qlibs}   {short or 'the recipe'}")
    apart = max(abs(t.value - q) for t, q in zip(ended, theirs, strict=False))
    complete = sum(trial.state == "complete" for trial in ended)
    different = len({json.dumps(dict(t.searched), sort_keys=True) for t in ended})
    own_s = sum(trial.seconds for trial in ended[: len(theirs)]) / JOBS
    faster = peer["trials_s"] / own_s
    print(
        f"study: {sum(own['spent_s']):.0f} s in {len(own['spent_s'])} runs, "
        f"{own['peak_mb']:,.0f} MB; Qlib: data {peer['data_s']:.0f} s, "
        f"{len(theirs)} trials {peer['trials_s']:.0f} s (ours {own_s:.0f} s), "
        f"{peer['peak_mb']:,.0f} MB"
    )
    lines = [
        (f"{complete} of {trials} trials complete", complete == len(ended) == trials),
        (f"{different} different ones, none repeated", different == trials),
        (f"Rank IC at most {apart:.5f} from Qlib's, claimed {CLOSE}", apart <= CLOSE),
        (f"trials {faster:.2f} times as fast as Qlib's, claimed 1", faster >= 1),
    ]
    for text, holds in lines:
        print(f"{text}: {'holds' if holds else 'FAILS'}")
    return all(holds for _, holds in lines)


if __name__ == "__main__":
    main()
