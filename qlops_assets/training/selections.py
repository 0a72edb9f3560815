"""Saved selections of factors: named feature lists that say where they come from.

A selection is a file of the home with the days that it has seen. A training refuses one that has
seen days on which the model is validated or tested; the file's digest keeps those days honest.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

from qlops_assets.core.atomic import read_json, write_json
from qlops_assets.core.clock import Clock, SystemClock
from qlops_assets.core.digests import value_digest
from qlops_assets.core.errors import SelectionError, nearest
from qlops_assets.core.journal import Journal
from qlops_assets.core.settings import Settings
from qlops_assets.factors.analysis.selection import Selection
from qlops_assets.factors.custom import TOPIC
from qlops_assets.factors.report import FactorReportRecord

SAVED: Final = "selection_saved"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)


@dataclass(frozen=True, slots=True)
class SavedSelection:
    """A selection under a name.

    Attributes:
        name: Its name.
        digest: Of what was decided, by what, on which days; not of when and by whom.
        factors: Those that were kept, the strongest first.
        first: First day that the analysis saw.
        last: Last day that it saw.
        report: Digest of the factor report.
        path: Its file.
    """

    name: str
    digest: str
    factors: list[str]
    first: date
    last: date
    report: str
    path: Path

    def to_document(self) -> dict[str, Any]:
        """Return what names the selection, ready for JSON."""
        return {
            "name": self.name,
            "digest": self.digest,
            "factors": len(self.factors),
            "first": self.first.isoformat(),
            "last": self.last.isoformat(),
            "report": self.report,
        }


def save_selection(
    settings: Settings,
    journal: Journal,
    name: str,
    selection: Selection,
    report: FactorReportRecord,
    *,
    by: str,
    replace: bool = False,
    clock: Clock | None = None,
) -> SavedSelection:
    """Keep a selection in the home and record who saved it.

    Args:
        settings: Of the home.
        journal: Of the home.
        name: A new one, or that of a selection to replace.
        selection: What was decided.
        report: By which it was decided.
        by: Who saves it.
        replace: Whether it may take the place of another of that name.
        clock: Stamps the file.

    Raises:
        SelectionError: the name is none or is taken, or nothing was kept.
    """
    path = _path(settings, name)
    if not selection.kept:
        raise SelectionError(
            path, "no factor was kept", "save a selection that keeps some; loosen its rules"
        )
    decided = {
        **selection.to_document(),
        "report": report.digest,
        "snapshot": report.snapshot,
        "code_versions": dict(report.code_versions),
        "universe": report.universe,
        "source": report.source,
        "simulated": report.simulated,
    }
    digest = value_digest(decided)
    before = None if replace else _existing(path)
    if before is not None and before.get("digest") != digest:
        raise SelectionError(path, "is there already", "choose another name, or give --replace")
    created_at = (clock or SystemClock()).now().isoformat()
    about = {"name": name, "digest": digest, "created_at": created_at, "by": by}
    if before is None:
        write_json(path, {**about, "decided": decided})
        facts = {**about, "report": report.digest, "last": decided["last"]}
        journal.append(TOPIC, SAVED, {**facts, "factors": len(selection.kept)})
    return load_selection(settings, name)


def load_selection(settings: Settings, name: str) -> SavedSelection:
    """Return the selection of a name.

    Raises:
        SelectionError: there is none, or its file is damaged or was changed by hand.
    """
    path = _path(settings, name)
    document = _existing(path)
    if document is None:
        known = selection_names(settings)
        listed = ", ".join(known) or "none"
        raise SelectionError(
            path,
            f"there is no selection {name!r}{nearest(name, known)}",
            f"there are: {listed}; `qlops factor select --save NAME` makes one",
        )
    try:
        decided, digest = document["decided"], document["digest"]
        if value_digest(decided) != digest:
            raise SelectionError(path, "was changed after it was saved", "save it again")
        return SavedSelection(
            name=name,
            digest=digest,
            factors=list(decided["kept"]),
            first=date.fromisoformat(decided["first"]),
            last=date.fromisoformat(decided["last"]),
            report=decided["report"],
            path=path,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise SelectionError(path, f"is damaged ({error!r})", "save it again") from error


def selection_names(settings: Settings) -> list[str]:
    """Return the names of the saved selections."""
    return sorted(path.stem for path in settings.selections.glob("[!.]*.json"))


def _path(settings: Settings, name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise SelectionError(
            f"selection name {name[:80]!r}",
            "is none",
            "a name has 1 to 64 letters, digits, '.', '_' and '-', and begins with a letter or "
            "a digit",
        )
    return settings.selections / f"{name}.json"


def _existing(path: Path) -> Mapping[str, Any] | None:
    try:
        document = read_json(path)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise SelectionError(path, f"is not JSON ({error})", "save it again") from error
    if document is None or isinstance(document, dict):
        return document
    raise SelectionError(path, "is not an object", "save it again")
