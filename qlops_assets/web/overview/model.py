"""The newest evaluated model version."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from qlops_assets.core.atomic import read_json
from qlops_assets.core.settings import Settings
from qlops_assets.registry.registry import ModelCard
from qlops_assets.registry.states import ModelState
from qlops_assets.web.models.equity import equity_extent
from qlops_assets.web.models.folders import EQUITY, EVALUATION, REPORT, TRAINING_SET, model_file


@dataclass(frozen=True, slots=True)
class MetricRow:
    """How a metric is shown: its name, its form (``number`` or ``percent``), what it means."""

    key: str
    label: str
    form: str
    meaning: str


SIGNAL: Final = (
    MetricRow("ic", "IC", "number", "mean daily Pearson correlation of score and return"),
    MetricRow("icir", "ICIR", "number", "mean daily IC over its standard deviation"),
    MetricRow("rank_ic", "Rank IC", "number", "mean daily Spearman correlation"),
    MetricRow("rank_icir", "Rank ICIR", "number", "mean daily Rank IC over its deviation"),
    MetricRow("long_short", "Long-short", "percent", "a year; best fifth less worst, halved"),
)
PORTFOLIO: Final = (
    MetricRow("excess_return_with_cost", "Excess return", "percent", "a year, after cost"),
    MetricRow("excess_return_without_cost", "Excess before cost", "percent", "a year"),
    MetricRow("information_ratio", "Information ratio", "ratio", "of the excess after cost"),
    MetricRow("max_drawdown", "Max drawdown", "percent", "of the cumulated excess"),
)


_UNTRAINED: Final = (ModelState.TRAINING, ModelState.FAILED, ModelState.CANCELLED)


def latest_model(settings: Settings, cards: Sequence[ModelCard]) -> dict[str, Any] | None:
    """Return the newest version that has metrics, else the newest that was trained, else None."""
    candidates = [card for card in cards if "metrics" in card.facts] or [
        card for card in cards if card.state not in _UNTRAINED
    ]
    return _document(settings, candidates[-1]) if candidates else None


def _document(settings: Settings, card: ModelCard) -> dict[str, Any]:
    equity = model_file(settings, card.version, EQUITY)
    report = model_file(settings, card.version, REPORT)
    evaluation = _json_file(settings, card.version, EVALUATION)
    backtest = _backtest(evaluation.get("backtest") or {}, equity)
    metrics: Mapping[str, Any] = card.facts.get("metrics") or {}
    return {
        **card.to_json(),
        "metrics": dict(metrics),
        "valid_metrics": evaluation.get("valid") or {},
        "intervals": _intervals(metrics, backtest["days"]),
        "backtest": backtest,
        "training_set": _training_set(_json_file(settings, card.version, TRAINING_SET)),
        "equity_url": f"/api/models/{card.version}/equity" if equity else None,
        "report_url": f"/reports/{card.version}" if report else None,
    }


def _json_file(settings: Settings, version: str, name: str) -> Mapping[str, Any]:
    path = model_file(settings, version, name)
    value = read_json(path) if path else None
    return value if isinstance(value, dict) else {}


def _backtest(judged: Mapping[str, Any], equity: Path | None) -> dict[str, Any]:
    shown = ("days", "strategy", "topk", "n_drop", "benchmark", "turnover")
    extent = equity_extent(equity) if equity else {"first_date": None, "last_date": None}
    return {**{name: judged.get(name) for name in shown}, **extent}


def _training_set(document: Mapping[str, Any]) -> dict[str, Any]:
    shown = ("model", "universe", "benchmark", "source", "simulated", "features", "instruments")
    return {name: document.get(name) for name in (*shown, "segments", "rows")}


def _intervals(metrics: Mapping[str, Any], days: int | None) -> dict[str, float | None]:
    """Half widths of the 95 % intervals of mean IC and mean Rank IC.

    The daily IC's standard deviation is IC / ICIR, so its mean over n days is known to within
    1.96 × (IC / ICIR) / √n where days are independent.
    """
    widths: dict[str, float | None] = {"ic": None, "rank_ic": None}
    for mean, ratio in (("ic", "icir"), ("rank_ic", "rank_icir")):
        value, scaled = metrics.get(mean), metrics.get(ratio)
        if value and scaled and days:
            widths[mean] = abs(1.96 * value / scaled / days**0.5)
    return widths
