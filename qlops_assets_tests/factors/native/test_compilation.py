"""Machine code on disk: kept, thrown away when a source changes, done without where need be."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import qlops_assets

CALLEE = """
from qlops_assets.factors.native.compilation import compiled

@compiled
def step(x):
    return x + {step}
"""
CALLER = """
from qlops_assets.factors.native.compilation import compiled
from kept.callee import step

@compiled
def twice(x):
    return step(step(x))
"""
TELL = "from kept.caller import twice; print(twice(0.0), sum(twice.stats.cache_hits.values()))"
EVALUATE = """
import polars as pl
from qlops_assets.factors.engine import evaluate
from qlops_assets_tests.support.odd_bars import odd_bars

texts = ["Max($high,9)", "Delta($close,3)"]
frame = evaluate({text: text for text in texts}, odd_bars())
frame.write_parquet(__import__("sys").argv[1])
print(frame.columns[2:] == texts)
"""
ROOT = Path(qlops_assets.__file__).parents[1]


def start(code: str, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, **environment},
        cwd="/",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said(process: "subprocess.Popen[str]") -> tuple[str, str]:
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    return out.strip(), err


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Return a package of two modules, one calling a function of the other."""
    package = tmp_path / "kept"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "caller.py").write_text(CALLER)
    (package / "callee.py").write_text(CALLEE.format(step=1.0))
    return package


def test_change_of_a_called_function_is_noticed(kept: Path) -> None:
    def tell() -> str:
        return said(start(TELL, PYTHONPATH=f"{kept.parent}{os.pathsep}{ROOT}"))[0]

    assert tell() == "2.0 0"  # compiled
    assert tell() == "2.0 1"  # loaded
    (kept / "callee.py").write_text(CALLEE.format(step=5.0))
    assert tell() == "10.0 0"
    assert tell() == "10.0 1"


def test_processes_that_compile_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    cache = str(tmp_path / "cache")
    ways = [tmp_path / f"{n}.parquet" for n in range(3)]
    running = [start(EVALUATE, str(w), PYTHONPATH=str(ROOT), NUMBA_CACHE_DIR=cache) for w in ways]
    assert {said(process)[0] for process in running} == {"True"}
    assert len({way.read_bytes() for way in ways}) == 1
    assert list(Path(cache).rglob("*.nbi"))


def test_without_a_writable_place_each_process_compiles(tmp_path: Path) -> None:
    for name in ("qlops_assets", "qlops_assets_tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    sources = [path.parent for path in (tmp_path / "qlops_assets").rglob("*.py")]
    for folder in set(sources):
        (folder / "__pycache__").touch()  # a file: root may write to any folder
    nowhere = str(tmp_path / "qlops_assets" / "__init__.py")
    out, err = said(
        start(
            EVALUATE,
            str(tmp_path / "found.parquet"),
            PYTHONPATH=str(tmp_path),
            HOME=nowhere,
            XDG_CACHE_HOME=nowhere,
        )
    )
    assert out == "True"
    assert "anew in each process" in err
    assert not list(tmp_path.rglob("*.nbi"))
    said(start(EVALUATE, str(tmp_path / "usual.parquet"), PYTHONPATH=str(ROOT)))
    assert (tmp_path / "found.parquet").read_bytes() == (tmp_path / "usual.parquet").read_bytes()
