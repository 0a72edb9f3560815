"""Factors: Alpha158 from Qlib's own definitions, engines that compute expressions, their store.

May import: core, lake, models. Qlib is imported only in ``alpha158.py`` (its definitions) and
``qlib_engine.py`` (its loader). To add an engine, write one module with a ``compute`` function and
one line in ``engine.py``.
"""
