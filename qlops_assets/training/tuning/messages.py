"""What the deciding process and its workers say to each other: a JSON document a line."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from qlops_assets.training.tuning.folds import Fold

# From a worker.
READY: Final = "ready"
PROGRESS: Final = "progress"
FOLD: Final = "fold"
DONE: Final = "done"
STOPPED: Final = "stopped"
FAILED: Final = "failed"
GONE: Final = "gone"  # said by the one who reads of a worker that says nothing any more


@dataclass(frozen=True, slots=True)
class Setup:
    """What is the same for all trials.

    Attributes:
        study: Folder of the study; its shared data is in ``data``.
        provider: Folder of Qlib's bin store.
        region: Of Qlib's session.
        model: A name of the model catalog.
        parameters: Those of the recipe.
        seed: Of the model.
        threads: Of a trial.
        rounds: Likewise as a training's.
        early_stopping_rounds: Likewise.
        folds: By which a trial is judged.
        keeps: Whether a worker may keep binned features for the trials to come.
    """

    study: str
    provider: str
    region: str
    model: str
    parameters: dict[str, Any]
    seed: int
    threads: int
    rounds: int
    early_stopping_rounds: int
    folds: tuple[Fold, ...]
    keeps: bool

    def to_line(self) -> str:
        """Return the line that sets a worker up."""
        return line({**asdict(self), "folds": [fold.to_json() for fold in self.folds]})

    @classmethod
    def of_line(cls, text: str) -> "Setup":
        """Read the line again."""
        found = json.loads(text)
        return cls(**{**found, "folds": tuple(Fold.of_json(one) for one in found["folds"])})


def line(document: Mapping[str, Any]) -> str:
    """Return a document as a line."""
    return json.dumps(document, default=str) + "\n"
