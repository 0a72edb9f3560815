"""A file system of its own that a test can fill and free again."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

STEP = 1 << 20


@dataclass(frozen=True)
class SmallDisk:
    """A folder whose file system holds a few megabytes."""

    folder: Path

    @property
    def free(self) -> int:
        """Bytes that can still be written."""
        status = os.statvfs(self.folder)
        return status.f_bavail * status.f_frsize

    def fill(self, *, leave: int = 0) -> None:
        """Write until so many bytes are free."""
        with (self.folder / "ballast").open("ab") as ballast:
            while (more := self.free - leave) > 0:
                ballast.write(b"\0" * min(more, STEP))
                ballast.flush()

    def empty(self) -> None:
        """Free what ``fill`` wrote."""
        (self.folder / "ballast").unlink()


@contextmanager
def small_disk(folder: Path, *, megabytes: int) -> Iterator[SmallDisk]:
    """Mount an empty file system at a folder; skip the test aloud where that is not allowed."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("no `mount` here: a full disk cannot be tried")
    if done.returncode:
        pytest.skip(f"mounting is not allowed here, a full disk cannot be tried: {done.stderr}")
    try:
        yield SmallDisk(folder)
    finally:
        # Lazily: a mapped file of a reader that is still alive would keep it busy.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
