"""``[tuning]``: how parameters of a model are searched for."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class TuningSettings:
    """``[tuning]``: a study of a model's parameters.

    Attributes:
        trials: How many a study has.
        folds: Of the walk-forward, on the days of train and valid.
        stop_share: Of the days before the validation of a fold: the last ones, which say when its
            training stops.
        jobs: Trials at a time, each a process; 0 is one per core.
        pruning: Whether a trial that is worse than the middle of the others ends before its last
            fold.
        startup_trials: So many are drawn at random before the search learns from them; none is
            pruned before as many have ended.
        space: Parameter -> ``{low, high, log}`` or a list of values, instead of the model's own
            space.
    """

    trials: int = 20
    folds: int = 3
    stop_share: float = 0.2
    jobs: int = 0
    pruning: bool = True
    startup_trials: int = 6
    space: dict[str, Any] = field(default_factory=dict)
