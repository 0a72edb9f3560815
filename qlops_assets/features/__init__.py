"""The feature table: all factors and indicators by date and instrument, in versions; lineage.

May import: ``core``, ``lake``, ``factors``, ``indicators``, ``registry``, Polars, Arrow; Lance only
in ``table.py``.
To add a set of columns: an entry in ``parts.py``.
"""
