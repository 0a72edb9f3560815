import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from qlops_assets.cli.main import main
from qlops_assets_tests.support.market_fixtures import market, own_market, shared_folder
from qlops_assets_tests.support.recorded import database

__all__ = ["database", "market", "own_market", "qlops", "shared_folder"]

VARIABLES = ("QLOPS_HOME", "QLOPS_CONFIG", "QLOPS_DATABASE_URL", "QLOPS_LAKE_URL")


@dataclass(frozen=True)
class Said:
    """What a command ended with and what it said."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on stdout."""
        value: dict[str, Any] = json.loads(self.out)
        return value


Qlops = Callable[..., Said]


@pytest.fixture
def qlops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Qlops]:
    """Run ``qlops`` in this process, in an empty working directory, with no variable set."""
    before = dict(os.environ)
    for variable in VARIABLES:
        os.environ.pop(variable, None)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Said:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        captured = capsys.readouterr()
        return Said(int(ended.value.code or 0), captured.out, captured.err)

    yield run
    os.environ.clear()  # a command that opens a Dagster instance points the process at it
    os.environ.update(before)
