import json
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from qlops_assets.core.errors import SettingsError
from qlops_assets.core.journal import Event, Journal
from qlops_assets.core.progress import JournalProgress

ROOT = Path(__file__).parents[2]
NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
APPENDER = """
import sys
from qlops_assets.core.journal import Journal
url, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
journal = Journal(url)
for number in range(count):
    event = journal.append(f"writer/{name}", "count", {"number": number})
    print(event.seq, flush=True)
"""
CLAIMER = """
import sys
from qlops_assets.core.journal import Journal
url, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
journal = Journal(url)
for number in range(count):
    if journal.claim("keys", name, {"number": number}, once=f"key-{number}"):
        print(number, flush=True)
"""


class Noon:
    def now(self) -> datetime:
        return NOON


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'deep' / 'journal.db'}"


@pytest.fixture
def journal(url: str):
    journal = Journal(url, Noon())
    yield journal
    journal.close()


def appender(url: str, name: str, count: int) -> subprocess.Popen:
    arguments = [sys.executable, "-c", APPENDER, url, name, str(count)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, cwd=ROOT, text=True)


def test_appended_event_is_read_back(journal: Journal) -> None:
    event = journal.append("model/a", "registered", {"rows": 3, "name": "沪深300"})
    assert event == Event(1, "model/a", "registered", NOON, {"rows": 3, "name": "沪深300"})
    assert journal.read() == [event]
    assert event.to_json() == {
        "seq": 1, "topic": "model/a", "kind": "registered", "at": "2026-01-05T12:00:00+00:00",
        "data": {"rows": 3, "name": "沪深300"},
    }  # fmt: skip


def test_empty_journal_has_nothing(journal: Journal) -> None:
    assert journal.read() == []
    assert journal.read_all() == []
    assert journal.last_seq() == 0


def test_read_selects_by_topic_and_by_prefix(journal: Journal) -> None:
    for topic in ("model/a", "model/b", "models", "model", "model/a/x", "mod_l/a"):
        journal.append(topic, "k", {})

    def topics(wanted: str) -> list[str]:
        return [event.topic for event in journal.read(wanted)]

    assert topics("model/a") == ["model/a"]
    assert topics("model/*") == ["model/a", "model/b", "model/a/x"]
    assert topics("mod_l/*") == ["mod_l/a"]
    assert len(topics("*")) == 6
    assert topics("nothing") == []


def test_kind_that_is_not_wanted_is_left_out_of_every_page(journal: Journal) -> None:
    for kind in ("started", "progress", "progress", "finished", "progress"):
        journal.append("work/a", kind, {})
    assert [e.seq for e in journal.read("work/*", leaving_out="progress")] == [1, 4]
    assert [e.seq for e in journal.read("work/a", after=1, limit=1, leaving_out="progress")] == [4]
    assert len(journal.read()) == 5


def test_pages_hold_every_event_once(journal: Journal) -> None:
    for number in range(25):
        journal.append("t", "k", {"number": number})
    seen: list[Event] = []
    while page := journal.read("t", after=seen[-1].seq if seen else 0, limit=7):
        assert len(page) <= 7
        seen.extend(page)
    assert [event.data["number"] for event in seen] == list(range(25))
    assert journal.read_all("t") == seen
    assert journal.last_seq() == 25


def test_key_is_claimed_once(journal: Journal) -> None:
    first = journal.claim("t", "k", {"number": 1}, once="key")
    assert first is not None
    assert journal.claim("t", "other", {"number": 2}, once="key") is None
    assert journal.read() == [first]
    following = journal.claim("t", "k", {}, once="other key")
    assert following is not None
    assert following.seq == first.seq + 1
    assert journal.append("t", "k", {}).seq == following.seq + 1
    assert journal.append("t", "k", {}).seq == following.seq + 2


def test_events_survive_closing_and_opening(journal: Journal, url: str) -> None:
    event = journal.append("t", "k", {})
    journal.close()
    journal.close()
    assert journal.read() == [event]
    other = Journal(url)
    assert other.read() == [event]
    other.close()


def test_journal_uses_write_ahead_logging(journal: Journal, url: str) -> None:
    journal.append("t", "k", {})
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_url_of_another_database_is_refused() -> None:
    with pytest.raises(SettingsError, match="was 'postgresql', must be sqlite"):
        Journal("postgresql://host/db")


