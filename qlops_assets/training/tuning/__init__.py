"""Tuning: a study tries parameters of a model and keeps what each of them was worth.

A study is named after the training that it tunes (``specification.py``). Its folds walk forward
over the days of train and valid (``folds.py``); the test is never looked at. Their data is made
once and mapped into the memory of every process (``shared_data.py``). Optuna says what is tried
next and what is pruned (``search.py``, its only door); ``worker.py`` is the process of a trial,
``team.py`` those that run, ``study.py`` what decides. The journal is the only state: a study that
was killed goes on from it.

May import: core, lake, models, features and the rest of ``training``. To make a parameter of a
model searchable, give it a ``search`` in the model's table.
"""
