"""The built-in market keeps the promises of its README; checked on the bars alone."""

import math
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import spearmanr

from qlops_assets.core.errors import SettingsError
from qlops_assets.lake.sources.simulated.market import (
    SimulatedMarket,
    simulated_market,
    write_simulated_market,
)

SEED, INSTRUMENTS, YEARS = 7, 150, 4
HALF_TICK = 0.005


@pytest.fixture(scope="module")
def market() -> SimulatedMarket:
    return simulated_market(seed=SEED, instruments=INSTRUMENTS, years=YEARS)


@pytest.fixture(scope="module")
def bars(market: SimulatedMarket) -> pl.DataFrame:
    """The bars with yesterday's close and factor, and the adjusted return."""
    before = [pl.col(c).shift(1).over("instrument").alias(f"last_{c}") for c in ("close", "factor")]
    adjusted_return = (
        pl.col("close") * pl.col("factor") / pl.col("last_close") / pl.col("last_factor") - 1
    )
    return market.bars.with_columns(before).with_columns(change=adjusted_return)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sources") / "simulated"
    write_simulated_market(path, seed=SEED, instruments=20, years=2)
    return path


def _bytes(folder: Path) -> dict[str, bytes]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def test_written_folder_with_the_same_arguments_is_byte_identical(
    folder: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again"
    write_simulated_market(again, seed=SEED, instruments=20, years=2)
    assert _bytes(again) == _bytes(folder)


def test_written_folder_has_the_shape_of_a_source(folder: Path) -> None:
    assert sorted(_bytes(folder)) == [
        "README.md",
        "bars/2024.parquet",
        "bars/2025.parquet",
        "benchmark.parquet",
        "simindex.txt",
    ]
    bars = pl.read_parquet(folder / "bars" / "2025.parquet")
    assert bars.schema == {
        "instrument": pl.String,
        "date": pl.Date,
        **dict.fromkeys(("open", "high", "low", "close"), pl.Float64),
        "volume": pl.Int64,
        "factor": pl.Float64,
    }
    assert bars["date"].dt.year().unique().to_list() == [2025]
    assert bars.select("instrument", "date").equals(
        bars.select("instrument", "date").sort("instrument", "date")
    )


def test_written_folder_says_that_it_is_simulated_and_what_is_planted(folder: Path) -> None:
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert text.startswith("# SIMULATED")
    assert "planted signal" in text
    assert "{" not in text


def test_written_files_hold_the_simulated_market(folder: Path) -> None:
    market = simulated_market(seed=SEED, instruments=20, years=2)
    written = pl.read_parquet(folder / "bars" / "*.parquet").sort("instrument", "date")
    assert written.equals(market.bars)
    assert pl.read_parquet(folder / "benchmark.parquet").equals(market.benchmark)
    lines = (folder / "simindex.txt").read_text(encoding="utf-8").splitlines()
    spells = [tuple(map(str, row)) for row in market.membership.rows()]
    assert [tuple(line.split("\t")) for line in lines] == spells


def test_writing_where_the_folder_exists_leaves_it_alone(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "note.txt").write_text("keep", encoding="utf-8")
    write_simulated_market(mine, instruments=10, years=1)
    assert [p.name for p in mine.iterdir()] == ["note.txt"]


def test_market_with_another_seed_is_another_market(folder: Path) -> None:
    other = simulated_market(seed=SEED + 1, instruments=20, years=2)
    same = pl.read_parquet(folder / "benchmark.parquet")["close"]
    assert abs(np.corrcoef(other.benchmark["close"].diff()[1:], same.diff()[1:])[0, 1]) < 0.3


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("instruments", 9, "from 10 to 999999"),
        ("years", 0, "from 1 to 60"),
        ("years", 61, "from 1 to 60"),
        ("seed", -1, "at least 0"),
    ],
)
def test_market_with_an_argument_out_of_range_is_refused(
    tmp_path: Path, name: str, value: int, accepted: str
) -> None:
    with pytest.raises(SettingsError, match=rf"{name}: was {value}, must be {accepted}"):
        write_simulated_market(tmp_path / "new", **{name: value})
    assert list(tmp_path.iterdir()) == []


def test_smallest_market_can_be_made() -> None:
    market = simulated_market(seed=0, instruments=10, years=1)
    assert market.bars["instrument"].n_unique() == 10
    assert market.bars["date"].max() == date(2025, 12, 31)
    assert market.bars.null_count().sum_horizontal().item() == 0


def test_calendar_is_weekdays_of_believable_years(market: SimulatedMarket) -> None:
    days = market.benchmark["date"]
    assert days.is_sorted()
    assert days.n_unique() == len(days)
    assert days.dt.weekday().max() <= 5
    assert days[0].year == 2022
    assert days[-1] == date(2025, 12, 31)
    for size in days.dt.year().value_counts()["count"]:
        assert 243 <= size <= 250


