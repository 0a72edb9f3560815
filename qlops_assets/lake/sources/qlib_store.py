"""A Qlib provider: ``calendars/day.txt``, ``features/<code>/<field>.day.bin``.

A field's file means nothing without the calendar, whose days it only counts, and without the
other fields. So the version of an instrument is kept as one archive of its files and of its days:
what it says can be found out from it alone, and the files are there to be restored.
"""

import hashlib
import io
import re
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from qlops_assets.core.atomic import sync
from qlops_assets.core.errors import UnusableFileError
from qlops_assets.lake.sources.layout import printable
from qlops_assets.lake.sources.place import Place, Stamp

CALENDAR: Final = "calendars/day.txt"
FEATURES: Final = "features/"
SUFFIX: Final = ".day.bin"
DAYS: Final = "days"  # the member of the archive that is not a file of the source
_DEVICE: Final = "_qlib_"  # before a code that Windows keeps for a device
_FIELD: Final = re.compile(rf"features/([^/]+)/([^/]+){re.escape(SUFFIX)}")


@dataclass(frozen=True, slots=True)
class StoreInstrument:
    """One instrument of a provider.

    Attributes:
        name: Of its folder: ``features/sh600000``.
        entries: Its files' names in the place, sorted.
        calendar: The calendar's.
        constants: Its code.
    """

    name: str
    entries: tuple[str, ...]
    calendar: str
    constants: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """The folder of its files."""
        return self.entries[0].rpartition("/")[0]

    def stamp(self, place: Place) -> Stamp:
        """Return one stamp of all its files and of the calendar."""
        stamps = [place.stamp(entry) for entry in (*self.entries, self.calendar)]
        tag = hashlib.blake2b(repr(stamps).encode(), digest_size=16).hexdigest()
        own = stamps[:-1]
        return Stamp(sum(s.size for s in own), max(s.modified_at for s in own), tag)

    def copy(self, place: Place, target: Path) -> None:
        """Write the archive: the same files on the same days give the same bytes.

        Raises:
            UnusableFileError: a file or the calendar cannot be understood.
            OSError: one cannot be read.
        """
        days = _days(self.name, place.read(self.calendar))
        members = {entry.rpartition("/")[2]: place.read(entry) for entry in self.entries}
        members[DAYS] = _own_days(self.name, members, days)
        with tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as archive:
            for name in sorted(members):
                member = tarfile.TarInfo(name)  # of 1970 and nobody
                member.size = len(members[name])
                archive.addfile(member, io.BytesIO(members[name]))
        sync(target)


class QlibStore:
    """Every folder below ``features/`` is an instrument."""

    def recognises(self, names: Sequence[str]) -> bool:
        """Whether there are a calendar and a field's file."""
        return CALENDAR in names and any(_FIELD.fullmatch(name) for name in names)

    def files(self, names: Sequence[str], below: str) -> list[StoreInstrument]:
        """Return the instruments in order of their folders' names."""
        entries: dict[str, list[str]] = {}
        for name in names:
            if match := _FIELD.fullmatch(name):
                entries.setdefault(match[1], []).append(below + name)
        return [
            StoreInstrument(
                printable(FEATURES + folder),
                tuple(sorted(entries[folder])),
                below + CALENDAR,
                {"instrument": printable(folder).removeprefix(_DEVICE)},
            )
            for folder in sorted(entries)
        ]


def members_of(path: Path) -> dict[str, bytes]:
    """Return the files of a kept archive, and the days, by name.

    Raises:
        OSError: it is no such archive.
    """
    found = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive.getmembers():
                content = archive.extractfile(member)
                if content is None or "/" in member.name:
                    raise OSError(f"holds {member.name!r}, which is no file of a provider")
                found[member.name] = content.read()
    except tarfile.TarError as error:
        raise OSError(str(error)) from error
    return found


def _days(name: str, content: bytes) -> np.ndarray:
    try:
        lines = content.decode("ascii").split()
        return np.array(lines, dtype="datetime64[D]").astype(np.int32)
    except ValueError as error:
        raise UnusableFileError(
            name, f"{CALENDAR} is no list of days ({error})", "one YYYY-MM-DD a line is needed"
        ) from error


def _own_days(name: str, fields: Mapping[str, bytes], days: np.ndarray) -> bytes:
    """Return the place of the first day and the days that any field has a value for."""
    first, last = len(days), 0
    for file, content in fields.items():
        start, count = _span(name, file, content)
        if start + count > len(days):
            raise UnusableFileError(
                name,
                f"{file} has values for days {start} to {start + count - 1}, the calendar has "
                f"{len(days)}",
                "a provider's files belong together: copy all of them again",
            )
        first, last = min(first, start), max(last, start + count)
    first = min(first, last)
    return np.concatenate([[first], days[first:last]]).astype("<i4").tobytes()


def _span(name: str, file: str, content: bytes) -> tuple[int, int]:
    start = float(np.frombuffer(content[:4], "<f4")[0]) if len(content) >= 4 else -1.0
    if len(content) % 4 or start < 0 or start != int(start):
        raise UnusableFileError(
            name,
            f"{file} is no file of a provider ({len(content):,} bytes, it begins with {start:g})",
            "float32: the place of the first day in the calendar, then one value a day",
        )
    return int(start), len(content) // 4 - 1
