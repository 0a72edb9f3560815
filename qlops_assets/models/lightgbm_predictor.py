"""Scoring with LightGBM's text format, which holds numbers only and cannot execute code."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from qlops_assets.core.errors import ArtifactError
from qlops_assets.core.prediction import FloatMatrix


class LightGBMPredictor:
    """A booster that scores rows of features on one thread.

    One thread, because a server's workers share the cores and LightGBM's own threads then only
    lengthen the tail of the latency.
    """

    window = 1

    def __init__(
        self, text: str, features: Sequence[str], expressions: Mapping[str, str] | None = None
    ) -> None:
        import lightgbm

        self.features = list(features)
        self.expressions: Mapping[str, str] = dict(expressions or {})
        try:
            self._booster = lightgbm.Booster(model_str=text)
        except lightgbm.basic.LightGBMError as error:
            raise ArtifactError(f"not a LightGBM text model: {error}") from error
        if self._booster.num_feature() != len(self.features):
            raise ArtifactError(
                f"the model takes {self._booster.num_feature()} features, its record names "
                f"{len(self.features)}"
            )

    def predict(self, values: FloatMatrix) -> NDArray[np.float64]:
        """Return one score per row; NaN is LightGBM's missing value."""
        rows = np.ascontiguousarray(values)  # LightGBM warns of, and copies, other layouts
        return np.asarray(self._booster.predict(rows, num_threads=1), dtype=np.float64)


def load_text(
    content: bytes, features: Sequence[str], expressions: Mapping[str, str] | None = None
) -> LightGBMPredictor:
    """Return a predictor for a model in LightGBM's text format.

    Raises:
        ArtifactError: the text is not such a model, or takes another number of features.
    """
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise ArtifactError(f"not a LightGBM text model: {error}") from error
    return LightGBMPredictor(text, features, expressions)
