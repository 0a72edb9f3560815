"""Progress of a step: every report an event, in order and soon; cancelling; what goes wrong."""

import itertools
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from qlops_assets.core.errors import NothingToCancelError, TrainingCancelledError
from qlops_assets.core.journal import Event, Journal
from qlops_assets.core.trainings import signs
from qlops_assets.core.trainings.history import TrainingHistory
from qlops_assets.core.trainings.progress import TrainingProgress
from qlops_assets.core.trainings.signs import Heart, Sign, Worker, read_sign
from qlops_assets.core.trainings.status import request_cancel, sign_path, status_of
from qlops_assets_tests.support.waiting import wait_for

VERSION = "alpha-1"
TOPIC = f"training/{VERSION}"

Begin = Callable[..., TrainingProgress]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(f"sqlite:///{tmp_path / 'journal.db'}")
    yield journal
    journal.close()


@pytest.fixture
def begin(journal: Journal, tmp_path: Path) -> Begin:
    """Return a function that begins a step of a training."""

    def start(step: str = "trained_model", **options: Any) -> TrainingProgress:
        sign = sign_path(tmp_path, VERSION)
        return TrainingProgress(journal, VERSION, step, sign=sign, run_id="r", **options)

    return start


def events(journal: Journal, kind: str) -> list[Event]:
    return [event for event in journal.read_all(TOPIC) if event.kind == kind]


def status(journal: Journal, folder: Path, now: datetime | None = None) -> str | None:
    history = TrainingHistory(journal.read_all(TOPIC))
    return status_of(history, folder, VERSION, now or datetime.now(UTC))


def report_until(progress: TrainingProgress, deadline: float) -> None:
    """Report a step every hundredth of a second; something else is expected to end it."""
    for step in itertools.count(2):
        assert time.monotonic() < deadline
        progress.report("fit", step, 100)
        time.sleep(0.01)


def test_every_report_is_an_event_in_order_before_the_end(journal: Journal, begin: Begin) -> None:
    progress = begin()
    for step in range(1, 2001):
        progress.report("fit", step, 2000, {"valid.l2": 1 / step})
    progress.end("finished", {})
    told = journal.read_all(TOPIC)
    assert [e.kind for e in told] == ["started", *["progress"] * 2000, "finished"]
    assert [e.data["step"] for e in told[1:-1]] == list(range(1, 2001))
    times = [e.at for e in told[1:-1]]
    assert times == sorted(times)


def test_report_is_seen_by_other_readers_while_the_step_says_nothing_more(
    begin: Begin, tmp_path: Path
) -> None:
    """How soon it is, ``benchmarks/bench_progress.py`` measures."""
    progress = begin()
    with closing(sqlite3.connect(tmp_path / "journal.db")) as reader:
        query = "SELECT count(*) FROM events WHERE kind = 'progress'"
        for step in range(1, 21):
            progress.report("fit", step, None)
            wait_for(lambda n=step: reader.execute(query).fetchone()[0] == n)
    progress.end("finished", {})


