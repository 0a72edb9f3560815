"""Where bars come from: the layouts of a user's folder, and the built-in simulated market.

A layout lists the Parquet files of a source and says which columns their paths give.

May import: ``core``, Polars, PyArrow, NumPy.
To add: one file with a class that has the methods of ``layout.Layout``, one line in ``catalog.py``.
"""
