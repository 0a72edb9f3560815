"""Signal metrics against scipy, a loop by hand, and Qlib's own record."""

from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.stats

from qlops_assets.core.errors import TrainingError
from qlops_assets.training.metrics import qlib_series, signal_metrics
from qlops_assets_tests.support.market import weekdays

DAYS = weekdays(date(2021, 3, 1), 30)
CODES = [f"SH6000{i:02d}" for i in range(12)]


def predictions_of(codes: list[str] = CODES, days: list[date] = DAYS) -> pl.DataFrame:
    """Return noisy scores on valid and test; two labels are missing, and those of the last days."""
    rng = np.random.default_rng(9)
    frames = []
    for segment in ("valid", "test"):
        label = rng.normal(0, 0.02, len(days) * len(codes)).astype(np.float32)
        score = 3 * label + rng.normal(0, 0.1, len(label))
        label[[5, 17]] = np.nan
        label[-2 * len(codes) :] = np.nan
        frames.append(
            pl.DataFrame(
                {
                    "date": [day for day in days for _ in codes],
                    "instrument": codes * len(days),
                    "score": score,
                    "LABEL0": label,
                    "segment": segment,
                }
            )
        )
    return pl.concat(frames)


@pytest.fixture(scope="module")
def predictions() -> pl.DataFrame:
    return predictions_of()


def days_of(predictions: pl.DataFrame, segment: str) -> list[tuple[np.ndarray, np.ndarray]]:
    own = predictions.filter(pl.col("segment") == segment)
    return [
        (part["score"].to_numpy(), part["LABEL0"].cast(pl.Float64).to_numpy())
        for part in own.partition_by("date", maintain_order=True)
    ]


@pytest.mark.parametrize("segment", ["valid", "test"])
def test_correlations_equal_scipys_day_by_day(predictions: pl.DataFrame, segment: str) -> None:
    metrics, daily = signal_metrics(predictions, segment)
    pearson, spearman = [], []
    for score, label in days_of(predictions, segment):
        known = ~np.isnan(label)
        if known.sum() > 1:
            pearson.append(scipy.stats.pearsonr(score[known], label[known]).statistic)
            spearman.append(scipy.stats.spearmanr(score[known], label[known]).statistic)
    assert metrics.days == len(pearson) == 28
    np.testing.assert_allclose(daily.ic.dropna(), pearson, rtol=1e-10)
    np.testing.assert_allclose(daily.rank_ic.dropna(), spearman, rtol=1e-10)
    assert metrics.ic == pytest.approx(np.mean(pearson))
    assert metrics.icir == pytest.approx(np.mean(pearson) / np.std(pearson, ddof=1))
    assert metrics.rank_ic == pytest.approx(np.mean(spearman))
    assert metrics.rank_icir == pytest.approx(np.mean(spearman) / np.std(spearman, ddof=1))


def test_long_short_is_half_the_best_fifth_less_the_worst_a_year(predictions: pl.DataFrame) -> None:
    returns = []
    for score, label in days_of(predictions, "test"):
        order = np.argsort(score)
        best, worst = label[order[-2:]], label[order[:2]]  # a fifth of 12, rounded down
        if not np.isnan(label).all():
            returns.append((np.nanmean(best) - np.nanmean(worst)) / 2)
    metrics, _ = signal_metrics(predictions, "test")
    assert metrics.long_short == pytest.approx(252 * np.mean(returns))


def test_metrics_equal_those_of_qlibs_own_record(
    predictions: pl.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    from qlib.workflow.record_temp import SigAnaRecord

    class Recorder:
        """What the record asks of a recorder."""

        logged: dict[str, float]

        def load_object(self, name: str) -> pd.DataFrame:
            score, label = qlib_series(predictions.filter(pl.col("segment") == "test"))
            return (score if name.endswith("pred.pkl") else label).to_frame()

        def log_metrics(self, **metrics: float) -> None:
            self.logged = metrics

    recorder: Any = Recorder()
    SigAnaRecord(recorder, ana_long_short=True)._generate()
    metrics, _ = signal_metrics(predictions, "test")
    assert recorder.logged["IC"] == metrics.ic
    assert recorder.logged["ICIR"] == metrics.icir
    assert recorder.logged["Rank IC"] == metrics.rank_ic
    assert recorder.logged["Rank ICIR"] == metrics.rank_icir
    assert recorder.logged["Long-Short Ann Return"] == metrics.long_short
    assert "IC" in capsys.readouterr().out


def test_metrics_do_not_depend_on_the_order_of_rows(predictions: pl.DataFrame) -> None:
    shuffled = predictions.sample(fraction=1.0, shuffle=True, seed=1)
    assert signal_metrics(shuffled, "test")[0] == signal_metrics(predictions, "test")[0]


@pytest.mark.filterwarnings("ignore:An input array is constant")
def test_constant_scores_are_an_error_not_a_number(predictions: pl.DataFrame) -> None:
    constant = predictions.with_columns(score=pl.lit(0.5))
    with pytest.raises(TrainingError, match="'test': found 0 days with a correlation"):
        signal_metrics(constant, "test")


def test_segment_without_labels_is_an_error(predictions: pl.DataFrame) -> None:
    unlabelled = predictions.with_columns(LABEL0=pl.lit(None, pl.Float32))
    with pytest.raises(TrainingError, match="'valid': found 0 days with a correlation"):
        signal_metrics(unlabelled, "valid")


def test_one_day_is_too_few_for_a_ratio() -> None:
    three = predictions_of(days=DAYS[:3])  # the last two have no labels
    with pytest.raises(TrainingError, match="found 1 days with a correlation"):
        signal_metrics(three, "test")


def test_four_instruments_are_too_few_for_a_fifth() -> None:
    with pytest.raises(TrainingError, match="no day has five instruments"):
        signal_metrics(predictions_of(codes=CODES[:4]), "test")
