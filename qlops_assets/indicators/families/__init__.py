"""The families of indicators, one file a group: what each says of itself, and its expressions.

May import: ``core``; Polars and polars-talib through ``inputs.py``, on first use.
To add: an entry in its group's file; a new group's file needs one line in ``catalog.py``.
"""
