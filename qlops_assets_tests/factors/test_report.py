"""The report of the small market: what it is made from, and what it may know."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from qlops_assets.core.errors import DatasetMissingError, FactorError, QlopsError
from qlops_assets.core.settings import FactorReportSettings, Settings, UniverseSettings
from qlops_assets.factors import report as module
from qlops_assets.factors.analysis.analysis import analyse
from qlops_assets.factors.lookup import FactorTable
from qlops_assets.factors.report import (
    Scope,
    build_report,
    current_report,
    is_current,
    load_report,
    reports_folder,
)
from qlops_assets.factors.store import factor_dataset
from qlops_assets.lake.datasets import bars_dataset, snapshot_digest
from qlops_assets_tests.support.market import copied, market_days, restate, universe_spans
from qlops_assets_tests.support.own_factors import OWN, market_with_own_factors

DAYS = market_days()
TRAINING_END = DAYS[249]
FEW = ("KMID", "ROC5", "STD20", "BACK4")
SCOPE = Scope(FEW, training_end=TRAINING_END)


class FrozenClock:
    def __init__(self, minute: int) -> None:
        self.moment = datetime(2026, 1, 2, 3, minute, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment


class Recorder:
    def __init__(self) -> None:
        self.reports: list[tuple[int, int | None]] = []

    def report(
        self, stage: str, step: int, total: int | None, metrics: Mapping[str, float] | None = None
    ) -> None:
        self.reports.append((step, total))


@pytest.fixture(scope="module")
def home(market: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home with the rows of two factors of the user's own. Reports may be built in it."""
    return market_with_own_factors(market, tmp_path_factory.mktemp("own"))


@pytest.fixture
def own_home(home: Settings, tmp_path: Path) -> Settings:
    """A copy of that home without any report."""
    settings = copied(home, tmp_path / "home")
    shutil.rmtree(reports_folder(settings), ignore_errors=True)
    return settings


def rows_of_members(settings: Settings, names: tuple[str, ...]) -> pl.DataFrame:
    """Return all rows at once, cut to the universe span by span."""
    alpha158, own = (factor_dataset(settings, name).read() for name in ("alpha158", "custom"))
    rows = alpha158.join(own, on=["instrument", "date"]).select("instrument", "date", *names)
    spans = [
        (pl.col("instrument") == code) & pl.col("date").is_between(start, end)
        for code, start, end in universe_spans()
    ]
    return rows.filter(pl.any_horizontal(spans))


def test_report_is_the_analysis_of_the_universes_rows_of_all_sets(own_home: Settings) -> None:
    progress = Recorder()
    record = build_report(own_home, SCOPE, progress=progress)
    bars, rows = bars_dataset(own_home).read(), rows_of_members(own_home, FEW)
    for last, found in ((None, record.analysis), (TRAINING_END, record.training)):
        assert found is not None
        expected = analyse(rows, bars, rules=found.rules, last=last)
        assert found.factors == list(FEW)
        assert (found.first, found.last) == (expected.first, expected.last)
        for table in ("summary", "daily", "decay", "quantiles", "yearly", "correlation"):
            assert_frame_equal(getattr(found, table), getattr(expected, table))
    assert record.analysis.last == DAYS[-1]
    assert progress.reports[-1][0] == 250
    assert max(step for step, _ in progress.reports) == len(DAYS)


def test_record_says_what_the_report_was_made_from(home: Settings) -> None:
    record = build_report(home, SCOPE)
    assert record.folder == reports_folder(home) / record.digest
    assert record.snapshot == snapshot_digest(home)
    assert sorted(record.rows) == ["alpha158", "custom"]
    codes = {name: set() for name in record.rows}
    for name, found in codes.items():
        found |= {info.code for info in factor_dataset(home, name).infos().values()}
    assert {name: {code} for name, code in record.code_versions.items()} == codes
    assert (record.universe, record.source, record.simulated) == ("core", home.source_name, False)
    assert record.created_at.tzinfo is not None


def test_report_of_everything_has_every_defined_factor(home: Settings) -> None:
    record = build_report(home)
    assert len(record.analysis.factors) == 158 + len(OWN)
    assert record.analysis.factors[-2:] == list(OWN)
    assert (record.training, record.selection) == (None, None)


def test_selection_finds_the_planted_signal_in_the_training_period(home: Settings) -> None:
    record = build_report(home, SCOPE)
    assert record.selection is not None
    assert "BACK4" in record.selection.kept
    assert record.selection.last == TRAINING_END
    known = record.training and record.training.summary.filter(pl.col("factor") == "BACK4")
    assert known is not None
    assert known["rank_ic"].item() > 0.05


