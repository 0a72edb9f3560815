"""The page of factors, the page of one, and what both say as JSON and CSV."""

import csv
import io
import itertools
import json
from datetime import UTC, date, datetime
from urllib.parse import quote

import numpy as np
import polars as pl
import pytest

from qlops_assets.core.settings import Settings
from qlops_assets.factors.analysis.analysis import FactorAnalysis
from qlops_assets.factors.analysis.files import DOCUMENT
from qlops_assets.factors.report import ANALYSIS, build_report
from qlops_assets.lake.datasets import bars_dataset
from qlops_assets.web.app import build_console
from qlops_assets.web.factors.detail import MOST_POINTS, daily_document
from qlops_assets.web.factors.figures import chance
from qlops_assets.web.factors.reports import newest_report
from qlops_assets_tests.support.asgi_client import TestClient
from qlops_assets_tests.support.factor_reports import (
    FORMULA,
    HOSTILE,
    expression_of,
    small_analysis,
    write_report,
)
from qlops_assets_tests.support.pages import Elements

END = date(2022, 12, 30)


@pytest.fixture(scope="module")
def analysis() -> FactorAnalysis:
    return small_analysis()


@pytest.fixture
def reported(settings: Settings, analysis: FactorAnalysis) -> Settings:
    """A home with a report."""
    write_report(settings, analysis, training_end=END)
    return settings


def found(client: TestClient, path: str) -> dict:
    response = client.get(path)
    assert response.status_code == 200, response.text
    return json.loads(response.text, parse_constant=pytest.fail)


def rows(page: str, *, hidden: bool = False) -> list[str]:
    """Return the factors of the table, in the order of the page."""
    return [
        a["data-name"] or ""
        for tag, a in Elements(page).elements
        if tag == "tr" and "data-name" in a and ("hidden" in a) is hidden
    ]


def strongest_first(analysis: FactorAnalysis) -> list[str]:
    table = analysis.summary.with_columns(size=pl.col("rank_icir").abs().fill_null(-1.0))
    return table.sort("size", descending=True, maintain_order=True)["factor"].to_list()


def summary_of(analysis: FactorAnalysis, name: str) -> dict:
    return analysis.summary.row(by_predicate=pl.col("factor") == name, named=True)


def test_home_without_a_report_says_what_to_run(client: TestClient, settings: Settings) -> None:
    page = Elements(client.get("/factors").text)
    assert "No factor report yet" in page.text
    assert "qlops demo" in page.text
    (settings.lake / "alpha158").mkdir(parents=True)
    (settings.lake / "alpha158" / "2024-01.parquet").touch()
    page = Elements(client.get("/factors").text)
    assert "qlops demo" not in page.text
    assert "qlops factor report" in page.text
    for path in ("/api/factors", "/api/factors/KMID", "/api/factors.csv", "/api/factor-report"):
        response = client.get(path)
        assert response.status_code == 404
        assert "run `qlops factor report`" in response.json()["error"]
    assert client.get("/factors/KMID").status_code == 404


@pytest.mark.usefixtures("reported")
def test_table_shows_every_factor_with_its_figures_the_strongest_first(
    client: TestClient, analysis: FactorAnalysis
) -> None:
    text = client.get("/factors").text
    assert rows(text) == strongest_first(analysis)
    page = Elements(text)
    good = summary_of(analysis, "GOOD")
    for shown in (f"{good['rank_ic']:.4f}", f"{good['rank_icir']:.3f}", f"{good['rank_ic_t']:.2f}"):
        assert shown in page.text
    assert f"{1e4 * good['spread']:.1f}" in page.text
    assert f"{100 * good['coverage']:.1f} %" in page.text
    for fact in (
        "13 factors",
        "universe all",
        "native-1-abc",
        "feedc0defeed",
        "2026-01-02 03:04:05",
    ):
        assert fact in page.text
    kept = newest_kept(analysis)
    assert f"{len(kept)} by days up to {analysis.last}" in page.text
    heads = [a for tag, a in page.elements if tag == "th" and a.get("aria-sort")]
    assert [(a["data-key"], a["aria-sort"]) for a in heads] == [("rank", "ascending")]


