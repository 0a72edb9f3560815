"""The topics, steps and kinds of event of trainings."""

from typing import Final

PREFIX: Final = "training/"

TRAINING_SET: Final = "training_set"
TRAINED_MODEL: Final = "trained_model"
MODEL_EVALUATION: Final = "model_evaluation"

STARTED: Final = "started"
FINISHED: Final = "finished"
PROGRESS: Final = "progress"
FAILED: Final = "failed"
CANCELLED: Final = "cancelled"
CANCEL_REQUESTED: Final = "cancel_requested"
RECORDING_FAILED: Final = "recording_failed"


def topic_of(version: str) -> str:
    """Return the topic of a model version's training."""
    return PREFIX + version
