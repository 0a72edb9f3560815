"""A small market with every oddity of a real one, and a home in which its bars and factors are.

24 instruments over 420 weekdays. Four days' moves are partly given back two days later: that is the
signal. There are halts (volume 0), days that a source leaves out, a late listing, a delisting,
splits, an index, and a universe whose members change.
"""

import contextlib
import fcntl
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from qlops_assets.core.sections.recorder import RecorderSettings
from qlops_assets.core.sections.training import TrainingSettings
from qlops_assets.core.settings import FeaturesSettings, Settings, SourceSettings

INSTRUMENTS = 24
DAYS = 420
FIRST_DAY = date(2019, 1, 2)
INDEX = "SH000300"
LATE = "SZ000003"  # listed on the 150th day
DELISTED = "SZ000004"  # gone after the 300th
LEFT_OUT = "SZ000005"  # the source has no rows of its halt, over the end of a month
SPLIT = "SH600002"  # two for one, half way
FEW = (LATE, LEFT_OUT, SPLIT, "SH600000")

_CODES = [f"SH6000{i:02d}" for i in range(12)] + [f"SZ0000{i:02d}" for i in range(12)]

# Few trees on few rows: Qlib's penalties for CSI 300 would leave nothing of so small a market.
TRAINING = TrainingSettings(
    threads=1,
    rounds=40,
    early_stopping_rounds=10,
    account=1e7,
    parameters={"lambda_l1": 1.0, "lambda_l2": 1.0, "num_leaves": 8, "learning_rate": 0.1},
)


def weekdays(first: date, count: int) -> list[date]:
    """Return the next ``count`` days that are not a weekend."""
    days = (first + timedelta(days=n) for n in range(2 * count + 7))
    return [day for day in days if day.weekday() < 5][:count]


def market_days() -> list[date]:
    """Return the trading days of the market."""
    return weekdays(FIRST_DAY, DAYS)


def _closes(rng: np.random.Generator) -> np.ndarray:
    """Return adjusted closes, days × instruments."""
    moves = rng.normal(0.0, 0.016, size=(DAYS, INSTRUMENTS))
    moves += rng.normal(0.0, 0.006, size=(DAYS, 1))
    for day in range(6, DAYS):
        recent = moves[day - 5 : day - 1].sum(axis=0)
        moves[day] -= 0.007 * (recent - recent.mean()) / recent.std()
    return 20.0 * np.exp(np.cumsum(moves, axis=0))


