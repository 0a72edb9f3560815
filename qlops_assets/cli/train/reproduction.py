"""``qlops models reproduce``: a version trained again from the files it saw, and compared."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from qlops_assets.cli.shell import Shell
from qlops_assets.core.errors import TrainingError
from qlops_assets.core.journal import Journal
from qlops_assets.core.sections.recorder import RecorderSettings
from qlops_assets.core.settings import Settings

# What a training records of its inputs -> what it is called.
_INPUTS: Final[Mapping[str, str]] = {
    "snapshot": "bars",
    "factors": "stored feature rows",
    "features": "feature definitions",
    "universe_digest": "universe",
    "benchmark_digest": "benchmark",
    "label": "label",
    "segments": "segments",
    "task": "model and parameters",
    "fitting": "threads and rounds",
    "processors": "processors",
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """A version and the one that was trained from its inputs.

    Attributes:
        version: The version.
        expected: SHA-256 of its artifact.
        found: SHA-256 of the other's.
        differing: Input -> recorded and present value, of those that differ.
    """

    version: str
    expected: str
    found: str
    differing: dict[str, tuple[Any, Any]]

    @property
    def is_equal(self) -> bool:
        """Whether the artifacts are equal, bit for bit."""
        return self.expected == self.found

    def to_json(self) -> dict[str, Any]:
        """Return the document that the command prints."""
        return {
            "model_version": self.version,
            "reproduced": self.is_equal,
            "artifact_sha256": {"registered": self.expected, "reproduced": self.found},
            "differing_inputs": {
                name: {"registered": before, "now": now}
                for name, (before, now) in self.differing.items()
            },
        }


def reproduce(shell: Shell, version: str, *, keep: Path | None) -> Comparison:
    """Restore a version's source files, rebuild everything after them, train, and compare.

    It happens in a home of its own, which is removed afterwards; this one is only read.

    Args:
        shell: The command's surroundings.
        version: The version.
        keep: Folder for that home, which then stays.

    Raises:
        UnknownModelError: there is no such version.
        TrainingError: the version has no artifact to compare with, or no recipe.
        LakeError: a file that it saw is no longer kept.
    """
    from qlops_assets.registry.registry import Registry

    card = Registry(shell.journal).card(version)
    if "artifact_sha256" not in card.facts:
        raise TrainingError(f"model version {version!r} is {card.state}: it has no artifact")
    with _own_home(keep) as home:
        settings = _restored(shell, version, card.facts["source_snapshots"], home)
        again = _trained(shell, settings)
        return _compared(shell.settings, version, card.facts, settings, again)


@contextmanager
def _own_home(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True)
        yield keep.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="qlops-reproduce-") as folder:
        yield Path(folder)


def _restored(shell: Shell, version: str, snapshots: list[int], home: Path) -> Settings:
    """Return the settings of a home that has the version's files, its recipe and its features."""
    from qlops_assets.lake.versions.restore import restore
    from qlops_assets.training.recipes import with_recipe

    asked = with_recipe(shell.settings, version, required=True)
    # What was restored is whole: there is nothing to wait for.
    source = replace(asked.source, marker=None, quiet_seconds=0.0)
    own = replace(asked, home=home, lake_folder=None, database_url=None, source=source)
    own = replace(own, recorder=RecorderSettings(enabled=False))  # a comparison, no training
    if not own.source.is_simulated:
        own = own.with_source(home / "source" / asked.source_name)
    folder = Path(own.source_folder)
    shell.log().print(f"restoring snapshot {max(snapshots)} of the source", markup=False)
    restore(shell.settings, max(snapshots), folder)
    study = f"studies/{asked.training.study}"  # whose trials count where overfitting is judged
    for name in ("factors.json", "selections", study):
        if (asked.home / name).is_dir():
            shutil.copytree(asked.home / name, home / name)
        elif (asked.home / name).is_file():
            shutil.copy2(asked.home / name, home / name)
    return own


def _trained(shell: Shell, settings: Settings) -> str:
    from qlops_assets.cli.demo.main_job import MainJob
    from qlops_assets.cli.demo.watching import progress_shown

    inner = replace(shell, settings=settings)
    log = shell.log()
    job = MainJob(
        settings,
        say=lambda text: log.print(text, markup=False),
        journal=inner.journal,
        operator="reproduce",
        idle_minutes=None,
    )
    with progress_shown(inner):
        job.scan()
        job.build_bars()
        job.build_features()
        return job.train()


def _compared(
    settings: Settings, version: str, facts: Mapping[str, Any], own: Settings, again: str
) -> Comparison:
    from qlops_assets.registry.registry import Registry
    from qlops_assets.training.fit import read_training_set

    found = Registry(Journal(own.journal_url)).card(again).facts
    before, now = read_training_set(settings, version), read_training_set(own, again)
    differing: dict[str, tuple[Any, Any]] = {}
    for name, title in _INPUTS.items():
        differing |= _differences(title, before.get(name), now.get(name))
    for library, number in facts["libraries"].items():
        if found["libraries"].get(library) != number:
            differing[f"library {library}"] = (number, found["libraries"].get(library))
    return Comparison(version, facts["artifact_sha256"], found["artifact_sha256"], differing)


def _differences(title: str, before: Any, now: Any) -> dict[str, tuple[Any, Any]]:
    """Return what differs between two values, of tables down to the keys that do."""
    if not (isinstance(before, Mapping) and isinstance(now, Mapping)):
        return {} if before == now else {title: (before, now)}
    found: dict[str, tuple[Any, Any]] = {}
    for key in sorted({*before, *now}):
        found |= _differences(f"{title}: {key}", before.get(key), now.get(key))
    return found


def render_comparison(out: Any, comparison: Comparison) -> None:
    """Print what came of it."""
    out.print(f"version      {comparison.version}", markup=False)
    out.print(f"registered   {comparison.expected[:16]}…")
    out.print(f"reproduced   {comparison.found[:16]}…")
    for name, (before, now) in comparison.differing.items():
        out.print(f"[yellow]differs[/yellow]      {name}")
        out.print(f"             was {_short(before)}", markup=False)
        out.print(f"             is  {_short(now)}", markup=False)
    if comparison.is_equal:
        out.print("[green]bit-equal[/green]")
    elif comparison.differing:
        out.print("[red]not equal[/red]: the inputs above differ")
    else:
        out.print("[red]not equal[/red], with equal inputs: was it another kind of machine?")


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 70 else f"{text[:69]}…"
