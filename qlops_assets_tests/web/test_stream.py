"""The event stream over real sockets: every event once, in order, for every client."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from qlops_assets.core.journal import Event, Journal
from qlops_assets.core.settings import Settings
from qlops_assets.web.app import build_console
from qlops_assets.web.events import StreamLimits, matches
from qlops_assets_tests.support.consoles import console_process, rows_of, serving, writers
from qlops_assets_tests.support.waiting import wait_for

Serve = Callable[..., str]


@pytest.fixture
def serve(settings: Settings, journal: Journal) -> Iterator[Serve]:
    """Return a function that serves a console from a thread and returns its address."""
    with contextlib.ExitStack() as stack:

        def start(limits: StreamLimits | None = None, journal: Journal = journal) -> str:
            app = build_console(settings, journal=journal, limits=limits)
            return stack.enter_context(serving(app))

        yield start


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a console whose journal holds one event."""
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    Journal(settings.journal_url).append("a", "b", {})
    with serving(build_console(settings)) as address:
        yield address


@contextlib.contextmanager
def listening(
    address: str, query: str = "topic=*&after=0", **options: Any
) -> Iterator[ClientConnection]:
    uri = f"ws://{address}/ws/events?{query}"
    with connect(uri, proxy=None, close_timeout=1, **options) as stream:
        yield stream


def receive(stream: ClientConnection, count: int, timeout: float = 10) -> list[dict]:
    return [json.loads(stream.recv(timeout=timeout)) for _ in range(count)]


def seqs(events: list[dict]) -> list[int]:
    return [event["seq"] for event in events]


def drain(stream: ClientConnection, timeout: float) -> None:
    while True:
        stream.recv(timeout=timeout)


def closed(stream: ClientConnection, timeout: float = 10) -> tuple[int, str]:
    """Read to the end; return the close code and reason that came."""
    with pytest.raises(ConnectionClosed) as end:
        drain(stream, timeout)
    assert end.value.rcvd is not None
    return end.value.rcvd.code, end.value.rcvd.reason


def test_events_of_the_past_are_replayed_and_then_followed(serve: Serve, journal: Journal) -> None:
    for i in range(1200):  # more than two pages
        journal.append("training/x", "progress", {"i": i})
    with listening(serve(), "topic=*&after=100") as stream:
        past = receive(stream, 1100)
        journal.append("alerts", "raised", {"text": "ü \U0001f600 <script>"})
        last = receive(stream, 1)[0]
    assert seqs(past) == list(range(101, 1201))
    stored = journal.read(after=1200)[0]
    assert last == {
        "seq": 1201,
        "topic": "alerts",
        "kind": "raised",
        "at": stored.at.isoformat(),
        "data": {"text": "ü \U0001f600 <script>"},
    }


@pytest.mark.parametrize(
    ("topic", "wanted"),
    [
        ("*", [1, 2, 3, 4, 5]),
        ("training/a", [1, 4]),
        ("training/*", [1, 2, 4]),
        ("training", [5]),
        ("train*", None),
    ],
)
def test_topic_is_exact_a_prefix_or_all(
    serve: Serve, journal: Journal, topic: str, wanted: list[int] | None
) -> None:
    topics = ("training/a", "training/b", "trainings/a", "training/a", "training")
    for name in topics:
        journal.append(name, "x", {})
    with listening(serve(), f"topic={topic}") as stream:
        if wanted is None:
            assert closed(stream)[0] == 1008
            return
        assert seqs(receive(stream, len(wanted))) == wanted
        for name in topics:
            journal.append(name, "x", {})
        assert seqs(receive(stream, len(wanted))) == [seq + 5 for seq in wanted]


def test_live_events_match_topics_as_the_journal_reads_them(journal: Journal) -> None:
    topics = ["a", "a/b", "ab", "a/b/c", "b", "a/bc"]
    for topic in topics:
        journal.append(topic, "x", {})
    for pattern in ("*", "a", "a/*", "a/b", "a/b/*", "b/*", "ab"):
        read = [event.topic for event in journal.read(pattern)]
        assert [topic for topic in topics if matches(pattern, topic)] == read, pattern


