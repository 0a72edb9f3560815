"""Covariances by Qlib's risk models, checked before anything is optimised by them.

In percent squared, Qlib's default: ``lamb`` weighs returns in percent against them.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from qlops_assets.core.errors import TrainingError
from qlops_assets.core.sections.backtest import BacktestSettings
from qlops_assets.training.portfolio.risk.returns import Floats
from qlops_assets.training.portfolio.strategy import RebalanceError

SHRINK: Final = "shrink"
STRUCTURED: Final = "structured"
RISK_MODELS: Final = (SHRINK, "poet", STRUCTURED)
# Of the largest eigenvalue: below it, a negative one is more than rounding.
_NEGATIVE: Final = 1e-8


@dataclass(frozen=True, slots=True)
class Factors:
    """A covariance in parts: ``exposure @ covariance @ exposure.T + diag(specific)``."""

    exposure: Floats
    covariance: Floats
    specific: Floats

    def whole(self) -> Floats:
        """Return the covariance itself."""
        inner: Floats = self.exposure @ self.covariance @ self.exposure.T
        return inner + np.diag(self.specific)


def require_risk_model(backtest: BacktestSettings) -> None:
    """Refuse an unknown risk model.

    Raises:
        TrainingError: there is no such one.
    """
    if backtest.risk_model not in (None, *RISK_MODELS):
        raise TrainingError(
            f"[backtest] risk_model: was {backtest.risk_model!r}, must be one of "
            f"{', '.join(RISK_MODELS)}"
        )


def covariance(returns: Floats, backtest: BacktestSettings) -> Floats:
    """Return the covariance of returns (days × instruments) in percent squared.

    1. ``shrink``: Ledoit and Wolf, A well-conditioned estimator for large-dimensional covariance
       matrices, J. Multivariate Analysis 88(2), 2004: towards equal variances, uncorrelated.
    2. ``poet``: Fan, Liao and Mincheva, Large covariance estimation by thresholding principal
       orthogonal complements, J. Royal Statistical Society B 75(4), 2013.
    3. ``structured``: latent factors by PCA, the rest uncorrelated.

    Raises:
        RebalanceError: it is not finite, an instrument has no variance, or it is not positive
            semi-definite.
    """
    from qlib.model.riskmodel import POETCovEstimator, ShrinkCovEstimator

    name = backtest.risk_model or SHRINK
    if name == STRUCTURED:
        found = structured(returns, backtest.risk_factors).whole()
    else:
        count = _factor_count(returns, backtest.risk_factors)
        model: Any = (
            ShrinkCovEstimator(alpha="lw", target="const_var")
            if name == SHRINK
            else POETCovEstimator(num_factors=count)
        )
        _require_moving(returns)  # POET divides by each variance
        # Qlib scales its input to percent in place; POET's eigenvectors are complex by type.
        found = np.real(model.predict(returns.copy(), is_price=False))
    require_covariance(found)
    return found


def structured(returns: Floats, factors: int) -> Factors:
    """Return the parts of ``StructuredCovEstimator``: exposures, their covariance, the rest.

    Raises:
        RebalanceError: they are not finite, or an instrument has no variance.
    """
    from qlib.model.riskmodel import StructuredCovEstimator

    _require_moving(returns)
    model = StructuredCovEstimator(num_factors=_factor_count(returns, factors))
    exposure, inner, specific = model.predict(
        returns.copy(), is_price=False, return_decomposed_components=True
    )
    return Factors(exposure, np.atleast_2d(inner), specific)


def require_covariance(matrix: Floats) -> None:
    """Refuse a matrix that no portfolio can be optimised by.

    Raises:
        RebalanceError: it is not finite, has no variance somewhere, or is not positive
            semi-definite.
    """
    if not np.isfinite(matrix).all():
        raise RebalanceError("the covariance is not finite")
    if (np.diag(matrix) <= 0).any():
        raise RebalanceError("the covariance has an instrument without variance")
    values = np.linalg.eigvalsh((matrix + matrix.T) / 2)
    if values[0] < -_NEGATIVE * values[-1]:
        raise RebalanceError(
            f"the covariance is not positive semi-definite: its eigenvalues are {values[0]:.3g} "
            f"to {values[-1]:.3g}"
        )


def _require_moving(returns: Floats) -> None:
    if not np.isfinite(returns).all():
        raise RebalanceError("the returns before it are not finite")
    if (returns.std(axis=0) == 0).any():
        raise RebalanceError("an instrument has not moved on any day before it")


def _factor_count(returns: Floats, wanted: int) -> int:
    return max(1, min(wanted, len(returns) - 1, len(returns.T) - 1))
