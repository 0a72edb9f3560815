"""Where a model version's files are, for names that come from outside."""

import re
from pathlib import Path
from typing import Final

from qlops_assets.core.settings import Settings

EQUITY: Final = "equity.parquet"
EVALUATION: Final = "evaluation.json"
REPORT: Final = "report.html"
TRAINING_SET: Final = "training_set.json"

_VERSION: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,199}")


def model_file(settings: Settings, version: str, name: str) -> Path | None:
    """Return a file of a version's folder, or None where there is none.

    A version that is no plain name, or a file that leads out of the folder of models, is none.
    """
    if not _VERSION.fullmatch(version):
        return None
    path = settings.models / version / name
    if not path.is_file() or not path.resolve().is_relative_to(settings.models.resolve()):
        return None
    return path
