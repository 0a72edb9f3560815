"""``[overfitting]``: when a model counts as suspicious or overfit."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OverfittingSettings:
    """``[overfitting]``: when a model counts as suspicious or overfit.

    What was seen while fitting can make a version suspicious, no more; only days that it was not
    made on can make it overfit.

    Attributes:
        blocks: Whether a version that is overfit is rejected. A rejection is final for a version,
            and a market that changed looks the same as a model that was overfit.
        confidence: Of the interval of the IC decay, and of the least track record.
        last_iterations: Over how many of the last iterations the slope of valid is taken.
        blocks_of_days: Into how many the days are cut for the probability of backtest overfitting.
        most_gap: Suspicious where train is better than valid by more than this share of valid.
        most_worsening: Suspicious where valid got worse by more than this share over the last
            iterations.
        least_best_share: Suspicious where the best iteration is before this share of all that ran.
        suspicious_ic_decay: Suspicious where this share of the Rank IC is gone from valid to test,
            and the interval of the decay is above 0.
        overfit_ic_decay: Overfit from this share on, likewise.
        suspicious_deflated_sharpe: Suspicious where the deflated Sharpe ratio is below this.
        overfit_deflated_sharpe: Overfit where it is below this and there was more than one trial.
        suspicious_pbo: Suspicious where the probability of backtest overfitting is above this.
        overfit_pbo: Overfit where it is above this.
    """

    blocks: bool = False
    confidence: float = 0.95
    last_iterations: int = 20
    blocks_of_days: int = 16
    most_gap: float = 0.1
    most_worsening: float = 0.05
    least_best_share: float = 0.05
    suspicious_ic_decay: float = 0.3
    overfit_ic_decay: float = 0.6
    suspicious_deflated_sharpe: float = 0.95
    overfit_deflated_sharpe: float = 0.5
    suspicious_pbo: float = 0.2
    overfit_pbo: float = 0.5
