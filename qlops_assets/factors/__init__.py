"""Factors: Alpha158 from Qlib's own definitions and the user's own, engines, stored rows.

May import: core, lake, models. Qlib is imported only in ``alpha158.py`` (its definitions) and
``qlib_engine.py`` (its loader). To add an engine, write a class with ``evaluate`` and ``from_lake``
and one line in ``engine.py``. To add a set of factors, write it in ``sets.py`` with its rows' name.
"""
