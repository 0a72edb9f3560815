import hashlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from qlops_assets.core.settings import Settings, SourceSettings, UniverseSettings
from qlops_assets.lake.scan import scan
from qlops_assets_tests.support.monthly_files import month_bars

INSTRUMENTS = ("SH600000", "SH600004", "SZ000001")


def weekdays(first: date, count: int) -> list[date]:
    days = (first + timedelta(days=n) for n in range(2 * count + 7))
    return [day for day in days if day.weekday() < 5][:count]


def raw_bars(
    instruments: Sequence[str] = INSTRUMENTS,
    *,
    first: date = date(2020, 1, 2),
    days: int = 60,
    seed: int = 1,
) -> pl.DataFrame:
    """Return raw bars: prices in cents, a factor that steps up once, a halt here and there."""
    random = np.random.default_rng(seed)
    calendar = weekdays(first, days)
    frames = []
    for instrument in instruments:
        close = np.round(10 * np.exp(np.cumsum(random.normal(0, 0.02, days))), 2)
        open_ = np.round(close * (1 + random.normal(0, 0.005, days)), 2)
        frames.append(
            pl.DataFrame(
                {
                    "instrument": instrument,
                    "date": calendar,
                    "open": open_,
                    "high": np.round(np.maximum(open_, close) * 1.01, 2),
                    "low": np.round(np.minimum(open_, close) * 0.99, 2),
                    "close": close,
                    "volume": np.where(
                        random.random(days) < 0.05, 0, random.integers(1, 9, days) * 100
                    ),
                    "factor": np.where(np.arange(days) < days // 2, 1.5, 2.0),
                }
            )
        )
    return pl.concat(frames)


@dataclass
class FrozenClock:
    """A clock that a test sets."""

    moment: datetime

    def now(self) -> datetime:
        return self.moment

    def forward(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


@dataclass(frozen=True)
class Source:
    """A user's folder of Parquet files, and settings that read it into a lake of its own."""

    folder: Path
    settings: Settings

    def write(self, name: str, frame: pl.DataFrame, **options: Any) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.write_parquet(path, **options)
        return path

    def text(self, name: str, content: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        return path

    def beside(self, name: str, content: str | pl.DataFrame) -> Path:
        """Write a file beside the bars and look at the source, which has some."""
        is_text = isinstance(content, str)
        path = self.text(name, content) if is_text else self.write(name, content)
        if not (self.folder / "bars").is_dir():
            self.write("bars/2020.parquet", raw_bars().rename(self.settings.source.columns))
        scan(self.settings)
        return path

    def with_source(self, **changes: Any) -> "Source":
        changed = replace(self.settings.source, **changes)
        return replace(self, settings=replace(self.settings, source=changed))

    def with_universe(self, name: str) -> "Source":
        return replace(self, settings=replace(self.settings, universe=UniverseSettings(name=name)))

    def fingerprint(self) -> dict[str, tuple[str, int, int]]:
        """Return digest, size and modification time of every file and folder."""
        return {
            str(path.relative_to(self.folder)): (
                hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
                path.stat().st_size,
                path.stat().st_mtime_ns,
            )
            for path in sorted([self.folder, *self.folder.rglob("*")])
        }


MakeSource = Callable[..., Source]


@pytest.fixture
def make_source(tmp_path: Path) -> MakeSource:
    """Return a maker of empty sources; every one has a lake of its own."""

    def make(name: str = "source", **source: Any) -> Source:
        folder = tmp_path / name
        folder.mkdir()
        chosen = SourceSettings(**{"path": folder, "quiet_seconds": 0.0, **source})
        return Source(folder, Settings(home=tmp_path / f"home-{name}", source=chosen))

    return make


@pytest.fixture
def source(make_source: MakeSource) -> Source:
    return make_source()


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(datetime(2026, 1, 5, 9, 0, tzinfo=UTC))


@pytest.fixture
def make_bars() -> Callable[..., pl.DataFrame]:
    return raw_bars


@pytest.fixture
def two(source, make_bars):
    """A source of two files, January and February."""
    source.write("2020-01.parquet", month_bars(make_bars, 1))
    source.write("2020-02.parquet", month_bars(make_bars, 2))
    return source


def age(path: Path, seconds: float, now: float | None = None) -> None:
    """Set a file's modification time to some seconds ago."""
    moment = (now or time.time()) - seconds
    os.utime(path, (moment, moment))


@pytest.fixture
def set_age() -> Callable[..., None]:
    return age


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real market data, or skip aloud."""
    folder = Path(__file__).parents[2].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real market data in {folder}")
    return folder
