"""Everything of one kind that the journal tells, folded; only new events are read each time."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, Generic, Protocol, TypeVar

from qlops_assets.core.journal import Event, Journal

_RECENT: Final = 5000


class Fold(Protocol):
    """What became of one thing; ``take`` every event of its topic in order."""

    def take(self, event: Event) -> None:
        """Take the next event."""


History = TypeVar("History", bound=Fold)


class Book(Generic[History]):
    """Keeps the folds between requests; the journal stays the truth."""

    def __init__(
        self,
        journal: Journal,
        prefix: str,
        begin: Callable[[], History],
        *,
        passing: str | None = None,
    ) -> None:
        """Begin with nothing read.

        Args:
            journal: Of the home.
            prefix: Of the topics; what follows it names the thing.
            begin: Makes the fold of a thing of which nothing is known yet.
            passing: A kind of event, of which there are very many, that says nothing any more once
                others have followed; of those only the last few thousand events' are read.
        """
        self._journal, self._prefix, self._begin = journal, prefix, begin
        self._passing = passing
        self._lock = threading.Lock()
        self._histories: dict[str, History] = {}
        self._seq = 0

    @contextmanager
    def opened(self) -> Iterator[tuple[int, Mapping[str, History]]]:
        """Yield where the journal stands, and the folds by name as of there or later.

        A stream that goes on from there misses no change to what is yielded.
        """
        with self._lock:
            end = self._journal.last_seq()
            if end < self._seq:  # another journal: the home was made anew
                self._histories.clear()
                self._seq = 0
            while page := self._page(end):
                for event in page:
                    name = event.topic.removeprefix(self._prefix)
                    if name not in self._histories:
                        self._histories[name] = self._begin()
                    self._histories[name].take(event)
                self._seq = page[-1].seq
            yield end, self._histories

    def _page(self, end: int) -> list[Event]:
        is_old = self._seq < end - _RECENT
        unread = self._passing if is_old else None
        return self._journal.read(self._prefix + "*", after=self._seq, leaving_out=unread)