def test_threads_that_append_at_once_lose_nothing(journal: Journal) -> None:
    def append(name: int) -> None:
        for number in range(30):
            journal.append(f"thread/{name}", "k", {"number": number})

    threads = [threading.Thread(target=append, args=(name,)) for name in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events = journal.read_all()
    assert [event.seq for event in events] == list(range(1, 181))
    assert set(Counter(event.topic for event in events).values()) == {30}


def test_processes_that_open_and_append_at_once_lose_nothing(journal: Journal, url: str) -> None:
    """Four processes create the database and write; a reader follows and sees all, in order."""
    writers = [appender(url, str(name), 60) for name in range(4)]
    seen: list[Event] = []
    deadline = time.monotonic() + 60
    while len(seen) < 240 and time.monotonic() < deadline:
        seen.extend(journal.read(after=seen[-1].seq if seen else 0, limit=17))
    told = []
    for writer in writers:
        assert writer.stdout is not None
        told.append([int(line) for line in writer.stdout])
        assert writer.wait(timeout=30) == 0
        writer.stdout.close()
    assert [event.seq for event in seen] == list(range(1, 241))
    assert seen == journal.read_all()
    for name, seqs in enumerate(told):
        own = [event for event in seen if event.topic == f"writer/{name}"]
        assert [event.seq for event in own] == seqs
        assert [event.data["number"] for event in own] == list(range(60))


def test_of_processes_that_claim_a_key_one_gets_it(journal: Journal, url: str) -> None:
    arguments = [sys.executable, "-c", CLAIMER, url]
    claimers = [
        subprocess.Popen([*arguments, name, "40"], stdout=subprocess.PIPE, cwd=ROOT, text=True)
        for name in ("a", "b", "c")
    ]
    got = [claimer.communicate(timeout=60)[0].split() for claimer in claimers]
    assert sorted(int(key) for keys in got for key in keys) == list(range(40))
    events = journal.read_all()
    assert [event.data["number"] for event in events] == list(range(40))
    assert [event.seq for event in events] == list(range(1, 41))


def test_killed_writer_leaves_a_whole_journal(journal: Journal, url: str) -> None:
    with appender(url, "victim", 1_000_000) as writer:
        assert writer.stdout is not None
        told = [int(writer.stdout.readline()) for _ in range(50)]
        writer.send_signal(signal.SIGKILL)
        told += [int(line) for line in writer.stdout if line.endswith("\n")]
    events = journal.read_all()
    # What was confirmed is there; at most the one in flight is there beside it.
    assert [event.seq for event in events][: len(told)] == told
    assert len(events) - len(told) in {0, 1}
    assert journal.append("t", "k", {}).seq == len(events) + 1


def test_progress_reports_are_events_with_the_time_since_their_stage_began(
    journal: Journal,
) -> None:
    progress = JournalProgress(journal, "training/a")
    progress.report("fit", 1, 10, {"loss": 0.5})
    progress.report("fit", 2, None)
    events = journal.read("training/a")
    assert [event.kind for event in events] == ["progress", "progress"]
    assert events[0].data == {
        "stage": "fit", "step": 1, "total": 10, "metrics": {"loss": 0.5}, "elapsed_s": 0.0,
    }  # fmt: skip
    assert events[1].data["elapsed_s"] >= 0.0
    assert json.dumps(events[1].data["total"]) == "null"


def test_reports_that_only_count_are_events_at_their_ends_and_now_and_then(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 0.1, 0.15, 0.25, 0.3, 0.35])
    monkeypatch.setattr(
        "qlops_assets.core.progress.time", SimpleNamespace(monotonic=lambda: next(clock))
    )
    progress = JournalProgress(journal, "pipeline")
    for step in range(1, 7):
        progress.report("bars", step, 6)
    told = journal.read("pipeline")
    assert [(event.data["step"], event.data["elapsed_s"]) for event in told] == [
        (1, 0.0), (4, 0.25), (6, 0.35),
    ]  # fmt: skip


def test_every_report_with_metrics_is_an_event(journal: Journal) -> None:
    progress = JournalProgress(journal, "training/a")
    for step in range(1, 51):
        progress.report("fit", step, 50, {"loss": 1 / step})
    assert [event.data["step"] for event in journal.read("training/a")] == list(range(1, 51))