class Seconds:
    """A timer that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_progress_tells_attempt_memory_time_left_and_rows(journal: Journal, begin: Begin) -> None:
    seconds = Seconds()
    begin("training_set").end("finished", {})
    progress = begin(rows={"fit": 1000}, patience=5, timer=seconds)
    for step in range(1, 8):
        seconds.now += 0.02
        progress.report("fit", step, 10, {"train.l2": 1.0, "valid.l2": abs(step - 3.0)})
    progress.report("predict", 0, None)
    progress.end("finished", {})
    *_, fit, predict = [e.data for e in events(journal, "progress")]
    assert fit["attempt"] == 1
    assert fit["memory_mb"] > 20
    assert fit["elapsed_s"] == pytest.approx(0.12)
    assert fit["eta_s"] == pytest.approx(0.06)  # three steps of 20 ms
    assert fit["eta_low_s"] <= fit["eta_s"] <= fit["eta_high_s"]
    assert fit["eta_earliest_s"] == pytest.approx(0.02)  # the best was 3, patience is 5: one more
    assert fit["rows_per_s"] == 50_000
    assert set(predict) == {
        *("attempt", "stage", "step", "total", "metrics", "elapsed_s", "memory_mb")
    }


def test_patience_counts_looks_at_the_validation_where_it_is_not_looked_at_every_step(
    journal: Journal, begin: Begin
) -> None:
    seconds = Seconds()
    progress = begin(patience=3, timer=seconds)
    for step in range(1, 41):
        seconds.now += 0.002
        looked = {} if step % 10 else {"valid.loss": abs(step - 20.0)}
        progress.report("fit", step, 1000, {"train.loss": 1.0, **looked})
    progress.end("finished", {})
    fit = [e.data for e in events(journal, "progress")]
    assert "eta_earliest_s" not in fit[8]
    # The best was at 20; three more looks, one every 10 steps, end it at 50.
    last = fit[-1]
    assert last["eta_earliest_s"] == pytest.approx(10 * 0.002)
    assert last["eta_s"] == pytest.approx(960 * 0.002)


def test_cancel_is_raised_within_a_report_and_does_not_stop_a_later_attempt(
    journal: Journal, begin: Begin, tmp_path: Path
) -> None:
    progress = begin()
    progress.report("fit", 1, 100)
    request_cancel(journal, tmp_path, VERSION, by="ann", why="wrong label")
    assert status(journal, tmp_path) == "cancelling"
    wait_for(lambda: progress._pulse.request)
    with pytest.raises(TrainingCancelledError, match=r"by ann: wrong label; .* fit 2 of 100"):
        progress.report("fit", 2, 100)  # the very next
    progress.end("cancelled", {"by": "ann"})
    assert status(journal, tmp_path) == "cancelled"
    again = begin()
    assert again.attempt == 2
    again.report("fit", 1, 100)
    # It has looked for requests after it wrote that.
    wait_for(lambda: events(journal, "progress")[-1].seq == again._pulse._seen)
    again.report("fit", 2, 100)
    assert status(journal, tmp_path) == "running"
    again.end("finished", {})


def test_cancel_is_refused_where_nothing_runs(
    journal: Journal, begin: Begin, tmp_path: Path
) -> None:
    with pytest.raises(NothingToCancelError, match="never trained"):
        request_cancel(journal, tmp_path, VERSION, by="ann", why="")
    progress = begin()
    with pytest.raises(NothingToCancelError, match="attempt 3 is over, 1 runs"):
        request_cancel(journal, tmp_path, VERSION, by="ann", why="", attempt=3)
    progress.end("finished", {})
    with pytest.raises(NothingToCancelError, match="is finished"):
        request_cancel(journal, tmp_path, VERSION, by="ann", why="")
    assert events(journal, "cancel_requested") == []


def test_journal_that_cannot_be_written_fails_the_training_and_not_in_silence(
    journal: Journal, begin: Begin, tmp_path: Path
) -> None:
    progress = begin()
    progress.report("load", 0, None)
    wait_for(lambda: events(journal, "progress"))
    with closing(sqlite3.connect(tmp_path / "journal.db")) as connection:
        connection.execute("DROP TABLE events")
        connection.commit()
    with pytest.raises(OperationalError, match="no such table"):
        report_until(progress, time.monotonic() + 5.0)
    with pytest.raises(OperationalError, match="no such table"):
        progress.end("failed", {})


def test_step_leaves_neither_a_thread_nor_a_sign_of_life(begin: Begin, tmp_path: Path) -> None:
    progress = begin()
    sign = read_sign(sign_path(tmp_path, VERSION))
    assert sign is not None
    assert sign.worker.pid == os.getpid()
    progress.end("finished", {})
    assert read_sign(sign_path(tmp_path, VERSION)) is None
    assert [t.name for t in threading.enumerate() if t.name == "training-pulse"] == []


def test_heart_beats_while_a_step_says_nothing(
    begin: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qlops_assets.core.trainings.pulse.BEAT_S", 0.1)
    path = sign_path(tmp_path, VERSION)
    progress = begin()
    os.utime(path, (1.0, 1.0))
    long_ago = datetime.fromtimestamp(1.0, UTC)
    wait_for(lambda: (sign := read_sign(path)) and sign.at > long_ago)
    progress.end("finished", {})


def test_process_is_alive_by_its_number_and_its_start_on_its_own_machine() -> None:
    own = Worker.own()
    now = datetime.now(UTC)
    long_ago = now - timedelta(days=1)
    assert Sign(own, long_ago).is_alive(now)
    used_again = Worker(own.host, own.boot, own.pid, own.started - 1000)
    assert not Sign(used_again, now).is_alive(now)
    gone = Worker(own.host, own.boot, 2**22 + 1, own.started)
    assert not Sign(gone, now).is_alive(now)


@pytest.mark.parametrize(("seconds", "alive"), [(0, True), (19, True), (21, False), (30, False)])
def test_process_elsewhere_is_alive_while_it_was_heard_of(seconds: int, alive: bool) -> None:
    own = Worker.own()
    now = datetime.now(UTC)
    heard = now - timedelta(seconds=seconds)
    for other in (
        Worker("another", own.boot, own.pid, own.started),
        Worker(own.host, "another start", own.pid, own.started),
    ):
        assert Sign(other, heard).is_alive(now) is alive


def test_sign_of_another_process_is_left_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "sign.json"
    heart = Heart(path)
    heart.begin()
    path.write_text(path.read_text().replace(f'"pid": {os.getpid()}', '"pid": 1'))
    heart.end()
    assert path.exists()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"pid": 1}', "null"])
def test_damaged_sign_is_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "sign.json"
    path.write_text(content)
    assert read_sign(path) is None


def test_silence_that_counts_as_death_is_below_half_a_minute() -> None:
    assert 2 * signs.BEAT_S <= signs.SILENT_AFTER_S < 30.0
