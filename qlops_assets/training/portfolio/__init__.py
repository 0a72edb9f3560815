"""Portfolios: strategies that turn the scores of a day into holdings, one per file.

May import: core, lake, training.exchange; Qlib inside a session. To add a strategy, write a class
with the interface of ``strategy.Strategy`` and name it in ``catalog.py``; one that only chooses
weights subclasses ``optimised.Optimised`` and writes ``weigh``.
"""
