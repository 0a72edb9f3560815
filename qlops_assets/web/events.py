"""Live events: one reader of the journal for all clients, and a bounded queue for each.

The journal is the truth: a client that falls behind is sent away and comes back with the last
``seq`` it saw, and nothing is kept here that a restart could lose.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from qlops_assets.core.journal import EVERYTHING, Event, Journal
from qlops_assets.web.documents import browser_json

_LOG = logging.getLogger(__name__)
_RETRY_S = 1.0


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """How much the event stream takes on.

    Attributes:
        poll_s: Seconds between two looks at the journal, while anybody is connected.
        page: Events per read of the journal.
        queue: Live events that may wait for one client; several pages, which come at once.
        clients: Clients at once.
        send_s: Seconds that one message may take to be handed to the network.
        heartbeat_s: Seconds of silence after which a client is told that we are here.
    """

    poll_s: float = 0.05
    page: int = 500
    queue: int = 2000
    clients: int = 200
    send_s: float = 10.0
    heartbeat_s: float = 15.0


class ClientTooSlowError(Exception):
    """A client does not take events as fast as they come."""


class TooManyClientsError(Exception):
    """The stream has as many clients as it takes."""


@dataclass(frozen=True, slots=True)
class Message:
    """An event as it is sent."""

    seq: int
    text: str


def message(event: Event) -> Message:
    """Return the message that is sent for an event."""
    return Message(event.seq, browser_json(event.to_json()))


def matches(pattern: str, topic: str) -> bool:
    """Whether a topic is meant by a pattern, as :meth:`Journal.read` understands it."""
    if pattern.endswith("/*"):
        return topic.startswith(pattern[:-1])
    return pattern in (EVERYTHING, topic)


class Subscription:
    """The live events of one client: every one after ``start``, in order."""

    def __init__(self, pattern: str, start: int, size: int) -> None:
        self.pattern, self.start = pattern, start
        self._waiting: asyncio.Queue[Message | None] = asyncio.Queue(size + 1)
        self._size = size
        self._overflowed = False

    def offer(self, item: Message) -> None:
        """Queue a message; where the queue is full the client has lost its place."""
        if self._overflowed:
            return
        if self._waiting.qsize() >= self._size:
            self._overflowed = True
        else:
            self._waiting.put_nowait(item)

    def end(self) -> None:
        """Say that there will be no more messages."""
        self._overflowed = True
        self._waiting.put_nowait(None)

    async def next(self) -> Message:
        """Return the next message, waiting for it.

        Raises:
            ClientTooSlowError: events were left out because the queue was full.
        """
        item = None if self._overflowed else await self._waiting.get()
        if item is None:
            raise ClientTooSlowError
        return item


class EventHub:
    """Reads the journal while clients are connected and hands every event to all of them."""

    def __init__(self, journal: Journal, limits: StreamLimits) -> None:
        self.limits = limits
        self._journal = journal
        self._subscriptions: set[Subscription] = set()
        self._clients = 0
        self._cursor = 0
        self._follower: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()

    async def page(self, pattern: str, after: int) -> list[Message]:
        """Return one page of past events after a ``seq``."""
        events = await asyncio.to_thread(
            self._journal.read, pattern, after=after, limit=self.limits.page
        )
        return [message(event) for event in events]

    async def last_seq(self) -> int:
        """Return the ``seq`` at which the journal ends."""
        return await asyncio.to_thread(self._journal.last_seq)

    @contextlib.contextmanager
    def admitted(self) -> Iterator[None]:
        """Count a client while the block runs.

        Raises:
            TooManyClientsError: there are as many as the stream takes.
        """
        if self._clients >= self.limits.clients:
            raise TooManyClientsError
        self._clients += 1
        try:
            yield
        finally:
            self._clients -= 1

    @contextlib.asynccontextmanager
    async def subscribed(self, pattern: str) -> AsyncIterator[Subscription]:
        """Yield the live events of a pattern.

        Every event after ``subscription.start`` is offered to it, and none before, so a reader
        that has read the journal up to there misses nothing and repeats nothing.
        """
        async with self._starting:
            if self._follower is None or self._follower.done():
                self._cursor = await self.last_seq()
                self._follower = asyncio.create_task(self._follow())
            subscription = Subscription(pattern, self._cursor, self.limits.queue)
            self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)
            if not self._subscriptions and self._follower:
                self._follower.cancel()
                self._follower = None

    async def _follow(self) -> None:
        from sqlalchemy.exc import SQLAlchemyError

        try:
            while True:
                try:
                    count = await self._hand_out()
                except SQLAlchemyError:
                    _LOG.exception("the journal cannot be read; trying again")
                    await asyncio.sleep(_RETRY_S)
                    continue
                if count < self.limits.page:
                    await asyncio.sleep(self.limits.poll_s)
        finally:
            # However it ends: nobody waits for events that will not come.
            for subscription in self._subscriptions:
                subscription.end()

    async def _hand_out(self) -> int:
        events = await asyncio.to_thread(
            self._journal.read, EVERYTHING, after=self._cursor, limit=self.limits.page
        )
        for event in events:
            item = message(event)
            for subscription in self._subscriptions:
                if matches(subscription.pattern, event.topic):
                    subscription.offer(item)
            self._cursor = event.seq
        return len(events)
