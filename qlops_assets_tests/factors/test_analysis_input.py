"""Poor factors get flags, wrong frames get errors, and how frames come changes nothing."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from qlops_assets.core.errors import FactorError
from qlops_assets.factors.analysis import blocks
from qlops_assets.factors.analysis.analysis import FactorAnalysis, analyse
from qlops_assets.factors.analysis.returns import forward_returns
from qlops_assets.factors.analysis.rules import AnalysisRules
from qlops_assets_tests.support.factor_frames import (
    codes_of,
    factor_frame,
    random_bars,
    random_factors,
)

DAYS, NAMES = 66, 20
RULES = AnalysisRules(horizons=(1, 3), correlation_days=10)
BARS = random_bars(DAYS, NAMES, halted=0.05)
FACTORS = random_factors(DAYS, NAMES, 4, missing=0.1)
CALENDAR = BARS["date"].unique().sort().to_list()
MEMBERS = BARS.select("instrument", "date").filter(
    (pl.col("instrument") < "SH600015") | (pl.col("date") < CALENDAR[30])
)


def flags_of(columns: dict[str, np.ndarray], bars: pl.DataFrame = BARS) -> dict[str, list[str]]:
    summary = analyse(factor_frame(columns), bars, rules=RULES).summary
    return dict(summary.select("factor", "flags").rows())


def same(one: FactorAnalysis, other: FactorAnalysis) -> bool:
    tables = ("summary", "daily", "decay", "quantiles", "yearly", "correlation")
    return all(getattr(one, table).equals(getattr(other, table)) for table in tables)


def by_month(frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
    months = frame.sort("date", "instrument").with_columns(month=pl.col("date").dt.month())
    yield from months.partition_by("month", include_key=False, maintain_order=True)


@pytest.mark.parametrize("members", [None, MEMBERS])
def test_months_one_after_the_other_give_what_the_whole_gives(members: pl.DataFrame | None) -> None:
    whole = analyse(FACTORS, BARS, rules=RULES, members=members)
    months = analyse(by_month(FACTORS), BARS, rules=RULES, members=members)
    assert same(whole, months)
    assert (whole.first, whole.last) == (months.first, months.last)


def test_small_blocks_give_what_large_ones_give(monkeypatch: pytest.MonkeyPatch) -> None:
    large = analyse(FACTORS, BARS, rules=RULES)
    monkeypatch.setattr(blocks, "CELLS", 4 * NAMES * 7)
    small = analyse(FACTORS.sample(fraction=1.0, shuffle=True, seed=3), BARS, rules=RULES)
    assert same(large, small)
    monkeypatch.setattr(blocks, "CELLS", 1)
    assert same(large, analyse(FACTORS, BARS, rules=RULES))


def test_members_are_the_only_rows_that_count() -> None:
    found = analyse(FACTORS, BARS, rules=RULES, members=MEMBERS)
    inside = FACTORS.join(MEMBERS, on=["instrument", "date"], how="semi")
    assert same(found, analyse(inside, BARS, rules=RULES))
    absent = inside.filter(pl.col("date") != CALENDAR[5])
    coverage = inside["F0"].is_not_nan().sum() / inside.height
    assert found.summary["coverage"][0] == pytest.approx(coverage)
    fewer = analyse(absent, BARS, rules=RULES, members=MEMBERS).summary["coverage"][0]
    assert fewer == pytest.approx(absent["F0"].is_not_nan().sum() / MEMBERS.height)


def test_first_and_last_are_what_was_asked_for() -> None:
    first, last = CALENDAR[10], CALENDAR[50]
    found = analyse(FACTORS, BARS, rules=RULES, first=first, last=last)
    assert (found.first, found.last) == (first, last)
    inside = pl.col("date").is_between(first, last)
    until = BARS.filter(pl.col("date") <= last)
    assert same(found, analyse(FACTORS.filter(inside), until, rules=RULES))
    assert found.daily["date"].unique().sort().to_list() == CALENDAR[10:51]


def test_names_choose_factors() -> None:
    some = analyse(FACTORS, BARS, rules=RULES, names=["F2", "F0"])
    assert some.factors == ["F2", "F0"]
    whole = analyse(FACTORS, BARS, rules=RULES)
    kept = whole.daily.filter(pl.col("factor") == "F2")
    assert some.daily.filter(pl.col("factor") == "F2").equals(kept)


def test_flags_say_what_is_wrong_with_a_factor() -> None:
    plain = np.random.default_rng(1).normal(size=(DAYS, NAMES))
    scarce = np.where(np.arange(NAMES) < NAMES / 2 + 1, np.nan, plain)
    infinite = plain.copy()
    infinite[3, 4] = np.inf
    by_day = np.broadcast_to(np.arange(DAYS)[:, None], plain.shape)
    short = np.where(np.arange(DAYS)[:, None] < 15, plain, np.nan)
    assert flags_of(
        {
            "plain": plain,
            "nothing": np.full(plain.shape, np.nan),
            "same": np.ones(plain.shape),
            "by_day": by_day,
            "scarce": scarce,
            "infinite": infinite,
            "tied": np.sign(plain),
            "short": short,
        }
    ) == {
        "plain": [],
        "nothing": ["empty", "mostly_missing", "few_days"],
        "same": ["constant", "few_days"],
        "by_day": ["constant", "few_days"],
        "scarce": ["mostly_missing"],
        "infinite": ["infinite"],
        "tied": ["tied"],
        "short": ["mostly_missing", "few_days"],
    }


def test_figures_of_an_empty_factor_are_missing_never_a_number() -> None:
    found = analyse(factor_frame({"nothing": np.full((DAYS, NAMES), np.nan)}), BARS, rules=RULES)
    row = found.summary.row(0, named=True)
    known = {"factor", "days", "coverage", "covered_days", "cluster", "representative", "flags"}
    assert {key for key, value in row.items() if value is not None} == known
    assert (row["days"], row["coverage"], row["covered_days"]) == (0, 0.0, 0.0)
    assert found.quantiles["mean_return"].null_count() == 5


def test_coverage_counts_rows_and_days_with_enough_names() -> None:
    values = np.ones((DAYS, NAMES))
    values[:11, 9:] = np.nan  # nine names are one less than enough
    summary = analyse(factor_frame({"F": values}), BARS, rules=RULES).summary
    assert summary["coverage"][0] == pytest.approx(1 - 11 * 11 / (DAYS * NAMES))
    assert summary["covered_days"][0] == pytest.approx(55 / 66)


@pytest.mark.parametrize("days", [1, 2, 3])
def test_a_history_of_few_days_has_flags_and_no_p_value(days: int) -> None:
    until = CALENDAR[days - 1]
    found = analyse(FACTORS, BARS, rules=RULES, last=until)
    row = found.summary.row(0, named=True)
    assert row["days"] == max(0, days - 2)  # bought on the next day, sold on the one after
    assert (row["rank_ic_p"], row["sign_stability"]) == (None, None)
    assert row["flags"] == ["few_days"]
    assert found.daily.height == 4 * days


def test_days_with_one_instrument_have_no_figure() -> None:
    one = pl.col("instrument") == codes_of(1)[0]
    lonely = FACTORS.filter((pl.col("date") >= CALENDAR[20]) | one)
    found = analyse(lonely, BARS, rules=RULES).daily
    early = found.filter(pl.col("date") < CALENDAR[20])
    assert early.height == 4 * 20
    assert early["ic"].null_count() == early["rank_ic"].null_count() == early.height
    assert found.height == 4 * DAYS


def test_rows_of_instruments_without_bars_may_come_in_any_order() -> None:
    strangers = FACTORS.with_columns(instrument="XX" + pl.col("instrument"))
    found = analyse(pl.concat([strangers, FACTORS]), BARS, rules=RULES)
    assert same(found, analyse(pl.concat([FACTORS, strangers]), BARS, rules=RULES))
    assert found.daily["ic"].count() == analyse(FACTORS, BARS, rules=RULES).daily["ic"].count()


def test_instruments_without_bars_or_without_factors_change_coverage_alone() -> None:
    stranger = FACTORS.filter(pl.col("instrument") == codes_of(1)[0])
    stranger = stranger.with_columns(instrument=pl.lit("XX999999"))
    more_bars = random_bars(DAYS, 1, seed=4).with_columns(instrument=pl.lit("AA000001"))
    found = analyse(
        pl.concat([FACTORS, stranger]), pl.concat([more_bars, BARS], how="diagonal"), rules=RULES
    )
    plain = analyse(FACTORS, BARS, rules=RULES)
    for table in ("daily", "decay", "quantiles"):
        assert_frame_equal(getattr(found, table), getattr(plain, table), abs_tol=1e-14)
    assert found.summary["coverage"][0] != plain.summary["coverage"][0]


@pytest.mark.parametrize("kind", [pl.Categorical, pl.Enum(codes_of(NAMES))])
def test_instruments_may_be_categories(kind: Any) -> None:
    cast = pl.col("instrument").cast(kind)
    found = analyse(FACTORS.with_columns(cast), BARS.with_columns(cast), rules=RULES)
    assert same(found, analyse(FACTORS, BARS, rules=RULES))


def test_null_is_missing_as_nan_is_and_whole_numbers_are_numbers() -> None:
    nulls = FACTORS.with_columns(pl.exclude("instrument", "date").fill_nan(None))
    assert same(analyse(nulls, BARS, rules=RULES), analyse(FACTORS, BARS, rules=RULES))
    whole = FACTORS.with_columns(F0=pl.col("F1").fill_nan(0).round().cast(pl.Int16))
    assert analyse(whole, BARS, rules=RULES).summary["coverage"][0] == 1.0


class Reports:
    """Progress that remembers."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, int, int | None]] = []

    def report(self, stage: str, step: int, total: int | None, metrics: Any = None) -> None:
        self.steps.append((stage, step, total))


