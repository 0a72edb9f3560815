"""Model artifacts: written whole, recorded by SHA-256, loaded only when it still matches."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, Protocol

from qlops_assets.core.atomic import read_json, write_bytes, write_json
from qlops_assets.core.errors import ArtifactError
from qlops_assets.core.prediction import Predictor
from qlops_assets.models.processing import ProcessedPredictor, Processing

_RECORD: Final = "artifact.json"
_PROCESSING: Final = "processing.json"
_SUFFIXES: Final = {
    "xgboost-ubj": "ubj",
    "linear-json": "json",
    "double-ensemble-json": "json",
    "torch-weights": "pt",
}


class LoadPredictor(Protocol):
    """Reads an artifact file of one format."""

    def __call__(
        self, content: bytes, features: Sequence[str], expressions: Mapping[str, str]
    ) -> Predictor:
        """Return a predictor for the artifact's content."""
        ...


@dataclass(frozen=True, slots=True)
class Artifact:
    """What is recorded of an artifact.

    Attributes:
        format: Name in the catalog of formats.
        file: Name of the model's file.
        sha256: Of the model, and of its processing where it has one.
        features: Names of the columns that it takes, in order.
        expressions: Those of the features that the user defined, and may define anew.
        processing: Name of the file of what happens to features before the model sees them.
    """

    format: str
    file: str
    sha256: str
    features: list[str]
    expressions: dict[str, str] = field(default_factory=dict)
    processing: str | None = None


def save_artifact(
    folder: Path,
    *,
    content: bytes,
    format_name: str,
    features: Sequence[str],
    expressions: Mapping[str, str] | None = None,
    processing: Processing | None = None,
) -> Artifact:
    """Write an artifact and its record into a model version's folder."""
    document = processing.to_bytes() if processing else None
    artifact = Artifact(
        format_name,
        f"model.{_SUFFIXES.get(format_name, 'txt')}",
        _digest(content, document),
        list(features),
        dict(expressions or {}),
        _PROCESSING if document else None,
    )
    write_bytes(folder / artifact.file, content)
    if document is not None:
        write_bytes(folder / _PROCESSING, document)
    write_json(folder / _RECORD, asdict(artifact))
    return artifact


def _digest(content: bytes, processing: bytes | None) -> str:
    """Return the SHA-256 of a model; with its processing, that of both their SHA-256."""
    digest = hashlib.sha256(content).hexdigest()
    if processing is None:
        return digest
    both = digest + hashlib.sha256(processing).hexdigest()
    return hashlib.sha256(both.encode()).hexdigest()


def load_predictor(folder: Path, *, sha256: str) -> Predictor:
    """Load the artifact of a model version.

    Args:
        folder: The version's folder.
        sha256: The digest that the registry recorded when the version was trained.

    Raises:
        ArtifactError: the artifact is missing, is not the one that was registered, or is of a
            format that servers do not load.
    """
    from qlops_assets.models.catalog import FORMATS

    artifact = _record(folder)
    content = (folder / artifact.file).read_bytes()
    processing = (folder / artifact.processing).read_bytes() if artifact.processing else None
    found = _digest(content, processing)
    if found != sha256:
        raise ArtifactError(
            f"{folder / artifact.file}: SHA-256 was {found[:12]}…, must be {sha256[:12]}… as "
            "registered; the file was altered: train this version again"
        )
    if artifact.format not in FORMATS.entries:
        raise ArtifactError(
            f"{folder}: unknown artifact format {artifact.format!r}; "
            f"Known: {', '.join(FORMATS.names())}"
        )
    load = FORMATS.load(artifact.format)
    predictor = load(content, artifact.features, artifact.expressions)
    if processing is None:
        return predictor
    return ProcessedPredictor(predictor, Processing.from_bytes(processing))


def _record(folder: Path) -> Artifact:
    try:
        record = read_json(folder / _RECORD)
        files = [record["file"], record.get("processing") or record["file"]] if record else []
        if record is None or not all((folder / name).is_file() for name in files):
            raise ArtifactError(f"{folder}: no model artifact; train this version again")
        return Artifact(**record)
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(
            f"{folder / _RECORD}: damaged ({error}); train this version again"
        ) from error
