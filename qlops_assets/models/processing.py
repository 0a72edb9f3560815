"""What happens to features before a model sees them, as numbers beside its artifact.

Qlib's processors are fitted on the training days. A server repeats what they do to a row, bit for
bit, from this document, and needs neither Qlib nor a pickle for it.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from qlops_assets.core.errors import ArtifactError, TrainingError
from qlops_assets.core.prediction import FloatMatrix, Predictor

_CLIP: Final = 3.0  # of RobustZScoreNorm's outliers
# Processors of Qlib's that look at one row alone once they are fitted.
ROW_PROCESSORS: Final = ("RobustZScoreNorm", "ZScoreNorm", "MinMaxNorm", "Fillna")


def processing_of(dataset: Any) -> "Processing":
    """Return what a dataset's fitted ``infer`` processors do to features.

    Raises:
        TrainingError: one of them cannot be repeated for a row alone.
    """
    return Processing([_step(one) for one in dataset.handler.infer_processors])


def _step(processor: Any) -> dict[str, Any]:
    name = type(processor).__name__
    if name == "Fillna":
        return {"kind": "fill", "value": float(processor.fill_value)}
    if name in ("RobustZScoreNorm", "ZScoreNorm"):
        clipped = name == "RobustZScoreNorm" and processor.clip_outlier
        ends = {"clip": _CLIP} if clipped else {}
        return _scaling(processor.mean_train, processor.std_train, **ends)
    if name == "MinMaxNorm":
        return _scaling(processor.min_val, processor.max_val - processor.min_val)
    raise TrainingError(
        f"processor {name!r} cannot be repeated for one row alone, as a server has to; for "
        f"features use {', '.join(ROW_PROCESSORS)}"
    )


def _scaling(center: Any, scale: Any, **more: float) -> dict[str, Any]:
    return {
        "kind": "scale",
        "center": np.asarray(center, np.float32).tolist(),
        "scale": np.asarray(scale, np.float32).tolist(),
        **more,
    }


class Processing:
    """Steps over rows of features: scaling, clipping, filling.

    What is not finite is missing, before the first step: so it was in training.
    """

    def __init__(self, steps: Sequence[Mapping[str, Any]]) -> None:
        self._steps = [dict(step) for step in steps]
        self._arrays = [
            (np.asarray(step["center"], np.float32), np.asarray(step["scale"], np.float32))
            if step["kind"] == "scale"
            else None
            for step in self._steps
        ]
        widths = {array.size for pair in self._arrays if pair for array in pair}
        if len(widths) > 1:
            raise ArtifactError(f"processing is of {sorted(widths)} features, must be of as many")
        self._width = next(iter(widths), None)

    def to_bytes(self) -> bytes:
        """Return the document that is stored."""
        return json.dumps({"steps": self._steps}).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> "Processing":
        """Read a stored document.

        Raises:
            ArtifactError: it is none.
        """
        try:
            steps = json.loads(content)["steps"]
            kinds = {step["kind"] for step in steps}
            read = cls(steps)
        except (ValueError, KeyError, TypeError) as error:
            raise ArtifactError(f"not a document of processing: {error}") from error
        if not kinds <= {"scale", "fill"}:
            raise ArtifactError(f"not a document of processing: steps are {sorted(kinds)}")
        return read

    def require_width(self, features: int) -> None:
        """Refuse a document that was made for another number of features.

        Raises:
            ArtifactError: a step has another number of them.
        """
        if self._width not in (None, features):
            raise ArtifactError(
                f"processing is of {self._width} features, the model takes {features}"
            )

    def __call__(self, values: FloatMatrix) -> FloatMatrix:
        """Return rows as the model takes them, a day behind the other where a row has several."""
        rows = np.where(np.isfinite(values), values, np.float32(np.nan))
        return self._processed(rows.reshape(-1, self._width or rows.shape[1])).reshape(rows.shape)

    def _processed(self, rows: FloatMatrix) -> FloatMatrix:
        for step, pair in zip(self._steps, self._arrays, strict=True):
            if pair is None:
                rows[np.isnan(rows)] = step["value"]
                continue
            rows -= pair[0]
            rows /= pair[1]
            if "clip" in step:
                np.clip(rows, -step["clip"], step["clip"], out=rows)
        return rows


class ProcessedPredictor:
    """A predictor that is given features as they are stored."""

    def __init__(self, predictor: Predictor, processing: Processing) -> None:
        processing.require_width(len(predictor.features))
        self._predictor, self._processing = predictor, processing
        self.features = predictor.features
        self.expressions = predictor.expressions
        self.window = predictor.window

    def predict(self, values: FloatMatrix) -> NDArray[np.float64]:
        """Return one score per row."""
        return self._predictor.predict(self._processing(values))
