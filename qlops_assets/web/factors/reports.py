"""The newest factor report of a home, read once and kept until another is there."""

import contextlib
import threading
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from qlops_assets.core.errors import QlopsError
from qlops_assets.core.settings import Settings
from qlops_assets.web.factors.view import ReportView

Stamps = tuple[tuple[str, int], ...]


class Shelf:
    """Keeps the report of one folder of reports; many requests at once read it once."""

    def __init__(self) -> None:
        self._reading = threading.Lock()
        self._stamps: Stamps = ()
        self._view: ReportView | None = None
        self._comparing = threading.Lock()
        self._compared: tuple[Any, str | None] | None = None

    def view(self, settings: Settings, reports: Path) -> ReportView | None:
        """Return the newest report, or None where there is none.

        Raises:
            FactorError: a file of it is damaged.
        """
        from qlops_assets.factors.report import load_report

        with self._reading:
            stamps = _stamps(reports)
            if stamps != self._stamps:
                record = load_report(settings) if stamps else None
                if record is None:
                    self._view = None
                elif self._view is None or self._view.record.digest != record.digest:
                    self._view = ReportView(record)
                self._stamps = stamps
            return self._view

    def known_age(self, view: ReportView) -> str | None:
        """Return what :meth:`age` found last of this report; None where it was not asked yet."""
        found = self._compared
        return found[1] if found and found[0][0] == view.record.digest else None

    def age(self, settings: Settings, view: ReportView) -> str | None:
        """Return why a report is not of the lake as it is now; empty where it is.

        The answer is kept until bars, factor rows or settings change.
        """
        from qlops_assets.factors.report import is_current

        with self._comparing:
            key = (view.record.digest, settings, _made_from(settings))
            if self._compared is None or self._compared[0] != key:
                try:
                    current = is_current(settings, view.record)
                    why = "" if current else "Bars, factors or rules have changed since."
                except QlopsError as error:
                    why = f"It cannot be compared with the lake: {error}."
                self._compared = (key, why)
            return self._compared[1]


@lru_cache(maxsize=4)
def shelf_of(reports: Path) -> Shelf:
    """Return the shelf of a folder of reports."""
    return Shelf()


def newest_report(settings: Settings) -> ReportView | None:
    """Return the newest report of a home, or None where there is none.

    Raises:
        FactorError: a file of it is damaged.
    """
    from qlops_assets.factors.report import reports_folder

    reports = reports_folder(settings)
    return shelf_of(reports).view(settings, reports)


def _stamps(folder: Path) -> Stamps:
    """Return the folders of reports and when each was last asked for, which orders them."""
    if not folder.is_dir():
        return ()
    return _written(path for path in folder.iterdir() if not path.name.startswith("."))


def _made_from(settings: Settings) -> Stamps:
    """Return when the folders of what a report is made from were last written to."""
    lake = settings.lake
    seen = lake / "raw_bars" / "manifest.json"  # universe and index are files of the source
    paths = (lake / "bars", lake / "alpha158", lake / "custom", seen)
    return _written((*paths, settings.factors_file))


def _written(paths: Iterable[Path]) -> Stamps:
    """Return when each was last written to; those that are gone are left out."""
    stamps = []
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            stamps.append((str(path), path.stat().st_mtime_ns))
    return tuple(sorted(stamps))
