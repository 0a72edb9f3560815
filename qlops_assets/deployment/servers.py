"""Model servers as processes: start, find, ask and stop them.

A running server is described by ``<home>/servers/<environment>.json``, which the server process
writes itself as soon as it accepts requests; its log is ``<environment>.log`` beside it.
"""

import contextlib
import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from qlops_assets.core.errors import DeploymentError, ServerError, UnknownEntryError
from qlops_assets.core.settings import Settings, child_environment
from qlops_assets.deployment.server_record import (
    ServerRecord,
    own_record,
    process_of,
    read_record,
    write_record,
)
from qlops_assets.serving.run import HOST, bind

__all__ = [
    "ServerRecord",
    "ensure_server",
    "is_ready",
    "load_version",
    "publish_record",
    "running",
    "score",
    "stop_server",
    "withdraw_record",
]

_MODEL = "alpha"
_POLL_SECONDS = 0.05
_HEALTH_SECONDS = 2.0
_ANSWER_SECONDS = 30.0
_LOAD_SECONDS = 120.0
_STOP_SECONDS = 15.0  # more than the server's own grace, so that it can finish what is under way
_LAST_WORDS = 2_000


def publish_record(settings: Settings, environment: str, *, port: int, token: str) -> ServerRecord:
    """Write the record of this process; called by a server when it accepts requests."""
    record = own_record(environment, port=port, token=token, url=f"http://{HOST}:{port}")
    write_record(_record_file(settings, environment), record)
    return record


def withdraw_record(settings: Settings, environment: str) -> None:
    """Remove the record of this process; that of another one stays."""
    file = _record_file(settings, environment)
    record = read_record(file)
    if record is not None and record.pid == os.getpid():
        file.unlink(missing_ok=True)


def running(settings: Settings) -> list[ServerRecord]:
    """Return the servers of this home whose process lives, by environment."""
    records = [read_record(file) for file in sorted(settings.servers.glob("*.json"))]
    return [record for record in records if record and process_of(record)]


def ensure_server(
    settings: Settings,
    environment: str,
    *,
    idle_minutes: float | None = None,
    timeout_s: float = 30.0,
    command: Sequence[str] | None = None,
) -> ServerRecord:
    """Return the environment's server; start one where none answers.

    Two callers at once get the same server. The process outlives its starter.

    Args:
        settings: Say the port, and where records are.
        environment: One of the settings' environments.
        idle_minutes: Let a server that is started stop after this long without a request.
        timeout_s: How long a start may take.
        command: What starts a server, instead of ``qlops serve``.

    Raises:
        UnknownEntryError: the settings have no such environment.
        PortInUseError: another process listens on the environment's port.
        ServerError: the server did not start in time; its last words are in the message.
    """
    if environment not in settings.environments:
        raise UnknownEntryError("environment", environment, sorted(settings.environments))
    with _one_at_a_time(settings, environment):
        record = _answering(settings, environment)
        if record is not None:
            return record
        _stop(_record_file(settings, environment))  # one that lives but does not answer
        port = settings.environments[environment].port
        bind(port, f"the model server of {environment}").close()
        started = command or _serve_command(settings, environment, port, idle_minutes)
        return _start(settings, environment, started, timeout_s)


def stop_server(settings: Settings, environment: str) -> bool:
    """Stop an environment's server: ask it to finish, kill it where it does not.

    Only the recorded process is ever signalled, and only while it is still that process.

    Returns:
        Whether there was one to stop.
    """
    with _one_at_a_time(settings, environment):
        return _stop(_record_file(settings, environment))


def is_ready(record: ServerRecord) -> bool:
    """Return whether the server answers and has a version loaded."""
    return _probe(record, "ready")


def load_version(record: ServerRecord, version: str) -> dict[str, Any]:
    """Let the server load a version and answer with it from then on.

    Raises:
        DeploymentError: it did not; the version before goes on serving.
    """
    try:
        return _ask(
            record,
            f"/v2/repository/models/{_MODEL}/load",
            {"parameters": {"version": version}},
            timeout_s=_LOAD_SECONDS,
            headers={"authorization": f"Bearer {record.token}"},
        )
    except ServerError as error:
        raise DeploymentError(f"{record.environment} did not load {version}: {error}") from error


