"""The record of a failure: everything that is needed to understand it later."""

import os
import platform
import traceback
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

_LINES: Final = 40
_LONGEST_LINE: Final = 500
_LIBRARIES: Final = (
    *("qlops_assets", "pyqlib", "lightgbm", "xgboost", "torch", "scikit-learn"),
    *("numpy", "pandas", "polars", "scipy", "pyarrow", "pylance", "dagster", "sqlalchemy"),
)


def failure_record(
    error: BaseException,
    *,
    step: str,
    attempt: int,
    last: Mapping[str, Any] | None,
    task: Mapping[str, Any] | None,
    data_version: str | None,
) -> dict[str, Any]:
    """Return the record of an exception that ended a step of a training.

    Args:
        error: What was raised.
        step: The asset.
        attempt: Number of the attempt.
        last: The last progress; None where there was none.
        task: Qlib's configuration of the task; None where it is not known.
        data_version: Digest of the bars that the training saw; None where it is not known.
    """
    return {
        "step": step,
        "attempt": attempt,
        "stage": last.get("stage") if last else None,
        "exception": type(error).__name__,
        "message": str(error) or type(error).__name__,
        "traceback": _shortened(error),
        "task": task,
        "data_version": data_version,
        "last_progress": last,
        "environment": environment(),
    }


def environment() -> dict[str, Any]:
    """Return what this process runs on: versions, processors, memory in MB."""
    import psutil

    memory = psutil.virtual_memory()
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "host": platform.node(),
        "pid": os.getpid(),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_mb": round(memory.total / 1e6),
        "memory_available_mb": round(memory.available / 1e6),
        "process_memory_mb": round(psutil.Process().memory_info().rss / 1e6),
        "libraries": {name: found for name in _LIBRARIES if (found := _version(name))},
    }


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def _shortened(error: BaseException) -> str:
    """Return the end of the traceback, which is where it happened."""
    text = "".join(traceback.format_exception(error))
    lines = [line[:_LONGEST_LINE] for line in text.rstrip().splitlines()]
    left_out = len(lines) - _LINES
    if left_out <= 0:
        return "\n".join(lines)
    return "\n".join([f"… {left_out} lines before", *lines[-_LINES:]])
