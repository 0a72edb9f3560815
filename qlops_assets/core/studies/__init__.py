"""The life of a tuning study as the journal tells it: its trials, their folds, what it found.

Everything about the study ``S`` is on the topic ``study/S``. ``history.py`` folds the events;
``status.py`` says whether somebody works on it, and asks for it to stop.

May import: the rest of ``core``. To add a fact to an event, write it in ``training/tuning`` and
read it in ``history.py``.
"""
