"""The built-in market as frames, and as a source folder."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from qlops_assets.core.atomic import new_folder
from qlops_assets.core.errors import SettingsError
from qlops_assets.lake.sources.simulated.bars import bars_frame, draw_prices
from qlops_assets.lake.sources.simulated.index import (
    benchmark_frame,
    membership,
    membership_frame,
)
from qlops_assets.lake.sources.simulated.readme import readme
from qlops_assets.lake.sources.simulated.signal import draw_premium
from qlops_assets.lake.sources.simulated.trading import trade
from qlops_assets.lake.sources.simulated.world import draw_world

UNIVERSE_FILE = "simindex.txt"
FEWEST_INSTRUMENTS, FEWEST_YEARS, MOST_YEARS = 10, 1, 60


@dataclass(frozen=True, slots=True)
class SimulatedMarket:
    """A simulated market as frames.

    Attributes:
        bars: instrument, date, raw open, high, low, close, raw volume, factor; sorted.
        benchmark: The index ``SIMINDEX``: instrument, date, open, high, low, close, volume.
        membership: The index's members: instrument, start, end, both days inclusive.
    """

    bars: pl.DataFrame
    benchmark: pl.DataFrame
    membership: pl.DataFrame


def simulated_market(*, seed: int = 7, instruments: int = 300, years: int = 8) -> SimulatedMarket:
    """Simulate a market; the same arguments give the same market.

    Raises:
        SettingsError: an argument is out of range.
    """
    _refuse("seed", seed, 0, None)
    _refuse("instruments", instruments, FEWEST_INSTRUMENTS, 999_999)
    _refuse("years", years, FEWEST_YEARS, MOST_YEARS)
    world = draw_world(seed=seed, instruments=instruments, years=years)
    premium = draw_premium(world, seed=seed, years=years)
    trading = trade(world, premium, seed=seed)
    prices = draw_prices(world, trading, seed=seed)
    members = membership(world, trading)
    codes = [f"SIM{number:06d}" for number in range(1, instruments + 1)]
    return SimulatedMarket(
        bars=bars_frame(world, trading, prices, codes),
        benchmark=benchmark_frame(world, trading, prices, members),
        membership=membership_frame(world, members, codes),
    )


def _refuse(name: str, value: int, least: int, most: int | None) -> None:
    if value < least or (most is not None and value > most):
        accepted = f"at least {least}" if most is None else f"from {least} to {most}"
        raise SettingsError(f"[simulated] {name}: was {value}, must be {accepted}")


def write_simulated_market(
    folder: Path, *, seed: int = 7, instruments: int = 300, years: int = 8
) -> None:
    """Write a simulated market as a source folder; where the folder exists, do nothing.

    The folder appears whole or not at all.

    Raises:
        SettingsError: an argument is out of range.
    """
    if folder.exists():
        return
    market = simulated_market(seed=seed, instruments=instruments, years=years)
    with new_folder(folder) as temporary:
        (temporary / "bars").mkdir()
        for (year,), bars in market.bars.group_by(
            pl.col("date").dt.year().alias("year"), maintain_order=True
        ):
            bars.write_parquet(temporary / "bars" / f"{year}.parquet")
        market.benchmark.write_parquet(temporary / "benchmark.parquet")
        spells = market.membership.write_csv(separator="\t", include_header=False)
        (temporary / UNIVERSE_FILE).write_text(spells, encoding="utf-8")
        text = readme(seed=seed, instruments=instruments, years=years)
        (temporary / "README.md").write_text(text, encoding="utf-8")