def test_every_instrument_has_every_day_from_its_listing_to_the_end(
    market: SimulatedMarket,
) -> None:
    calendar = market.benchmark["date"].to_list()
    for (code,), rows in market.bars.group_by("instrument"):
        first = calendar.index(rows["date"].min())
        assert rows["date"].sort().to_list() == calendar[first:], code


def test_some_instruments_list_late(market: SimulatedMarket) -> None:
    first = market.bars.group_by("instrument").agg(pl.col("date").min())["date"]
    late = (first > market.benchmark["date"][0]).mean()
    assert late == pytest.approx(0.15, abs=0.01)


def test_prices_of_a_day_are_consistent_whole_ticks_and_in_range(bars: pl.DataFrame) -> None:
    low, high = pl.col("low"), pl.col("high")
    wrong = bars.filter(
        (low > pl.min_horizontal("open", "close")) | (high < pl.max_horizontal("open", "close"))
    )
    assert wrong.is_empty()
    assert bars["low"].min() > 3
    assert bars["high"].max() < 300
    for name in ("open", "high", "low", "close"):
        assert (bars[name] == bars[name].round(2)).all()
    assert bars["volume"].min() >= 0


def test_halted_days_stand_still(bars: pl.DataFrame) -> None:
    halted = bars.filter(pl.col("volume") == 0)
    assert 0.01 <= halted.height / bars.height <= 0.02
    for name in ("open", "high", "low", "close"):
        assert (halted[name] == halted["last_close"]).all()
    assert (halted["factor"] == halted["last_factor"]).all()


def test_halts_come_in_spells_of_several_days(bars: pl.DataFrame) -> None:
    runs = bars.select(
        halted=pl.col("volume") == 0, spell=pl.struct("instrument", pl.col("volume") == 0).rle_id()
    )
    lengths = runs.filter("halted").group_by("spell").len()["len"]
    assert 5 <= lengths.mean() <= 15


def test_returns_never_pass_the_limit_but_reach_it(bars: pl.DataFrame) -> None:
    """The limit is rounded to a tick, so a cheap share may pass 10 % by half of one."""
    traded = bars.filter(pl.col("change").is_not_null())
    reference = traded["last_close"] * traded["last_factor"] / traded["factor"]
    assert ((traded["change"].abs() - 0.10) * reference).max() <= HALF_TICK + 1e-6
    locked = (traded["change"].abs() * reference > 0.10 * reference - HALF_TICK).mean()
    assert 0.0005 <= locked <= 0.01


def test_locked_days_sometimes_trade_at_one_price(bars: pl.DataFrame) -> None:
    flat = bars.filter((pl.col("high") == pl.col("low")) & (pl.col("volume") > 0))
    assert flat.height >= 20
    assert (flat["change"].abs() > 0.098).all()


def test_a_move_beyond_the_limit_goes_on_the_next_day(bars: pl.DataFrame) -> None:
    following = pl.col("change").shift(-1).over("instrument")
    locked = bars.with_columns(following=following).filter(
        (pl.col("high") == pl.col("low")) & (pl.col("volume") > 0)
    )
    assert (locked["change"].sign() * locked["following"]).mean() > 0.01


def test_splits_and_dividends_drop_the_raw_price_and_not_the_adjusted_one(
    bars: pl.DataFrame,
) -> None:
    step = pl.col("factor") / pl.col("last_factor")
    events = bars.with_columns(step=step).filter((pl.col("step") - 1).abs() > 1e-9)
    splits = events.filter(pl.col("step") > 1.4)
    dividends = events.filter(pl.col("step").is_between(1, 1.05))
    assert splits.height >= 10
    assert dividends.height >= INSTRUMENTS
    assert (events["volume"] > 0).all()
    raw = splits["close"] / splits["last_close"] - 1
    assert raw.max() < -0.2
    # On ordinary days the adjusted return has the same spread as on event days.
    ordinary = bars.filter(pl.col("factor") == pl.col("last_factor"))["change"].std()
    assert events["change"].std() == pytest.approx(ordinary, rel=0.25)
    assert abs(events["change"].mean()) < 4 * ordinary / math.sqrt(events.height)


def test_volume_persists_and_rises_with_the_size_of_the_move(bars: pl.DataFrame) -> None:
    traded = bars.filter(pl.col("volume") > 0).with_columns(
        log_volume=(pl.col("volume") / pl.col("factor")).log()
    )
    own = traded.with_columns(
        pl.col("log_volume") - pl.col("log_volume").mean().over("instrument"),
        size=pl.col("change").abs(),
        last=pl.col("log_volume").shift(1).over("instrument"),
    )
    correlations = own.select(
        size=pl.corr("log_volume", "size"),
        last=pl.corr("log_volume", pl.col("last") - pl.col("last").mean().over("instrument")),
    )
    assert correlations["size"].item() > 0.15
    assert correlations["last"].item() > 0.5


