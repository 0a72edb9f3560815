"""Qlib's processors of a training: those of the model, or the user's, from a list of known ones."""

from collections.abc import Mapping, Sequence
from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from qlops_assets.core.errors import TrainingError, nearest
from qlops_assets.models.processing import ROW_PROCESSORS

if TYPE_CHECKING:
    import pandas as pd

# Class of ``qlib.data.dataset.processor`` -> what may be given to it. Left out are those that no
# training needs (``HashStockFormat``), that look at an instrument's whole history
# (``TimeRangeFlt``), and ``ProcessInf``, a loop of minutes: what is infinite is missing here.
KNOWN: Final[Mapping[str, tuple[str, ...]]] = {
    "RobustZScoreNorm": ("fields_group", "clip_outlier"),
    "ZScoreNorm": ("fields_group",),
    "MinMaxNorm": ("fields_group",),
    "Fillna": ("fields_group", "fill_value"),
    "DropnaLabel": ("fields_group",),
    "DropnaProcessor": ("fields_group",),
    "CSZScoreNorm": ("fields_group", "method"),
    "CSRankNorm": ("fields_group",),
    "CSZFillna": ("fields_group",),
}
# Those that touch the columns of their groups, and drop rows by them, but nothing else.
_OF_GROUPS: Final = ("DropnaLabel", "DropnaProcessor", "CSZScoreNorm", "CSRankNorm", "CSZFillna")
_FITTED: Final = ("RobustZScoreNorm", "ZScoreNorm", "MinMaxNorm")
_STAGES: Final = ("infer", "learn")
Processors = dict[str, list[dict[str, Any]]]


def processors_of(own: Mapping[str, Any], default: Mapping[str, Any]) -> Processors:
    """Return the processors of a training.

    Args:
        own: ``[training.processors]``: ``infer`` and ``learn``, each a list of Qlib's
            configurations, a class and its ``kwargs``; what is not named is the model's.
        default: Those of the model.

    Raises:
        TrainingError: a processor is unknown, or one of features needs more than a row.
    """
    for stage in own:
        if stage not in _STAGES:
            raise TrainingError(
                f"[training.processors] {stage}: unknown{nearest(stage, _STAGES)} "
                f"Known: {', '.join(_STAGES)}"
            )
    found = {stage: [dict(one) for one in default[stage]] for stage in _STAGES}
    for stage, given in own.items():
        found[stage] = [_checked(stage, one) for one in _listed(stage, given)]
    return found


def _listed(stage: str, given: Any) -> Sequence[Any]:
    if not isinstance(given, list | tuple):
        raise TrainingError(
            f"[training.processors] {stage}: was {given!r}, must be a list of {{class, kwargs}}"
        )
    return given


def _checked(stage: str, given: Any) -> dict[str, Any]:
    where = f"[training.processors] {stage}"
    if not isinstance(given, Mapping) or set(given) - {"class", "kwargs"} or "class" not in given:
        raise TrainingError(f"{where}: was {given!r}, must be {{class, kwargs}}")
    name, kwargs = given["class"], dict(given.get("kwargs", {}))
    if name not in KNOWN:
        raise TrainingError(
            f"{where}: unknown processor {name!r}{nearest(str(name), list(KNOWN))} "
            f"Known: {', '.join(sorted(KNOWN))}"
        )
    for key in kwargs:
        if key not in KNOWN[name]:
            raise TrainingError(
                f"{where}: {name} takes no {key!r}; it takes {', '.join(KNOWN[name])}"
            )
    if stage == "infer":
        _require_row(where, name, kwargs)
    return {"class": name, "kwargs": kwargs} if kwargs else {"class": name}


def _require_row(where: str, name: str, kwargs: Mapping[str, Any]) -> None:
    """Refuse what a server could not repeat for the one row that it is asked to score."""
    if name not in ROW_PROCESSORS or kwargs.get("fields_group") != "feature":
        raise TrainingError(
            f"{where}: was {name} of {kwargs.get('fields_group')!r}, must be one of "
            f"{', '.join(ROW_PROCESSORS)} with fields_group 'feature': a server has one row to "
            "repeat it on"
        )


def is_fitted(processor: Mapping[str, Any]) -> bool:
    """Return whether what a processor does depends on the days that it is fitted on."""
    return processor["class"] in _FITTED


def is_of_label_alone(processor: Any) -> bool:
    """Return whether a processor of Qlib's (not its configuration) reads and writes labels only."""
    groups = processor.fields_group
    groups = groups if isinstance(groups, list) else [groups]
    return type(processor).__name__ in _OF_GROUPS and set(groups) == {"label"}


def by_day(processor: Any) -> Any:
    """Return a processor of Qlib's as one that gives the same numbers sooner, where we have one."""
    from qlib.data.dataset.processor import CSZScoreNorm
    from qlib.utils.data import zscore

    if type(processor) is not CSZScoreNorm or processor.zscore_func is not zscore:
        return processor

    class ZScoreByDay(CSZScoreNorm):  # type: ignore[misc]
        """``CSZScoreNorm`` of rows in order of days, each a slice of an array.

        Qlib's asks pandas to make, subtract, divide and put together a frame of every day, in
        twenty times the time. Means and deviations are pandas' here too: equal to the last bit.
        """

        def __call__(self, df: "pd.DataFrame") -> "pd.DataFrame":
            import pandas as pd

            days = df.index.get_level_values("datetime").to_numpy()
            edges = [0, *(np.flatnonzero(days[1:] != days[:-1]) + 1).tolist(), len(days)]
            kinds = df.columns.get_level_values(0)
            for place in np.flatnonzero(np.isin(kinds, self.fields_group)).tolist():
                values = df.iloc[:, place].to_numpy(copy=True)
                for first, last in pairwise(edges):
                    of_day = pd.Series(values[first:last], copy=False)
                    mean, deviation = of_day.mean(), of_day.std()
                    values[first:last] -= values.dtype.type(mean)
                    values[first:last] /= values.dtype.type(deviation)
                df.isetitem(place, values)
            return df

    return ZScoreByDay(processor.fields_group)


def fitted_on(train: tuple[date, date], processor: Mapping[str, Any]) -> dict[str, Any]:
    """Return Qlib's configuration of a processor that sees no day but those of training."""
    kwargs = dict(processor.get("kwargs", {}))
    if is_fitted(processor):
        kwargs |= {"fit_start_time": str(train[0]), "fit_end_time": str(train[1])}
    return {
        "class": processor["class"],
        "module_path": "qlib.data.dataset.processor",
        "kwargs": kwargs,
    }
