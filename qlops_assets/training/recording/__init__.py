"""Trainings in MLflow, by Qlib's own recorder, for whoever works with Qlib's ``R``.

The registry is the source of truth; a run is a copy that its card links to. So a training is told
to journal and registry first, and recorded when it has ended: one run is opened, filled from what
the home holds, and closed in one go. Whatever ends a training, none leaves a run behind that looks
as if it went on; what a process that was killed in the middle left open, the next one closes.

Qlib's recorder is used on a run that is there already. Its ``start_run``, which uploads the
uncommitted changes of the working directory, the command line and variables of the environment,
is never called, and MLflow's own notion of "the active run" of a process is not touched.

A recording that fails takes nothing from a model: the version is what it was judged to be. It is
an event of the training, a warning of Dagster's and a line on the console, and ``qlops models
record`` makes up for it. To refuse the version instead would mean to train it again because of a
copy.

May import: what ``training`` may, and mlflow. To record another file of Qlib's: ``qlib_records.py``
"""
