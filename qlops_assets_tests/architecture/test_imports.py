"""What an import may cost, and which room may import which."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {
    *("qlib", "torch", "lightgbm", "xgboost", "nannyml", "shap", "lime", "mlflow"),
    *("lancedb", "lance", "polars_talib", "s3fs", "botocore"),
}
# Nor may asking for help load what only work needs.
ONLY_FOR_WORK = HEAVY | {
    *("dagster", "polars", "pandas", "numpy", "numba", "scipy", "pyarrow", "sqlalchemy", "uvicorn")
}
ROOMS = sorted(p.parent.name for p in (ROOT / "qlops_assets").glob("*/__init__.py"))

REPORT = """
import json, sys
{code}
print(json.dumps(sorted({{name.partition('.')[0] for name in sys.modules}})))
"""


def loaded_by(code: str, home: Path) -> set[str]:
    """Return the top-level modules that a fresh interpreter has after running the code."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", REPORT.format(code=code)],
        cwd=home,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_import_of_the_definitions_loads_nothing_heavy(tmp_path: Path) -> None:
    loaded = loaded_by("import qlops_assets.definitions", tmp_path)
    assert not loaded & ONLY_FOR_WORK


def test_making_the_definitions_loads_no_training_library(tmp_path: Path) -> None:
    code = "from qlops_assets.definitions import defs\nassert defs.resolve_all_asset_specs()"
    loaded = loaded_by(code, tmp_path)
    assert "dagster" in loaded
    assert not loaded & HEAVY


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["demo", "--help"]])
def test_asking_for_help_loads_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    code = f"""
import contextlib
from qlops_assets.cli.main import main
with contextlib.redirect_stdout(sys.stderr), contextlib.suppress(SystemExit):
    main({arguments!r})
"""
    assert not loaded_by(code, tmp_path) & ONLY_FOR_WORK


def test_every_room_imports_without_training_libraries(tmp_path: Path) -> None:
    code = """
import importlib, pkgutil
import qlops_assets
for module in pkgutil.walk_packages(qlops_assets.__path__, "qlops_assets."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""
    loaded = loaded_by(code, tmp_path)
    assert not loaded & HEAVY


def test_layers_and_doors_hold() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [str(program), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout
