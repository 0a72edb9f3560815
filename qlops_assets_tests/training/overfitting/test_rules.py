from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from qlops_assets.core.errors import TrainingError
from qlops_assets.core.sections.overfitting import OverfittingSettings
from qlops_assets.training.overfitting.backtest_overfitting import backtest_overfitting
from qlops_assets.training.overfitting.deflated_sharpe import deflated_sharpe
from qlops_assets.training.overfitting.evidence import Evidence, Fit, gather_evidence
from qlops_assets.training.overfitting.ic_decay import IcDecay
from qlops_assets.training.overfitting.probabilistic_sharpe import probabilistic_sharpe
from qlops_assets.training.overfitting.rules import judge_overfitting
from qlops_assets.training.overfitting.sharpe import SharpeRatio
from qlops_assets.training.overfitting.trials import Trials
from qlops_assets.training.overfitting.verdict import Finding, Level, Verdict

DEFAULTS = OverfittingSettings()
RNG = np.random.default_rng(12)
GOOD = Fit(
    curves={"train.l2": list(np.linspace(1, 0.97, 60)), "valid.l2": list(np.linspace(1, 0.99, 60))},
    best_iteration=60,
    valid_rank_ic=RNG.normal(0.05, 0.1, 250),
    test_rank_ic=RNG.normal(0.05, 0.1, 250),
    horizon_days=2,
    excess=RNG.normal(0.002, 0.01, 250),
)


def verdict_of(fit: Fit, trials: Trials | None = None, **changes: Any) -> Verdict:
    settings = replace(DEFAULTS, **changes)
    return judge_overfitting(gather_evidence(fit, settings, trials), settings)


def found(verdict: Verdict, rule: str) -> Finding:
    (finding,) = [finding for finding in verdict.findings if finding.rule == rule]
    return finding


def noise_trials(count: int = 20) -> Trials:
    return Trials.of_returns(np.random.default_rng(2).normal(0, 0.01, (count, 250)).tolist())


def test_model_that_holds_is_ok_and_every_rule_says_so() -> None:
    verdict = verdict_of(GOOD)
    assert verdict.level is Level.OK
    assert verdict.reasons == ()
    assert [finding.rule for finding in verdict.findings] == [
        "train_valid_gap",
        "valid_worsening",
        "best_iteration_share",
        "rank_ic_decay",
        "deflated_sharpe",
    ]
    assert all(finding.level is Level.OK for finding in verdict.findings)


def test_train_far_ahead_of_valid_is_suspicious_with_number_and_threshold() -> None:
    curves = {"train.l2": [1.0, 0.8], "valid.l2": [1.0, 1.0]}
    verdict = verdict_of(replace(GOOD, curves=curves, best_iteration=2))
    assert verdict.level is Level.SUSPICIOUS
    (reason,) = verdict.reasons
    assert (reason.rule, reason.threshold) == ("train_valid_gap", 0.1)
    assert reason.number == pytest.approx(0.2)
    assert verdict.text == "suspicious: train l2 is better than valid by 20.0%, above 0.1"


def test_what_was_seen_while_fitting_is_never_more_than_suspicious() -> None:
    curves = {"train.l2": [1.0, *[0.0] * 99], "valid.l2": [1.0, *np.linspace(5, 50, 99)]}
    verdict = verdict_of(replace(GOOD, curves=curves, best_iteration=2))
    assert [reason.rule for reason in verdict.reasons] == [
        "train_valid_gap",
        "valid_worsening",
        "best_iteration_share",
    ]
    assert verdict.level is Level.SUSPICIOUS


@pytest.mark.parametrize(
    ("test", "low", "level", "threshold"),
    [
        (0.04, 0.01, Level.OK, 0.3),  # a fifth is gone
        (0.03, 0.001, Level.SUSPICIOUS, 0.3),  # two fifths, certainly
        (0.03, -0.001, Level.OK, 0.3),  # two fifths, by chance perhaps
        (0.01, 0.001, Level.OVERFIT, 0.6),
        (0.01, -0.001, Level.OK, 0.3),
        (-0.05, 0.02, Level.OVERFIT, 0.6),
    ],
)
def test_decay_counts_by_its_share_and_only_where_it_is_certain(
    test: float, low: float, level: Level, threshold: float
) -> None:
    decay = IcDecay(0.05, test, 0.05 - test, low, 0.2, 0.95, (0.05 - test) / 0.05)
    evidence = Evidence(None, decay, None, 1, 0.0, None, None, None, None)
    verdict = judge_overfitting(evidence, DEFAULTS)
    assert verdict.level is level
    finding = found(verdict, "rank_ic_decay")
    assert (finding.number, finding.threshold) == (pytest.approx(decay.share), threshold)
    assert ("not certain" in finding.text) is (level is Level.OK and test < 0.04)