def test_returns_look_like_shares(market: SimulatedMarket, bars: pl.DataFrame) -> None:
    assert 0.017 <= bars["change"].std() <= 0.027
    assert bars["change"].kurtosis() > 1  # fat tails; a normal distribution has 0
    wide = bars.pivot(on="instrument", index="date", values="change").sort("date").drop("date")
    complete = wide[1:].select(s for s in wide[1:] if s.null_count() == 0).to_numpy()
    together = np.corrcoef(complete, rowvar=False)
    pairs = together[np.triu_indices_from(together, 1)]
    assert 0.15 <= pairs.mean() <= 0.45
    size = np.abs(complete)
    clustered = [np.corrcoef(size[10:, n], size[:-10, n])[0, 1] for n in range(size.shape[1])]
    assert np.mean(clustered) > 0.03


def test_index_members_change_and_always_have_bars(market: SimulatedMarket) -> None:
    spells = market.membership
    spans = market.bars.group_by("instrument").agg(
        first=pl.col("date").min(), final=pl.col("date").max()
    )
    joined = spells.join(spans, on="instrument", how="left")
    assert (joined["start"] >= joined["first"]).all()
    assert (joined["end"] <= joined["final"]).all()
    assert (joined["start"] <= joined["end"]).all()
    starts = spells["start"].unique().sort().to_list()
    assert starts[0] == market.benchmark["date"][0]
    assert YEARS <= len(starts) <= 1 + 2 * YEARS  # a review may find nothing to change
    assert {d.month for d in starts[1:]} == {6, 12}


def test_index_has_the_same_number_of_members_every_day(market: SimulatedMarket) -> None:
    for day in market.benchmark["date"].gather_every(7):
        members = market.membership.filter((pl.col("start") <= day) & (pl.col("end") >= day))[
            "instrument"
        ]
        assert members.n_unique() == len(members) == round(0.82 * INSTRUMENTS)


def test_benchmark_covers_the_calendar_and_follows_the_members(
    market: SimulatedMarket, bars: pl.DataFrame
) -> None:
    index = market.benchmark
    assert index["instrument"].unique().to_list() == ["SIMINDEX"]
    assert index["date"].to_list() == bars["date"].unique().sort().to_list()
    assert index["close"][0] == 1000.0
    assert (index["low"] <= pl.Series(np.minimum(index["open"], index["close"]))).all()
    assert (index["high"] >= pl.Series(np.maximum(index["open"], index["close"]))).all()
    members = bars.join(market.membership, on="instrument").filter(
        pl.col("date").is_between("start", "end")
    )
    daily = members.group_by("date").agg(
        mean=pl.col("change").mean(), least=pl.col("change").min(), most=pl.col("change").max()
    )
    both = index.with_columns(moved=pl.col("close").pct_change()).join(daily, on="date")[1:]
    assert both.select(pl.corr("moved", "mean")).item() > 0.85
    assert both["moved"].is_between(both["least"], both["most"]).all()
    assert both["volume"].min() > 0


def test_index_of_eight_years_neither_explodes_nor_collapses() -> None:
    level = simulated_market(seed=1, instruments=30, years=8).benchmark["close"]
    assert 1000 < level[-1] < 3000
    assert level.min() > 300


def _standard(values: np.ndarray) -> np.ndarray:
    known = np.isfinite(values)
    return np.clip((values - values[known].mean()) / values[known].std(), -2.5, 2.5)


def test_planted_signal_foretells_the_label_as_the_readme_says(bars: pl.DataFrame) -> None:
    """The README's formula in a loop over days, ranked by SciPy against Qlib's label."""
    live = bars.with_columns(
        adjusted=pl.col("close") * pl.col("factor"),
        shares=pl.when(pl.col("volume") > 0).then(pl.col("volume") / pl.col("factor")),
    )
    wide = {
        name: live.pivot(on="instrument", index="date", values=name).sort("date").drop("date")
        for name in ("adjusted", "shares", "change")
    }
    close, volume, change = (wide[n].to_numpy() for n in ("adjusted", "shares", "change"))
    rank_ics = []
    for day in range(20, len(close) - 2):
        listed = np.isfinite(change[day - 19 : day + 1]).all(axis=0) & np.isfinite(volume[day])
        reversal = close[day] / close[day - 5] - 1
        usual = np.nanmean(volume[day - 19 : day + 1][:, listed], axis=0)
        parts = (
            _standard(reversal[listed]),
            _standard(np.log(volume[day][listed] / usual)),
            _standard(change[day - 19 : day + 1, listed].std(axis=0)),
        )
        score = -(0.5 * parts[0] + 0.6 * parts[1] + 0.35 * parts[2])
        label = (close[day + 2] / close[day + 1] - 1)[listed]
        rank_ics.append(spearmanr(score, label).statistic)
    # Not free money either: the daily figure is negative on a good share of the days.
    assert 0.04 <= np.mean(rank_ics) <= 0.09
    assert 0.2 <= np.mean(np.array(rank_ics) < 0) <= 0.45