def score(record: ServerRecord, **body: Any) -> dict[str, Any]:
    """Ask ``/v1/score`` and return its answer.

    Raises:
        ServerError: the server cannot be reached, or refused; its reason is the message.
    """
    return _ask(record, "/v1/score", body, timeout_s=_ANSWER_SECONDS)


def _ask(
    record: ServerRecord,
    path: str,
    body: Mapping[str, Any],
    *,
    timeout_s: float,
    headers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    import httpx

    try:
        with httpx.Client(timeout=timeout_s, trust_env=False) as client:
            response = client.post(record.url + path, json=dict(body), headers=headers)
        answer = response.json()
    except (httpx.HTTPError, ValueError) as error:
        raise ServerError(
            f"the model server of {record.environment} at {record.url} did not answer "
            f"({error or type(error).__name__}); is it running? `qlops serve --environment "
            f"{record.environment}` starts it"
        ) from error
    if response.is_success and isinstance(answer, dict):
        return answer
    reason = answer.get("error") if isinstance(answer, dict) else response.text
    raise ServerError(f"{reason} ({record.url}{path} answered {response.status_code})")


def _probe(record: ServerRecord, what: str) -> bool:
    import httpx

    try:
        with httpx.Client(timeout=_HEALTH_SECONDS, trust_env=False) as client:
            return client.get(f"{record.url}/v2/health/{what}").is_success
    except httpx.HTTPError:
        return False


def _answering(settings: Settings, environment: str) -> ServerRecord | None:
    record = read_record(_record_file(settings, environment))
    if record is None or process_of(record) is None:
        return None
    return record if _probe(record, "live") else None


def _start(
    settings: Settings, environment: str, command: Sequence[str], timeout_s: float
) -> ServerRecord:
    log = settings.servers / f"{environment}.log"
    with log.open("ab") as output:
        written_before = output.tell()
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=child_environment(**_forwarded(settings)),
        )
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and child.poll() is None:
        record = _answering(settings, environment)
        if record is not None:
            return record
        time.sleep(_POLL_SECONDS)
    found = f"did not answer within {timeout_s:g} s"
    if child.poll() is not None:
        found = f"ended with status {child.returncode}"
    child.kill()
    child.wait()
    with log.open("rb") as output:
        output.seek(written_before)
        said = output.read().decode(errors="replace")[-_LAST_WORDS:].strip()
    raise ServerError(f"the model server of {environment} {found}; {log} says: {said or 'nothing'}")


def _serve_command(
    settings: Settings, environment: str, port: int, idle_minutes: float | None
) -> list[str]:
    command = [sys.executable, "-m", "qlops_assets.cli", "--home", str(settings.home)]
    command += ["serve", "--environment", environment, "--port", str(port)]
    return command if idle_minutes is None else [*command, "--idle-minutes", str(idle_minutes)]


def _forwarded(settings: Settings) -> dict[str, str]:
    given = {
        "QLOPS_CONFIG": settings.config_file,
        "QLOPS_DATABASE_URL": settings.database_url,
        "QLOPS_LAKE_URL": settings.lake_folder,
    }
    return {name: str(value) for name, value in given.items() if value is not None}


def _stop(file: Path) -> bool:
    import psutil

    record = read_record(file)
    process = process_of(record) if record else None
    if process is not None:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except psutil.TimeoutExpired:
                process.kill()
                process.wait(_STOP_SECONDS)
    file.unlink(missing_ok=True)
    return process is not None


@contextlib.contextmanager
def _one_at_a_time(settings: Settings, environment: str) -> Iterator[None]:
    """Hold the environment's lock, which the system lets go when a process dies."""
    settings.servers.mkdir(parents=True, exist_ok=True)
    with (settings.servers / f"{environment}.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _record_file(settings: Settings, environment: str) -> Path:
    return settings.servers / f"{environment}.json"
