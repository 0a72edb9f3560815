"""The thread beside a training: writes its events, listens for requests, gives signs of life."""

import threading
import time
from typing import Final

from qlops_assets.core.trainings import words
from qlops_assets.core.trainings.batches import BatchJournal, Unwritten
from qlops_assets.core.trainings.signs import BEAT_S, Heart

# Events are written together this often, whether many or one: a fast fit pays for few transactions,
# and the thread of the training wakes nobody and waits for nobody.
_TOGETHER_S: Final = 0.05
_LISTEN_S: Final = 0.2
_END_S: Final = 60.0


class Pulse:
    """Runs until closed; what goes wrong in it is raised where the training next looks."""

    def __init__(self, journal: BatchJournal, topic: str, heart: Heart, *, after: int) -> None:
        """Start.

        Args:
            journal: Used by this thread alone.
            topic: Of the training.
            heart: Beaten every five seconds.
            after: Requests to cancel count after this ``seq``.
        """
        self._journal, self._topic, self._heart = journal, topic, heart
        self._seen = after
        self._request: int | None = None
        self._waiting: list[Unwritten] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="training-pulse", daemon=True)
        self._thread.start()

    @property
    def request(self) -> int | None:
        """The ``seq`` of a request to cancel, None where nobody asked.

        Raises:
            QlopsError, OSError, SQLAlchemyError: events could not be written, or not listened for.
        """
        if self._error is not None:
            raise self._error
        if not self._thread.is_alive():
            raise RuntimeError("the thread that writes the progress of a training has ended")
        return self._request

    def put(self, event: Unwritten) -> None:
        """Have an event written, after all that were put before."""
        with self._lock:
            self._waiting.append(event)

    def close(self) -> None:
        """Write what is waiting and stop.

        Raises:
            QlopsError, OSError, SQLAlchemyError: events could not be written.
            TimeoutError: not within a minute.
        """
        self._closing.set()
        self._thread.join(_END_S)
        if self._error is not None:
            raise self._error
        if self._thread.is_alive() or self._waiting:
            raise TimeoutError(f"{self._topic}: progress could not be written in {_END_S:g} s")

    def _run(self) -> None:
        from sqlalchemy.exc import SQLAlchemyError

        from qlops_assets.core.errors import QlopsError

        try:
            self._work()
        except (QlopsError, OSError, SQLAlchemyError) as error:
            self._error = error
        finally:
            self._journal.close()

    def _work(self) -> None:
        listen_at = beat_at = time.monotonic()
        beat_at += BEAT_S
        while True:
            is_last = self._closing.is_set()
            self._write()
            now = time.monotonic()
            if now >= listen_at:
                self._seen, found = self._journal.newest(
                    self._topic, words.CANCEL_REQUESTED, after=self._seen
                )
                self._request = found or self._request
                listen_at = now + _LISTEN_S
            if now >= beat_at:
                self._heart.beat()
                beat_at = now + BEAT_S
            if is_last:
                return
            self._closing.wait(_TOGETHER_S)

    def _write(self) -> None:
        with self._lock:
            events, self._waiting = self._waiting, []
        if events:
            self._journal.append_all(self._topic, events)
