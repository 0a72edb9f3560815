"""A selection finds what was planted, refuses noise and echoes, and says why."""

import json
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from qlops_assets.core.errors import FactorError
from qlops_assets.factors.analysis.analysis import FactorAnalysis, analyse
from qlops_assets.factors.analysis.rules import AnalysisRules
from qlops_assets.factors.analysis.selection import Decision, SelectionRules, select
from qlops_assets_tests.support.factor_frames import (
    as_rows,
    factor_frame,
    random_bars,
    random_factors,
)

DAYS, NAMES, NOISE = 300, 50, 200
RULES = AnalysisRules(horizons=(1,), correlation_days=20)


def planted_market() -> tuple[pl.DataFrame, dict[str, np.ndarray]]:
    """Return bars whose returns three factors foretell, and those factors.

    ``good`` foretells the return of day t+1 to t+2 on day t, ``other`` does so by half as much,
    ``late`` is the return that has just been. All have a gap.
    """
    rng = np.random.default_rng(8)
    good, other = rng.normal(size=(2, DAYS, NAMES))
    moves = rng.normal(0.0, 0.02, (DAYS, NAMES))
    moves[2:] += 0.004 * good[:-2] + 0.003 * other[:-2]
    factors = {"good": good, "other": other, "late": moves}
    for values in factors.values():
        values[rng.random(values.shape) < 0.05] = np.nan
    closes = 10.0 * np.exp(np.cumsum(np.nan_to_num(moves), axis=0))
    return as_rows(closes, "close"), factors


@pytest.fixture(scope="module")
def analysis() -> FactorAnalysis:
    bars, planted = planted_market()
    rng = np.random.default_rng(10)
    echo = -planted["good"] + rng.normal(0.0, 0.2, (DAYS, NAMES))
    scarce = np.where(rng.random((DAYS, NAMES)) < 0.6, np.nan, planted["good"])
    fickle = planted["good"] * np.where(np.arange(DAYS) < DAYS * 0.86, 1.0, -1.0)[:, None]
    columns = planted | {"echo": echo, "scarce": scarce, "fickle": fickle}
    columns |= {"empty": np.full((DAYS, NAMES), np.nan), "constant": np.ones((DAYS, NAMES))}
    noise = random_factors(DAYS, NAMES, NOISE, missing=0.02).drop("instrument", "date")
    return analyse(factor_frame(columns).hstack(noise), bars, rules=RULES)


def decisions(analysis: FactorAnalysis, **rules: Any) -> dict[str, Decision]:
    return {d.factor: d for d in select(analysis, SelectionRules(**rules)).decisions}


def test_selection_keeps_what_was_planted_and_refuses_nearly_all_noise(
    analysis: FactorAnalysis,
) -> None:
    selection = select(analysis)
    assert selection.kept[:2] == ["good", "other"]
    assert "late" not in selection.kept
    noise = [d for d in selection.decisions if d.factor.startswith("F")]
    assert len(noise) == NOISE
    # At a false discovery rate of 5 % among some six true factors, more than two would be bad luck.
    assert sum(d.kept for d in noise) <= 2
    assert {d.rule for d in noise if not d.kept} == {"effect"}


def test_selection_without_control_of_false_discoveries_would_have_kept_noise(
    analysis: FactorAnalysis,
) -> None:
    p_values = analysis.summary.filter(pl.col("factor").str.starts_with("F"))["rank_ic_p"]
    assert 3 <= (p_values <= 0.05).sum() <= 20


def test_selection_of_two_nearly_equal_factors_keeps_the_stronger(
    analysis: FactorAnalysis,
) -> None:
    echo = decisions(analysis)["echo"]
    assert (echo.kept, echo.rule) == (False, "redundancy")
    rho = analysis.correlation.filter(pl.col("factor") == "echo")["good"][0]
    assert rho < -0.95
    assert f"|rank correlation| with good, which is stronger, is {-rho:.3f}" in echo.reason
    rows = {row["factor"]: row for row in analysis.summary.iter_rows(named=True)}
    assert rows["echo"]["cluster"] == rows["good"]["cluster"] != rows["other"]["cluster"]
    assert (rows["good"]["representative"], rows["echo"]["representative"]) == (True, False)


def test_selection_by_cluster_keeps_one_of_each(analysis: FactorAnalysis) -> None:
    echo = decisions(analysis, most_correlation=1.0, one_per_cluster=True)["echo"]
    assert (echo.kept, echo.rule) == (False, "redundancy")
    assert "good, which is stronger, is kept of cluster" in echo.reason
    assert decisions(analysis, most_correlation=1.0)["echo"].kept