def raw_bars() -> pl.DataFrame:
    """Return the market's rows as a source would hold them: raw prices and a factor."""
    rng = np.random.default_rng(11)
    close = _closes(rng)
    shape = close.shape
    swing = 0.002 + 0.01 * rng.random(shape)
    opening = close * (1 + rng.uniform(-1, 1, shape) * swing)
    high, low = np.maximum(opening, close) * (1 + swing), np.minimum(opening, close) * (1 - swing)
    factor = np.ones(shape)
    factor[DAYS // 2 :, _CODES.index(SPLIT)] = 2.0
    volume = np.round(1e6 * rng.lognormal(0.0, 0.5, shape))
    volume[rng.random(shape) < 0.01] = 0.0
    prices = {"open": opening, "high": high, "low": low, "close": close}
    place = np.tile(np.arange(DAYS), (INSTRUMENTS, 1)).T.ravel()
    frame = pl.DataFrame(
        {
            "instrument": _CODES * DAYS,
            "date": np.repeat(np.array(market_days(), dtype="datetime64[D]"), INSTRUMENTS),
            **{name: (value / factor).ravel() for name, value in prices.items()},
            "volume": (volume * factor).ravel(),
            "factor": factor.ravel(),
            "amount": (volume * (close + opening) / 2).ravel(),
            "place": place,
        }
    )
    code, day = pl.col("instrument"), pl.col("place")
    absent = (
        ((code == LATE) & (day < 150))
        | ((code == DELISTED) & (day >= 300))
        | ((code == LEFT_OUT) & day.is_between(188, 201))
    )
    return frame.filter(~absent).drop("place").sort("instrument", "date")


def index_levels(bars: pl.DataFrame) -> pl.DataFrame:
    """Return an index over the bars: the mean move of those with two closes."""
    adjusted = bars.with_columns(pl.col("close") * pl.col("factor"))
    moves = adjusted.with_columns(
        move=pl.col("close") / pl.col("close").shift(1).over("instrument") - 1
    )
    mean = moves.group_by("date").agg(pl.col("move").mean().fill_null(0.0)).sort("date")
    return mean.select(
        pl.lit(INDEX).alias("instrument"),
        "date",
        (3000 * (1 + pl.col("move")).cum_prod()).alias("close"),
    )


def universe_spans() -> list[tuple[str, date, date]]:
    """Return the universe ``core``: 18 instruments; some leave, one comes back, one has no bars."""
    days = market_days()
    spans = [(code, days[0], days[-1]) for code in _CODES[:14]]
    spans += [
        (_CODES[14], days[0], days[199]),  # leaves
        (_CODES[14], days[260], days[-1]),  # and comes back
        (LATE, days[200], days[-1]),
        (DELISTED, days[0], days[-1]),
        (LEFT_OUT, days[0], days[-1]),
        ("SH688999", days[0], days[-1]),  # never had a bar
    ]
    return spans


def write_source(folder: Path, *, until: int = DAYS) -> None:
    """Write the source: bars by year, index, universe."""
    last = market_days()[until - 1]
    bars = raw_bars().filter(pl.col("date") <= last)
    (folder / "bars").mkdir(parents=True)
    for (year,), rows in bars.group_by(pl.col("date").dt.year(), maintain_order=True):
        rows.write_parquet(folder / "bars" / f"{year}.parquet")
    index_levels(bars).write_parquet(folder / "benchmark.parquet")
    lines = (f"{code}\t{start}\t{end}\n" for code, start, end in universe_spans())
    (folder / "core.txt").write_text("".join(lines), encoding="utf-8")


def market_settings(home: Path, source: Path) -> Settings:
    """Return the settings of a home that reads the source; its trainings are not recorded."""
    return Settings(
        home=home,
        source=SourceSettings(path=source, quiet_seconds=0.0),
        training=TRAINING,
        features=FeaturesSettings(jobs=1),
        recorder=RecorderSettings(enabled=False),
    )


def elsewhere(market: Settings, folder: Path) -> Settings:
    """Return a copy of a home and of its source, which a test may change."""
    source = Path(shutil.copytree(market.source_folder, folder / "source"))
    copy = replace(market, home=folder / "home", source=replace(market.source, path=source))
    shutil.copytree(market.lake, copy.lake)  # its name is that of where the source is
    return copy


def build_market(folder: Path) -> None:
    """Write ``source`` and ``home`` into a folder: bars and features, whole."""
    from qlops_assets.factors.sets import alpha158_set
    from qlops_assets.factors.store import build_factors
    from qlops_assets.lake.bars import build_bars, stale_months
    from qlops_assets.lake.scan import scan

    write_source(folder / "source")
    settings = market_settings(folder / "home", folder / "source")
    scan(settings)
    months = stale_months(settings)
    build_bars(settings, months)
    build_factors(settings, alpha158_set(), months)
    build_table(settings)


def build_table(settings: Settings) -> None:
    """Bring indicators and the feature table of a home up to date."""
    from qlops_assets.features.store import FeatureStore
    from qlops_assets.indicators.store import build_indicators, stale_months
    from qlops_assets.lake.datasets import bars_dataset

    build_indicators(settings, stale_months(settings, bars_dataset(settings).months()))
    FeatureStore(settings).refresh()


def build_few(folder: Path, market: Settings) -> None:
    """Copy a home into a folder and keep four of its instruments, the odd ones among them."""
    from qlops_assets.factors.sets import alpha158_set
    from qlops_assets.factors.store import alpha158_dataset, build_factors
    from qlops_assets.lake.datasets import bars_dataset

    settings = copied(market, folder / "home")
    bars = bars_dataset(settings)
    few = bars.read().filter(pl.col("instrument").is_in([*FEW]))
    for month in bars.months():
        alpha158_dataset(settings).remove(month)
        rows = few.filter(pl.col("date").dt.strftime("%Y-%m") == month)
        bars.write(month, rows, inputs="few", code="tests")
    build_factors(settings, alpha158_set(), bars.months())


def copied(settings: Settings, home: Path) -> Settings:
    """Return the settings of a copy of a home, for a test that changes it."""
    shutil.copytree(settings.home, home, ignore=shutil.ignore_patterns("journal.db*"))
    journal = settings.home / "journal.db"
    if journal.is_file():  # others may be reading it: its files come and go
        with (
            contextlib.closing(sqlite3.connect(journal)) as old,
            contextlib.closing(sqlite3.connect(home / "journal.db")) as new,
        ):
            old.backup(new)
    return replace(settings, home=home)


def restate(settings: Settings, instrument: str, day: date, **values: float | None) -> str:
    """Change a bar of the lake as if its source had, and return the month."""
    from qlops_assets.core.months import month_of
    from qlops_assets.lake.datasets import bars_dataset

    month = month_of(day)
    bars = bars_dataset(settings)
    here = (pl.col("instrument") == instrument) & (pl.col("date") == day)
    rows = bars.read([month]).with_columns(
        pl.when(here).then(pl.lit(value)).otherwise(pl.col(name)).alias(name)
        for name, value in values.items()
    )
    bars.write(month, rows, inputs="restated", code="tests")
    return month


def once(folder: Path, build: Callable[[Path], None]) -> Path:
    """Return a folder that exactly one process builds, the others wait for it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            build(folder)
            (folder / "done").touch()
    return folder
