"""Every error a user can meet: one base, one class per noun.

A message says what was found, where, and what would be accepted. Fields carry the same facts, so
that a caller can act on them without parsing text.
"""

from collections.abc import Sequence
from datetime import date
from difflib import get_close_matches
from pathlib import Path


class QlopsError(Exception):
    """Something the user can understand and act on; never a programming mistake."""

    @property
    def excerpt(self) -> str:
        """Lines at the end of the message that keep their shape: a text and a mark below it."""
        return ""


def nearest(name: str, known: Sequence[str]) -> str:
    """Return ``"; did you mean 'x'?"`` when a known name is close to the given one, else ``""``."""
    close = get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


class SettingsError(QlopsError):
    """A setting is unknown, of the wrong type, or out of range."""


class JournalError(QlopsError):
    """The journal's database cannot be opened."""

    def __init__(self, path: Path, found: str) -> None:
        self.path = path
        super().__init__(f"{path}: {found}; the journal needs an SQLite database it can write to")


class UnknownEntryError(QlopsError):
    """A catalog has no entry of that name."""

    def __init__(self, noun: str, name: str, known: Sequence[str]) -> None:
        self.noun, self.name, self.known = noun, name, list(known)
        super().__init__(
            f"unknown {noun} {name!r}{nearest(name, self.known)} Known: {', '.join(self.known)}"
        )


class SourceError(QlopsError):
    """The user's source as a whole cannot be read."""

    def __init__(self, where: Path | str, found: str, accepted: str) -> None:
        self.where, self.found, self.accepted = str(where), found, accepted
        super().__init__(f"{where}: {found}; {accepted}")


class SourceBusyError(SourceError):
    """Every usable file of the source may still be written; a later look will find them done."""


class UnusableFileError(SourceError):
    """One source file cannot be used; the others can."""


class FileBusyError(UnusableFileError):
    """A source file changed while it was read."""


class ConversionError(QlopsError):
    """Data of another form cannot be read, or data of ours cannot be written in it."""

    def __init__(self, where: Path | str, found: str, accepted: str) -> None:
        self.where, self.found, self.accepted = str(where), found, accepted
        super().__init__(f"{where}: {found}; {accepted}")


class LakeError(QlopsError):
    """A dataset of the lake is missing or damaged."""


class DatasetMissingError(LakeError):
    """A dataset has no data for the months that were asked for."""

    def __init__(self, dataset: str, months: Sequence[str], accepted: str) -> None:
        self.dataset, self.months = dataset, list(months)
        shown = ", ".join(self.months[:3]) + (" …" if len(self.months) > 3 else "")
        super().__init__(f"{dataset}: no data for {shown or 'any month'}; {accepted}")


class CorruptPartitionError(LakeError):
    """A file of the lake is not what was written."""

    def __init__(self, path: Path, found: str) -> None:
        self.path = path
        super().__init__(f"{path}: {found}; re-materialize this month")


class FeatureTableError(LakeError):
    """The feature table, or a version or a column of it, is not there or cannot be made."""


class LockedError(QlopsError):
    """Another process works on the same thing and did not end in time."""

    def __init__(self, path: Path, waited_s: float) -> None:
        self.path = path
        super().__init__(
            f"{path}: another process has held this lock for {waited_s:g} s; wait for it to end, "
            "or end it"
        )


class UnknownSnapshotError(LakeError):
    """There is no snapshot of that number, digest or time."""

    def __init__(self, asked: str, found: str) -> None:
        self.asked = asked
        super().__init__(
            f"no snapshot {asked}: {found}; a snapshot is named by its number, the beginning of "
            "its digest, or a time with its zone (2026-01-31T18:00+08:00); "
            "`qlops data versions` lists them"
        )


class UniverseError(QlopsError):
    """A universe cannot be read or names no instrument that has bars."""


class FactorError(QlopsError):
    """A factor cannot be computed, or came out empty."""


