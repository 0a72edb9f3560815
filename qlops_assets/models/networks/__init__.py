"""Qlib's networks in torch: their layers, windows of days, and scoring without Qlib.

May import: core, and its neighbours in ``models``. Importing Qlib's networks brings in every model
of Qlib's (8 s, 800 MB), which a server does not need: ``layers`` has theirs again, with the same
names of weights, and a test compares each with Qlib's.
To add a network: its layers in ``layers.py``, a line in ``LAYERS``, and its trainer.
"""
