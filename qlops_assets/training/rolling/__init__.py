"""Rolling retraining: a recipe trained on window after window, by Qlib's ``RollingGen``.

``windows`` cuts the calendar; ``series`` says which recipe, and where its first window is; ``asks``
and ``outcomes`` fold what was asked for and what became of it; ``plan`` puts them together;
``retraining`` is what a schedule does with it, and ``merging`` judges the windows as one. A
window's recipe is a plain one, with its days under ``[training.segments]``: everything else takes
its version like any other. To add a kind of window, extend ``windows.py``.
"""
