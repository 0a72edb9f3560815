"""Training: specs and recipes, Qlib's dataset and tasks, the fit, backtest, evaluation, report.

May import: core, lake, factors, features, models, registry. Qlib runs inside
``models.qlib_session``. To add a metric, extend ``metrics.py``; a chart of the report,
``report/charts.py``; a strategy of the backtest, ``portfolio/``; a rule of overfitting,
``overfitting/rules.py``.
"""
