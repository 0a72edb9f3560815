"""The files of the source beside its bars, as the last scan saw them: universes, an index."""

from dataclasses import dataclass
from pathlib import Path

from qlops_assets.core.settings import Settings
from qlops_assets.lake.intake.blobs import blob_store
from qlops_assets.lake.scan import load_manifest


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A kept copy.

    Attributes:
        name: What the user calls the file, with its folder.
        path: Where the copy is.
    """

    name: str
    path: Path


def files_beside(settings: Settings) -> dict[str, KeptFile]:
    """Return the files beside the bars, by their names below the source's folder.

    Raises:
        LakeError: the manifest is damaged, or a kept copy is gone.
    """
    manifest, blobs = load_manifest(settings), blob_store(settings)
    if manifest is None:
        return {}
    return {
        file.path: KeptFile(
            f"{manifest.source}/{file.path}", blobs.existing(file.digest, file.path)
        )
        for file in manifest.others
    }