def newest_kept(analysis: FactorAnalysis) -> list[str]:
    from qlops_assets.factors.analysis.selection import select

    return select(analysis).kept


@pytest.mark.usefixtures("reported")
def test_address_sorts_and_filters_without_scripts(
    client: TestClient, analysis: FactorAnalysis
) -> None:
    table = analysis.summary
    by_spread = table.sort("spread", descending=True, nulls_last=True)["factor"].to_list()
    assert rows(client.get("/factors?sort=spread").text) == by_spread
    rising = table.sort("rank_ic", nulls_last=True)["factor"].to_list()
    assert rows(client.get("/factors?sort=rank_ic&order=asc").text) == rising
    assert rows(client.get("/factors?sort=nonsense&order=up").text) == strongest_first(analysis)
    significant = set(table.filter(pl.col("rank_ic_q") <= 0.05)["factor"])
    text = client.get("/factors?significant=1").text
    assert set(rows(text)) == significant >= {"GOOD", "AGAINST"}
    assert set(rows(text, hidden=True)) == set(analysis.factors) - significant
    assert f"{len(significant)} of 13 shown" in Elements(text).text
    flagged = set(table.filter(pl.col("flags").list.len() > 0)["factor"])
    assert set(rows(client.get("/factors?flagged=1").text)) == flagged >= {"MISSING"}
    first = set(table.filter("representative")["factor"])
    assert set(rows(client.get("/factors?representatives=1").text)) == first
    assert set(rows(client.get("/factors?proposed=1").text)) == set(newest_kept(analysis))
    assert rows(client.get("/factors?q=goo").text) == ["GOOD"]
    nothing = client.get(f"/factors?q={'z' * 5000}")
    assert rows(nothing.text) == []
    assert "No factor passes these choices" in Elements(nothing.text).text


@pytest.mark.usefixtures("reported")
def test_page_of_a_factor_shows_its_figures_and_what_is_like_it(
    client: TestClient, analysis: FactorAnalysis
) -> None:
    from statsmodels.regression.linear_model import OLS

    page = Elements(client.get("/factors/GOOD").text)
    good = summary_of(analysis, "GOOD")
    daily = analysis.daily.filter(pl.col("factor") == "GOOD")["rank_ic"].drop_nulls().to_numpy()
    lags = int(4 * (daily.size / 100) ** (2 / 9))
    fit = OLS(daily, np.ones_like(daily)).fit(
        cov_type="HAC", cov_kwds={"maxlags": lags, "use_correction": True}
    )
    for shown in (
        f"{daily.mean():.4f} ± {1.96 * fit.bse[0]:.4f}",
        f"{good['turnover_top'] * 100:.1f} %",
        "proposed for training",
    ):
        assert shown in page.text
    links = [a["href"] for tag, a in page.elements if tag == "a" and "rel" not in a]
    assert "/factors/AGAINST" in links
    assert {"/api/factors/GOOD", "/api/factors/GOOD/figures.csv"} <= page.addresses()
    current = [a for tag, a in page.elements if tag == "a" and "aria-current" in a]
    assert [(a["href"], a["aria-current"]) for a in current] == [("/factors", "true")]


@pytest.mark.usefixtures("reported")
def test_json_of_all_factors_is_the_analysis_document(
    client: TestClient, analysis: FactorAnalysis
) -> None:
    document = found(client, "/api/factors")
    report = document.pop("report")
    assert document == json.loads(json.dumps(analysis.to_document(), default=str))
    assert (report["snapshot"], report["universe"]) == ("feedc0de" * 4, "all")