class ExpressionError(FactorError):
    """A factor expression cannot be read; the message shows the character.

    Attributes:
        text: The whole expression.
        position: Where in it, counted from 0; its length where more was expected.
        found: What is there.
        accepted: What would be.
    """

    def __init__(self, text: str, position: int, found: str, accepted: str) -> None:
        self.text, self.position, self.found, self.accepted = text, position, found, accepted
        super().__init__(
            f"expression, character {position + 1}: {found}; {accepted}\n{self.excerpt}"
        )

    @property
    def excerpt(self) -> str:
        """The text around the character, and a mark below it."""
        line, caret = _around(self.text, self.position)
        return f"  {line}\n  {' ' * caret}^"

    def __reduce__(self) -> tuple[type, tuple[str, int, str, str]]:
        # An exception is pickled by its message alone otherwise, and could not leave a worker.
        return type(self), (self.text, self.position, self.found, self.accepted)


class CustomFactorError(FactorError):
    """A factor of the user's own cannot be used.

    Attributes:
        where: File and key, or other place, where it was written.
        found: What is wrong with it.
    """

    def __init__(self, where: str, found: FactorError) -> None:
        self.where, self.found = where, found
        super().__init__(f"{where}: {found}")

    @property
    def excerpt(self) -> str:
        """The excerpt of what is wrong."""
        return self.found.excerpt


class FeatureDefinitionError(FactorError):
    """Stored values of a feature are not of the expression that a model was trained on.

    Attributes:
        feature: Its name.
        month: Whose rows were asked for.
        stored: What they were computed by; None where the rows do not say.
        expected: What the model was trained on.
    """

    def __init__(self, feature: str, month: str, stored: str | None, expected: str) -> None:
        self.feature, self.month, self.stored, self.expected = feature, month, stored, expected
        super().__init__(
            f"feature {feature!r}: its values of {month} were computed by "
            f"{stored or 'an unknown expression'}, the model was trained on {expected}; define it "
            "so again and materialize custom_factors, or train and deploy anew"
        )

    def __reduce__(self) -> tuple[type, tuple[str, str, str | None, str]]:
        return type(self), (self.feature, self.month, self.stored, self.expected)


