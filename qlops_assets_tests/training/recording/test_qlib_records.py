"""The files of Qlib's records against Qlib's own functions and its own report."""

import warnings
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from qlops_assets.core.atomic import read_json
from qlops_assets.lake.benchmark import load_benchmark
from qlops_assets.lake.qlib_bin import build_provider
from qlops_assets.models.qlib_session import qlib_session
from qlops_assets.training.backtest import run_backtest
from qlops_assets.training.fit import predictions_path
from qlops_assets.training.metrics import qlib_series
from qlops_assets.training.recording.qlib_records import (
    HEADLINES,
    daily_ic,
    qlib_report,
    write_qlib_records,
)
from qlops_assets_tests.support.market_fixtures import Trained


def odd_days() -> pl.DataFrame:
    """Return scores and labels of days of every kind: ties, holes, a constant, one row, none."""
    rng = np.random.default_rng(5)
    rows = []
    for day in range(12):
        for name in range(9):
            score, label = float(rng.normal()), float(rng.normal())
            if day == 1:
                score, label = round(score), round(label)
            if day in (2, 3) and name % 2:
                label = float("nan")
            if day == 4:
                score = 0.5
            if day == 5 and name:
                label = float("nan")
            if day == 6:
                label = float("nan")
            rows.append((date(2024, 1, 1) + timedelta(day), f"S{name}", score, label))
    frame = pl.DataFrame(
        rows, schema=["date", "instrument", "score", "LABEL0"], orient="row"
    ).with_columns(pl.col("LABEL0").cast(pl.Float32))
    is_hole = (pl.col("date") == date(2024, 1, 8)) & (pl.col("instrument") == "S3")
    return frame.with_columns(pl.when(~is_hole).then("LABEL0").alias("LABEL0"))


def test_daily_ic_is_that_of_qlib_on_days_of_every_kind() -> None:
    import pandas as pd
    from qlib.contrib.eva.alpha import calc_ic

    test = odd_days()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of days without two labels
        expected = calc_ic(*qlib_series(test))
    for ours, theirs in zip(daily_ic(test), expected, strict=True):
        pd.testing.assert_series_equal(ours, theirs, rtol=1e-12, check_freq=False)
        assert ours.isna().sum() == 3


def test_report_is_qlibs_own_in_the_columns_that_it_has(trained: Trained) -> None:
    import pandas as pd
    import qlib.backtest

    settings = trained.settings
    predictions = pl.read_parquet(predictions_path(settings, trained.first))
    kept: list[pd.DataFrame] = []
    real = qlib.backtest.backtest

    def listening(**arguments: object) -> object:
        found = real(**arguments)
        kept.append(found[0]["1day"][0].copy())
        return found

    with qlib_session(build_provider(settings)), pytest.MonkeyPatch.context() as patch:
        patch.setattr(qlib.backtest, "backtest", listening)
        _, by_day = run_backtest(predictions, settings, load_benchmark(settings))
    (theirs,) = kept
    ours = qlib_report(by_day)
    pd.testing.assert_frame_equal(ours, theirs[list(ours.columns)], rtol=1e-12, check_freq=False)
    assert {"return", "bench", "cost", "turnover"} == set(ours.columns)  # as its graphs ask for


def test_files_are_those_that_qlibs_analyses_read(trained: Trained, tmp_path: Path) -> None:
    import pandas as pd
    from qlib.contrib.evaluate import risk_analysis

    evaluation = read_json(trained.settings.models / trained.first / "evaluation.json")
    assert evaluation is not None
    metrics = write_qlib_records(tmp_path, trained.settings, trained.first, evaluation["metrics"])
    written = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.pkl")}
    assert written == {
        "pred.pkl",
        "label.pkl",
        "sig_analysis/ic.pkl",
        "sig_analysis/ric.pkl",
        "portfolio_analysis/report_normal_1day.pkl",
        "portfolio_analysis/port_analysis_1day.pkl",
    }
    found = {name: pd.read_pickle(tmp_path / name) for name in written}
    assert list(found["pred.pkl"].columns) == ["score"]
    assert list(found["label.pkl"].columns) == ["LABEL0"]
    assert found["pred.pkl"].index.names == ["datetime", "instrument"]
    assert found["sig_analysis/ic.pkl"].mean() == pytest.approx(metrics["IC"], rel=1e-12)
    assert found["sig_analysis/ric.pkl"].mean() == pytest.approx(metrics["Rank IC"], rel=1e-12)
    report = found["portfolio_analysis/report_normal_1day.pkl"]
    gross = report["return"] - report["bench"]
    for kind, series in (("without", gross), ("with", gross - report["cost"])):
        theirs = risk_analysis(series, freq="day")["risk"]
        for name, value in theirs.items():
            ours = metrics[f"1day.excess_return_{kind}_cost.{name}"]
            assert ours == pytest.approx(value, rel=1e-9)
    analysis = found["portfolio_analysis/port_analysis_1day.pkl"]
    assert analysis.loc[("excess_return_with_cost", "mean"), "risk"] == pytest.approx(
        (gross - report["cost"]).mean()
    )


def test_headlines_are_said_as_the_registry_says_them(trained: Trained, tmp_path: Path) -> None:
    headlines = {name: place / 7 for place, name in enumerate(HEADLINES)}
    metrics = write_qlib_records(tmp_path, trained.settings, trained.first, headlines)
    assert {ours: metrics[theirs] for ours, theirs in HEADLINES.items()} == headlines
    evaluation = read_json(trained.settings.models / trained.first / "evaluation.json")
    assert evaluation is not None
    assert set(HEADLINES) == set(evaluation["metrics"])
