"""The factor report of a home: what is known of its stored factors, and the set it proposes.

A report is a folder of the lake named by the digest of everything that it was made from. It holds
two analyses: of all days, which says how factors do, and of the training period alone, by which
factors are selected: a selection must not have seen what the model will be tested on.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final

import polars as pl

from qlops_assets.core.atomic import (
    new_folder,
    read_json,
    remove_folder,
    remove_leftovers,
    write_json,
)
from qlops_assets.core.clock import Clock, SystemClock
from qlops_assets.core.digests import value_digest
from qlops_assets.core.errors import FactorError
from qlops_assets.core.months import month_of
from qlops_assets.core.progress import Progress
from qlops_assets.core.settings import FactorReportSettings, Settings
from qlops_assets.factors.analysis.analysis import FactorAnalysis, analyse
from qlops_assets.factors.analysis.files import load, save
from qlops_assets.factors.analysis.rules import AnalysisRules
from qlops_assets.factors.analysis.selection import Selection, SelectionRules, select
from qlops_assets.factors.lookup import FactorTable, by_set, known_factors
from qlops_assets.factors.sets import factor_set
from qlops_assets.lake.datasets import bars_dataset, snapshot_digest
from qlops_assets.lake.universe import Universe, load_universe, members

RECORD: Final = "report.json"
ANALYSIS: Final = "analysis"
TRAINING: Final = "training"
# A report of other contents under the same digest; to be raised when what is measured changes.
_VERSION: Final = 2
_KEPT: Final = 6


@dataclass(frozen=True, slots=True)
class Scope:
    """What a report is about.

    Attributes:
        factors: Their names; all that are defined where None.
        until: Last day of factors and bars; all days where None.
        training_end: Last day of the training period, by which factors are selected; no selection
            where None.
    """

    factors: tuple[str, ...] | None = None
    until: date | None = None
    training_end: date | None = None

    @property
    def selected_until(self) -> date | None:
        """The last day that the selection may see."""
        if self.until is None or self.training_end is None:
            return self.training_end
        return min(self.until, self.training_end)

    def to_document(self) -> dict[str, Any]:
        """Return the scope, ready for JSON."""
        return {
            "factors": None if self.factors is None else list(self.factors),
            "until": self.until and self.until.isoformat(),
            "training_end": self.training_end and self.training_end.isoformat(),
        }


EVERYTHING: Final = Scope()


@dataclass(frozen=True, slots=True)
class FactorReportRecord:
    """A finished report.

    Attributes:
        digest: Of everything it was made from; the name of its folder.
        folder: Where it is.
        created_at: When it was made.
        scope: What it is about.
        snapshot: Digest of the bars.
        rows: Digest of the factor rows, by set.
        code_versions: What the rows were computed with, by set: engine and definitions.
        expressions: Qlib expressions of the factors, by name.
        universe: Name of the universe whose rows count.
        source: Name of the source.
        simulated: Whether that is the built-in market.
        analysis: Of all days of the scope.
        training: Of the days up to the end of the training period, which is what a selection may
            know; None where no training period was named.
        rules: What a factor has to be to be proposed.
    """

    digest: str
    folder: Path
    created_at: datetime
    scope: Scope
    snapshot: str
    rows: Mapping[str, str]
    code_versions: Mapping[str, str]
    expressions: Mapping[str, str]
    universe: str
    source: str
    simulated: bool
    analysis: FactorAnalysis
    training: FactorAnalysis | None
    rules: SelectionRules

    @property
    def selection(self) -> Selection | None:
        """What the rules of ``[factor_report]`` propose for training; None without a period."""
        if self.training is None:
            return None
        return select(self.training, self.rules, until=self.scope.selected_until)

    def to_document(self) -> dict[str, Any]:
        """Return what it was made from, ready for JSON; not the analyses."""
        return {
            "digest": self.digest,
            "created_at": self.created_at.isoformat(),
            "scope": self.scope.to_document(),
            "snapshot": self.snapshot,
            "rows": dict(self.rows),
            "code_versions": dict(self.code_versions),
            "expressions": dict(self.expressions),
            "universe": self.universe,
            "source": self.source,
            "simulated": self.simulated,
            "rules": asdict(self.rules),
        }


def build_report(
    settings: Settings,
    scope: Scope = EVERYTHING,
    *,
    progress: Progress | None = None,
    clock: Clock | None = None,
) -> FactorReportRecord:
    """Return the report of the lake as it is now, made where it is not there. Six are kept.

    Args:
        settings: Of the home.
        scope: What it is about.
        progress: Is told the days done.
        clock: Stamps the report.

    Raises:
        DatasetMissingError: factor rows or bars are missing.
        FactorError: a factor is unknown, a rule is out of range, or nothing is left to analyse.
        UniverseError: the universe cannot be read.
    """
    plan = _planned(settings, scope)
    record = _stored(plan.folder)
    if record is None:
        record = _made(plan, (clock or SystemClock()).now(), progress)
        if _planned(settings, scope).digest != plan.digest:  # a month was written meanwhile
            return build_report(settings, scope, progress=progress, clock=clock)
        _write(record)
    os.utime(record.folder)  # asked for: the newest
    _remove_old(record.folder.parent)
    return record


def load_report(settings: Settings, scope: Scope = EVERYTHING) -> FactorReportRecord | None:
    """Return the newest report of some factors and days, or None where there is none.

    It may be older than the lake; :func:`is_current` says whether it is.

    Args:
        settings: Of the home.
        scope: Which factors, and up to which day; whatever the training period was.

    Raises:
        FactorError: a file of the report is damaged.
    """
    for folder in _newest_first(reports_folder(settings)):
        document = _document(folder)
        if document is None:
            continue
        found = _scope(folder, document)
        if (found.factors, found.until) == (scope.factors, scope.until):
            return _loaded(folder)
    return None


def current_report(settings: Settings, scope: Scope = EVERYTHING) -> FactorReportRecord | None:
    """Return the report that :func:`build_report` would return, or None where it is not made yet.

    Raises:
        QlopsError: none could be made now; says why.
    """
    return _stored(_planned(settings, scope).folder)


def is_current(settings: Settings, record: FactorReportRecord) -> bool:
    """Return whether a report is the one that would be built of its scope now.

    Raises:
        QlopsError: none could be built now; says why.
    """
    return record.digest == _planned(settings, record.scope).digest


def reports_folder(settings: Settings) -> Path:
    """Return the folder of the reports of this source."""
    return settings.lake / "factor_reports"


def analysis_rules(settings: FactorReportSettings) -> AnalysisRules:
    """Return how ``[factor_report]`` wants factors analysed.

    Raises:
        FactorError: a rule is out of range.
    """
    return AnalysisRules(
        horizon_days=settings.horizon_days,
        horizons=tuple(range(1, settings.decay_days + 1)),
        quantiles=settings.quantiles,
        cluster_correlation=settings.cluster_correlation,
        false_discovery=settings.false_discovery,
    )


def selection_rules(settings: FactorReportSettings) -> SelectionRules:
    """Return what ``[factor_report]`` wants of a factor.

    Raises:
        FactorError: a rule is out of range.
    """
    return SelectionRules(**{f.name: getattr(settings, f.name) for f in fields(SelectionRules)})


@dataclass(frozen=True, slots=True)
class _Plan:
    """Everything that a report is made from."""

    settings: Settings
    scope: Scope
    table: FactorTable
    universe: Universe
    snapshot: str
    rows: dict[str, str]
    measured: AnalysisRules
    wanted: SelectionRules
    digest: str

    @property
    def folder(self) -> Path:
        return reports_folder(self.settings) / self.digest


def _planned(settings: Settings, scope: Scope) -> _Plan:
    measured = analysis_rules(settings.factor_report)
    wanted = selection_rules(settings.factor_report)
    every = [name for part in known_factors(settings).values() for name in part]
    table = FactorTable(settings, every if scope.factors is None else scope.factors)
    table.require_stored()
    universe = load_universe(settings)
    snapshot, rows = snapshot_digest(settings), table.row_digests()
    made_from = [table.names, snapshot, rows, universe.digest, asdict(measured), asdict(wanted)]
    digest = value_digest([_VERSION, scope.to_document(), *made_from])
    return _Plan(settings, scope, table, universe, snapshot, rows, measured, wanted, digest)


def _made(plan: _Plan, created_at: datetime, progress: Progress | None) -> FactorReportRecord:
    scope, last = plan.scope, plan.scope.selected_until
    analysis = _analysed(plan, scope.until, progress)
    training = None
    if last is not None:
        training = analysis if last >= analysis.last else _analysed(plan, last, progress)
    return FactorReportRecord(
        digest=plan.digest,
        folder=plan.folder,
        created_at=created_at,
        scope=scope,
        snapshot=plan.snapshot,
        rows=plan.rows,
        code_versions=plan.table.code_versions(),
        expressions=_expressions(plan),
        universe=plan.universe.name,
        source=plan.settings.source_name,
        simulated=plan.settings.source.is_simulated,
        analysis=analysis,
        training=training,
        rules=plan.wanted,
    )


def _expressions(plan: _Plan) -> dict[str, str]:
    parts = by_set(plan.table.names)
    known = {part: factor_set(plan.settings, part).expressions for part in parts}
    return {name: known[part][name] for part, names in parts.items() for name in names}


def _analysed(plan: _Plan, last: date | None, progress: Progress | None) -> FactorAnalysis:
    bars = bars_dataset(plan.settings).read(columns=["close"], last=last)
    return analyse(_months(plan, last), bars, rules=plan.measured, last=last, progress=progress)


def _months(plan: _Plan, last: date | None) -> Iterator[pl.DataFrame]:
    """Yield the rows of the universe, month by month."""
    for month in plan.table.months():
        if last is None or month <= month_of(last):
            yield members(plan.universe, plan.table.read(month))


def _write(record: FactorReportRecord) -> None:
    with new_folder(record.folder) as folder:
        save(record.analysis, folder / ANALYSIS)
        if record.training is not None and record.training is not record.analysis:
            save(record.training, folder / TRAINING)
        write_json(folder / RECORD, record.to_document())


def _stored(folder: Path) -> FactorReportRecord | None:
    """Return the report of a folder, or None; a damaged one is removed."""
    if not folder.is_dir():
        return None
    try:
        return _loaded(folder)
    except FactorError:
        remove_folder(folder)
        return None


def _loaded(folder: Path) -> FactorReportRecord:
    document = _document(folder)
    if document is None:
        raise FactorError(f"{folder}: has no {RECORD}; build the report again")
    try:
        scope = _scope(folder, document)
        del document["scope"]
        created_at = datetime.fromisoformat(document.pop("created_at"))
        rules = SelectionRules(**document.pop("rules"))
        analysis, training = load(folder / ANALYSIS), None
        if scope.training_end is not None:
            own = folder / TRAINING
            training = load(own) if own.is_dir() else analysis
        return FactorReportRecord(
            **document,
            folder=folder,
            created_at=created_at,
            scope=scope,
            analysis=analysis,
            training=training,
            rules=rules,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(folder, error) from error


def _document(folder: Path) -> dict[str, Any] | None:
    try:
        document = read_json(folder / RECORD)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise _damaged(folder, error) from error
    return None if document is None else dict(document)


def _scope(folder: Path, document: Mapping[str, Any]) -> Scope:
    try:
        about = document["scope"]
        factors, until, end = (about[name] for name in ("factors", "until", "training_end"))
        return Scope(
            None if factors is None else tuple(factors),
            until and date.fromisoformat(until),
            end and date.fromisoformat(end),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(folder, error) from error


def _damaged(folder: Path, error: Exception) -> FactorError:
    return FactorError(f"{folder / RECORD}: damaged ({error!r}); build the report again")


def _newest_first(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
    return sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)


def _remove_old(folder: Path) -> None:
    for report in islice(_newest_first(folder), _KEPT, None):
        remove_folder(report)
    remove_leftovers(folder)
