"""Model artifacts: written whole, recorded by SHA-256, loaded only when it still matches."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

from qlops_assets.core.atomic import read_json, write_json, write_text
from qlops_assets.core.digests import file_sha256
from qlops_assets.core.errors import ArtifactError
from qlops_assets.core.prediction import Predictor

_RECORD = "artifact.json"


class LoadPredictor(Protocol):
    """Reads an artifact file of one format."""

    def __call__(
        self, text: str, features: Sequence[str], expressions: Mapping[str, str]
    ) -> Predictor:
        """Return a predictor for the artifact's text."""
        ...


@dataclass(frozen=True, slots=True)
class Artifact:
    """What is recorded of an artifact: format, file name, SHA-256, and the features it takes.

    ``expressions`` are those of the features that the user defined, and may define anew.
    """

    format: str
    file: str
    sha256: str
    features: list[str]
    expressions: dict[str, str] = field(default_factory=dict)


def save_artifact(
    folder: Path,
    *,
    text: str,
    format_name: str,
    features: Sequence[str],
    expressions: Mapping[str, str] | None = None,
) -> Artifact:
    """Write an artifact and its record into a model version's folder."""
    file = folder / "model.txt"
    write_text(file, text)
    sha256 = file_sha256(file)
    artifact = Artifact(format_name, file.name, sha256, list(features), dict(expressions or {}))
    write_json(folder / _RECORD, asdict(artifact))
    return artifact


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
    found = hashlib.sha256(content).hexdigest()
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
    return FORMATS.load(artifact.format)(content.decode(), artifact.features, artifact.expressions)


def _record(folder: Path) -> Artifact:
    try:
        record = read_json(folder / _RECORD)
        if record is None or not (folder / record["file"]).is_file():
            raise ArtifactError(f"{folder}: no model artifact; train this version again")
        return Artifact(**record)
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(
            f"{folder / _RECORD}: damaged ({error}); train this version again"
        ) from error