def test_lost_rank_ic_makes_a_fit_overfit() -> None:
    verdict = verdict_of(replace(GOOD, test_rank_ic=RNG.normal(0, 0.1, 250)))
    assert verdict.level is Level.OVERFIT
    assert verdict.reasons[0].rule == "rank_ic_decay"


def test_poor_ratio_of_a_single_training_is_suspicious_and_of_a_study_overfit() -> None:
    poor = replace(GOOD, excess=np.random.default_rng(3).normal(-0.001, 0.01, 250))
    assert found(verdict_of(poor), "deflated_sharpe").level is Level.SUSPICIOUS
    ratios = Trials((-0.1, 0.05, 0.1, 0.15))
    assert found(verdict_of(poor, ratios), "deflated_sharpe").level is Level.OVERFIT


def test_best_of_many_trials_without_worth_is_overfit() -> None:
    trials = noise_trials()
    assert trials.returns is not None
    best = trials.returns[:, int(np.argmax(trials.sharpe_ratios))]
    verdict = verdict_of(replace(GOOD, excess=best), trials, blocks_of_days=8)
    expected = backtest_overfitting(trials.returns, blocks=8).probability
    assert found(verdict, "backtest_overfitting").number == expected
    ratio = SharpeRatio.of(best)
    assert ratio is not None
    deflated = found(verdict, "deflated_sharpe")
    assert deflated.number == deflated_sharpe(ratio, trials=20, variance=trials.variance)
    assert deflated.number < probabilistic_sharpe(ratio)
    assert deflated.level is not Level.OK


def test_worst_reason_decides_and_comes_first() -> None:
    curves = {"train.l2": [1.0, 0.5], "valid.l2": [1.0, 1.0]}
    fit = replace(GOOD, curves=curves, best_iteration=2, test_rank_ic=RNG.normal(-0.05, 0.1, 250))
    verdict = verdict_of(fit)
    assert verdict.level is Level.OVERFIT
    assert [reason.rule for reason in verdict.reasons] == ["rank_ic_decay", "train_valid_gap"]


def test_measures_that_cannot_be_taken_are_none_and_give_no_finding() -> None:
    nothing = Fit({}, 1, np.array([np.nan]), np.array([0.1]), 2, np.zeros(9))
    evidence = gather_evidence(nothing, DEFAULTS)
    document = evidence.to_json()
    assert document.pop("trials") == 1
    assert document.pop("expected_maximum_sharpe") == 0.0
    assert set(document.values()) == {None}
    verdict = judge_overfitting(evidence, DEFAULTS)
    assert (verdict.level, verdict.findings) == (Level.OK, ())
    assert verdict.text == "ok: nothing could be measured"


def test_trials_of_ratios_alone_have_no_probability_of_backtest_overfitting() -> None:
    evidence = gather_evidence(GOOD, DEFAULTS, Trials((0.1, 0.2, 0.3)))
    assert evidence.choice is None
    assert evidence.trials == 3
    assert evidence.expected_maximum > 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"confidence": 1.0}, "confidence: was 1, must be between 0.5 and 1"),
        ({"last_iterations": 2}, "last_iterations: was 2, must be at least 3"),
        ({"blocks_of_days": 7}, "blocks_of_days: was 7, must be even and from 2 to 20"),
        ({"overfit_ic_decay": 0.1}, "overfit_ic_decay: was 0.1, must be at least suspicious_ic"),
        ({"overfit_deflated_sharpe": 1.0}, "overfit_deflated_sharpe: was 1, must be at most"),
        ({"overfit_pbo": 0.1}, "overfit_pbo: was 0.1, must be at least suspicious_pbo, 0.2"),
    ],
)
def test_settings_that_no_verdict_can_follow_are_refused(
    changes: dict[str, float], message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        judge_overfitting(gather_evidence(GOOD, DEFAULTS), replace(DEFAULTS, **changes))


@pytest.mark.parametrize(
    ("returns", "message"),
    [
        ([[0.1, 0.2, 0.3], [0.1, 0.2]], "each trial needs the same days"),
        ([[0.1, 0.2, float("nan")]], "not a finite number"),
        (
            [[0.1, 0.2, 0.3], [0.1, 0.1, 0.1]],
            "trial 1 has 3 returns that are too few or all the same",
        ),
        ([], "each trial needs the same days"),
    ],
)
def test_returns_that_are_no_trials_are_refused(returns: list[list[float]], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        Trials.of_returns(returns)


def test_trials_know_how_many_they_are_and_how_they_differ() -> None:
    trials = Trials((0.1, 0.3))
    assert (trials.count, trials.variance) == (2, pytest.approx(0.02))
    assert Trials((0.1,)).variance == 0.0
    with pytest.raises(TrainingError, match="at least one trial"):
        Trials(())