def test_progress_tells_days_up_to_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "CELLS", 4 * NAMES * 20)
    reports = Reports()
    analyse(FACTORS, BARS, rules=RULES, progress=reports)
    assert reports.steps == [("factor_analysis", done, DAYS) for done in (20, 40, 60, 66)]


def refused(found: str, factors: Any = FACTORS, bars: pl.DataFrame = BARS, **options: Any) -> None:
    with pytest.raises(FactorError, match=found):
        analyse(factors, bars, rules=RULES, **options)


def test_unknown_factor_is_refused_with_the_nearest() -> None:
    refused(r"unknown factor 'F22'; did you mean 'F2'\? Known: F0, F1, F2, F3", names=["F22"])


def test_frames_that_are_none_of_factors_are_refused() -> None:
    refused("needs date too", FACTORS.drop("date"))
    refused("needs at least one, each once", FACTORS.select("instrument", "date"))
    refused("needs at least one, each once", names=["F0", "F0"])
    refused("factor 'F1': is String, must be numbers", FACTORS.with_columns(F1=pl.lit("x")))
    refused("date is String, must be a date", FACTORS.with_columns(pl.col("date").cast(pl.String)))
    refused("has no row", FACTORS.clear())
    refused("has no row", iter([]))
    doubled = pl.concat([FACTORS, FACTORS.filter(pl.col("date") == CALENDAR[7])])
    refused(f"SH600000 has two rows on {CALENDAR[7]}", doubled)


