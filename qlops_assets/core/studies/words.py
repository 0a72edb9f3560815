"""The topics and kinds of event of tuning studies."""

from typing import Final

PREFIX: Final = "study/"

# Of the study. ``progress`` tells how many trials have ended, as all long work does.
STARTED: Final = "started"
PROGRESS: Final = "progress"
IMPORTANCE: Final = "importance"
FINISHED: Final = "finished"
FAILED: Final = "failed"
CANCELLED: Final = "cancelled"
CANCEL_REQUESTED: Final = "cancel_requested"

# Of one trial.
TRIAL_STARTED: Final = "trial_started"
TRIAL_PROGRESS: Final = "trial_progress"
FOLD_FINISHED: Final = "fold_finished"
TRIAL_LOST: Final = "trial_lost"
TRIAL_ENDED: Final = "trial_ended"

# How a trial can end.
COMPLETE: Final = "complete"
PRUNED: Final = "pruned"
# (``failed`` is the third.)
RUNNING: Final = "running"
WAITING: Final = "waiting"


def topic_of(study: str) -> str:
    """Return the topic of a study."""
    return PREFIX + study
