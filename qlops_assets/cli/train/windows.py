"""What ``qlops train rolling`` does, and how it is told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qlops_assets.cli.demo.alone import alone
from qlops_assets.cli.demo.main_job import operator_name
from qlops_assets.cli.demo.watching import progress_shown
from qlops_assets.cli.instance import Runs, prepare_instance
from qlops_assets.cli.shell import Shell
from qlops_assets.cli.train.running import require_feature_table, with_changes
from qlops_assets.core.errors import QlopsError
from qlops_assets.core.settings import Settings

if TYPE_CHECKING:
    from qlops_assets.training.rolling.plan import PlannedWindow, RollingPlan


@dataclass
class RollingCommand:
    """One call of the command.

    Attributes:
        shell: The command's surroundings.
        settings: Of the home, with the recipe.
        notes: What of the recipe was not taken over.
        trained: Numbers of the windows that were trained now.
        failed: Number -> why, of those whose training failed now.
    """

    shell: Shell
    settings: Settings
    notes: list[str]
    trained: list[int] = field(default_factory=list)
    failed: dict[int, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls, shell: Shell, file: Path | None, model: str | None, changes: Sequence[str]
    ) -> "RollingCommand":
        """Read the recipe: of the file, else that of the schedule.

        Raises:
            QlopsError: it cannot be used.
        """
        from qlops_assets.training.recipes import read_spec

        chosen = file or shell.settings.rolling.spec
        settings, notes = read_spec(shell.settings, chosen) if chosen else (shell.settings, [])
        return cls(shell, with_changes(settings, model, changes), notes)

    def run(self, last: int | None, *, every: bool, only_plan: bool) -> None:
        """Train the windows that are meant, unless a plan is wanted, and print where all stand.

        Args:
            last: The newest so many.
            every: All of them.
            only_plan: Whether to train nothing.

        Raises:
            QlopsError: there are no windows, or not so many.
        """
        log = self.shell.log()
        for note in self.notes:
            log.print(note, markup=False, style="yellow")
        plan = self._plan()
        chosen = plan.chosen(last, every=every)
        if only_plan:
            shown = chosen if last is not None else list(plan.windows)
            self._emit(plan, shown, together=None)
            return
        require_feature_table(self.settings)
        if any(one.is_open for one in chosen):
            with alone(self.settings.home), progress_shown(self.shell):
                self._train(plan, chosen)
            plan = self._plan()
        self._emit(plan, list(plan.windows), together=self._together(plan))
        if self.failed:
            click.get_current_context().exit(1)

    def _plan(self) -> "RollingPlan":
        prepare_instance(self.settings)
        import dagster as dg

        from qlops_assets.core.clock import SystemClock
        from qlops_assets.defs.training.rolling import versions_under_way
        from qlops_assets.training.rolling.plan import rolling_plan

        now = SystemClock().now()
        with dg.DagsterInstance.get() as instance:
            queued = versions_under_way(instance, now)
        return rolling_plan(self.settings, self.shell.journal, now=now, queued=queued)

    def _train(self, plan: "RollingPlan", chosen: Sequence["PlannedWindow"]) -> None:
        log, runs = self.shell.log(), Runs(self.settings)
        for place, window in enumerate(chosen, start=1):
            if not window.is_open:
                log.print(f"window {window.number} is {window.state}", markup=False)
                continue
            log.print(f"window {window.number} ({place} of {len(chosen)})", markup=False)
            try:
                if self._train_one(plan, window, runs):
                    self.trained.append(window.number)
            except QlopsError as error:  # the others may well be trained
                self.failed[window.number] = str(error)
                log.print(f"window {window.number}: {error}", markup=False, style="red")

    def _train_one(self, plan: "RollingPlan", window: "PlannedWindow", runs: Runs) -> bool:
        """Train a window unless another process does; return whether it was trained now."""
        from qlops_assets.defs.automation import TRAINING_JOB
        from qlops_assets.registry.registry import Registry
        from qlops_assets.registry.states import ModelEvent, next_state
        from qlops_assets.training.rolling.asks import ask_for, end_ask, name_version

        log, journal = self.shell.log(), self.shell.journal
        version = name_version(plan.series, window.window)
        who, asks = operator_name(), window.asks
        ask = ask_for(journal, plan.series, window.window, version, before=asks, by=who)
        if ask is None:
            log.print(f"window {window.number} was asked for by another process just now")
            return False
        state = Registry(journal).state(version)
        if next_state(state, ModelEvent.STARTED) is None:
            log.print(f"{version} was trained before and is {state}", markup=False)
            return False
        days = "  ".join(f"{name} {a} to {b}" for name, (a, b) in window.days().items())
        log.print(f"training {version}: {days}", markup=False)
        tags = {"qlops/rolling": plan.series.digest, "qlops/window": str(window.number)}
        try:
            runs.add_model_version(version)
            runs.run(TRAINING_JOB, partition=version, tags=tags)
        finally:
            end_ask(journal, plan.series, ask)
        return True

    def _together(self, plan: "RollingPlan") -> dict[str, Any] | None:
        from qlops_assets.core.progress import Unreported
        from qlops_assets.training.rolling.merging import judge_together

        versions = [one.version for one in plan.windows if one.card and one.version]
        if not versions:
            return None
        merged = judge_together(plan.series.settings, versions, Unreported())
        return merged.to_json() if merged else None

    def _emit(
        self,
        plan: "RollingPlan",
        shown: Sequence["PlannedWindow"],
        *,
        together: Mapping[str, Any] | None,
    ) -> None:
        rolling = self.settings.rolling
        document = {
            "series": plan.series.digest,
            "step_days": rolling.step_days,
            "kind": rolling.kind,
            "windows": [one.to_json() for one in shown],
            "trained_now": self.trained,
            "failed_now": {str(number): why for number, why in self.failed.items()},
            "together": together,
            "notes": self.notes,
        }
        self.shell.emit(document, lambda out: render_windows(out, document))


def render_windows(out: Any, document: Mapping[str, Any]) -> None:
    """Print the windows, a line each, and what they are as one."""
    spans = ("train", "valid", "test")
    heads = "  ".join(f"{name:<24}" for name in spans)
    out.print(f"{'window':>6}  {heads}  {'state':<8}  {'IC':>7}  {'Rank IC':>7}  version")
    for one in document["windows"]:
        days = "  ".join(f"{_days(one[name]):<24}" for name in spans)
        ic, rank_ic = (_number(one[name]) for name in ("ic", "rank_ic"))
        model_state = f" ({one['model_state']})" if one["model_state"] else ""
        version = f"{one['model_version'] or '–'}{model_state}"
        out.print(
            f"{one['window']:>6}  {days}  {one['state']:<8}  {ic:>7}  {rank_ic:>7}  {version}",
            markup=False,
        )
    for one in document["windows"]:
        if one["why"]:
            out.print(f"window {one['window']}: {one['why']}", markup=False)
    together = document["together"]
    if together:
        out.print(
            f"together     {together['windows']} windows, {together['first']} to "
            f"{together['last']}: IC {together['ic']:.4f}, ICIR {together['icir']:.3f}, Rank IC "
            f"{together['rank_ic']:.4f}, Rank ICIR {together['rank_icir']:.3f} over "
            f"{together['days']} days"
        )
        for version in together["missing"]:
            out.print(f"without {version}, whose predictions are gone", markup=False)


def _days(days: Sequence[str | None]) -> str:
    first, last = days
    return f"{first or '–'} to {last or '–'}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