def test_client_that_loses_its_connection_again_and_again_misses_and_repeats_nothing(
    serve: Serve, journal: Journal
) -> None:
    address = serve(StreamLimits(page=50))
    taken: list[dict] = []
    with writers(journal, "abc", count=50, pause_s=0.002):
        deadline = time.monotonic() + 30
        for cut in range(1, 1000):
            after = taken[-1]["seq"] if taken else 0
            with listening(address, f"topic=work/*&after={after}") as stream:
                taken += receive(stream, min(1 + cut % 23, 75 - len(taken)))
            if len(taken) == 75 or time.monotonic() > deadline:
                break
    rows = rows_of(journal, "topic LIKE 'work/%'")
    assert len(rows) == 75
    assert [(e["seq"], e["topic"], e["kind"], e["data"]) for e in taken] == rows


def test_client_of_a_server_that_is_killed_goes_on_where_it_was(
    settings: Settings, journal: Journal
) -> None:
    taken: list[dict] = []
    kills = 0
    with console_process(settings.home) as console, writers(journal, "ab", 200, 0.004):
        while len(taken) < 400:
            after = taken[-1]["seq"] if taken else 0
            try:
                with listening(console.address, f"after={after}") as stream:
                    while len(taken) < 400:
                        taken += receive(stream, 1)
                        if not kills and len(taken) > 150:
                            kills += 1
                            console.end()
            except (ConnectionClosed, OSError):
                console.start()
    assert kills == 1
    assert [(e["seq"], e["topic"], e["kind"], e["data"]) for e in taken] == rows_of(journal)


def test_any_split_of_reading_and_writing_gives_every_seq_once(
    serve: Serve, journal: Journal
) -> None:
    address = serve(StreamLimits(page=7))

    @hypothesis_settings(max_examples=15, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 19), st.integers(1, 12)), min_size=1, max_size=8))
    def holds(moves: list[tuple[int, int]]) -> None:
        start = journal.last_seq()
        written, taken = 0, [start]
        for writes, reads in [*moves, (1, 1000)]:
            for _ in range(writes):
                journal.append("split/x", "x", {})
            written += writes
            wanted = min(reads, written - len(taken) + 1)
            with listening(address, f"topic=split/*&after={taken[-1]}") as stream:
                taken += seqs(receive(stream, wanted))
        assert taken == list(range(start, start + written + 1))

    holds()


def test_client_that_does_not_read_is_sent_away_while_others_go_on(
    serve: Serve, journal: Journal
) -> None:
    address = serve(StreamLimits(page=10, queue=100, send_s=1.0))
    big = "x" * 50_000
    with (
        listening(address, max_queue=1, compression=None) as slow,
        listening(address, compression=None) as fast,
    ):
        first = journal.append("a", "b", {"big": big})
        assert seqs(receive(slow, 1)) == seqs(receive(fast, 1)) == [first.seq]
        count = 300  # 15 MB: more than any socket buffer between the two takes
        writer = threading.Thread(
            target=lambda: [journal.append("a", "b", {"big": big}) for _ in range(count)]
        )
        writer.start()
        assert seqs(receive(fast, count)) == list(range(2, count + 2))
        writer.join()
        time.sleep(1.2)  # the slow one reads nothing for longer than a message may wait
        code, reason = closed(slow)
    assert code == 1013
    assert "slow" in reason


def test_client_that_stopped_reading_for_ever_leaves_its_place_to_another(
    serve: Serve, journal: Journal
) -> None:
    address = serve(StreamLimits(clients=1, send_s=0.3, queue=20))
    for _ in range(400):
        journal.append("a", "b", {"big": "x" * 50_000})
    with listening(address, max_queue=1, compression=None):
        with listening(address) as second:
            assert closed(second)[0] == 1013

        def is_let_in() -> bool:
            try:
                with listening(address, "after=399") as third:
                    return seqs(receive(third, 1)) == [400]
            except ConnectionClosed:
                return False

        wait_for(is_let_in, 20, pause_s=0.1)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
def test_other_origin_is_refused(address: str, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refusal, listening(address, origin=origin):
        pass
    assert refusal.value.response.status_code == 403


def test_own_origin_is_accepted_and_other_host_refused(address: str) -> None:
    with listening(address, origin=f"http://{address}") as stream:
        assert seqs(receive(stream, 1)) == [1]
    host, _, port = address.partition(":")
    for more in ({}, {"Host": address}):
        with (
            socket.create_connection((host, int(port))) as connection,
            pytest.raises(InvalidStatus) as refusal,
            listening("evil.example", sock=connection, additional_headers=more),
        ):
            pass
        assert refusal.value.response.status_code == 421


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("after=-1", "after"),
        ("after=1.5", "after"),
        ("after=%D9%A1", "after"),
        ("after=" + "9" * 30, "after"),
        ("after=", "after"),
        ("after=2", "journal ends at 1"),
        ("topic=", "topic"),
        ("topic=a*b", "topic"),
        ("topic=a%0Ab", "topic"),
        ("topic=" + "a" * 300, "topic"),
    ],
)
def test_wish_that_cannot_be_met_is_closed_with_its_reason(
    address: str, query: str, word: str
) -> None:
    with listening(address, query) as stream:
        code, reason = closed(stream)
    assert code == 1008
    assert word in reason


