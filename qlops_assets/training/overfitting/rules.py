"""The rules by which evidence becomes a verdict."""

from qlops_assets.core.errors import TrainingError
from qlops_assets.core.sections.overfitting import OverfittingSettings
from qlops_assets.training.overfitting.backtest_overfitting import MOST_BLOCKS
from qlops_assets.training.overfitting.evidence import Evidence
from qlops_assets.training.overfitting.verdict import ORDER, Finding, Level, Verdict


def judge_overfitting(evidence: Evidence, settings: OverfittingSettings) -> Verdict:
    """Return the verdict of ``[overfitting]`` on the evidence.

    What was seen while fitting (gap, worsening, best iteration) makes a model suspicious at most: a
    forest that knows its training days by heart may still be right about others. Days that it was
    not made on (decay, deflated Sharpe ratio, probability of backtest overfitting) can make it
    overfit.

    Raises:
        TrainingError: a threshold is out of range, or two of them are in the wrong order.
    """
    require_sensible(settings)
    found = [
        *_of_the_fit(evidence, settings),
        *_of_the_decay(evidence, settings),
        *_of_the_sharpe(evidence, settings),
        *_of_the_choice(evidence, settings),
    ]
    worst = max((finding.level for finding in found), key=ORDER.index, default=Level.OK)
    return Verdict(worst, tuple(found))


def require_sensible(settings: OverfittingSettings) -> None:
    """Refuse settings that no verdict can follow.

    Raises:
        TrainingError: a threshold is out of range, or two of them are in the wrong order.
    """
    blocks = settings.blocks_of_days
    accepted = {
        "confidence": (0.5 < settings.confidence < 1, "between 0.5 and 1"),
        "last_iterations": (settings.last_iterations >= 3, "at least 3"),
        "blocks_of_days": (
            blocks % 2 == 0 and 2 <= blocks <= MOST_BLOCKS,
            f"even and from 2 to {MOST_BLOCKS}",
        ),
        "overfit_ic_decay": (
            settings.overfit_ic_decay >= settings.suspicious_ic_decay,
            f"at least suspicious_ic_decay, {settings.suspicious_ic_decay:g}",
        ),
        "overfit_deflated_sharpe": (
            settings.overfit_deflated_sharpe <= settings.suspicious_deflated_sharpe,
            f"at most suspicious_deflated_sharpe, {settings.suspicious_deflated_sharpe:g}",
        ),
        "overfit_pbo": (
            settings.overfit_pbo >= settings.suspicious_pbo,
            f"at least suspicious_pbo, {settings.suspicious_pbo:g}",
        ),
    }
    for name, (is_sensible, must_be) in accepted.items():
        if not is_sensible:
            raise TrainingError(
                f"[overfitting] {name}: was {getattr(settings, name):g}, must be {must_be}"
            )


def _of_the_fit(evidence: Evidence, settings: OverfittingSettings) -> list[Finding]:
    curve, found = evidence.learning, []
    if curve is None:
        return []
    if curve.gap is not None:
        ahead = "better" if curve.gap > 0 else "worse"
        what = f"train {curve.metric} is {ahead} than valid by {abs(curve.gap):.1%}"
        found.append(_above("train_valid_gap", curve.gap, settings.most_gap, None, what))
    if curve.worsening is not None:
        turned = "worse" if curve.worsening > 0 else "better"
        what = (
            f"valid {curve.metric} got {turned} by {abs(curve.worsening):.1%} over the last "
            f"{curve.last_iterations} iterations"
        )
        found.append(
            _above("valid_worsening", curve.worsening, settings.most_worsening, None, what)
        )
    what = f"the best iteration is {curve.best_iteration} of {curve.iterations}"
    least = settings.least_best_share
    found.append(_below("best_iteration_share", curve.best_share, least, None, what))
    return found


def _of_the_decay(evidence: Evidence, settings: OverfittingSettings) -> list[Finding]:
    decay = evidence.decay
    if decay is None or decay.share is None:
        return []
    what = (
        f"Rank IC went from {decay.valid:.4f} on valid to {decay.test:.4f} on test, "
        f"a {'loss' if decay.share >= 0 else 'gain'} of {abs(decay.share):.0%} "
        f"({decay.confidence:.0%} interval of the loss "
        f"{decay.low:.4f} to {decay.high:.4f})"
    )
    suspicious, overfit = settings.suspicious_ic_decay, settings.overfit_ic_decay
    finding = _above("rank_ic_decay", decay.share, suspicious, overfit, what)
    if finding.level is not Level.OK and not decay.is_certain:
        text = f"{what}: not certain, the interval reaches 0"
        return [Finding(finding.rule, Level.OK, finding.number, suspicious, text)]
    return [finding]


def _of_the_sharpe(evidence: Evidence, settings: OverfittingSettings) -> list[Finding]:
    if evidence.deflated_sharpe is None or evidence.sharpe is None:
        return []
    several = evidence.trials > 1
    what = (
        f"deflated Sharpe ratio {evidence.deflated_sharpe:.3f} of {evidence.trials} "
        f"trial{'s' if several else ''} over {evidence.sharpe.days} days"
    )
    suspicious = settings.suspicious_deflated_sharpe
    overfit = settings.overfit_deflated_sharpe if several else None
    return [_below("deflated_sharpe", evidence.deflated_sharpe, suspicious, overfit, what)]


def _of_the_choice(evidence: Evidence, settings: OverfittingSettings) -> list[Finding]:
    choice = evidence.choice
    if choice is None:
        return []
    what = f"probability of backtest overfitting {choice.probability:.3f} of {choice.trials} trials"
    suspicious, overfit = settings.suspicious_pbo, settings.overfit_pbo
    return [_above("backtest_overfitting", choice.probability, suspicious, overfit, what)]


def _above(
    rule: str, number: float, suspicious: float, overfit: float | None, what: str
) -> Finding:
    """Find something where a number is above its thresholds; ``overfit`` is the higher one."""
    if overfit is not None and number > overfit:
        return Finding(rule, Level.OVERFIT, number, overfit, f"{what}, above {overfit:g}")
    if number > suspicious:
        return Finding(rule, Level.SUSPICIOUS, number, suspicious, f"{what}, above {suspicious:g}")
    return Finding(rule, Level.OK, number, suspicious, f"{what}, not above {suspicious:g}")


def _below(
    rule: str, number: float, suspicious: float, overfit: float | None, what: str
) -> Finding:
    """Find something where a number is below its thresholds; ``overfit`` is the lower one."""
    if overfit is not None and number < overfit:
        return Finding(rule, Level.OVERFIT, number, overfit, f"{what}, below {overfit:g}")
    if number < suspicious:
        return Finding(rule, Level.SUSPICIOUS, number, suspicious, f"{what}, below {suspicious:g}")
    return Finding(rule, Level.OK, number, suspicious, f"{what}, not below {suspicious:g}")