def test_nothing_after_the_training_period_reaches_the_selection(own_home: Settings) -> None:
    before = build_report(own_home, SCOPE)
    for place in (250, 260, 300):
        restate(own_home, "SH600000", DAYS[place], close=90.0)
    dataset = factor_dataset(own_home, "custom")
    months = [month for month in dataset.months() if month > f"{TRAINING_END:%Y-%m}"]
    code = build_report(own_home, SCOPE).code_versions["custom"]
    for month in months:
        dataset.write(
            month,
            dataset.read([month]).with_columns(-pl.col("BACK4")),
            inputs="others",
            code=code,
        )
    after = build_report(own_home, SCOPE)
    assert after.digest != before.digest
    assert not after.analysis.summary.equals(before.analysis.summary)
    assert before.training is not None
    assert after.training is not None
    assert_frame_equal(after.training.summary, before.training.summary)
    assert after.selection == before.selection


def test_report_that_is_up_to_date_is_not_made_again(own_home: Settings) -> None:
    first = build_report(own_home, SCOPE, clock=FrozenClock(1))
    progress = Recorder()
    again = build_report(own_home, SCOPE, clock=FrozenClock(2), progress=progress)
    assert again.created_at == first.created_at == datetime(2026, 1, 2, 3, 1, tzinfo=UTC)
    assert progress.reports == []
    assert_frame_equal(again.analysis.summary, first.analysis.summary)
    assert is_current(own_home, again)


def test_report_up_to_a_day_knows_no_later_one_and_is_its_own_training_period(
    home: Settings,
) -> None:
    record = build_report(home, replace(SCOPE, until=DAYS[199]))
    assert record.analysis.last == DAYS[199]
    assert record.selection is not None
    assert record.selection.last == DAYS[199]
    assert not (record.folder / "training").exists()


def _restated_bar(settings: Settings) -> Settings:
    restate(settings, "SH600000", DAYS[100], close=30.0)
    return settings


def _restated_factor(settings: Settings) -> Settings:
    dataset = factor_dataset(settings, "alpha158")
    rows = dataset.read(["2019-05"]).with_columns(pl.col("KMID") + 1)
    dataset.write("2019-05", rows, inputs="", code="")
    return settings


def _other_universe(settings: Settings) -> Settings:
    return replace(settings, universe=UniverseSettings(name="all"))


def _other_rules(settings: Settings) -> Settings:
    return replace(settings, factor_report=FactorReportSettings(quantiles=4))


def _other_selection(settings: Settings) -> Settings:
    return replace(settings, factor_report=FactorReportSettings(most_correlation=0.5))


@pytest.mark.parametrize(
    "change",
    [_restated_bar, _restated_factor, _other_universe, _other_rules, _other_selection],
)
def test_change_of_anything_it_is_made_from_makes_another_report(
    own_home: Settings, change: object
) -> None:
    record = build_report(own_home, SCOPE)
    assert callable(change)
    changed = change(own_home)
    assert not is_current(changed, record)
    assert current_report(changed, SCOPE) is None


def test_newest_report_of_a_scope_is_loaded(own_home: Settings) -> None:
    assert load_report(own_home, SCOPE) is None
    build_report(own_home, SCOPE)
    one = Scope(("KMID",))
    build_report(own_home, one)
    restate(own_home, "SH600000", DAYS[100], close=30.0)
    newer = build_report(own_home, SCOPE)
    found = load_report(own_home, Scope(FEW))
    assert found is not None
    assert found.digest == newer.digest
    assert found.scope == SCOPE
    assert_frame_equal(found.analysis.decay, newer.analysis.decay)
    assert load_report(own_home) is None
    other = load_report(own_home, one)
    assert other is not None
    assert other.analysis.factors == ["KMID"]


def test_newest_six_are_kept(own_home: Settings) -> None:
    for place in range(8):
        build_report(own_home, Scope(("KMID",), DAYS[100 + place]))
    kept = sorted(path.name for path in reports_folder(own_home).iterdir())
    assert len(kept) == 6
    newest = load_report(own_home, Scope(("KMID",), DAYS[107]))
    assert newest is not None
    assert newest.digest in kept


@pytest.mark.parametrize("file", ["report.json", "analysis/summary.parquet", "training"])
def test_damaged_report_is_an_error_to_read_and_made_again(own_home: Settings, file: str) -> None:
    record = build_report(own_home, SCOPE)
    path = record.folder / file
    if path.is_dir():
        (path / "analysis.json").write_text("{")
    else:
        path.write_bytes(b"{}")
    with pytest.raises(FactorError, match=str(record.folder)):
        load_report(own_home, SCOPE)
    again = build_report(own_home, SCOPE)
    assert_frame_equal(again.analysis.summary, record.analysis.summary)