def test_silence_is_broken_by_heartbeats_without_seq(serve: Serve, journal: Journal) -> None:
    with listening(serve(StreamLimits(heartbeat_s=0.1))) as stream:
        beats = receive(stream, 2)
        journal.append("a", "b", {})
        while (event := receive(stream, 1)[0])["kind"] == "heartbeat":
            continue
    assert [set(beat) for beat in beats] == [{"kind", "at"}] * 2
    assert event["seq"] == 1


def test_number_that_is_not_finite_is_sent_as_null(serve: Serve, journal: Journal) -> None:
    journal.append("a", "b", {"loss": float("nan"), "all": [float("-inf"), 1.5]})
    with listening(serve()) as stream:
        text = stream.recv(timeout=10)
    assert json.loads(text, parse_constant=pytest.fail)["data"] == {
        "loss": None,
        "all": [None, 1.5],
    }


def test_live_event_arrives_within_half_a_second(serve: Serve, journal: Journal) -> None:
    delays = []
    with listening(serve()) as stream:
        for _ in range(9):
            started = time.monotonic()
            journal.append("a", "b", {})
            receive(stream, 1)
            delays.append(time.monotonic() - started)
    assert median(delays) < 0.5


class CountingJournal(Journal):
    """A journal that counts its reads, and fails once where it is told to."""

    reads = 0
    failing_topic: str | None = None
    topics: frozenset[str] = frozenset()

    def read(self, topic: str = "*", *, after: int = 0, limit: int = 1000) -> list[Event]:
        self.reads += 1
        self.topics |= {topic}
        if topic == self.failing_topic:
            self.failing_topic = None
            raise OperationalError("SELECT", {}, Exception("disk I/O error"))
        return super().read(topic, after=after, limit=limit)


def test_journal_is_read_once_for_all_clients_and_not_at_all_without_any(
    serve: Serve, settings: Settings
) -> None:
    counting = CountingJournal(settings.journal_url)
    address = serve(StreamLimits(poll_s=0.05), journal=counting)
    with contextlib.ExitStack() as stack:
        streams = [stack.enter_context(listening(address)) for _ in range(10)]
        counting.append("a", "b", {})
        assert [seqs(receive(stream, 1)) for stream in streams] == [[1]] * 10
        before, began = counting.reads, time.monotonic()
        time.sleep(0.5)
        after, took = counting.reads, time.monotonic() - began
        assert 1 <= after - before <= took / 0.05 + 2  # ten clients would read ten times as often

    def is_left_alone() -> bool:
        before = counting.reads
        time.sleep(0.2)  # four looks of a reader that still runs
        return counting.reads == before

    wait_for(is_left_alone, 20)
    counting.close()


def test_journal_that_cannot_be_read_for_a_moment_loses_no_live_event(
    serve: Serve, settings: Settings
) -> None:
    failing = CountingJournal(settings.journal_url)
    with listening(serve(journal=failing), "topic=a") as stream:
        failing.append("a", "b", {})
        assert seqs(receive(stream, 1)) == [1]
        deadline = time.monotonic() + 10
        while "*" not in failing.topics and time.monotonic() < deadline:
            time.sleep(0.01)  # until the reader of live events, who asks for everything, runs
        failing.failing_topic = "*"
        failing.append("a", "b", {})
        assert seqs(receive(stream, 1)) == [2]
        assert failing.failing_topic is None
    failing.close()


def test_journal_that_cannot_be_read_for_a_replay_sends_the_client_away(
    serve: Serve, settings: Settings
) -> None:
    failing = CountingJournal(settings.journal_url)
    failing.append("a", "b", {})
    failing.failing_topic = "a"
    address = serve(journal=failing)
    with listening(address, "topic=a") as stream:
        assert closed(stream)[0] == 1011
    with listening(address, "topic=a") as stream:
        assert seqs(receive(stream, 1)) == [1]
    failing.close()
