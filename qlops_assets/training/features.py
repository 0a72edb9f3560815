"""What a model sees: ``[training] features`` resolved to an ordered list of stored features."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from qlops_assets.core.digests import combined_digest, value_digest
from qlops_assets.core.errors import TrainingError, nearest
from qlops_assets.core.settings import Settings
from qlops_assets.factors.alpha158 import alpha158_digest, alpha158_expressions
from qlops_assets.factors.custom import custom_factors
from qlops_assets.factors.report import Scope
from qlops_assets.factors.sets import ALPHA158, CUSTOM
from qlops_assets.features.current import current_version, own_definitions, parts_of
from qlops_assets.features.version import FeatureVersion
from qlops_assets.indicators.sets import definitions as indicator_definitions
from qlops_assets.indicators.store import INDICATORS
from qlops_assets.lake.calendar import trading_days
from qlops_assets.training.segments import Segments, split_calendar
from qlops_assets.training.selections import SavedSelection, load_selection, selection_names

SELECTION: Final = "selection:"


@dataclass(frozen=True, slots=True)
class FeatureList:
    """The features of a training.

    Attributes:
        names: In the order of the model's columns, each once.
        definitions: Digest of names, order and expressions.
        rows: Digest of the stored rows of the sets that hold them.
        origin: Where they come from: entries as asked for, expressions of the user's own features,
            selections with the days that they have seen.
        version: The version of the feature table that holds them.
    """

    names: tuple[str, ...]
    definitions: str
    rows: str
    origin: dict[str, Any]
    version: FeatureVersion


def resolve_features(settings: Settings, segments: Segments) -> FeatureList:
    """Return the features that ``[training] features`` asks for.

    An entry is a set (``alpha158``, ``custom``, ``indicators``), a feature's name, or
    ``selection:NAME``. A feature that several entries name has the place of the first.

    Args:
        settings: Of the home.
        segments: Of the training: a selection must not have seen days after ``train``.

    Raises:
        TrainingError: an entry is unknown or empty, or a selection has seen too much.
        SelectionError: a selection is missing or damaged.
        DatasetMissingError: the feature table does not have their rows.
        FactorError: a factor of the user's own cannot be used, or its rows are of another.
        IndicatorError: an indicator cannot be used.
    """
    sets = {
        ALPHA158: alpha158_expressions(),
        CUSTOM: custom_factors(settings),
        INDICATORS: indicator_definitions(settings),
    }
    found = _Entries(settings, segments, sets)
    names = tuple(dict.fromkeys(found.names()))
    if not names:
        raise TrainingError(
            f"[training] features: was {list(settings.training.features)}, must name at least one "
            "set, feature or selection"
        )
    version, own = current_version(settings, names), own_definitions(settings)
    origin = {
        "asked": list(settings.training.features),
        "custom": {name: own[name] for name in names if name in own},
        "selections": [selection.to_document() for selection in found.selections],
    }
    digests = version.row_digests(parts_of(settings, names))
    rows = digests[ALPHA158] if list(digests) == [ALPHA158] else combined_digest(digests.values())
    return FeatureList(names, _definitions(names, sets), rows, origin, version)


def _definitions(names: tuple[str, ...], sets: Mapping[str, Mapping[str, str]]) -> str:
    """Return a digest that tells one list from every other; Alpha158 as a whole has its own."""
    if names == tuple(sets[ALPHA158]):
        return f"{ALPHA158}-{alpha158_digest()[:12]}"
    definitions = {name: text for part in sets.values() for name, text in part.items()}
    expressions = [[name, definitions[name]] for name in names]
    return f"factors-{value_digest(expressions)[:12]}"


class _Entries:
    """The entries of ``[training] features``, read one after the other."""

    def __init__(
        self, settings: Settings, segments: Segments, sets: Mapping[str, Mapping[str, str]]
    ) -> None:
        self._settings, self._segments, self._sets = settings, segments, sets
        self._factors = {name for factors in sets.values() for name in factors}
        self.selections: list[SavedSelection] = []

    def names(self) -> Iterator[str]:
        """Yield the factors in order, also those that several entries name."""
        for entry in self._settings.training.features:
            if entry in self._sets:
                yield from self._of_set(entry)
            elif entry.startswith(SELECTION):
                yield from self._of_selection(entry.removeprefix(SELECTION))
            elif entry in self._factors:
                yield entry
            else:
                raise TrainingError(self._unknown(entry))

    def _of_set(self, name: str) -> list[str]:
        if not self._sets[name] and name == INDICATORS:
            raise TrainingError(
                f"[training] features: {name!r} has no column; [indicators] names is empty"
            )
        if not self._sets[name]:
            raise TrainingError(
                f"[training] features: {name!r} has no factor; define one under [factors] in "
                "qlops.toml or with `qlops factor add`"
            )
        return list(self._sets[name])

    def _of_selection(self, name: str) -> list[str]:
        selection = load_selection(self._settings, name)
        _require_unseen(selection, self._segments.train[1])
        self.selections.append(selection)
        for factor in selection.factors:
            if factor not in self._factors:
                raise TrainingError(
                    f"{selection.path}: keeps {factor!r}, which is no longer defined"
                    f"{nearest(factor, sorted(self._factors))} define it again or select anew"
                )
        return selection.factors

    def _unknown(self, entry: str) -> str:
        selections = [f"{SELECTION}{name}" for name in selection_names(self._settings)]
        known = [*self._sets, *sorted(self._factors), *selections]
        return (
            f"[training] features: unknown feature {entry!r}{nearest(entry, known)} An entry is "
            f"a set ({', '.join(self._sets)}), a feature's name or {SELECTION}NAME"
        )


def _require_unseen(selection: SavedSelection, train_end: date) -> None:
    if selection.last > train_end:
        raise TrainingError(
            f"{selection.path}: was selected by data from {selection.first} to {selection.last}, "
            f"but training ends on {train_end}: the model would be tested on days that chose its "
            f"features; `qlops factor select --until {train_end} --save NAME` makes one that may "
            "be used"
        )


def report_scope(
    settings: Settings, *, factors: Sequence[str] | None = None, until: date | None = None
) -> tuple[Scope, str | None]:
    """Return what a factor report is about, and why it selects nothing where that is so.

    It selects by the training period that a training of now would have. A history too short for
    a training can still be reported on.

    Args:
        settings: Of the home.
        factors: Their names; all where None.
        until: Last day of the report; all days where None.
    """
    names = None if factors is None else tuple(factors)
    try:
        segments = split_calendar(trading_days(settings), settings.training)
    except TrainingError as error:
        return Scope(names, until), str(error)
    return Scope(names, until, segments.train[1]), None
