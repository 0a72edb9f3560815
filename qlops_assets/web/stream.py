"""``WS /ws/events``: the journal over a WebSocket, from any ``seq`` on, without gap or repeat."""

import asyncio
import contextlib
import logging
import re
from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from qlops_assets.core.clock import Clock
from qlops_assets.core.journal import EVERYTHING
from qlops_assets.web.console import console_of
from qlops_assets.web.documents import browser_json
from qlops_assets.web.events import (
    ClientTooSlowError,
    EventHub,
    Message,
    Subscription,
    TooManyClientsError,
)

router = APIRouter()
_LOG = logging.getLogger(__name__)

POLICY_VIOLATION: Final = 1008
INTERNAL_ERROR: Final = 1011
TRY_AGAIN_LATER: Final = 1013

_SEQ: Final = re.compile(r"[0-9]{1,18}")
_TOPIC: Final = re.compile(r"\*|[^\x00-\x1f\x7f*]{1,200}?(/\*)?")


class RefusedError(Exception):
    """What a client asked for cannot be streamed; the text is the close reason."""


@dataclass(frozen=True, slots=True)
class _Wish:
    topic: str
    after: int


@router.websocket("/ws/events")
async def stream_events(websocket: WebSocket) -> None:
    """Replay everything after ``after``, then go live, until the client leaves."""
    from sqlalchemy.exc import SQLAlchemyError

    console = console_of(websocket)
    await websocket.accept()
    try:
        wish = await _wish(websocket, console.hub)
        with console.hub.admitted():
            await _serve(websocket, console.hub, console.clock, wish)
    except RefusedError as error:
        await _close(websocket, POLICY_VIOLATION, str(error))
    except TooManyClientsError:
        await _close(websocket, TRY_AGAIN_LATER, "too many clients; try again later")
    except (ClientTooSlowError, TimeoutError):
        await _close(websocket, TRY_AGAIN_LATER, "too slow; reconnect after the last seq you saw")
    except SQLAlchemyError:
        _LOG.exception("the journal cannot be read")
        await _close(websocket, INTERNAL_ERROR, "the journal cannot be read; try again later")
    except WebSocketDisconnect:
        return


async def _wish(websocket: WebSocket, hub: EventHub) -> _Wish:
    topic = websocket.query_params.get("topic", EVERYTHING)
    if not _TOPIC.fullmatch(topic):
        raise RefusedError("topic must be a name, prefix/* or *")
    after = websocket.query_params.get("after", "0")
    if not _SEQ.fullmatch(after):
        raise RefusedError("after must be the last seq seen, a whole number from 0")
    end = await hub.last_seq()
    if int(after) > end:
        raise RefusedError(f"after was {after}, but the journal ends at {end}; start again")
    return _Wish(topic, int(after))


async def _serve(websocket: WebSocket, hub: EventHub, clock: Clock, wish: _Wish) -> None:
    sending = asyncio.create_task(_Sender(websocket, hub, clock, wish).run())
    listening = asyncio.create_task(_until_gone(websocket))
    try:
        done, _ = await asyncio.wait({sending, listening}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in (sending, listening):
            task.cancel()
        await asyncio.gather(sending, listening, return_exceptions=True)


class _Sender:
    """Sends one client what it wished for; ``last`` is the newest ``seq`` it was given."""

    def __init__(self, websocket: WebSocket, hub: EventHub, clock: Clock, wish: _Wish) -> None:
        self._websocket, self._hub, self._clock = websocket, hub, clock
        self._topic, self._last = wish.topic, wish.after

    async def run(self) -> None:
        """Replay the past, then send what happens; ends only with an exception.

        The past is read before the subscription, so that a long replay fills no queue, and once
        more up to where the subscription starts, so that nothing falls between the two.
        """
        await self._replay(None)
        async with self._hub.subscribed(self._topic) as live:
            await self._replay(live.start)
            while True:
                await self._forward(live)

    async def _replay(self, until: int | None) -> None:
        while until is None or self._last < until:
            page = await self._hub.page(self._topic, self._last)
            if not page:
                return
            for item in page:
                await self._send_event(item)

    async def _forward(self, live: Subscription) -> None:
        try:
            async with asyncio.timeout(self._hub.limits.heartbeat_s):
                item = await live.next()
        except TimeoutError:
            beat = {"kind": "heartbeat", "at": self._clock.now().isoformat()}
            await self._send(browser_json(beat))
        else:
            await self._send_event(item)

    async def _send_event(self, item: Message) -> None:
        if item.seq > self._last:
            await self._send(item.text)
            self._last = item.seq

    async def _send(self, text: str) -> None:
        async with asyncio.timeout(self._hub.limits.send_s):
            await self._websocket.send_text(text)


async def _until_gone(websocket: WebSocket) -> None:
    while True:  # whatever a client says is ignored
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            return


async def _close(websocket: WebSocket, code: int, reason: str) -> None:
    # A client that does not read does not take the goodbye either; the server then hangs up.
    with contextlib.suppress(TimeoutError, WebSocketDisconnect, RuntimeError):
        async with asyncio.timeout(5.0):
            await websocket.close(code, reason)
