"""Every training of the home, folded from the journal; only new events are read each time."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from qlops_assets.core.journal import Journal
from qlops_assets.core.trainings import words
from qlops_assets.core.trainings.history import TrainingHistory


class TrainingBook:
    """Keeps the fold between requests; the journal stays the truth."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._lock = threading.Lock()
        self._histories: dict[str, TrainingHistory] = {}
        self._seq = 0

    @contextmanager
    def opened(self) -> Iterator[tuple[int, Mapping[str, TrainingHistory]]]:
        """Yield where the journal stands, and the trainings by version as of there or later.

        A stream that goes on from there misses no change to what is yielded.
        """
        with self._lock:
            end = self._journal.last_seq()
            if end < self._seq:  # another journal: the home was made anew
                self._histories.clear()
                self._seq = 0
            while page := self._journal.read(words.PREFIX + "*", after=self._seq):
                for event in page:
                    version = event.topic.removeprefix(words.PREFIX)
                    self._histories.setdefault(version, TrainingHistory()).take(event)
                self._seq = page[-1].seq
            yield end, self._histories
