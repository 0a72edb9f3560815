"""Shows the progress of work that reports to the journal, while it runs in this process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from qlops_assets.cli.shell import Shell, is_terminal
from qlops_assets.core.journal import Event, Journal

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

_POLL_S = 0.2
_LAST_EVENTS_S = 5.0
_PLAIN_EVERY_S = 10.0


@contextmanager
def progress_shown(shell: Shell) -> Iterator[None]:
    """Show steps and progress on stderr while the block runs.

    A bar with ETA on a terminal, a line now and then elsewhere.
    """
    view = _Bars(shell) if is_terminal() else _Lines(shell)
    journal, done = shell.journal, threading.Event()
    # Opened here: what the block reports is seen from its first event on, and the thread imports
    # nothing (a Ctrl-C in the middle of an import can leave Python's import lock taken for ever).
    seq = journal.last_seq()
    thread = threading.Thread(target=_follow, args=(journal, view, done, seq), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(_LAST_EVENTS_S)
        view.close()
        journal.close()


def _follow(journal: Journal, view: "_Lines | _Bars", done: threading.Event, seq: int) -> None:
    while True:
        last_round = done.wait(_POLL_S)
        events = journal.read(after=seq)
        for event in events:
            seq = event.seq
            view.show(event)
        if last_round and not events:
            return


def _step_line(event: Event) -> str | None:
    data = event.data
    if event.kind == "step_finished":
        return f"{data['asset']}: done in {data['wall_s']:.1f} s, peak {data['peak_mb']:,.0f} MB"
    if event.kind == "step_failed":
        return f"{data['asset']}: failed"
    if event.kind == "check_failed":
        return f"{data['asset']}: check {data['check']} failed: {data['error']}"
    return None


def _metrics(event: Event) -> str:
    return "  ".join(f"{k} {v:.6g}" for k, v in event.data.get("metrics", {}).items())


class _Lines:
    """Plain lines: each step's start and end, and a stage's progress every few seconds."""

    def __init__(self, shell: Shell) -> None:
        self._log = shell.log()
        self._last: dict[str, float] = {}

    def show(self, event: Event) -> None:
        """Print an event, unless its stage was shown a moment ago."""
        if event.kind == "step_started":
            self._log.print(f"  {event.data['asset']} …")
        elif line := _step_line(event):
            self._log.print(f"  {line}")
        elif event.kind == "progress" and event.data["total"]:
            stage, elapsed = event.data["stage"], event.data["elapsed_s"]
            if elapsed - self._last.get(stage, 0.0) >= _PLAIN_EVERY_S:
                self._last[stage] = elapsed
                done = f"{event.data['step']}/{event.data['total']}"
                self._log.print(f"    {stage} {done}  {_metrics(event)}")

    def close(self) -> None:
        """Nothing to end."""


class _Bars:
    """One bar per stage, with ETA and the last metrics."""

    def __init__(self, shell: Shell) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self._bars: RichProgress = Progress(
            TextColumn("  {task.description:<18}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("[dim]{task.fields[metrics]}"),
            console=shell.log(),
            transient=True,
        )
        self._bars.start()
        self._stages: dict[str, TaskID] = {}

    def show(self, event: Event) -> None:
        """Move the bar of the event's stage, or print the end of a step."""
        if line := _step_line(event):
            for task in self._stages.values():
                self._bars.remove_task(task)
            self._stages.clear()
            self._bars.console.print(f"  {line}")
        elif event.kind == "progress":
            stage, data = event.data["stage"], event.data
            if stage not in self._stages:
                self._stages[stage] = self._bars.add_task(stage, total=data["total"], metrics="")
            self._bars.update(
                self._stages[stage],
                completed=data["step"],
                total=data["total"],
                metrics=_metrics(event),
            )

    def close(self) -> None:
        """Remove the bars."""
        self._bars.stop()
