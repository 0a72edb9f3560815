"""Windows judged as one, against Qlib's ``RollingEnsemble`` on real predictions."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from qlops_assets.core.journal import Journal
from qlops_assets.core.progress import Unreported
from qlops_assets.core.sections.rolling import RollingSettings
from qlops_assets.core.settings import Settings
from qlops_assets.training.fit import predictions_path
from qlops_assets.training.rolling.merging import judge_together, merge_predictions
from qlops_assets.training.rolling.series import series_of
from qlops_assets_tests.support.growing import quick
from qlops_assets_tests.support.market import copied, market_days
from qlops_assets_tests.support.trained import train

if TYPE_CHECKING:
    import pandas as pd

DAYS = market_days()
SEGMENTS = {
    "train": (DAYS[0], DAYS[200]),
    "valid": (DAYS[203], DAYS[297]),
    "test": (DAYS[300], DAYS[300]),
}
COLUMN = "score"


@pytest.fixture(scope="module")
def windows(
    market: Settings, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Settings, list[str]]:
    """A home with three windows, and a fourth version whose test shares days with two of them."""
    home = quick(copied(market, tmp_path_factory.mktemp("windows") / "home"))
    training = replace(home.training, segments=SEGMENTS)
    home = replace(home, training=training, rolling=RollingSettings(step_days=20))
    found = series_of(home, Journal(home.journal_url), DAYS)
    versions = [
        train(found.settings_of(window), evaluate=False) for window in found.windows(DAYS)[:3]
    ]
    between = {**SEGMENTS, "test": (DAYS[310], DAYS[329])}
    other = replace(training, segments=between, features=("KLEN",))
    return home, [*versions, train(replace(home, training=other), evaluate=False)]


def as_qlib_has_them(home: Settings, versions: list[str]) -> "dict[str, pd.DataFrame]":
    import pandas as pd

    frames = {}
    for version in versions:
        rows = pd.read_parquet(predictions_path(home, version))
        rows = rows[rows["segment"] == "test"].rename(columns={"date": "datetime"})
        rows["datetime"] = pd.to_datetime(rows["datetime"])
        frames[version] = rows.set_index(["datetime", "instrument"])[[COLUMN, "LABEL0"]]
    return frames


def merged_by_qlib(home: Settings, versions: list[str]) -> "pd.DataFrame":
    from qlib.model.ens.ensemble import RollingEnsemble

    found: Any = RollingEnsemble()(as_qlib_has_them(home, versions))
    return found


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (3, 1, 0, 2), (0, 3), (1, 2, 3)])
def test_merged_predictions_are_those_of_qlibs_rolling_ensemble(
    windows: tuple[Settings, list[str]], order: tuple[int, ...]
) -> None:
    home, all_versions = windows
    versions = [all_versions[place] for place in order]
    merged = merge_predictions(home, versions)
    expected = merged_by_qlib(home, versions).reset_index()
    assert merged["instrument"].to_list() == expected["instrument"].to_list()
    assert merged["date"].to_list() == [moment.date() for moment in expected["datetime"]]
    assert np.array_equal(merged[COLUMN].to_numpy(), expected[COLUMN].to_numpy())


def test_metrics_together_are_those_of_all_days_counted_one_by_one(
    windows: tuple[Settings, list[str]],
) -> None:
    home, versions = windows
    together = judge_together(home, versions[:3], Unreported())
    assert together is not None
    frame = merged_by_qlib(home, versions[:3])
    by_day = [rows for _, rows in frame.groupby(level="datetime")]
    ic = np.array([rows[COLUMN].corr(rows["LABEL0"]) for rows in by_day])
    both = [rows.dropna() for rows in by_day]
    rank_ic = np.array([rows[COLUMN].rank().corr(rows["LABEL0"].rank()) for rows in both])
    assert len(by_day) == 60
    metrics = together.metrics
    assert metrics.days == 60
    assert metrics.ic == pytest.approx(ic.mean(), abs=1e-9)
    assert metrics.icir == pytest.approx(ic.mean() / ic.std(ddof=1), abs=1e-9)
    assert metrics.rank_ic == pytest.approx(rank_ic.mean(), abs=1e-9)
    assert metrics.rank_icir == pytest.approx(rank_ic.mean() / rank_ic.std(ddof=1), abs=1e-9)
    assert (together.windows, together.missing) == (3, ())
    assert (together.first, together.last) == (DAYS[300], DAYS[359])


def test_window_whose_predictions_are_gone_is_named_and_left_out(
    windows: tuple[Settings, list[str]], tmp_path: Path
) -> None:
    home, versions = windows
    own = copied(home, tmp_path / "home")
    predictions_path(own, versions[0]).unlink()
    together = judge_together(own, versions[:3], Unreported())
    assert together is not None
    assert (together.windows, together.missing) == (2, (versions[0],))
    assert together.first == DAYS[320]
    for version in versions[1:3]:
        predictions_path(own, version).unlink()
    assert judge_together(own, versions[:3], Unreported()) is None
