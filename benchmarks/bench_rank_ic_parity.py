"""Test Rank IC of the platform's main job against Qlib's own classes, same configuration.

Claim: within 0.002 on data/cn-csi300 (train to 2016, valid 2017-18, test 2019-25, members of
csi300). The peer reads the same Parquet with pandas, writes its own bin store, and trains
`qlib.contrib.data.handler.Alpha158` + `qlib.contrib.model.gbdt.LGBModel` without our platform.

    python benchmarks/bench_rank_ic_parity.py [--data ../shared/data/cn-csi300] [--home DIR]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
TRAIN_END, VALID_END, EMBARGO = "2016-12-31", "2018-12-31", 2
LIGHTGBM = {
    "loss": "mse",
    "colsample_bytree": 0.8879,
    "learning_rate": 0.2,
    "subsample": 0.8789,
    "lambda_l1": 205.6999,
    "lambda_l2": 580.9768,
    "max_depth": 8,
    "num_leaves": 210,
    "num_threads": 2,
    "seed": 7,
    "deterministic": True,
    "force_col_wise": True,
}


def platform_rank_ic(data: Path, home: Path) -> dict:
    command = [sys.executable, "-m", "qlops_assets.cli", "--home", str(home), "--json", "demo"]
    command += ["--bars", str(data), "--train-end", TRAIN_END, "--valid-end", VALID_END]
    started = time.monotonic()
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=ROOT)
    document = json.loads(answer.stdout)
    document["wall_s"] = time.monotonic() - started
    subprocess.run([*command[:5], "down"], check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
    return document


def write_bins(data: Path, store: Path) -> list[pd.Timestamp]:
    frame = pd.concat([pd.read_parquet(f) for f in sorted((data / "bars").glob("*.parquet"))])
    frame["date"] = pd.to_datetime(frame["date"])
    calendar = sorted(frame["date"].unique())
    (store / "calendars").mkdir(parents=True)
    days = [pd.Timestamp(d).strftime("%Y-%m-%d") for d in calendar]
    (store / "calendars" / "day.txt").write_text("\n".join(days) + "\n")
    (store / "instruments").mkdir()
    (store / "instruments" / "csi300.txt").write_text((data / "csi300.txt").read_text())
    position = pd.Series(range(len(calendar)), index=calendar)
    lines = []
    for code, unsorted in frame.groupby("instrument"):
        rows = unsorted.set_index("date").sort_index()
        halted = rows["volume"] == 0
        fields = {
            p: (rows[p] * rows["factor"]).mask(halted) for p in ("open", "high", "low", "close")
        }
        fields["volume"] = rows["volume"] / rows["factor"]
        fields["vwap"] = sum(fields[p] for p in ("open", "high", "low", "close")) / 4
        first, last = position[rows.index[0]], position[rows.index[-1]]
        folder = store / "features" / code.lower()
        folder.mkdir(parents=True)
        for name, series in fields.items():
            values = series.reindex(calendar[first : last + 1]).to_numpy(np.float32)
            np.hstack([np.float32(first), values]).astype("<f4").tofile(folder / f"{name}.day.bin")
        lines.append(f"{code}\t{days[first]}\t{days[last]}")
    (store / "instruments" / "all.txt").write_text("\n".join(lines) + "\n")
    return [pd.Timestamp(d) for d in calendar]


def qlib_rank_ic(data: Path, folder: Path) -> dict:
    import os

    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    started = time.monotonic()
    calendar = write_bins(data, folder / "store")
    import qlib
    from qlib.contrib.data.handler import Alpha158
    from qlib.contrib.eva.alpha import calc_ic
    from qlib.contrib.model.gbdt import LGBModel
    from qlib.data.dataset import DatasetH
    from qlib.workflow import R

    recorder = {
        "class": "MLflowExpManager",
        "module_path": "qlib.workflow.expm",
        "kwargs": {"uri": f"sqlite:///{folder / 'mlflow.db'}", "default_exp_name": "peer"},
    }
    qlib.init(provider_uri=str(folder / "store"), region="cn", kernels=2, exp_manager=recorder)
    first_valid = sum(d <= pd.Timestamp(TRAIN_END) for d in calendar)
    first_test = sum(d <= pd.Timestamp(VALID_END) for d in calendar)
    segments = {
        "train": (calendar[0], calendar[first_valid - EMBARGO - 1]),
        "valid": (calendar[first_valid], calendar[first_test - EMBARGO - 1]),
        "test": (calendar[first_test], calendar[-1]),
    }
    handler = Alpha158(
        instruments="csi300",
        start_time=calendar[0],
        end_time=calendar[-1],
        fit_start_time=segments["train"][0],
        fit_end_time=segments["train"][1],
    )
    dataset = DatasetH(handler, segments=segments)
    model = LGBModel(**LIGHTGBM, num_boost_round=1000, early_stopping_rounds=50)
    os.chdir(folder)
    with R.start(experiment_name="peer"):
        model.fit(dataset)
    prediction = model.predict(dataset, "test")
    label = dataset.prepare("test", col_set="label", data_key="raw").iloc[:, 0]
    ic, rank_ic = calc_ic(prediction, label)
    return {
        "ic": float(ic.mean()),
        "rank_ic": float(rank_ic.mean()),
        "best_iteration": int(model.model.best_iteration),
        "wall_s": time.monotonic() - started,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data/cn-csi300")
    parser.add_argument("--home", type=Path, help="reuse a home; else a temporary one")
    arguments = parser.parse_args()
    if not arguments.data.is_dir():
        print(f"SKIPPED: no data at {arguments.data}")
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        ours = platform_rank_ic(arguments.data.resolve(), arguments.home or folder / "home")
        peer = qlib_rank_ic(arguments.data.resolve(), folder)
    m = ours["metrics"]
    print(f"{'':<10}{'Rank IC':>10}{'IC':>10}{'best iter.':>12}{'wall s':>9}")
    print(
        f"{'platform':<10}{m['rank_ic']:>10.4f}{m['ic']:>10.4f}"
        f"{ours['training']['best_iteration']:>12}{ours['wall_s']:>9.0f}"
    )
    print(
        f"{'Qlib':<10}{peer['rank_ic']:>10.4f}{peer['ic']:>10.4f}"
        f"{peer['best_iteration']:>12}{peer['wall_s']:>9.0f}"
    )
    difference = abs(m["rank_ic"] - peer["rank_ic"])
    verdict = "holds" if difference <= 0.002 else "FAILS"
    print(f"Rank IC difference {difference:.5f}, claimed at most 0.002: {verdict}")
    sys.exit(0 if verdict == "holds" else 1)


if __name__ == "__main__":
    main()