@pytest.mark.usefixtures("reported")
def test_json_of_a_factor_holds_its_part_its_days_and_its_neighbours(
    client: TestClient, analysis: FactorAnalysis
) -> None:
    document = found(client, "/api/factors/GOOD")
    own = next(f for f in analysis.to_document()["factors"] if f["factor"] == "GOOD")
    assert {key: document[key] for key in own} == own
    days = analysis.daily.filter(pl.col("factor") == "GOOD")
    daily = document["daily"]
    assert daily["date"] == [str(day) for day in days["date"]]
    known = np.nan_to_num(days["rank_ic"].to_numpy())
    assert daily["cumulative_rank_ic"] == pytest.approx(known.cumsum(), abs=1e-5)
    rolling = np.nanmean(days["rank_ic"].to_numpy()[100:160])
    assert daily["rolling_rank_ic"][159] == pytest.approx(rolling, abs=1e-6)
    assert document["selection"]["kept"] is True
    nearest = document["neighbours"][0]
    place = analysis.factors.index("GOOD")
    assert nearest["factor"] == "AGAINST"
    assert nearest["correlation"] == analysis.correlation["AGAINST"][place] < -0.8
    missing = found(client, "/api/factors/MISSING")
    assert set(missing["daily"]["cumulative_rank_ic"]) == {None}
    assert (missing["rank_ic"], missing["interval"], missing["neighbours"]) == (None, None, [])
    assert client.get("/factors/MISSING").status_code == 200


def test_daily_series_is_thinned_to_points_that_keep_the_sum() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(0.02, 0.1, 5001)
    days = pl.date_range(date(2000, 1, 1), date(2013, 9, 9), "1d", eager=True)
    assert len(days) == values.size
    frame = pl.DataFrame({"date": days, "ic": values, "rank_ic": values})
    document = daily_document(frame)
    assert document["days_per_point"] == 3
    assert len(document["date"]) == 1667 <= MOST_POINTS
    assert document["date"][-1] == "2013-09-09"
    assert document["cumulative_rank_ic"][-1] == pytest.approx(values.sum(), abs=1e-5)
    assert document["cumulative_rank_ic"][0] == pytest.approx(values[:3].sum(), abs=1e-5)
    assert document["rank_ic"][10] == pytest.approx(values[30:33].mean(), abs=1e-5)
    assert daily_document(frame.head(MOST_POINTS))["days_per_point"] == 1


@pytest.mark.usefixtures("reported")
def test_map_of_correlations_holds_every_pair_with_clusters_together(
    client: TestClient, analysis: FactorAnalysis
) -> None:
    document = found(client, "/api/factor-correlations")
    names, values = document["factors"], iter(document["values"])
    assert sorted(names) == sorted(analysis.factors)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            expected = analysis.correlation[other][analysis.factors.index(one)]
            found_value = next(values)
            assert found_value == (
                None if expected is None else pytest.approx(100 * expected, abs=0.51)
            )
    assert next(values, "done") == "done"
    clusters = document["clusters"]
    changes = sum(a != b for a, b in itertools.pairwise(clusters))
    assert changes == len(set(clusters)) - 1
    assert abs(names.index("GOOD") - names.index("AGAINST")) == 1


@pytest.mark.usefixtures("reported")
@pytest.mark.parametrize("base", ["/factors/", "/api/factors/"])
def test_unknown_factor_is_not_found_and_the_nearest_is_named(
    client: TestClient, base: str
) -> None:
    for name, said in (
        ("GODO", "did you mean 'GOOD'?"),
        ("good", "did you mean 'GOOD'?"),
        ("%3Cscript%3Ealert(1)%3C/script%3E", ""),
        ("..%2F..%2Fjournal.db", ""),
        ("%00", ""),
        ("Z" * 3000, "no factor has a name of 3000 characters"),
    ):
        response = client.get(base + name)
        assert response.status_code == 404
        assert "<script>alert" not in response.text
        assert said in Elements(response.text).text or said in response.json()["error"]


@pytest.mark.usefixtures("reported")
def test_hostile_names_and_expressions_are_shown_as_text(client: TestClient) -> None:
    evil = expression_of(HOSTILE)
    assert "<script>" in evil
    address = f"/factors/{quote(HOSTILE, safe='')}"
    for path in ("/factors", address):
        page = Elements(client.get(path).text)
        scripts = [a for tag, a in page.elements if tag == "script"]
        assert all((a["src"] or "").startswith("/static/") for a in scripts)
        assert not [tag for tag, _ in page.elements if tag == "img"]
        assert HOSTILE in page.text
        assert evil in page.text
    assert found(client, "/api" + address)["factor"] == HOSTILE
    figures = client.get(f"/api{address}/figures.csv")
    assert figures.headers["content-disposition"].isascii()
    assert "<" not in figures.headers["content-disposition"]