def test_selection_refuses_by_the_first_rule_that_fails_with_its_number(
    analysis: FactorAnalysis,
) -> None:
    found = decisions(analysis)
    assert found["empty"].reason == "it has no value (0 days have a Rank IC)"
    assert found["constant"].reason == "on no day two names differ (0 days have a Rank IC)"
    assert found["scarce"].rule == "coverage"
    coverage = analysis.summary.filter(pl.col("factor") == "scarce")["coverage"][0]
    assert found["scarce"].reason == f"coverage is {coverage:.4g}, must be at least 0.5"
    assert found["scarce"].numbers["coverage"] == coverage
    assert found["late"].rule == "effect"
    assert found["late"].reason.endswith("must be at most 0.05")
    assert found["fickle"].rule == "stability"
    assert found["fickle"].reason == "share of years of one sign is 0.5, must be at least 0.6"
    assert found["good"].reason.startswith("Rank IC 0.1")


def test_selection_of_at_most_one_keeps_the_strongest(analysis: FactorAnalysis) -> None:
    selection = select(analysis, SelectionRules(most_factors=1))
    assert selection.kept == ["good"]
    refused = {d.factor: d for d in selection.decisions}["other"]
    assert (refused.rule, refused.reason) == (
        "count",
        "the 1 strongest are kept already, and no more may be",
    )


def test_selection_by_least_rank_ic_refuses_weak_factors(analysis: FactorAnalysis) -> None:
    assert decisions(analysis, least_rank_ic=0.15)["other"].rule == "effect"
    assert decisions(analysis, least_rank_ic=0.15)["good"].kept


def test_selection_for_a_training_that_ends_before_the_analysis_is_refused(
    analysis: FactorAnalysis,
) -> None:
    assert select(analysis, until=analysis.last).last == analysis.last
    with pytest.raises(FactorError, match="has seen bars up to"):
        select(analysis, until=analysis.last - timedelta(days=1))


def test_selection_until_a_day_does_not_change_with_what_comes_after() -> None:
    bars, planted = planted_market()
    factors = factor_frame(planted)
    until = bars["date"].unique().sort()[200]
    assert isinstance(until, date)
    later = pl.col("date") > until
    others = bars.with_columns(close=pl.when(later).then(1.0).otherwise(pl.col("close")))
    changed = factors.with_columns(
        pl.when(later).then(-pl.col(name)).otherwise(pl.col(name)).alias(name) for name in planted
    )
    told = analyse(factors, bars, rules=RULES, last=until)
    blind = analyse(changed, others, rules=RULES, last=until)
    ended = analyse(factors.filter(~later), bars.filter(~later), rules=RULES)
    for other in (blind, ended):
        assert other.to_document() == told.to_document()
        assert other.daily.equals(told.daily)
        assert other.correlation.equals(told.correlation)
    assert told.last == until
    last_known = told.daily.drop_nulls("ic")["date"].max()
    assert last_known == bars["date"].unique().sort()[198]  # bought on 199, sold on 200
    assert select(told, until=until).kept == select(blind, until=until).kept == ["good", "other"]


def test_selection_document_is_plain_json_with_a_decision_for_every_factor(
    analysis: FactorAnalysis,
) -> None:
    selection = select(analysis)
    document = json.loads(json.dumps(selection.to_document(), allow_nan=False))
    assert document["kept"] == selection.kept
    assert [d["factor"] for d in document["decisions"]] == analysis.factors
    assert document["rules"]["most_q_value"] == 0.05
    assert document["last"] == analysis.last.isoformat()
    assert document["decisions"][0]["numbers"]["rank_ic"] > 0.1


def test_selection_of_factors_that_were_never_compared_keeps_both() -> None:
    bars, planted = planted_market()
    found = analyse(factor_frame(planted), bars, rules=RULES)
    unknown = found.correlation.with_columns(pl.lit(None, pl.Float64).alias("good"))
    assert "other" in select(replace(found, correlation=unknown)).kept


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ("most_q_value", 0.0),
        ("most_correlation", 1.5),
        ("least_coverage", -0.1),
        ("least_sign_stability", 2.0),
        ("most_factors", 0),
    ],
)
def test_selection_rule_out_of_range_is_refused_with_its_range(rule: str, value: float) -> None:
    with pytest.raises(FactorError, match=f"{rule}: was {value}, must be"):
        SelectionRules(**{rule: value})


def test_analysis_of_a_long_horizon_is_not_fooled_by_overlapping_returns() -> None:
    # Returns of 20 days overlap: noise that changes slowly has long runs of one sign. Errors that
    # ignore this make dozens of 60 such factors look certain.
    days, names = 400, 20
    rng = np.random.default_rng(21)
    slow = np.cumsum(rng.normal(size=(60, days, names)), axis=1)
    factors = factor_frame({f"S{number}": values for number, values in enumerate(slow)})
    rules = AnalysisRules(horizon_days=20, horizons=(20,), correlation_days=1)
    summary = analyse(factors, random_bars(days, names), rules=rules).summary
    naive = summary["rank_icir"].abs() * np.sqrt(summary["days"])
    assert (naive > 3).sum() > 20
    assert (summary["rank_ic_t"].abs() > 3).sum() <= 2
