"""Qlib's workflow of a daily strategy, as its users write it: nothing of this project is imported.

Alpha158 by Qlib's handler, LightGBM by its model with its benchmark parameters under its recorder,
IC by its function, a backtest of TopkDropout in its exchange. Seconds by stage go to a JSON file.

    python benchmarks/qlib_workflow.py bins DATA STORE OUT  # write Qlib's store, from Parquet
    python benchmarks/qlib_workflow.py run DATA STORE OUT   # the workflow on it
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STARTED = time.monotonic()
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

import numpy as np  # noqa: E402 # time counts from before the libraries
import pandas as pd  # noqa: E402

TRAIN_END, VALID_END, EMBARGO, ACCOUNT, THREADS = "2016-12-31", "2018-12-31", 2, 1e8, 2
UNIVERSE, BENCHMARK = "csi300", "SH000300"
LIGHTGBM = {
    "loss": "mse",
    "colsample_bytree": 0.8879,
    "learning_rate": 0.2,
    "subsample": 0.8789,
    "lambda_l1": 205.6999,
    "lambda_l2": 580.9768,
    "max_depth": 8,
    "num_leaves": 210,
    "num_threads": THREADS,
    "seed": 7,
    "deterministic": True,
    "force_col_wise": True,
    "num_boost_round": 1000,
    "early_stopping_rounds": 50,
}
EXCHANGE = {
    "freq": "day",
    "limit_threshold": 0.095,
    "deal_price": "close",
    "open_cost": 0.0005,
    "close_cost": 0.0015,
    "min_cost": 5,
}
EXECUTOR = {
    "class": "SimulatorExecutor",
    "module_path": "qlib.backtest.executor",
    "kwargs": {"time_per_step": "day", "generate_portfolio_metrics": True},
}


def write_bins(data: Path, store: Path) -> None:
    """Write the bars as Qlib reads them: halted days NaN, vwap the mean of the four prices."""
    frame = pd.concat([pd.read_parquet(f) for f in sorted((data / "bars").glob("*.parquet"))])
    frame["date"] = pd.to_datetime(frame["date"])
    calendar = sorted(frame["date"].unique())
    days = [pd.Timestamp(d).strftime("%Y-%m-%d") for d in calendar]
    later = pd.bdate_range(pd.Timestamp(calendar[-1]), periods=6)[1:].strftime("%Y-%m-%d")
    (store / "calendars").mkdir(parents=True)
    (store / "calendars" / "day.txt").write_text("\n".join(days) + "\n")
    # A backtest that ends on the last day asks for the day after it.
    (store / "calendars" / "day_future.txt").write_text("\n".join([*days, *later]) + "\n")
    (store / "instruments").mkdir()
    universe = (data / f"{UNIVERSE}.txt").read_text()
    (store / "instruments" / f"{UNIVERSE}.txt").write_text(universe)
    position = pd.Series(range(len(calendar)), index=calendar)
    lines = []
    for code, unsorted in frame.groupby("instrument"):
        rows = unsorted.set_index("date").sort_index()
        halted = rows["volume"] == 0
        prices = ("open", "high", "low", "close")
        fields = {p: (rows[p] * rows["factor"]).mask(halted) for p in prices}
        fields["volume"] = rows["volume"] / rows["factor"]
        fields["vwap"] = sum(fields[p] for p in prices) / 4
        fields["factor"] = rows["factor"]
        fields["change"] = fields["close"] / fields["close"].ffill().shift(1) - 1
        first, last = position[rows.index[0]], position[rows.index[-1]]
        folder = store / "features" / code.lower()
        folder.mkdir(parents=True)
        for name, series in fields.items():
            values = series.reindex(calendar[first : last + 1]).to_numpy(np.float32)
            np.hstack([np.float32(first), values]).astype("<f4").tofile(folder / f"{name}.day.bin")
        lines.append(f"{code}\t{days[first]}\t{days[last]}")
    (store / "instruments" / "all.txt").write_text("\n".join(lines) + "\n")


def segments_of(calendar: list[pd.Timestamp]) -> dict[str, tuple[pd.Timestamp, pd.Timestamp]]:
    first_valid = sum(d <= pd.Timestamp(TRAIN_END) for d in calendar)
    first_test = sum(d <= pd.Timestamp(VALID_END) for d in calendar)
    return {
        "train": (calendar[0], calendar[first_valid - EMBARGO - 1]),
        "valid": (calendar[first_valid], calendar[first_test - EMBARGO - 1]),
        "test": (calendar[first_test], calendar[-1]),
    }


def index_returns(data: Path) -> pd.Series:
    levels = pd.read_parquet(data / "benchmark.parquet")
    levels = levels[levels["instrument"] == BENCHMARK]
    closes = pd.Series(levels["close"].to_numpy(), index=pd.to_datetime(levels["date"]))
    return closes.sort_index().pct_change().dropna()


class Stages:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Time the block as a stage."""
        began = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - began