@pytest.mark.usefixtures("reported")
def test_csv_holds_the_figures_and_no_formula(client: TestClient, analysis: FactorAnalysis) -> None:
    response = client.get("/api/factors.csv")
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    lines = {line["factor"]: line for line in csv.DictReader(io.StringIO(response.text))}
    assert set(lines) == set(analysis.factors) - {FORMULA} | {f"'{FORMULA}"}
    good = summary_of(analysis, "GOOD")
    assert float(lines["GOOD"]["rank_ic"]) == good["rank_ic"]
    assert lines["GOOD"]["significant"] == "True"
    assert lines["MISSING"]["rank_ic"] == ""
    assert "empty" in lines["MISSING"]["flags"]
    figures = list(csv.DictReader(io.StringIO(client.get("/api/factors/GOOD/figures.csv").text)))
    decay = [f for f in figures if f["table"] == "decay" and f["figure"] == "rank_ic"]
    expected = analysis.decay.filter(pl.col("factor") == "GOOD")["rank_ic"].to_list()
    assert [float(f["value"]) for f in decay] == expected
    daily = pl.read_csv(client.get("/api/factors/GOOD/daily.csv").content)
    assert daily["rank_ic"].drop_nulls().mean() == pytest.approx(good["rank_ic"])


def test_newer_report_is_shown_and_the_same_one_is_read_once(
    client: TestClient, settings: Settings, analysis: FactorAnalysis
) -> None:
    write_report(settings, analysis)
    first = newest_report(settings)
    assert newest_report(settings) is first
    page = Elements(client.get("/factors").text)
    assert "no training period was named" in page.text
    write_report(
        settings, analysis, digest="f" * 32, at=datetime(2026, 2, 1, tzinfo=UTC), training_end=END
    )
    assert found(client, "/api/factor-report")["digest"] == "f" * 32
    assert "2026-02-01" in Elements(client.get("/factors").text).text


def test_damaged_report_says_so_and_what_to_run(
    client: TestClient, settings: Settings, analysis: FactorAnalysis
) -> None:
    folder = write_report(settings, analysis)
    (folder / ANALYSIS / DOCUMENT).write_text("{", encoding="utf-8")
    response = client.get("/factors")
    page = Elements(response.text)
    assert response.status_code == 200
    assert "cannot be read" in page.text
    assert DOCUMENT in page.text
    assert "qlops factor report" in page.text or "qlops demo" in page.text
    assert DOCUMENT in client.get("/api/factors").json()["error"]


def test_report_of_the_lake_is_current_until_the_bars_change(own_market: Settings) -> None:
    build_report(own_market)
    with TestClient(build_console(own_market), base_url="http://localhost") as client:
        report = found(client, "/api/factor-report")
        assert (report["is_current"], report["why"]) == (True, "")
        assert "Out of date" not in visible_notice(client)
        bars = bars_dataset(own_market)
        bars.remove(bars.months()[-1])
        report = found(client, "/api/factor-report")
        assert report["is_current"] is False
        assert report["why"]
        assert report["why"] in visible_notice(client)
        assert "qlops factor report" in visible_notice(client)


def visible_notice(client: TestClient) -> str:
    page = client.get("/factors").text
    start = page.index('id="age"')
    notice = page[start : page.index("</p>", start)]
    return "" if notice.split(">", 1)[0].endswith("hidden") else Elements(f"<p {notice}").text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0431, "0.043"),
        (1.0, "1.000"),
        (0.001, "0.001"),
        (0.00099, "9.9×10⁻⁴"),
        (9.96e-10, "1.0×10⁻⁹"),
        (5.2213e-27, "5.2×10⁻²⁷"),
        (0.0, "< 10⁻³⁰⁰"),
        (None, "–"),
        (float("nan"), "–"),
    ],
)
def test_chance_is_written_so_that_small_ones_can_be_told_apart(
    value: float | None, shown: str
) -> None:
    assert chance(value) == shown
