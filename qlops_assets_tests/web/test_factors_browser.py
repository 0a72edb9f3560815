"""The page of factors and the page of one in a real browser."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from qlops_assets.core.settings import Settings
from qlops_assets.factors.analysis.analysis import FactorAnalysis
from qlops_assets_tests.support.browser import chromium, pages_of
from qlops_assets_tests.support.consoles import ConsoleProcess, console_process
from qlops_assets_tests.support.factor_reports import HOSTILE, small_analysis, write_report
from qlops_assets_tests.support.pages import CONTRASTS, NAMELESS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("console-browser")]

PHONE = {"width": 390, "height": 844}
DRAWN = "[data-chart=correlations] .cluster-frame"


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    with chromium() as browser:
        yield browser


@dataclass
class Home:
    """A home with a report, and its console."""

    settings: Settings
    analysis: FactorAnalysis
    console: ConsoleProcess

    @property
    def url(self) -> str:
        return f"{self.console.url}factors"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    settings, analysis = Settings(home=tmp_path_factory.mktemp("home")), small_analysis()
    write_report(settings, analysis, training_end=date(2022, 12, 30))
    with console_process(settings.home) as console:
        yield Home(settings, analysis, console)


Open = Callable[..., "Page"]


@pytest.fixture
def open_page(browser: "Browser", home: Home) -> "Iterator[Open]":
    """Return a function that opens a page; afterwards no page may have complained."""
    with pages_of(browser, home.console) as pages:

        def start(path: str = "", **options: Any) -> "Page":
            page = pages.open(f"factors{path}", **options)
            if options.get("java_script_enabled", True):
                page.wait_for_selector(".neighbours" if path else DRAWN)
            return page

        yield start


def shown(page: "Page") -> list[str]:
    rows = page.locator("#table tbody tr:not([hidden])")
    return [str(name) for name in rows.evaluate_all("rows => rows.map(r => r.dataset.name)")]


def ordered(analysis: FactorAnalysis, key: str, *, descending: bool) -> list[str]:
    table = analysis.summary.sort(key, descending=descending, nulls_last=True)
    return [str(name) for name in table["factor"]]


def middle(part: "Locator") -> tuple[float, float]:
    box = part.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_table_sorts_by_a_click_and_the_address_remembers(open_page: Open, home: Home) -> None:
    page = open_page()
    head = page.locator("th[data-key=spread]")
    head.get_by_role("link").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert shown(page) == ordered(home.analysis, "spread", descending=True)
    head.get_by_role("link").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert shown(page) == ordered(home.analysis, "spread", descending=False)
    assert page.url.endswith("?sort=spread&order=asc")
    assert page.locator("th[aria-sort]").count() == 1
    page.reload()
    assert shown(page) == ordered(home.analysis, "spread", descending=False)


def test_table_filters_as_one_types_and_charts_follow(open_page: Open, home: Home) -> None:
    page = open_page()
    everything = shown(page)
    page.get_by_label("Significant (q ≤ 5 %)").check()
    significant = set(home.analysis.summary.filter(pl.col("rank_ic_q") <= 0.05)["factor"])
    page.wait_for_function("n => document.querySelectorAll('.point.dim').length > 0")
    assert set(shown(page)) == significant
    known = home.analysis.summary["rank_ic"].drop_nulls().len()
    assert page.locator("#volcano .point").count() == known
    assert page.locator("#volcano .point.dim").count() == known - len(significant)
    assert page.locator("#distribution .stroke").count() == len(significant)
    search = page.get_by_role("searchbox")
    search.fill("gOO")
    page.wait_for_function("() => location.search.includes('q=gOO')")
    assert shown(page) == ["GOOD"]
    assert page.locator("#shown").inner_text() == f"1 of {len(everything)} shown"
    page.reload()
    assert shown(page) == ["GOOD"]
    search.fill("nothing like it")
    page.get_by_role("link", name="Show all").click()
    assert shown(page) == everything
    assert page.url == home.url


def test_volcano_names_a_factor_and_a_click_chooses_it_everywhere(
    open_page: Open, home: Home
) -> None:
    page = open_page()
    heights = page.locator("#volcano .point").evaluate_all(
        "points => points.map(point => point.cy.baseVal.value)"
    )
    top = heights.index(min(heights))
    page.mouse.move(*middle(page.locator("#volcano .point").nth(top)))
    tip = page.locator("#volcano .tip")
    strongest = tip.locator("b").inner_text()
    row = home.analysis.summary.sort("rank_ic_q", nulls_last=True).row(0, named=True)
    assert strongest == row["factor"] == "GOOD"
    assert f"{row['rank_ic']:.4f}" in tip.inner_text()
    page.mouse.down()
    page.mouse.up()
    assert page.locator("tr.chosen").get_attribute("data-name") == "GOOD"
    assert page.locator("#volcano .ring.chosen").count() == 1
    assert page.locator("#distribution .stroke.chosen").count() == 1
    assert page.locator("#correlations .band.chosen").count() == 2
    bar = page.locator("#chosen")
    assert "GOOD" in bar.inner_text()
    bar.get_by_role("button").click()
    assert bar.is_hidden()
    assert page.locator("tr.chosen").count() == 0
    page.locator("#table tr[data-name=F1] td").nth(3).click()
    bar.get_by_role("link", name="Open F1").click()
    page.wait_for_selector("[data-chart=yearly] .bar")
    assert page.locator("h1").inner_text() == "F1"


def test_keys_walk_through_table_and_charts_and_open_a_factor(open_page: Open) -> None:
    page = open_page()
    names = shown(page)
    page.locator(".factor-table").focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowDown", "ArrowUp"):
        page.keyboard.press(key)
    assert page.locator("tr.chosen").get_attribute("data-name") == names[1]
    page.keyboard.press("Escape")
    assert page.locator("tr.chosen").count() == 0
    page.locator("#volcano .plot").focus()
    page.keyboard.press("End")
    assert page.locator("#volcano .tip b").inner_text() == "GOOD"
    assert "GOOD, Rank IC" in page.locator("#volcano output").inner_text()
    page.locator("#distribution .plot").focus()
    page.keyboard.press("Home")
    assert page.locator("#distribution .tip b").inner_text() == "AGAINST"
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-chart=yearly] .bar")
    assert page.locator("h1").inner_text() == "AGAINST"


def test_map_of_correlations_names_the_pair_and_its_value(open_page: Open, home: Home) -> None:
    page = open_page()
    plot = page.locator("#correlations .plot")
    plot.scroll_into_view_if_needed()
    plot.focus()
    order = page.request.get(f"{home.console.url}api/factor-correlations").json()["factors"]
    page.keyboard.press("Home")
    for key, name in (("ArrowDown", "GOOD"), ("ArrowRight", "F3")):
        for _ in range(order.index(name)):
            page.keyboard.press(key)
    expected = home.analysis.correlation["F3"][home.analysis.factors.index("GOOD")]
    value = f"{expected:.2f}".replace("-", "−")
    said = page.locator("#correlations output").inner_text()
    assert said.startswith(f"GOOD and F3: {value}, clusters ")
    assert page.locator("#correlations .tip").is_visible()
    # One cell in the corner and one beside it, as large as each other and of different colour.
    colours = page.evaluate(
        """() => {
          const canvas = document.querySelector("#correlations canvas");
          const side = canvas.width / 13;
          const copy = new OffscreenCanvas(canvas.width, canvas.height);
          const paint = copy.getContext("2d", { willReadFrequently: true });
          paint.drawImage(canvas, 0, 0);
          const middle = (place) => (place + 0.5) * side;
          const at = (i, j) => [...paint.getImageData(middle(j), middle(i), 1, 1).data];
          return [Number.isInteger(side), at(0, 0), at(0, 1), at(5, 5)];
        }"""
    )
    assert colours[0]
    assert colours[1] == colours[3] != colours[2]


def test_factor_page_draws_its_charts_from_the_report(open_page: Open, home: Home) -> None:
    page = open_page("/GOOD")
    page.wait_for_selector("[data-chart=quantiles] .bar")
    assert page.locator("[data-chart=cumulative] path.line").count() == 2
    assert page.locator("[data-chart=decay] .bar").count() == 5
    assert page.locator("[data-chart=decay] .whisker").count() == 1
    assert page.locator("[data-chart=yearly] .bar").count() == 2
    own = home.analysis.quantiles.filter(pl.col("factor") == "GOOD")
    texts = page.locator("[data-chart=quantiles] .bar-number").all_text_contents
    for button, key in (("Return", "mean_return"), ("Over the day's mean", "mean_excess")):
        page.get_by_role("button", name=button, exact=True).click()
        assert texts() == [f"{1e4 * value:.1f}".replace("-", "−") for value in own[key]]
    page.locator("[data-chart=yearly] .plot").focus()
    page.keyboard.press("Home")
    first = home.analysis.yearly.filter(pl.col("factor") == "GOOD").row(0, named=True)
    tip = page.locator("[data-chart=yearly] .tip").inner_text()
    assert str(first["year"]) in tip
    assert f"{first['rank_ic']:.4f}" in tip
    page.locator("#neighbours").get_by_role("link", name="AGAINST").click()
    page.wait_for_url("**/factors/AGAINST")


def test_factor_without_any_value_has_a_page_all_the_same(open_page: Open) -> None:
    page = open_page("/MISSING")
    assert "empty" in page.locator(".page-head").inner_text()
    page.wait_for_function(
        "() => [...document.querySelectorAll('.figure')].every(f => f.innerText)"
    )
    words = page.locator(".figure").all_inner_texts()
    assert words == ["There is no value to draw."] * 4


def test_hostile_name_is_only_text(open_page: Open) -> None:
    page = open_page()
    page.locator("#volcano .plot").focus()
    page.keyboard.press("Home")
    for _ in range(12):
        page.keyboard.press("ArrowRight")
        if page.locator("#chosen b").inner_text() == HOSTILE:
            break
    assert page.locator("#volcano .tip b").inner_text() == HOSTILE
    page.locator("#chosen").get_by_role("link").click()
    page.wait_for_selector("[data-chart=yearly] .bar")
    assert page.locator("h1").inner_text() == HOSTILE
    assert page.locator("img").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["", "/GOOD"])
def test_page_can_be_read_and_everything_has_a_name(
    open_page: Open, path: str, scheme: str
) -> None:
    page = open_page(path, color_scheme=scheme)
    page.wait_for_selector("[data-chart=quantiles] .bar-number" if path else ".point-name")
    assert page.evaluate(CONTRASTS) == []
    assert page.evaluate(NAMELESS) == []


@pytest.mark.parametrize("path", ["", "/GOOD"])
def test_phone_shows_everything_without_scrolling_sideways(open_page: Open, path: str) -> None:
    page = open_page(path, viewport=PHONE, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    if not path:
        page.locator("#table tr[data-name=GOOD] td").nth(1).tap()
        assert page.locator("#chosen").is_visible()
        box = page.locator("#chosen").bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= PHONE["width"]


def test_page_works_without_scripts(open_page: Open, home: Home) -> None:
    page = open_page(java_script_enabled=False)
    page.locator("th[data-key=rank_ic] a").click()
    assert shown(page) == ordered(home.analysis, "rank_ic", descending=True)
    page.get_by_label("Flagged").check()
    page.get_by_role("button", name="Show").click()
    assert "sort=rank_ic" in page.url
    flagged = home.analysis.summary.filter(pl.col("flags").list.len() > 0)
    assert set(shown(page)) == set(flagged["factor"])


def test_open_page_says_when_there_is_a_newer_report(open_page: Open, home: Home) -> None:
    page = open_page()
    write_report(home.settings, home.analysis, digest="e" * 32, at=datetime(2026, 3, 1, tzinfo=UTC))
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    notice = page.locator("#age")
    notice.get_by_text("There is a newer report.").wait_for()
    notice.get_by_role("link", name="Show it").click()
    page.wait_for_selector("#factors[data-digest^=eeee]")
