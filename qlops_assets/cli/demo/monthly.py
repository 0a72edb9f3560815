"""The stages over months, from bars to the feature table: each does only what is not done yet.

Months are materialized on the home's Dagster instance, in this process, so that its history tells
of them as of those that automation asked for.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from qlops_assets.cli.instance import Runs
from qlops_assets.core.settings import Settings

if TYPE_CHECKING:
    from qlops_assets.factors.sets import FactorSet

Say = Callable[[str], None]


@dataclass
class MonthlyStages:
    """Brings the assets over months up to date.

    Attributes:
        settings: Of the home.
        say: Told what is done and what is skipped.
        only: Months to look at; all where None.
        skipped: Names of the stages that had nothing to do.
        refreshed: Asset -> the months that were materialized.
        run_ids: Of the runs that did so.
    """

    settings: Settings
    say: Say
    only: Collection[str] | None = field(default=None, kw_only=True)
    skipped: list[str] = field(default_factory=list, kw_only=True)
    refreshed: dict[str, list[str]] = field(default_factory=dict, kw_only=True)
    run_ids: set[str] = field(default_factory=set, kw_only=True)

    @cached_property
    def runs(self) -> Runs:
        """The home's Dagster instance; its months are those that the source has by now."""
        return Runs(self.settings)

    def require_own_features(self) -> None:
        """Refuse to begin where a feature of the user's own could not be computed in the end.

        Raises:
            CustomFactorError: a factor cannot be used.
            IndicatorError: an indicator cannot be used.
        """
        from qlops_assets.indicators.sets import code_version

        code_version(self.settings)

    def build_bars(self) -> None:
        """Materialize ``raw_bars`` and ``bars`` for the months whose files changed."""
        from qlops_assets.defs.lake.sensors import BARS_JOB
        from qlops_assets.lake.bars import stale_months
        from qlops_assets.lake.datasets import bars_dataset

        stale = set(stale_months(self.settings))
        present = bars_dataset(self.settings).months()
        missing = self._not_materialized("bars", present) | self._not_materialized(
            "raw_bars", present
        )
        self._months("bars", BARS_JOB, stale | missing, len(present))

    def build_features(self) -> None:
        """Materialize factors, indicators and the feature table of months that are behind."""
        self.build_factors()
        self.build_indicators()
        self.build_table()

    def build_factors(self) -> None:
        """Materialize ``alpha158_factors`` for the months whose bars changed.

        The user's own factors likewise, where there are any, or rows of those there were.
        """
        from qlops_assets.defs.automation import CUSTOM_FACTORS_JOB, FACTORS_JOB
        from qlops_assets.factors.sets import CUSTOM, alpha158_set, custom_set
        from qlops_assets.factors.store import factor_dataset

        self._build_factors(alpha158_set(), FACTORS_JOB)
        own = custom_set(self.settings)
        if own.expressions or factor_dataset(self.settings, CUSTOM).months():
            self._build_factors(own, CUSTOM_FACTORS_JOB)

    def _build_factors(self, factors: "FactorSet", job: str) -> None:
        from qlops_assets.factors.store import factor_dataset, stale_months
        from qlops_assets.lake.datasets import bars_dataset

        months = bars_dataset(self.settings).months() if factors.expressions else []
        gone = set(factor_dataset(self.settings, factors.name).months()) - set(months)
        stale = set(stale_months(self.settings, factors, months)) | gone
        missing = self._not_materialized(factors.rows_name, months)
        self._months(factors.rows_name, job, stale | missing, len(months))

    def build_indicators(self) -> None:
        """Materialize ``indicator_features`` where bars of the month or before it changed."""
        from qlops_assets.defs.automation import INDICATORS_JOB
        from qlops_assets.indicators.sets import column_names
        from qlops_assets.indicators.store import ROWS, indicator_dataset, stale_months
        from qlops_assets.lake.datasets import bars_dataset

        present = indicator_dataset(self.settings).months()
        months = bars_dataset(self.settings).months() if column_names(self.settings) else []
        stale = {*stale_months(self.settings, months), *(set(present) - set(months))}
        missing = self._not_materialized(ROWS, months)
        if months or stale:
            self._months(ROWS, INDICATORS_JOB, stale | missing, len(months))

    def build_table(self) -> None:
        """Materialize ``feature_table`` for the months whose factors or indicators changed."""
        from qlops_assets.defs.automation import FEATURES_JOB
        from qlops_assets.features.refresh import TABLE
        from qlops_assets.features.store import FeatureStore

        store = FeatureStore(self.settings)
        version = store.latest()
        months = list(version.months) if version else []
        stale = set(store.stale_months()) | self._not_materialized(TABLE, months)
        self._months(TABLE, FEATURES_JOB, stale, len(months))

    def skip(self, what: str, why: str) -> None:
        """Say that a stage has nothing to do."""
        self.skipped.append(what)
        self.say(f"{what}: {why}, skipped")

    def _months(self, what: str, job: str, months: Iterable[str], present: int) -> None:
        from qlops_assets.core.months import contiguous_spans
        from qlops_assets.defs.partitions import month_range_tags

        wanted = set(months) & self.runs.months()
        if self.only is not None:
            wanted &= set(self.only)
        if not wanted:
            looked_at = f"{present} months" if self.only is None else "months asked for"
            self.skip(what, f"{looked_at} up to date")
            return
        for first, last in contiguous_spans(wanted):
            self.say(f"{what}: {first} to {last}")
            self.run_ids.add(self.runs.run(job, tags=month_range_tags(first, last)))
        self.refreshed[what] = sorted(wanted)

    def _not_materialized(self, asset: str, months: Iterable[str]) -> set[str]:
        known = {key[:7] for key in self.runs.materialized(asset)}
        return set(months) - known
