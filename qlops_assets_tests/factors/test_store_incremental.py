"""Stale months computed again, against everything computed anew: bit for bit."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from qlops_assets.core.months import month_of, months_between
from qlops_assets.core.settings import Settings
from qlops_assets.factors.custom import FIELDS
from qlops_assets.factors.sets import CUSTOM, FactorSet, alpha158_set
from qlops_assets.factors.store import build_factors, factor_dataset, stale_months
from qlops_assets.lake.datasets import bars_dataset
from qlops_assets.lake.qlib_bin import FIELDS as BIN_FIELDS
from qlops_assets_tests.support.market import LATE, LEFT_OUT, market_days, restate

DAYS = market_days()
MONTHS = months_between("2019-01", "2020-08")
SHORT = FactorSet(CUSTOM, {"MOMENTUM": "$close/Ref($close,10)-1", "UP": "Mean($close>$open,5)"})
LONG = FactorSet(
    CUSTOM,
    {
        "EMA": "EMA($close,20)/$close",
        "MOVE": "Mean($change,5)",  # since the last traded day, however long ago
        "ALL": "Sum($volume,0)",
        "OTHER": f"$close/Mask($close,'{LATE}')",  # which has no bars in the first months
        "COUNTED": "Mean(If($close>Ref($close,1),1,0),20)",  # 0 on a day without a bar
    },
)
SETS = {"alpha158": alpha158_set(), "short": SHORT, "long": LONG}


def write(settings: Settings, frame: pl.DataFrame) -> None:
    """Make a frame the bars of the lake, as if its source had changed."""
    bars = bars_dataset(settings)
    parts = frame.with_columns(month=pl.col("date").dt.strftime("%Y-%m")).partition_by(
        "month", as_dict=True, include_key=False
    )
    for (month,), rows in parts.items():
        bars.write(month, rows, inputs="changed", code="tests")


def append_a_day(settings: Settings) -> None:
    last = bars_dataset(settings).read(["2020-08"])
    newest = last.filter(pl.col("date") == DAYS[-1])
    later = newest.with_columns(pl.lit(date(2020, 8, 12)).alias("date"), pl.col("close") * 1.01)
    write(settings, pl.concat([last, later]))


def restate_an_old_day(settings: Settings) -> None:
    restate(settings, "SH600000", DAYS[40], close=40.0, volume=7e6)


def add_an_instrument(settings: Settings) -> None:
    bars = bars_dataset(settings).read()
    other = bars.filter(pl.col("instrument") == "SH600000", pl.col("date") >= DAYS[100])
    added = other.with_columns(pl.lit("SH600099").alias("instrument"), pl.col("close") * 1.5)
    write(settings, pl.concat([bars, added]))


def add_its_first_days_before_a_long_pause(settings: Settings) -> None:
    """Days of one instrument that only decide whether it has rows in a window months later."""
    bars = bars_dataset(settings).read()
    first = bars.filter(pl.col("instrument") == LATE).head(1)
    early = first.with_columns(pl.lit(DAYS[3]).alias("date"))
    write(settings, pl.concat([bars, early]))


def leave_days_out(settings: Settings) -> None:
    bars = bars_dataset(settings).read()
    day, code = pl.col("date"), pl.col("instrument")
    write(settings, bars.filter(~((code == "SH600000") & day.is_between(DAYS[190], DAYS[260]))))


def end_an_instrument_early(settings: Settings) -> None:
    bars = bars_dataset(settings).read()
    write(
        settings, bars.filter(~((pl.col("instrument") == LEFT_OUT) & (pl.col("date") > DAYS[150])))
    )


CHANGES = [
    append_a_day,
    restate_an_old_day,
    add_an_instrument,
    add_its_first_days_before_a_long_pause,
    leave_days_out,
    end_an_instrument_early,
]


def digests(settings: Settings, factors: FactorSet) -> dict[str, str]:
    return {m: i.digest for m, i in factor_dataset(settings, factors.name).infos().items()}


@pytest.fixture(scope="module")
def built(few: Settings, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Settings]:
    """Homes in which the rows of each set are whole; not to be changed."""
    homes = {"alpha158": few}
    for name in ("short", "long"):
        home = tmp_path_factory.mktemp(name) / "home"
        shutil.copytree(few.home, home)
        homes[name] = replace(few, home=home)
        build_factors(homes[name], SETS[name], MONTHS)
    return homes


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_stale_months_computed_again_equal_everything_computed_anew(
    built: dict[str, Settings], name: str, change: Callable[[Settings], None], tmp_path: Path
) -> None:
    factors = SETS[name]
    shutil.copytree(built[name].home, tmp_path / "lived")
    lived = replace(built[name], home=tmp_path / "lived")
    change(lived)
    stale = stale_months(lived, factors, MONTHS)
    assert stale
    build_factors(lived, factors, stale)
    assert stale_months(lived, factors, MONTHS) == []
    shutil.copytree(lived.home, tmp_path / "fresh")
    fresh = replace(lived, home=tmp_path / "fresh")
    for month in MONTHS:
        factor_dataset(fresh, factors.name).remove(month)
    build_factors(fresh, factors, MONTHS)
    assert digests(lived, factors) == digests(fresh, factors)


@pytest.mark.parametrize("name", SETS)
def test_every_month_computed_alone_equals_all_computed_together(
    built: dict[str, Settings], name: str, tmp_path: Path
) -> None:
    factors, together = SETS[name], digests(built[name], SETS[name])
    shutil.copytree(built[name].home, tmp_path / "home")
    alone = replace(built[name], home=tmp_path / "home")
    for month in MONTHS:
        build_factors(alone, factors, [month])
    assert digests(alone, factors) == together


def test_months_computed_in_pieces_equal_all_computed_together(
    built: dict[str, Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import qlops_assets.factors.store

    shutil.copytree(built["long"].home, tmp_path / "home")
    pieces = replace(built["long"], home=tmp_path / "home")
    monkeypatch.setattr(qlops_assets.factors.store, "_VALUES_AT_ONCE", 1_000)
    build_factors(pieces, LONG, MONTHS)
    assert digests(pieces, LONG) == digests(built["long"], LONG)


def test_change_to_one_set_leaves_the_other_up_to_date(few: Settings) -> None:
    assert stale_months(few, SETS["alpha158"], MONTHS) == []
    assert stale_months(few, SHORT, MONTHS) == MONTHS


def test_short_look_back_makes_fewer_months_stale_than_a_long_one(
    built: dict[str, Settings], tmp_path: Path
) -> None:
    found = {}
    for name, home in built.items():
        shutil.copytree(home.home, tmp_path / name)
        own = replace(home, home=tmp_path / name)
        month = restate(own, "SH600000", DAYS[40], close=40.0)
        found[name] = stale_months(own, SETS[name], MONTHS)
    after = MONTHS[MONTHS.index(month) :]
    assert found == {"short": after[:3], "alpha158": after[:5], "long": after}


def test_sparse_calendar_looks_back_to_the_days_that_it_has(few: Settings, tmp_path: Path) -> None:
    """One trading day a week: the tenth before the first of June is 26 March."""
    shutil.copytree(few.home, tmp_path / "home")
    weekly = replace(few, home=tmp_path / "home")
    frame = bars_dataset(weekly).read()
    write(weekly, frame.filter(pl.col("date").dt.weekday() == 2))
    build_factors(weekly, SHORT, MONTHS)
    month = restate(weekly, "SH600000", date(2019, 3, 5), close=40.0)
    assert month == month_of(date(2019, 3, 5))
    assert stale_months(weekly, SHORT, MONTHS) == months_between("2019-03", "2019-06")


def test_fields_of_expressions_are_those_of_the_bin_files() -> None:
    assert FIELDS == BIN_FIELDS
