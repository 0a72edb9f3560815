"""``[training]``: the recipe of the main job."""

from dataclasses import dataclass, field
from datetime import date
from typing import Any


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """``[training]``: the recipe of the main job.

    Attributes:
        model: A name of the model catalog.
        features: What it sees: sets (``alpha158``, ``custom``), factors, ``selection:NAME``.
        train_end: Last day of training; with ``valid_end`` instead of shares.
        valid_end: Last day of validation.
        segments: First and last day of ``train``, ``valid`` and ``test``; instead of all of these.
        purge: Whether segments with less than the embargo between them lose their last days, so
            that no label sees the next one; they are refused otherwise.
        train_share: Share of the calendar for training where no dates are given.
        valid_share: Share of the calendar for validation.
        embargo_days: Trading days left out between segments; at least the label's horizon.
        label: Qlib expression of what is predicted.
        label_horizon_days: Trading days that the label looks ahead.
        seed: Of everything random.
        threads: Of the model's training; 0 means one per core.
        rounds: At most this many iterations: trees, epochs of a sequence model, steps of ``mlp``.
        early_stopping_rounds: Stop when validation has not improved for this many; ``mlp`` counts
            its looks at the validation.
        parameters: Model parameters over the catalog's defaults.
        processors: Qlib's processors, ``infer`` and ``learn``, instead of the model's own.
        topk: Holdings of the backtest; None means 50, scaled down for small universes.
        n_drop: Holdings exchanged a day; None means 5, scaled likewise.
        account: Starting cash of the backtest.
        region: ``cn`` or ``us``: costs, limits, trade unit, days per year.
        min_rank_ic: Test Rank IC below which a model is rejected.
        min_days: Fewest trading days with which a training starts.
        study: The tuning study that chose ``parameters``; its trials count against the model where
            overfitting is judged.
    """

    model: str = "lightgbm"
    features: tuple[str, ...] = ("alpha158",)
    train_end: date | None = None
    valid_end: date | None = None
    segments: dict[str, tuple[date, ...]] = field(default_factory=dict)
    purge: bool = False
    train_share: float = 0.6
    valid_share: float = 0.2
    embargo_days: int = 2
    label: str = "Ref($close,-2)/Ref($close,-1)-1"
    label_horizon_days: int = 2
    seed: int = 7
    threads: int = 0
    rounds: int = 1000
    early_stopping_rounds: int = 50
    parameters: dict[str, Any] = field(default_factory=dict)
    processors: dict[str, Any] = field(default_factory=dict)
    topk: int | None = None
    n_drop: int | None = None
    account: float = 1e8
    region: str = "cn"
    min_rank_ic: float = 0.0
    min_days: int = 250
    study: str | None = None