def _around(text: str, position: int, width: int = 60) -> tuple[str, int]:
    """Return one line of the text around a position, and where in that line the position is."""
    first = max(0, min(position - width // 2, len(text) - width))
    last = first + width
    shown = "".join(c if c.isprintable() else " " for c in text[first:last])
    before, after = "… " if first else "", " …" if last < len(text) else ""
    return before + shown + after, len(before) + position - first


class IndicatorError(QlopsError):
    """An indicator is unknown, is defined wrongly, or cannot be computed.

    Attributes:
        where: Which one, and where it was written.
        found: What is wrong with it.
        accepted: What would be right.
    """

    def __init__(self, where: str, found: str, accepted: str, excerpt: str = "") -> None:
        self.where, self.found, self.accepted = where, found, accepted
        self._excerpt = excerpt
        super().__init__(f"{where}: {found}; {accepted}" + (f"\n{excerpt}" if excerpt else ""))

    @property
    def excerpt(self) -> str:
        """The text around what is wrong, and a mark below it; empty where there is none."""
        return self._excerpt

    def __reduce__(self) -> tuple[type, tuple[str, str, str, str]]:
        return type(self), (self.where, self.found, self.accepted, self._excerpt)


class SelectionError(QlopsError):
    """A saved selection of factors is missing, damaged, or cannot be saved."""

    def __init__(self, where: Path | str, found: str, accepted: str) -> None:
        self.where, self.found, self.accepted = str(where), found, accepted
        super().__init__(f"{where}: {found}; {accepted}")


class TrainingError(QlopsError):
    """A training cannot be done as specified."""


class TrainingCancelledError(TrainingError):
    """Somebody asked for a training to stop, and it did."""

    def __init__(self, version: str, *, by: str, why: str, reached: str) -> None:
        self.version, self.by, self.why, self.reached = version, by, why, reached
        reason = f": {why}" if why else ""
        super().__init__(f"training of {version} cancelled by {by}{reason}; it had done {reached}")


class StudyCancelledError(TrainingError):
    """Somebody asked for a tuning study to stop, and it did."""

    def __init__(self, study: str, *, by: str, why: str, ended: int, trials: int) -> None:
        self.study, self.by, self.why = study, by, why
        reason = f": {why}" if why else ""
        super().__init__(
            f"study {study} cancelled by {by}{reason}; {ended} of {trials} trials had ended and "
            "are kept: ask for it again to go on"
        )


class NothingToCancelError(TrainingError):
    """A training or a study was to be cancelled that does not run."""

    def __init__(self, name: str, found: str, noun: str = "model version") -> None:
        self.name, self.found = name, found
        super().__init__(f"{noun} {name!r}: {found}; only one that runs can be cancelled")


class RecordingError(TrainingError):
    """A training could not be recorded in MLflow; the training itself is as it was."""

    def __init__(self, database: Path, found: str) -> None:
        self.database, self.found = database, found
        super().__init__(
            f"{database}: the training could not be recorded in MLflow: {found}; free the disk or "
            "the database, then `qlops models record VERSION`, or set [recorder] enabled = false"
        )


class HistoryTooShortError(TrainingError):
    """There are not enough trading days for the segments that were asked for."""

    def __init__(self, days: int, needed: int, where: str) -> None:
        self.days, self.needed = days, needed
        super().__init__(
            f"{where}: found {days} trading days, need at least {needed}; add history or set "
            "shorter segments under [training] in qlops.toml"
        )


class RegistryError(QlopsError):
    """The registry refuses a request."""


class UnknownModelError(RegistryError):
    """No model version of that name is registered."""

    def __init__(self, version: str, known: Sequence[str]) -> None:
        self.version, self.known = version, list(known)
        listed = ", ".join(self.known[-5:]) if self.known else "none yet; run `qlops demo`"
        super().__init__(
            f"unknown model version {version!r}{nearest(version, self.known)} Known: {listed}"
        )


class IllegalTransitionError(RegistryError):
    """A model version cannot go from its state by that event."""

    def __init__(self, version: str, state: str, event: str, allowed: Sequence[str]) -> None:
        self.version, self.state, self.event = version, state, event
        super().__init__(
            f"model {version} is {state!r} and cannot take {str(event)!r}; "
            f"from {state!r} it can take: {', '.join(sorted(allowed)) or 'nothing'}"
        )


class GateNotPassedError(RegistryError):
    """A gate of the domain stands between a model version and its next state."""

    def __init__(self, version: str, gate: str, found: str, accepted: str) -> None:
        self.version, self.gate, self.found = version, gate, found
        super().__init__(f"model {version} did not pass {gate}: {found}; {accepted}")


class ArtifactError(RegistryError):
    """A model artifact is missing, altered, or of a format that servers do not load."""


class DeploymentError(QlopsError):
    """A deployment did not complete; the environment keeps the version it had."""


class PortInUseError(QlopsError):
    """Another process listens on the port."""

    def __init__(self, port: int, purpose: str) -> None:
        self.port = port
        super().__init__(
            f"port {port} is already in use; {purpose} needs a free one: stop the other process "
            "or choose another port"
        )


class ServerError(QlopsError):
    """A model server cannot be reached or answered with an error."""


class BadRequestError(ServerError):
    """A request to a model server is not what it takes; ``field`` says where."""

    def __init__(self, field: str, found: str, accepted: str) -> None:
        self.field, self.found, self.accepted = field, found, accepted
        super().__init__(f"{field}: {found}; {accepted}")


class UnknownInstrumentsError(ServerError):
    """Instruments were asked for that have no row on that day; ``instruments`` names them."""

    def __init__(self, day: date, instruments: Sequence[str]) -> None:
        self.day, self.instruments = day, list(instruments)
        named = ", ".join(map(repr, self.instruments[:10]))
        more = f" and {len(self.instruments) - 10} more" if len(self.instruments) > 10 else ""
        super().__init__(
            f"instruments: no rows on {day} for {named}{more}; leave the field out to score every "
            "instrument of the day"
        )


class LoadUnderWayError(ServerError):
    """A version is being loaded; two switches at once would leave the winner to chance."""

    def __init__(self, version: str) -> None:
        self.version = version
        super().__init__(f"cannot load {version}: another load is under way; try again")
