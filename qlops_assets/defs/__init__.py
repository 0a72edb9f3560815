"""The only Dagster code: it translates between assets and stages, and computes nothing.

May import: every room below, and dagster. One folder per asset group, named like the room it
translates. Where partitions follow from the settings, ``assets.py`` has a function
``build_assets``. Everything that starts by itself is listed in ``automation.py``. To add an asset
group: a folder with ``assets.py``, and a line in ``definitions``.
"""