def test_frames_out_of_order_or_of_other_factors_are_refused() -> None:
    months = list(by_month(FACTORS))
    refused("give them in order of days", iter([months[1], months[0]]))
    by_instrument = FACTORS.partition_by("instrument")
    refused("each with all instruments of its days", iter(by_instrument))
    refused("all need the same", iter([months[0], months[1].drop("F1")]))


def test_bars_that_do_not_reach_are_refused() -> None:
    refused("bars frame: found columns .* needs close", bars=BARS.drop("close"))
    refused("bars frame: has no row", bars=BARS.clear())
    refused("up to 2000-01-01", last=date(2000, 1, 1))
    short = BARS.filter(pl.col("date") < CALENDAR[60])
    refused(f"has rows on {CALENDAR[60]}, on which no instrument has a bar", bars=short)


def test_nothing_to_analyse_is_refused() -> None:
    refused("first was .*, must not be after last", first=CALENDAR[9], last=CALENDAR[8])
    refused("has no row from", first=CALENDAR[-1] + timedelta(days=1))
    refused("members: found columns instrument; needs date too", members=BARS[["instrument"]])
    refused("none of its rows belongs to the universe", members=MEMBERS.clear())
    strangers = MEMBERS.with_columns(instrument=pl.lit("XX000000"))
    refused("none of its rows belongs to the universe", members=strangers)


@pytest.mark.parametrize(
    "rule",
    [
        {"horizons": ()},
        {"horizons": (2, 1)},
        {"horizons": (0, 1)},
        {"horizons": (1, 251)},
        {"horizon_days": 30},
        {"quantiles": 1},
        {"least_names": 0},
        {"correlation_days": 0},
        {"cluster_correlation": 1.2},
        {"false_discovery": "bonferroni"},
    ],
)
def test_rule_out_of_range_is_refused_by_name(rule: dict[str, Any]) -> None:
    with pytest.raises(FactorError, match=f"{next(iter(rule))}: was .*, must be"):
        AnalysisRules(**rule)


def test_forward_returns_of_no_day_ahead_are_refused() -> None:
    with pytest.raises(FactorError, match="at least 1 day"):
        forward_returns(BARS, [1, 0])


def test_analysis_is_imported_without_what_it_computes_with() -> None:
    modules = ", ".join(
        f"qlops_assets.factors.analysis.{name}" for name in ("analysis", "selection", "files")
    )
    code = (
        f"import sys, {modules}; print([m for m in ('numba', 'scipy', 'statsmodels', 'pandas') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
