"""Risk: past returns, and covariances by Qlib's risk models.

May import: core, and ``portfolio.strategy`` for its errors. To add a risk model, name it in
``covariance.RISK_MODELS`` and estimate it there.
"""
