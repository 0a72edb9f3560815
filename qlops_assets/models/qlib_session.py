"""Qlib's process-global set-up, in one place.

Qlib keeps its configuration, its caches and its data clients in module globals that are not safe
for threads: one session at a time in a process, all others wait.
"""

import atexit
import contextlib
import importlib.util
import logging
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from qlops_assets.core.settings import set_environment

# Qlib logs to a handler of its own unless told otherwise. What it warns of is meant here: a halted
# day is NaN, and the simulator runs with its own defaults. Errors go to our handlers.
_LOGGING: Final[dict[str, Any]] = {
    "version": 1,
    "disable_existing_loggers": False,
    "loggers": {"qlib": {"level": "ERROR", "handlers": [], "propagate": True}},
}

_MODELS: Final = "qlib.contrib.model"

_lock = threading.RLock()
_open: list[tuple[Path, str]] = []


@contextlib.contextmanager
def qlib_session(provider: Path, *, region: str = "cn") -> Iterator[None]:
    """Point Qlib at a bin provider for the duration of the block.

    One kernel and threads instead of Qlib's process pool: parallelism is ours, by processes, so
    that nothing forks from a process that runs threads. No expression or dataset cache, so no
    Redis. The recorder's MLflow is never contacted: nothing in here starts a run.

    A session inside another one of the same thread gives Qlib back as it was. Do not hold one over
    a ``yield``: whoever iterates would go on in it.

    Args:
        provider: Folder of a bin store.
        region: ``cn`` or ``us``: Qlib's trading conventions.
    """
    set_environment(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="1", TQDM_DISABLE="1")
    with _lock, _quiet_imports():
        _import_only_what_is_asked_for()
        _open.append((provider, region))
        try:
            _point_at(provider, region)
            yield
        finally:
            _open.pop()
            if _open:
                _point_at(*_open[-1])


def _import_only_what_is_asked_for() -> None:
    """Keep Qlib's package of models from importing every model that it has.

    Its ``__init__`` imports twenty of them, and torch for most: 220 MB and seconds of each process
    that trains trees. A module of it can still be imported by its name, which is how Qlib's
    configurations name them. Remove when a released Qlib imports them when they are used.
    """
    if _MODELS not in sys.modules:
        spec = importlib.util.find_spec(_MODELS)
        if spec is not None:
            sys.modules[_MODELS] = importlib.util.module_from_spec(spec)


def _point_at(provider: Path, region: str) -> None:
    import qlib
    from qlib.workflow import R

    hook = sys.excepthook
    # Clears Qlib's memory caches too: a provider of the same path may have been rebuilt.
    qlib.init(
        provider_uri=str(provider),
        region=region,
        kernels=1,
        joblib_backend="threading",
        expression_cache=None,
        dataset_cache=None,
        logging_level=logging.ERROR,
        logging_config=_LOGGING,
    )
    # qlib.init arranges for MLflow runs to be ended, at every call once more; we start none.
    sys.excepthook = hook
    atexit.unregister(R.end_exp)


@contextlib.contextmanager
def _quiet_imports() -> Iterator[None]:
    """Keep Qlib's import-time prints off stdout, which belongs to ``--json``."""
    with contextlib.suppress(ImportError):
        from gym_notices import notices

        notices.notices.clear()  # gym's banner about itself, on stderr at import
    with contextlib.redirect_stdout(sys.stderr):
        yield