def test_work_that_ends_in_the_middle_leaves_nothing(
    own_home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk is full")

    monkeypatch.setattr(module, "write_json", fail)
    with pytest.raises(OSError, match="disk is full"):
        build_report(own_home, SCOPE)
    assert list(reports_folder(own_home).iterdir()) == []


def test_month_that_is_written_meanwhile_is_in_the_report(
    own_home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The digest names what was read: rows that changed in between are read again."""
    real, changes = module.analyse, [_restated_factor]

    def analysed_while_written(*args: object, **options: object) -> object:
        found = real(*args, **options)  # type: ignore[arg-type]
        if changes:
            changes.pop()(own_home)
        return found

    monkeypatch.setattr(module, "analyse", analysed_while_written)
    record = build_report(own_home, SCOPE)
    monkeypatch.undo()
    assert is_current(own_home, record)
    expected = analyse(rows_of_members(own_home, FEW), bars_dataset(own_home).read())
    assert_frame_equal(record.analysis.summary, expected.summary)


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        (("KMIDD",), "unknown factor 'KMIDD'; did you mean 'KMID'"),
        (("back4",), "unknown factor 'back4'; did you mean 'BACK4'|unknown factor 'back4'"),
        ((), "no factor was named"),
    ],
)
def test_factor_that_is_not_there_is_refused(
    home: Settings, factors: tuple[str, ...], message: str
) -> None:
    with pytest.raises(FactorError, match=message):
        build_report(home, Scope(factors))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"horizon_days": 30}, "horizon_days: was 30, must be one of 1, 2"),
        ({"quantiles": 1}, "quantiles: was 1, must be from 2 to 100"),
        ({"false_discovery": "fdr"}, "false_discovery: was 'fdr', must be fdr_bh or fdr_by"),
        ({"most_q_value": 0.0}, r"most_q_value: was 0.0, must be in \(0, 1\]"),
        ({"most_factors": 0}, "most_factors: was 0, must be at least 1"),
    ],
)
def test_rules_that_cannot_be_are_refused_before_anything_is_computed(
    home: Settings, change: dict[str, object], message: str
) -> None:
    settings = replace(home, factor_report=replace(home.factor_report, **change))  # type: ignore[arg-type]
    with pytest.raises(FactorError, match=message):
        build_report(settings, SCOPE)


def test_rows_that_are_not_stored_are_named(own_home: Settings) -> None:
    dataset = factor_dataset(own_home, "custom")
    dataset.remove("2019-05")
    with pytest.raises(
        DatasetMissingError, match="custom_factors: no data for 2019-05; materialize custom"
    ):
        build_report(own_home, SCOPE)
    for month in dataset.months():
        dataset.remove(month)
    with pytest.raises(DatasetMissingError, match="materialize custom_factors first"):
        build_report(own_home, SCOPE)
    assert build_report(own_home, Scope(("KMID",))).analysis.factors == ["KMID"]


def test_rows_of_an_earlier_definition_are_refused(own_home: Settings) -> None:
    changed = replace(own_home, factors={**OWN, "BACK4": "1-$close/Ref($close,3)"})
    with pytest.raises(
        FactorError, match=r"custom_factors: \d+ months, the first 2019-01, are of other definit"
    ):
        build_report(changed, SCOPE)


def test_home_without_bars_or_rows_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(QlopsError, match="materialize alpha158_factors first"):
        build_report(Settings(home=tmp_path))
    assert load_report(Settings(home=tmp_path)) is None


def test_until_before_the_first_day_is_refused(home: Settings) -> None:
    with pytest.raises(FactorError, match="has no row up to 2001-01-01"):
        build_report(home, Scope(("KMID",), date(2001, 1, 1)))


def test_table_gives_columns_in_the_order_asked_for_whichever_set_holds_them(
    home: Settings,
) -> None:
    table = FactorTable(home, ["SPREAD", "KMID", "BACK4"])
    rows = table.read("2019-05")
    assert rows.columns == ["instrument", "date", "SPREAD", "KMID", "BACK4"]
    for name, part in (("SPREAD", "custom"), ("KMID", "alpha158")):
        stored = factor_dataset(home, part).read(["2019-05"], columns=[name])
        assert_frame_equal(rows.select("instrument", "date", name), stored)
    assert table.read("2019-05", columns=[]).columns == ["instrument", "date"]
    assert table.read("2019-05", columns=["KMID"]).columns == ["instrument", "date", "KMID"]


def test_table_refuses_sets_whose_rows_differ(own_home: Settings) -> None:
    dataset = factor_dataset(own_home, "custom")
    info = dataset.info("2019-05")
    assert info is not None
    dataset.write("2019-05", dataset.read(["2019-05"])[1:], inputs=info.inputs, code=info.code)
    table = FactorTable(own_home, ["KMID", "BACK4"])
    with pytest.raises(QlopsError, match=r"they share \d+; materialize both of this month"):
        table.read("2019-05")
