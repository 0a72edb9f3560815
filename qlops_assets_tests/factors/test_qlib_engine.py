from collections.abc import Mapping
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from qlops_assets.core.settings import Settings
from qlops_assets.factors import qlib_engine
from qlops_assets.factors.qlib_engine import QlibEngine, Request, compute_blocks
from qlops_assets.lake.datasets import bars_dataset
from qlops_assets.lake.qlib_bin import build_provider, write_provider
from qlops_assets_tests.support.market import market_days

EXPRESSIONS = {"C": "$close", "M": "Mean($close, 20)", "R": "Rsquare($close, 30)"}


class Recorder:
    """Progress that remembers."""

    def __init__(self) -> None:
        self.reports: list[tuple[str, int, int | None]] = []

    def report(
        self, stage: str, step: int, total: int | None, metrics: Mapping[str, float] | None = None
    ) -> None:
        self.reports.append((stage, step, total))


@pytest.fixture
def request_of_market(market: Settings) -> Request:
    codes = bars_dataset(market).read(columns=[])["instrument"].unique().to_list()
    return Request(build_provider(market), EXPRESSIONS, codes)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qlib_engine, "_BLOCK", 5)


@pytest.mark.usefixtures("small_blocks")
def test_blocks_of_two_processes_equal_those_of_one(
    request_of_market: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    progress = Recorder()
    alone = list(compute_blocks(request_of_market, jobs=2))  # too few to be worth processes
    monkeypatch.setattr(qlib_engine, "_WORTH_PROCESSES", 0)
    spread = list(compute_blocks(request_of_market, jobs=2, progress=progress))
    assert [block["instrument"].n_unique() for block in spread] == [5, 5, 5, 5, 4]
    for one, other in zip(alone, spread, strict=True):
        assert one.columns == other.columns == ["instrument", "date", *EXPRESSIONS]
        assert one.equals(other, null_equal=True)
    assert progress.reports == [("factors", done, 24) for done in (5, 10, 15, 20, 24)]


@pytest.mark.usefixtures("small_blocks")
def test_blocks_come_in_order_of_instruments_and_report_each(request_of_market: Request) -> None:
    progress = Recorder()
    frame = pl.concat(list(compute_blocks(request_of_market, progress=progress)))
    assert frame["instrument"].unique(maintain_order=True).to_list() == sorted(
        request_of_market.instruments
    )
    assert frame.equals(frame.sort("instrument", "date"), null_equal=True)
    assert progress.reports[-1] == ("factors", 24, 24)


@pytest.mark.usefixtures("small_blocks")
def test_two_requests_read_in_turn_see_each_their_own_provider(
    request_of_market: Request, tmp_path: Path
) -> None:
    other = bars_of_one_price(request_of_market.instruments, price=1.0)
    write_provider(tmp_path / "other", other)
    ones = compute_blocks(
        Request(tmp_path / "other", {"C": "$close"}, request_of_market.instruments)
    )
    market = compute_blocks(
        Request(request_of_market.provider, {"C": "$close"}, request_of_market.instruments)
    )
    for constant, real in zip(ones, market, strict=True):
        assert set(constant["C"].to_list()) == {1.0}
        assert real["C"].n_unique() > 100


@pytest.mark.usefixtures("small_blocks")
def test_stdout_between_two_blocks_is_the_callers(
    request_of_market: Request, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, _ in enumerate(compute_blocks(request_of_market)):
        print(number)  # noqa: T201
    assert capsys.readouterr().out.split() == ["0", "1", "2", "3", "4"]


def test_from_lake_gives_the_days_asked_for_with_values_of_the_whole(market: Settings) -> None:
    days = market_days()
    engine = QlibEngine()
    whole = pl.concat(list(engine.from_lake(market, EXPRESSIONS)))
    part = pl.concat(list(engine.from_lake(market, EXPRESSIONS, first=days[100], last=days[120])))
    assert part["date"].min() == days[100]
    assert part["date"].max() == days[120]
    expected = whole.filter(pl.col("date").is_between(days[100], days[120]))
    assert part.select("instrument", "date").equals(expected.select("instrument", "date"))
    np.testing.assert_allclose(
        part.select(list(EXPRESSIONS)).to_numpy(),
        expected.select(list(EXPRESSIONS)).to_numpy(),
        rtol=1e-6,
    )


def bars_of_one_price(instruments: list[str], *, price: float) -> pl.DataFrame:
    days: list[date] = market_days()[:40]
    columns = dict.fromkeys(("open", "high", "low", "close", "vwap", "volume"), price)
    frames = [pl.DataFrame({"instrument": code, "date": days}) for code in instruments]
    return pl.concat(frames).with_columns(**{k: pl.lit(v) for k, v in columns.items()})
