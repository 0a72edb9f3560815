"""Training: specs, segments, Qlib's dataset, the fit, evaluation, backtest, report.

May import: core, lake, factors, models, registry. Qlib runs inside ``models.qlib_session``.
To add a metric, extend ``metrics.py``; to add a picture, ``pictures.py``.
"""
