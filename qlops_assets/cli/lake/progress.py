"""Shows the progress of work that reports by itself."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from qlops_assets.cli.shell import Shell, is_terminal

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

_PLAIN_EVERY_S: Final = 10.0


@contextmanager
def progress_shown(shell: Shell) -> "Iterator[_Bars | _Lines]":
    """Yield progress that is shown on stderr: bars on a terminal, a line now and then elsewhere."""
    view = _Bars(shell) if is_terminal() else _Lines(shell)
    try:
        yield view
    finally:
        view.close()


class _Lines:
    """A plain line every few seconds."""

    def __init__(self, shell: Shell) -> None:
        self._log, self._next = shell.log(), time.monotonic() + _PLAIN_EVERY_S

    def report(
        self, stage: str, step: int, total: int | None, metrics: Mapping[str, float] | None = None
    ) -> None:
        """Print the step, unless another was printed a moment ago."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _PLAIN_EVERY_S
            self._log.print(f"  {stage} {step}/{total}")

    def close(self) -> None:
        """Nothing to end."""


class _Bars:
    """One bar per stage, with ETA."""

    def __init__(self, shell: Shell) -> None:
        from rich.progress import Progress

        self._bars: RichProgress = Progress(console=shell.log(), transient=True)
        self._bars.start()
        self._stages: dict[str, TaskID] = {}

    def report(
        self, stage: str, step: int, total: int | None, metrics: Mapping[str, float] | None = None
    ) -> None:
        """Move the bar of the stage."""
        if stage not in self._stages:
            self._stages[stage] = self._bars.add_task(stage, total=total)
        self._bars.update(self._stages[stage], completed=step, total=total)

    def close(self) -> None:
        """Take the bars away."""
        self._bars.stop()
