"""The only Dagster code: it translates between assets and stages, and computes nothing.

May import: every room below, and dagster. One folder per asset group, named like the room it
translates. Each ``assets.py`` has a ``build_assets`` function, because partitions follow from the
settings. Everything that starts by itself is listed in ``automation.py``.
"""
