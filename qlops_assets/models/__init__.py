"""The Qlib models we train, behind one small interface, and their safe artifacts.

May import: core. LightGBM, XGBoost and torch live here and nowhere else.
To add a model: write ``models/<name>.py`` with a trainer and a predictor, and one line for each in
``catalog.py``.
"""
