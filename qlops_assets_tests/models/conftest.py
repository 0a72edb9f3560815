from pathlib import Path
from typing import Any

import pytest

from qlops_assets.models.qlib_session import qlib_session
from qlops_assets_tests.support.qlib_data import DAYS, SEGMENTS, dataset_of, frame_of, provider_of


@pytest.fixture(scope="session")
def any_provider(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return provider_of(tmp_path_factory.mktemp("provider") / "any", 1.0)


@pytest.fixture(scope="session")
def dataset(any_provider: Path) -> Any:
    """Return a dataset of Qlib with a signal in it."""
    with qlib_session(any_provider):
        return dataset_of(frame_of(DAYS), SEGMENTS)
