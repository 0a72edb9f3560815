"""The life of a training as the journal tells it: progress, cancelling, signs of life, failures.

Everything about the version ``V`` is on the topic ``training/V``. Events that a training writes:
``started`` and ``finished`` of each step (an asset), ``progress`` of every iteration, ``failed``,
``cancelled``, and ``recording_failed`` where MLflow could not be told. What somebody else writes:
``cancel_requested``. ``history.py`` folds them.

May import: the rest of ``core``. To add a fact to each report, write it in ``progress.py`` and read
it in ``history.py``.
"""
