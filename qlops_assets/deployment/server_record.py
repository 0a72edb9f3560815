"""The record of a running model server: a file that its process writes, and whether to believe it.

Process ids are used again, so a record is believed only while the process with its id started when
the record says and has the recorded command line.
"""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qlops_assets.core.atomic import read_json, replacing

if TYPE_CHECKING:
    import psutil

# A start time is told to a hundredth of a second, and moves when the machine's clock is set.
_START_TOLERANCE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class ServerRecord:
    """A model server's process, and how to reach it.

    Attributes:
        environment: What it serves.
        pid: Of the process.
        port: On 127.0.0.1.
        token: Lets its holder load another version.
        started_at: When the process started, in ISO 8601.
        url: Where it answers.
        command: Its command line.
    """

    environment: str
    pid: int
    port: int
    token: str
    started_at: str
    url: str
    command: tuple[str, ...]


def own_record(environment: str, *, port: int, token: str, url: str) -> ServerRecord:
    """Return the record of this process."""
    import psutil

    process = psutil.Process()
    started_at = datetime.fromtimestamp(process.create_time(), UTC).isoformat()
    command = tuple(process.cmdline())
    return ServerRecord(environment, process.pid, port, token, started_at, url, command)


def write_record(path: Path, record: ServerRecord) -> None:
    """Write a record atomically, readable by its owner only, because it holds the token."""
    with replacing(path) as temporary:
        temporary.touch(mode=0o600)
        temporary.write_text(json.dumps(asdict(record), indent=2) + "\n", encoding="utf-8")


def read_record(path: Path) -> ServerRecord | None:
    """Return a record, or None where there is none or the file is not one."""
    try:
        value: Any = read_json(path)
        return ServerRecord(**{**value, "command": tuple(value["command"])})
    except (ValueError, TypeError, KeyError):
        return None


def process_of(record: ServerRecord) -> "psutil.Process | None":
    """Return the live process that wrote a record, or None."""
    import psutil

    try:
        process = psutil.Process(record.pid)
        started = datetime.fromisoformat(record.started_at).timestamp()
        is_same = (
            process.status() != psutil.STATUS_ZOMBIE
            and abs(process.create_time() - started) < _START_TOLERANCE_SECONDS
            and tuple(process.cmdline()) == record.command
        )
    except (psutil.Error, ValueError):
        return None
    return process if is_same else None
