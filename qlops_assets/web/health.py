"""What runs beside the console: the model server of each environment, and Dagster's UI."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from qlops_assets.core.clock import Clock
from qlops_assets.deployment.server_record import process_of, read_record
from qlops_assets.web.source import FollowedSettings

if TYPE_CHECKING:
    import httpx

_TIMEOUT_S: Final = 0.8
_REUSED_S: Final = 1.0


class HealthState(StrEnum):
    """Whether a model server can answer."""

    HEALTHY = "healthy"
    NOT_READY = "not ready"
    NOT_RUNNING = "not running"


@dataclass(frozen=True, slots=True)
class Health:
    """What was seen of a model server, and when; ``serves`` is the version it says it serves."""

    state: HealthState
    detail: str
    url: str | None
    checked_at: datetime
    serves: str | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What runs: health by environment, and the address of Dagster's UI where it answers."""

    servers: Mapping[str, Health]
    dagster_url: str | None


class Neighbours:
    """Asks the neighbours how they are; an answer younger than a second is used again."""

    def __init__(self, followed: FollowedSettings, clock: Clock) -> None:
        self._followed, self._clock = followed, clock
        self._asking = asyncio.Lock()
        self._seen: Surroundings | None = None
        self._seen_at = 0.0

    async def look(self) -> Surroundings:
        """Return what runs now."""
        async with self._asking:
            if self._seen is None or time.monotonic() - self._seen_at > _REUSED_S:
                self._seen = await self._ask()
                self._seen_at = time.monotonic()
            return self._seen

    async def _ask(self) -> Surroundings:
        import httpx

        names = list(self._followed.now().environments)
        # The neighbours are on this machine: no proxy stands between, there is no TLS to set up.
        async with httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False, verify=False) as client:
            servers, dagster = await asyncio.gather(
                asyncio.gather(*(self._health(client, name) for name in names)),
                self._dagster(client),
            )
        return Surroundings(dict(zip(names, servers, strict=True)), dagster)

    async def _health(self, client: "httpx.AsyncClient", environment: str) -> Health:
        import httpx

        record = read_record(self._followed.now().servers / f"{environment}.json")
        if record is None:
            return self._seen_as(HealthState.NOT_RUNNING, "no server runs", None)
        if process_of(record) is None:
            return self._seen_as(HealthState.NOT_RUNNING, "its process is gone", None)
        try:
            response = await client.get(f"{record.url}/v2/health/ready")
            answer = response.json()
        except httpx.TimeoutException:
            return self._seen_as(HealthState.NOT_READY, f"no answer in {_TIMEOUT_S} s", record.url)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError):
            return self._seen_as(HealthState.NOT_READY, "it does not answer", record.url)
        said = answer if isinstance(answer, dict) else {}
        if not response.is_success:
            reason = str(said.get("error") or f"it answered {response.status_code}")
            return self._seen_as(HealthState.NOT_READY, reason, record.url)
        return replace(
            self._seen_as(HealthState.HEALTHY, "ready", record.url),
            serves=said.get("model_version"),
        )

    def _seen_as(self, state: HealthState, detail: str, url: str | None) -> Health:
        return Health(state, detail, url, self._clock.now())

    async def _dagster(self, client: "httpx.AsyncClient") -> str | None:
        import httpx

        url = f"http://127.0.0.1:{self._followed.now().console.dagster_port}"
        try:
            response = await client.get(f"{url}/server_info")
            is_dagster = response.is_success and "dagster_version" in response.json()
        except (httpx.HTTPError, ValueError):
            return None
        return url if is_dagster else None
