import io
import json
import re
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from qlops_assets.core.atomic import read_json, write_json
from qlops_assets.core.errors import TrainingError
from qlops_assets.core.progress import Unreported
from qlops_assets.core.settings import Settings
from qlops_assets.training import evaluation as evaluation_module
from qlops_assets.training.evaluation import Evaluation, evaluate_model, judge
from qlops_assets.training.fit import library_versions, predictions_path
from qlops_assets.training.metrics import SignalMetrics
from qlops_assets.training.overfitting.trials import Trials
from qlops_assets.training.overfitting.verdict import Level
from qlops_assets_tests.support.market import copied, restate
from qlops_assets_tests.support.market_fixtures import Trained


@pytest.fixture(scope="module")
def document(trained: Trained) -> dict[str, Any]:
    found = read_json(trained.settings.models / trained.first / "evaluation.json")
    assert found is not None
    return dict(found)


@pytest.fixture(scope="module")
def report(trained: Trained) -> str:
    return (trained.settings.models / trained.first / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def titles() -> list[str]:
    return []


@pytest.fixture(scope="module")
def simulated(
    trained: Trained, titles: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Evaluation:
    """Evaluate a copy of the version as if its market had been simulated, once more."""
    settings = copied(trained.settings, tmp_path_factory.mktemp("simulated") / "home")
    path = settings.models / trained.first / "training_set.json"
    write_json(path, {**(read_json(path) or {}), "simulated": True})
    draw = evaluation_module.equity_figure

    def drawn(by_day: pl.DataFrame, *, title: str, size: tuple[float, float]) -> Any:
        titles.append(title)
        return draw(by_day, title=title, size=size)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation_module, "equity_figure", drawn)
        return evaluate_model(settings, trained.first, Unreported())


class Loads(HTMLParser):
    """Collects everything by which a page could ask for more, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"script", "link", "iframe", "object", "embed", "base", "form", "img"}:
            self.found.append(f"<{tag}>")
        for name, value in attrs:
            link = name in {"src", "href", "xlink:href", "action", "data", "srcset"}
            if link and not (value or "").startswith("#"):
                self.found.append(f"{name}={value}")
            if name.startswith("on"):
                self.found.append(f"{name}={value}")

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_report_loads_nothing_from_anywhere(report: str) -> None:
    page = Loads()
    page.feed(report)
    assert page.found == []
    assert not re.search(r"url\(\s*['\"]?(?!#)", report)
    assert "@import" not in report
    # Names of namespaces, and of terms in the pictures' own metadata: never fetched.
    named = re.sub(r'(xmlns(:\w+)?|rdf:resource)="[^"]*"', "", report)
    assert set(re.findall(r"https?://[^\"<\s]+", named)) <= {"https://matplotlib.org/"}


def test_report_shows_the_figures_of_the_evaluation(
    report: str, document: dict[str, Any], trained: Trained
) -> None:
    page = Loads()
    page.feed(report)
    text = " ".join("".join(page.text).split())
    metrics, backtest = document["metrics"], document["backtest"]
    assert f"{metrics['rank_ic']:.4f}" in text
    assert f"{100 * metrics['excess_return_with_cost']:.1f} %" in text
    assert f"{backtest['strategy']} {backtest['topk']}/{backtest['n_drop']}" in text
    assert trained.first in text
    assert document["reason"] in text
    assert f"{100 * backtest['turnover']:.1f} %" in text
    assert f"Overfitting: {document['overfitting']['verdict']}" in text
    assert all(finding["text"] in text for finding in document["overfitting"]["findings"])
    assert report.count("<svg") == report.count('role="img"') == 9
    kept = read_json(trained.settings.models / trained.first / "curves.json")
    assert kept is not None
    assert f"used: {kept['best_iteration']}" in text


def test_report_names_every_version_of_its_data_and_the_whole_specification(
    report: str, trained: Trained
) -> None:
    page = Loads()
    page.feed(report)
    text = "".join(page.text)
    spec = read_json(trained.settings.models / trained.first / "training_set.json")
    assert spec is not None
    for name in ("snapshot", "factors", "source_manifest", "universe_digest", "digest"):
        assert spec[name] in text
    assert json.dumps(spec, indent=2, ensure_ascii=False) in text
    assert all(version in text for version in library_versions().values())


def test_contents_lead_to_every_section(report: str) -> None:
    anchors = re.findall(r'<a href="#([^"]+)">', report)
    assert anchors == re.findall(r'<h2 id="([^"]+)">', report)
    assert len(anchors) == 6


def test_report_of_a_real_source_does_not_speak_of_simulation(report: str) -> None:
    assert "imulated" not in re.sub(r"<pre>.*?</pre>", "", report, flags=re.S)
    assert "&#34;simulated&#34;: false" in report  # in the specification, as it is stored


def test_report_and_picture_of_a_simulated_market_say_so(
    simulated: Evaluation, titles: list[str]
) -> None:
    text = simulated.report.read_text(encoding="utf-8")
    assert "<strong>Simulated market.</strong>" in text
    assert titles == ["Backtest (simulated market)"]


def test_evaluation_again_gives_the_same_document_and_page(
    simulated: Evaluation, document: dict[str, Any], report: str
) -> None:
    again = read_json(simulated.report.parent / "evaluation.json")
    assert again == document
    body = simulated.report.read_text(encoding="utf-8")
    banner = re.search(r'<p class="banner">.*?</p>', body, re.S)
    assert banner is not None
    flag = "&#34;simulated&#34;: "
    same = body.replace(banner[0], "").replace(f"{flag}true", f"{flag}false")
    assert same.split() == report.split()


def test_document_is_strict_json_with_the_names_that_everybody_uses(
    trained: Trained, document: dict[str, Any]
) -> None:
    path = trained.settings.models / trained.first / "evaluation.json"
    json.loads(path.read_text(), parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert document["model_version"] == trained.first
    assert list(document["metrics"]) == [
        "ic",
        "icir",
        "rank_ic",
        "rank_icir",
        "long_short",
        "excess_return_with_cost",
        "excess_return_without_cost",
        "information_ratio",
        "max_drawdown",
    ]
    assert document["passed"] is True
    assert document["metrics"]["rank_ic"] > 0.1  # the planted signal was found
    assert document["valid"]["days"] == 82
    assert document["overfitting"]["verdict"] != "overfit"


def test_picture_is_a_small_png(trained: Trained) -> None:
    content = (trained.settings.models / trained.first / "equity.png").read_bytes()
    assert len(content) < 16_000
    picture = Image.open(io.BytesIO(content))
    assert picture.format == "PNG"
    assert picture.size == (504, 259)
    assert len(picture.convert("RGB").getcolors(100) or []) > 3


def test_equity_by_day_agrees_with_the_metrics(trained: Trained, document: dict[str, Any]) -> None:
    by_day = pl.read_parquet(trained.settings.models / trained.first / "equity.parquet")
    mean = by_day["excess"].mean()
    assert isinstance(mean, float)
    assert 238 * mean == pytest.approx(document["metrics"]["excess_return_with_cost"])
    assert by_day["drawdown"].min() == pytest.approx(document["metrics"]["max_drawdown"])
    assert by_day["date"].to_list()[-1] == date(2020, 8, 11)


@pytest.mark.parametrize(
    ("rank_ic", "least", "passed", "reason"),
    [
        (0.03, 0.0, True, "test Rank IC 0.0300 is above 0"),
        (0.03, 0.03, False, "test Rank IC was 0.0300, must be above 0.03"),
        (-0.01, 0.0, False, "test Rank IC was -0.0100, must be above 0"),
        (float("nan"), -1.0, False, "test Rank IC was nan, must be above -1"),
    ],
)
def test_verdict_is_about_the_rank_ic_of_the_test(
    market: Settings, rank_ic: float, least: float, passed: bool, reason: str
) -> None:
    settings = replace(market, training=replace(market.training, min_rank_ic=least))
    metrics = SignalMetrics(0.1, 1.0, rank_ic, 1.0, 0.1, 80)
    assert judge(settings, metrics) == (passed, reason)


@pytest.fixture(scope="module")
def overfit(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A copy of the home in which the version's scores on test are little more than noise."""
    home = tmp_path_factory.mktemp("overfit") / "home"
    settings = copied(trained.settings, home)
    path = predictions_path(settings, trained.first)
    rows = pl.read_parquet(path)
    noise = pl.Series(np.random.default_rng(1).normal(0, 0.02, rows.height))
    weak = pl.col("LABEL0").fill_nan(0.0).fill_null(0.0) * 0.1 + noise
    on_test = pl.col("segment") == "test"
    rows.with_columns(score=pl.when(on_test).then(weak).otherwise("score")).write_parquet(path)
    return replace(trained, settings=settings)


@pytest.fixture(scope="module", params=[False, True], ids=["told", "blocked"])
def overfit_evaluation(overfit: Trained, request: pytest.FixtureRequest) -> Evaluation:
    rules = replace(overfit.settings.overfitting, blocks=request.param)
    settings = replace(overfit.settings, overfitting=rules)
    trials = Trials.of_returns(np.random.default_rng(2).normal(0, 0.01, (8, 64)).tolist())
    return evaluate_model(settings, overfit.first, Unreported(), trials=trials)


def test_model_that_lost_its_rank_ic_is_overfit_and_rejected_only_where_that_blocks(
    overfit_evaluation: Evaluation,
) -> None:
    evaluation = overfit_evaluation
    assert evaluation.test.rank_ic > 0
    assert evaluation.verdict.level is Level.OVERFIT
    rank_ic, not_overfit = evaluation.checks
    assert (rank_ic.name, rank_ic.passed, rank_ic.is_blocking) == (
        "rank_ic_above_minimum",
        True,
        True,
    )
    assert (not_overfit.name, not_overfit.passed) == ("not_overfit", False)
    assert "Rank IC went from" in not_overfit.description
    assert evaluation.passed is not not_overfit.is_blocking
    assert evaluation.reason == (
        not_overfit.description if not_overfit.is_blocking else rank_ic.description
    )


def test_verdict_is_in_the_document_the_facts_the_metadata_and_the_page(
    overfit_evaluation: Evaluation,
) -> None:
    evaluation = overfit_evaluation
    document = read_json(evaluation.report.parent / "evaluation.json")
    assert document is not None
    overfitting = document["overfitting"]
    assert overfitting == evaluation.facts()["overfitting"]
    assert overfitting["verdict"] == "overfit"
    measures = overfitting["measures"]
    assert measures["trials"] == 8
    assert measures["backtest_overfitting"]["splits"] == 12_870
    rules = {finding["rule"] for finding in overfitting["findings"]}
    metadata = evaluation.metadata()
    assert metadata.keys() >= rules | {*evaluation.metrics(), "turnover", "trials"}
    assert (metadata["overfitting"], metadata["trials"]) == ("overfit", 8)
    assert all(isinstance(value, (str, int, float)) for value in metadata.values())
    page = evaluation.report.read_text(encoding="utf-8")
    assert '<div class="verdict overfit"' in page
    assert "probability of backtest overfitting" in page


def test_setting_that_no_verdict_can_follow_is_refused_before_anything_is_measured(
    own_trained: Trained,
) -> None:
    rules = replace(own_trained.settings.overfitting, confidence=2.0)
    settings = replace(own_trained.settings, overfitting=rules)
    with pytest.raises(TrainingError, match=r"\[overfitting\] confidence: was 2"):
        evaluate_model(settings, own_trained.first, Unreported())


def test_evaluation_after_the_data_changed_is_refused(own_trained: Trained) -> None:
    settings, version = own_trained.settings, own_trained.first
    before = (settings.models / version / "evaluation.json").read_bytes()
    restate(settings, "SH600000", date(2020, 8, 11), close=25.0)
    with pytest.raises(TrainingError, match="named after other data or settings"):
        evaluate_model(settings, version, Unreported())
    assert (settings.models / version / "evaluation.json").read_bytes() == before


@pytest.mark.parametrize("missing", ["predictions.parquet", "curves.json"])
def test_evaluation_of_an_untrained_version_says_so(own_trained: Trained, missing: str) -> None:
    settings, version = own_trained.settings, own_trained.first
    (settings.models / version / missing).unlink()
    with pytest.raises(TrainingError, match="no predictions; train it first"):
        evaluate_model(settings, version, Unreported())


@pytest.mark.filterwarnings("ignore:An input array is constant")
def test_predictions_that_are_constant_are_an_error(own_trained: Trained) -> None:
    settings, version = own_trained.settings, own_trained.first
    path: Path = predictions_path(settings, version)
    pl.read_parquet(path).with_columns(score=pl.lit(0.0)).write_parquet(path)
    with pytest.raises(TrainingError, match="the scores are constant"):
        evaluate_model(settings, version, Unreported())
