"""Weights of a network as an artifact, and scoring with them.

``torch.load`` with ``weights_only`` reads tensors, numbers, texts and containers of them, and runs
nothing that the file says.
"""

import io
import pickle
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from qlops_assets.core.errors import ArtifactError
from qlops_assets.core.prediction import FloatMatrix
from qlops_assets.models.networks.layers import network

FORMAT: Final = "torch-weights"
_ZIP: Final = b"PK\x03\x04"
_ROWS: Final = 8096  # scored at once, as Qlib does


def to_bytes(kind: str, shape: Mapping[str, Any], window: int, state: Mapping[str, Any]) -> bytes:
    """Return the artifact of a trained network.

    Args:
        kind: Of ``layers.LAYERS``.
        shape: Sizes of its layers.
        window: Days that one row of it takes.
        state: Its weights by name.
    """
    import torch

    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    content = io.BytesIO()
    torch.save({"kind": kind, "shape": dict(shape), "window": window, "weights": weights}, content)
    return content.getvalue()


class NetworkPredictor:
    """A network that scores rows on one thread.

    Attributes:
        window: Days that a row takes.
    """

    def __init__(
        self, content: bytes, features: Sequence[str], expressions: Mapping[str, str] | None = None
    ) -> None:
        import torch

        # As LightGBM's: a server's workers share the cores. It also makes scores the same in every
        # process, to the bit: with several threads their sums are of other parts.
        torch.set_num_threads(1)
        document = _read(content)
        self.features = list(features)
        self.expressions: Mapping[str, str] = dict(expressions or {})
        self.window = int(document["window"])
        shape = document["shape"]
        taken = shape.get("d_feat", shape.get("input_dim"))
        if taken != len(self.features):
            raise ArtifactError(
                f"the model takes {taken} features, its record names {len(self.features)}"
            )
        self._network = network(document["kind"], shape)
        try:
            self._network.load_state_dict(document["weights"])
        except (RuntimeError, TypeError, AttributeError) as error:
            raise ArtifactError(
                f"weights do not fit a {document['kind']} network: {str(error).splitlines()[0]}"
            ) from error
        self._network.eval()

    def predict(self, values: FloatMatrix) -> NDArray[np.float64]:
        """Return one score per row."""
        import torch

        rows = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
        if self.window > 1:
            rows = rows.reshape(len(rows), self.window, len(self.features))
        with torch.inference_mode():
            parts = [self._network(part).reshape(-1) for part in torch.split(rows, _ROWS)]
        scores = torch.cat(parts) if parts else torch.empty(0)
        return scores.numpy().astype(np.float64)


def _read(content: bytes) -> dict[str, Any]:
    import torch

    if not content.startswith(_ZIP):  # older forms of torch's begin with a pickle
        raise ArtifactError("not weights of a network: no file of torch's present form")
    try:
        document = torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0] if str(error) else type(error).__name__
        raise ArtifactError(f"not weights of a network: {reason}") from error
    expected = {"kind", "shape", "window", "weights"}
    if not isinstance(document, dict) or set(document) != expected:
        raise ArtifactError(f"not weights of a network: needs {', '.join(sorted(expected))}")
    return document


def load_weights(
    content: bytes, features: Sequence[str], expressions: Mapping[str, str] | None = None
) -> NetworkPredictor:
    """Return a predictor for weights.

    Raises:
        ArtifactError: the content is no such file, or does not fit the features.
    """
    return NetworkPredictor(content, features, expressions)
