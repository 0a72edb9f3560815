"""The table after any sequence of changes, against everything computed anew from the same bars."""

import tempfile
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qlops_assets.core.settings import IndicatorsSettings, Settings
from qlops_assets.factors.sets import alpha158_set, custom_set
from qlops_assets.factors.store import build_factors
from qlops_assets.factors.store import stale_months as stale_factors
from qlops_assets.features.store import FeatureStore
from qlops_assets.indicators.store import build_indicators
from qlops_assets.indicators.store import stale_months as stale_indicators
from qlops_assets.lake.datasets import bars_dataset
from qlops_assets_tests.features.test_store import everything, same
from qlops_assets_tests.support.market import weekdays

DAYS = weekdays(date(2019, 1, 2), 130)
OWN = {"BACK4": "1-$close/Ref($close,4)", "SLOW": "EMA($close,9)/$close"}
GAP = {"gap": "$rsi_14-Ref($rsi_14,3)"}


def home(folder: Path) -> Settings:
    return Settings(home=folder, factors=OWN, indicators=IndicatorsSettings(own=GAP))


@dataclass
class Market:
    """Bars that grow and are restated."""

    seed: int
    length: int = 60
    codes: list[str] = field(default_factory=list)
    bars: dict[tuple[str, int], list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.chance = np.random.default_rng(self.seed)
        for _ in range(3):
            self.list_one()

    def list_one(self, first: int = 0) -> None:
        self.codes.append(f"SH60000{len(self.codes)}")
        for day in range(first, self.length):
            self._bar(self.codes[-1], day)

    def append(self, days: int) -> None:
        for day in range(self.length, min(self.length + days, len(DAYS))):
            for code in self.codes:
                self._bar(code, day)
        self.length = min(self.length + days, len(DAYS))

    def restate(self, place: int, *, halt: bool) -> None:
        code, day = sorted(self.bars)[place % len(self.bars)]
        self._bar(code, day)
        if halt:
            self.bars[code, day][4] = 0.0

    def _bar(self, code: str, day: int) -> None:
        low, opening, close, high = np.sort(self.chance.lognormal(2.5, 0.05, 4))
        volume = 0.0 if self.chance.random() < 0.03 else self.chance.lognormal(12, 1)
        self.bars[code, day] = [opening, high, low, close, volume]

    def write(self, target: Settings) -> None:
        """Make these the bars of the lake, where a month's are other ones."""
        keys = sorted(self.bars)
        values = np.array([self.bars[key] for key in keys])
        names = ("open", "high", "low", "close", "volume")
        frame = pl.DataFrame(
            {
                "instrument": [code for code, _ in keys],
                "date": [DAYS[day] for _, day in keys],
                **{name: values[:, place] for place, name in enumerate(names)},
            }
        ).with_columns(vwap=pl.col("close"), factor=pl.lit(1.0))
        dataset = bars_dataset(target)
        months = frame.with_columns(month=pl.col("date").dt.strftime("%Y-%m")).partition_by(
            "month", as_dict=True, include_key=False
        )
        for (month,), rows in months.items():
            dataset.write(month, rows, inputs="tests", code="tests")


def brought_up_to_date(target: Settings) -> pl.DataFrame:
    """Compute what is stale, as the assets do, and return the table."""
    months = bars_dataset(target).months()
    for factors in (alpha158_set(), custom_set(target)):
        build_factors(target, factors, stale_factors(target, factors, months))
    build_indicators(target, stale_indicators(target, months))
    FeatureStore(target).refresh()
    return everything(FeatureStore(target).latest())


CHANGES = st.one_of(
    st.tuples(st.just("append"), st.integers(1, 12)),
    st.tuples(st.just("restate"), st.integers(0, 10_000)),
    st.tuples(st.just("halt"), st.integers(0, 10_000)),
    st.tuples(st.just("list"), st.integers(0, 59)),
)


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
@given(seed=st.integers(0, 1_000), changes=st.lists(CHANGES, min_size=2, max_size=4))
def test_table_is_what_a_whole_computation_gives_bit_for_bit(
    seed: int, changes: list[tuple[str, int]]
) -> None:
    market = Market(seed)
    with tempfile.TemporaryDirectory() as folder:
        lived, fresh = home(Path(folder) / "lived"), home(Path(folder) / "fresh")
        market.write(lived)
        brought_up_to_date(lived)
        for kind, number in changes:
            match kind:
                case "append":
                    market.append(number)
                case "list":
                    market.list_one(number)
                case _:
                    market.restate(number, halt=kind == "halt")
            market.write(lived)
            table = brought_up_to_date(lived)
        market.write(fresh)
        assert same(table, brought_up_to_date(fresh))
