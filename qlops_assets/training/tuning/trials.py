"""The trials of a study, as the evidence of overfitting takes them."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from qlops_assets.core.columns import DATE
from qlops_assets.core.errors import TrainingError
from qlops_assets.core.settings import Settings
from qlops_assets.training.overfitting.sharpe import SharpeRatio
from qlops_assets.training.overfitting.trials import Trials
from qlops_assets.training.tuning.objective import result_file
from qlops_assets.training.tuning.specification import study_folder

_RETURN = "long_short"


def trials_of(settings: Settings, study: str) -> Trials | None:
    """Return what a study tried: every trial with a fold counts, the pruned ones too.

    The return of a trial on a day is that of going long its best fifth and short its worst, on the
    days that its folds are validated on. Sharpe ratios are of all days that a trial has; only
    trials with every fold have the same days and are compared day by day.

    Args:
        settings: Of the home.
        study: Its name.

    Returns:
        Without daily returns where there are too few of them for the blocks of ``[overfitting]``;
        None where fewer than two trials have a Sharpe ratio: nothing was chosen among.

    Raises:
        TrainingError: the study's folder holds no trial.
    """
    by_trial = _read(settings, study)
    series = {number: _returns(days) for number, days in by_trial.items()}
    ratios = {number: SharpeRatio.of(values) for number, values in series.items()}
    known = {number: ratio.value for number, ratio in ratios.items() if ratio is not None}
    if len(known) < 2:
        return None
    longest = max(len(series[number]) for number in known)
    whole = [series[number] for number in known if len(series[number]) == longest]
    is_enough = len(whole) > 1 and longest >= 2 * settings.overfitting.blocks_of_days
    returns = np.column_stack(whole) if is_enough else None
    return Trials(tuple(known.values()), returns)


def _read(settings: Settings, study: str) -> dict[int, pl.DataFrame]:
    folder = result_file(study_folder(settings, study), 0, 0).parent
    parts: dict[int, list[pl.DataFrame]] = {}
    for file in sorted(folder.glob("*.parquet")):
        parts.setdefault(int(file.stem.partition("-")[0]), []).append(pl.read_parquet(file))
    if not parts:
        raise TrainingError(
            f"study {study!r}: {folder} holds no trial; [training] study must name one that ran "
            "in this home"
        )
    return {number: _joined(found) for number, found in parts.items()}


def _joined(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(parts).sort(DATE)


def _returns(days: pl.DataFrame) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Return a trial's daily returns; a day on which none can be had earned nothing."""
    return days.get_column(_RETURN).fill_nan(0.0).fill_null(0.0).to_numpy()
