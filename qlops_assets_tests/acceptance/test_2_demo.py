"""From Parquet to a served prediction: the document, the servers, what a second run does not do."""

import json
from pathlib import Path

import httpx
import pytest

from qlops_assets_tests.acceptance.conftest import BROKEN, Chapter, version_of
from qlops_assets_tests.support.journeys import Journey
from qlops_assets_tests.support.market import market_days, raw_bars

KEYS = {
    "model_version",
    "state",
    "simulated",
    "source",
    "snapshot",
    "ingested",
    "factors",
    "training",
    "metrics",
    "backtest",
    "environments",
    "prediction",
    "steps",
    "skipped",
    "report",
    "wall_s",
}
METRICS = {
    "ic",
    "icir",
    "rank_ic",
    "rank_icir",
    "long_short",
    "excess_return_with_cost",
    "excess_return_without_cost",
    "information_ratio",
    "max_drawdown",
}
STEPS = [
    "raw_bars",
    "bars",
    "alpha158_factors",
    "indicator_features",
    "feature_table",
    "training_set",
    "trained_model",
    "model_evaluation",
    "deployment staging",
    "deployment production",
]


def test_document_has_every_key_of_the_summary(first: Chapter) -> None:
    document = first.document
    assert document.keys() == KEYS
    assert document["metrics"].keys() == METRICS
    assert [s["step"] for s in document["steps"]] == STEPS
    assert all({"wall_s", "cpu_s", "peak_mb", "at"} <= s.keys() for s in document["steps"])


def test_document_counts_what_the_source_holds(journey: Journey, first: Chapter) -> None:
    used = raw_bars().filter(raw_bars()["date"] < market_days()[-1])
    ingested = first.document["ingested"]
    assert ingested["rows"] == ingested["bars"] == used.height
    assert ingested["files"] == 2
    assert (ingested["first_month"], ingested["last_month"]) == ("2019-01", "2020-08")
    assert ingested["months"] == 20
    assert first.document["simulated"] is False
    assert first.document["source"] == str(journey.source)


def test_bad_file_is_named_and_the_others_go_on(first: Chapter) -> None:
    (bad,) = first.document["ingested"]["quarantined"]
    assert bad["path"] == BROKEN
    assert "not a readable Parquet file" in bad["reason"]
    assert f"quarantined {BROKEN}: is not a readable Parquet file" in first.finished.err


def test_trained_model_finds_the_signal_of_the_market(first: Chapter) -> None:
    assert first.document["metrics"]["rank_ic"] > 0.05
    assert first.document["state"] == "production"
    assert first.document["training"]["universe"] == "core"


def test_report_and_equity_curve_are_there(first: Chapter) -> None:
    report = Path(first.document["report"])
    assert report.is_file()
    page = report.read_text(encoding="utf-8")
    assert version_of(first) in page
    assert list(report.parent.glob("*.png"))


def test_dagster_shows_small_metadata_of_every_asset(first: Chapter) -> None:
    metadata = first.facts["metadata"]
    assert set(metadata) == {name.partition(" ")[0] for name in STEPS}
    picture = metadata["model_evaluation"].pop("equity_and_drawdown")
    assert picture.startswith("![equity and drawdown](data:image/png;base64,")
    sizes = {asset: len(json.dumps(m, default=str)) for asset, m in metadata.items()}
    assert {asset: size for asset, size in sizes.items() if size > 4_000} == {}
    assert all({"wall_s", "cpu_s", "peak_mb"} <= m.keys() for m in metadata.values())
    assert metadata["model_evaluation"]["rank_ic"] == pytest.approx(
        first.document["metrics"]["rank_ic"], abs=1e-6
    )
    assert (
        metadata["trained_model"]["best_iteration"]
        == (first.document["training"]["best_iteration"])
    )
    assert metadata["deployment"]["max_difference"] == 0.0


def test_both_environments_serve_the_version(journey: Journey, first: Chapter) -> None:
    version = version_of(first)
    assert first.document["environments"] == {
        name: {"model_version": version, "url": journey.url(name)}
        for name in ("staging", "production")
    }
    assert first.facts["score"]["model_version"] == version
    assert first.facts["staging"]["model_version"] == version


def test_both_ways_to_ask_give_equal_scores(first: Chapter) -> None:
    looked_up = {r["instrument"]: r["score"] for r in first.facts["score"]["scores"]}
    assert looked_up == first.facts["infer"]
    assert looked_up == {r["instrument"]: r["score"] for r in first.facts["staging"]["scores"]}


