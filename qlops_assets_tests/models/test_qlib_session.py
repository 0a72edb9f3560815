import gc
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from qlops_assets.models.qlib_session import qlib_session
from qlops_assets_tests.support.qlib_data import provider_of

SCRIPT = """
import json, sys
from pathlib import Path
before = sys.excepthook
from qlops_assets.core.progress import Unreported
from qlops_assets.models.lightgbm import LightGBMTrainer
from qlops_assets.models.qlib_session import qlib_session
from qlops_assets_tests.support.qlib_data import DAYS, SEGMENTS, dataset_of, frame_of
with qlib_session(Path(sys.argv[1])):
    dataset = dataset_of(frame_of(DAYS), SEGMENTS)
    fit = LightGBMTrainer({}, seed=1, threads=1, rounds=3, early_stopping_rounds=2).fit
    fit(dataset, Unreported()).qlib_model.predict(dataset, "test")
print(json.dumps({"hook_is_ours": sys.excepthook is before}))
"""


@pytest.fixture
def providers(tmp_path: Path) -> tuple[Path, Path]:
    return provider_of(tmp_path / "ones", 1.0), provider_of(tmp_path / "twos", 2.0)


def closes() -> set[float]:
    from qlib.data import D

    return set(D.features(["SH600000"], ["$close"])["$close"])


def test_process_that_trains_keeps_its_folder_stdout_and_excepthook(
    any_provider: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(any_provider)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == '{"hook_is_ours": true}\n'
    assert list(folder.iterdir()) == []  # no mlruns


def test_session_after_another_sees_its_own_data(providers: tuple[Path, Path]) -> None:
    ones, twos = providers
    for provider, price in ((ones, 1.0), (twos, 2.0), (ones, 1.0)):
        with qlib_session(provider):
            assert closes() == {price}


def test_provider_that_was_rebuilt_in_place_is_not_stale(providers: tuple[Path, Path]) -> None:
    ones, _ = providers
    with qlib_session(ones):
        assert closes() == {1.0}
    shutil.rmtree(ones)
    provider_of(ones, 3.0)
    with qlib_session(ones):
        assert closes() == {3.0}


def test_session_inside_another_gives_it_back(providers: tuple[Path, Path]) -> None:
    from qlib.config import C

    ones, twos = providers
    with qlib_session(ones, region="us"):
        with qlib_session(twos, region="cn"):
            assert closes() == {2.0}
            assert C.trade_unit == 100
        assert closes() == {1.0}
        assert C.trade_unit == 1


def test_session_that_failed_leaves_the_next_one_in_order(providers: tuple[Path, Path]) -> None:
    ones, twos = providers
    with pytest.raises(ZeroDivisionError), qlib_session(ones):
        raise ZeroDivisionError
    with qlib_session(twos):
        assert closes() == {2.0}


def test_sessions_of_two_threads_wait_for_each_other(providers: tuple[Path, Path]) -> None:
    found: list[tuple[float, set[float]]] = []
    barrier = threading.Barrier(2)

    def read(provider: Path, price: float) -> None:
        barrier.wait(10)
        for _ in range(10):
            with qlib_session(provider):
                found.append((price, closes()))

    threads = [
        threading.Thread(target=read, args=given)
        for given in zip(providers, (1.0, 2.0), strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 20
    assert all(prices == {price} for price, prices in found)


def test_excepthook_and_stdout_are_as_before(
    any_provider: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hook, stdout = sys.excepthook, sys.stdout
    with qlib_session(any_provider):
        assert sys.excepthook is hook
        print("Qlib prints at import")  # noqa: T201
    assert (sys.excepthook, sys.stdout) == (hook, stdout)
    said = capsys.readouterr()
    assert said.out == ""
    assert "Qlib prints at import" in said.err


def test_sessions_leave_no_recorder_behind(any_provider: Path) -> None:
    for _ in range(5):
        with qlib_session(any_provider):
            from qlib.workflow import QlibRecorder
    gc.collect()
    assert sum(isinstance(item, QlibRecorder) for item in gc.get_objects()) == 1


_TREES = """
import sys
from pathlib import Path
from qlops_assets.models.catalog import TRAINERS
from qlops_assets.models.qlib_session import qlib_session

with qlib_session(Path(sys.argv[1])):
    from qlib.contrib.model.gbdt import LGBModel
    assert LGBModel.__module__ == "qlib.contrib.model.gbdt"
print("torch" in sys.modules, "catboost" in sys.modules, "xgboost" in sys.modules)
"""


def test_process_that_trains_trees_does_not_import_every_model(any_provider: Path) -> None:
    command = [sys.executable, "-c", _TREES, str(any_provider)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["False", "False", "False"]