def run(data: Path, store: Path, folder: Path) -> dict:
    stages = Stages()
    with stages.timed("start"):
        import qlib
        from qlib.backtest import backtest
        from qlib.contrib.data.handler import Alpha158
        from qlib.contrib.eva.alpha import calc_ic
        from qlib.contrib.evaluate import risk_analysis
        from qlib.contrib.model.gbdt import LGBModel
        from qlib.contrib.strategy import TopkDropoutStrategy
        from qlib.data import D
        from qlib.data.dataset import DatasetH
        from qlib.data.dataset.handler import DataHandler
        from qlib.workflow import R

        recorder = {
            "class": "MLflowExpManager",
            "module_path": "qlib.workflow.expm",
            "kwargs": {"uri": f"sqlite:///{folder / 'mlflow.db'}", "default_exp_name": "peer"},
        }
        qlib.init(provider_uri=str(store), region="cn", kernels=THREADS, exp_manager=recorder)
    os.chdir(folder)
    calendar = list(D.calendar())
    segments = segments_of(calendar)
    with stages.timed("factors"):
        handler = Alpha158(
            instruments=UNIVERSE,
            start_time=calendar[0],
            end_time=calendar[-1],
            fit_start_time=segments["train"][0],
            fit_end_time=segments["train"][1],
            init_data=False,
        )
        DataHandler.setup_data(handler)
    with stages.timed("dataset"):  # the second half of what ``init_data`` does
        handler.fit_process_data()
        dataset = DatasetH(handler, segments=segments)
    model = LGBModel(**LIGHTGBM)
    with stages.timed("recorder"):
        started = R.start(experiment_name="peer")
        started.__enter__()
    with stages.timed("fit"):
        model.fit(dataset)
    with stages.timed("predict"):
        scores = model.predict(dataset, "test")
    with stages.timed("IC"):
        label = dataset.prepare("test", col_set="label", data_key="raw").iloc[:, 0]
        ic, rank_ic = calc_ic(scores, label)
    with stages.timed("backtest"):
        portfolio, _ = backtest(
            start_time=segments["test"][0],
            end_time=segments["test"][1],
            account=ACCOUNT,
            benchmark=index_returns(data),
            strategy=TopkDropoutStrategy(signal=scores, topk=50, n_drop=5),
            executor=EXECUTOR,
            exchange_kwargs=EXCHANGE,
        )
        report, _ = portfolio["1day"]
        excess = report["return"] - report["bench"] - report["cost"]
        risk = risk_analysis(excess, N=238, freq=None)["risk"]
    started.__exit__(None, None, None)
    return {
        "ic": float(ic.mean()),
        "rank_ic": float(rank_ic.mean()),
        "excess_return_with_cost": float(risk["annualized_return"]),
        "information_ratio": float(risk["information_ratio"]),
        "best_iteration": int(model.model.best_iteration),
        "iterations": int(model.model.current_iteration()),
        "rows": len(handler._data),
        "stages": stages.seconds,
        "inside_s": time.monotonic() - STARTED,
    }


if __name__ == "__main__":
    command, *places = sys.argv[1:]
    bars, provider, out = map(Path, places)
    if command == "bins":
        write_bins(bars, provider)
        out.write_text("{}")
    else:
        out.write_text(json.dumps(run(bars, provider, out.parent)))
