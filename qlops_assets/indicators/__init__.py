"""Technical indicators: names, values of a bars frame, the user's own, rows by month.

May import: ``core``, ``lake``, ``factors`` (the grammar and the engine of users' own formulas),
Polars, NumPy; polars-talib through ``families``.
To add: an entry in its group's file of ``families``.
"""