def test_prediction_of_the_summary_is_what_the_server_answers(first: Chapter) -> None:
    prediction = first.document["prediction"]
    scores = sorted(first.facts["score"]["scores"], key=lambda r: r["score"], reverse=True)
    assert [(r["instrument"], r["score"]) for r in prediction["top"]] == [
        (r["instrument"], r["score"]) for r in scores[:10]
    ]
    assert prediction["date"] == str(market_days()[-2])
    assert prediction["instruments"] == len(scores)


def test_server_refuses_an_unknown_instrument_by_name(journey: Journey, first: Chapter) -> None:
    with httpx.Client(timeout=30, trust_env=False) as client:
        body = {"instruments": ["SH999999"]}
        response = client.post(f"{journey.url('production')}/v1/score", json=body)
    assert response.is_client_error
    assert "SH999999" in response.json()["error"]


def test_predict_asks_the_production_server(journey: Journey, first: Chapter) -> None:
    codes = [r["instrument"] for r in first.facts["score"]["scores"][:3]]
    answer = journey.qlops("predict", "--instruments", ",".join(codes), "--json").document
    assert [r["instrument"] for r in answer["scores"]] == codes
    assert answer["model_version"]


def test_history_names_who_did_what(journey: Journey, first: Chapter) -> None:
    document = journey.qlops("models", "history", version_of(first), "--json").document
    steps = [(c["from"], c["to"], c["by"]) for c in document["history"]]
    assert steps[:8] == [
        (None, "training", "dagster"),
        ("training", "failed", "dagster"),  # interrupted
        ("failed", "training", "dagster"),  # killed
        ("training", "training", "dagster"),
        ("training", "trained", "dagster"),
        ("trained", "validated", "dagster"),
        ("validated", "staging", "mei"),
        ("staging", "production", "mei"),
    ]


def test_second_run_does_no_work_twice(first: Chapter, second: Chapter) -> None:
    assert second.finished.status == 0
    assert second.document["skipped"] == [
        *("bars", "alpha158_factors", "indicator_features", "feature_table", "training"),
        *("staging", "production"),
    ]
    assert second.runs == first.runs
    assert version_of(second) == version_of(first)
    assert second.document["metrics"] == first.document["metrics"]


def test_second_run_says_what_it_skips(second: Chapter) -> None:
    said = second.finished.err.splitlines()
    assert "bars: 20 months up to date, skipped" in said
    for stage in ("alpha158_factors", "indicator_features", "feature_table"):
        assert f"{stage}: 20 months up to date, skipped" in said


def test_second_run_takes_a_fraction_of_the_time(first: Chapter, second: Chapter) -> None:
    done_before = {"raw_bars", "bars", "alpha158_factors", "indicator_features", "feature_table"}
    steps = [s for s in first.document["steps"] if s["step"] in done_before]
    whole_s = first.finished.wall_s + sum(s["wall_s"] for s in steps)
    assert second.finished.wall_s < whole_s / 3


def test_new_day_redoes_its_file_and_computes_one_month(grown: Chapter) -> None:
    assert grown.finished.status == 0, grown.finished.err
    steps = [e.data for e in grown.facts["events"] if e.kind == "step_finished"]
    done = {s["asset"]: s["months"] for s in steps if "months" in s}
    # The file of the year holds eight months; its new version touches only the eighth.
    chain = ("raw_bars", "bars", "alpha158_factors", "indicator_features", "feature_table")
    assert done == dict.fromkeys(chain, 1)


def test_new_day_leaves_every_other_month_as_it_was(journey: Journey, grown: Chapter) -> None:
    (lake,) = [p for p in (journey.home / "lake").iterdir() if (p / "alpha158").is_dir()]
    written = {p.stem: p.stat().st_mtime for p in (lake / "alpha158").glob("*.parquet")}
    newest = max(written, key=lambda month: written[month])
    assert newest == "2020-08"
    others = [t for month, t in written.items() if month != newest]
    assert written[newest] - max(others) > 1.0


def test_new_day_gives_a_new_version_that_takes_over(second: Chapter, grown: Chapter) -> None:
    new = version_of(grown)
    assert new != version_of(second)
    assert grown.document["prediction"]["date"] == str(market_days()[-1])
    assert grown.facts["score"]["model_version"] == new
    states = {m["model_version"]: m["state"] for m in grown.facts["new"]["models"]}
    assert states == {version_of(second): "archived", new: "production"}
    last = grown.facts["old"]["history"][-1]
    assert (last["event"], last["to"]) == ("superseded", "archived")
    assert new in last["why"]
