"""How long one has to watch before a Sharpe ratio says anything."""

from statistics import NormalDist

from qlops_assets.training.overfitting.sharpe import SharpeRatio


def minimum_track_record(
    ratio: SharpeRatio, *, confidence: float, benchmark: float = 0.0
) -> float | None:
    """Return the days after which such a ratio would be above the benchmark with confidence.

    ``1 + (1 - skewness SR + (kurtosis - 1)/4 SR²) (Φ⁻¹(confidence) / (SR - SR*))²``.
    Source: Bailey and López de Prado (2012), The Sharpe Ratio Efficient Frontier, equation 13.

    Args:
        ratio: What was seen.
        confidence: Between 0.5 and 1.
        benchmark: A Sharpe ratio of the same days' scale, not annualised.

    Returns:
        Days; None where the ratio is not above the benchmark: no length would do.
    """
    ahead = ratio.value - benchmark
    if ahead <= 0:
        return None
    spread = ratio.standard_error * (ratio.days - 1) ** 0.5
    return 1 + float((spread * NormalDist().inv_cdf(confidence) / ahead) ** 2)
