"""The overview in a real browser."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from qlops_assets.core.journal import Journal
from qlops_assets.core.settings import Settings
from qlops_assets.registry.registry import Registry
from qlops_assets.registry.states import ModelEvent
from qlops_assets_tests.support.browser import chromium, pages_of
from qlops_assets_tests.support.consoles import (
    VERSION,
    ConsoleProcess,
    add_evaluated_model,
    console_process,
    deploy,
    report_fit,
)
from qlops_assets_tests.support.pages import CONTRASTS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("console-browser")]

RUNNING = "lightgbm-simulated-7-300x8-20251231-b20f4d"
PHONE = {"width": 390, "height": 844}
LIVE = "#live[data-state=live]"


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    with chromium() as browser:
        yield browser


@dataclass
class Home:
    """A home with an evaluated model and a training under way, and its console."""

    settings: Settings
    journal: Journal
    console: ConsoleProcess
    steps: int = field(default=0)

    def train(self, steps: int) -> None:
        report_fit(self.journal, RUNNING, range(self.steps + 1, self.steps + steps + 1))
        self.steps += steps


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    journal = Journal(settings.journal_url)
    add_evaluated_model(settings, journal)
    deploy(journal, "staging")
    Registry(journal).advance(RUNNING, ModelEvent.STARTED, by="anna", why="again")
    settings.lake.mkdir(parents=True)  # the source has data: the page says it is simulated
    with console_process(settings.home) as console:
        home = Home(settings, journal, console)
        home.train(20)
        yield home
    journal.close()


Open = Callable[..., "Page"]


@pytest.fixture
def open_page(browser: "Browser", home: Home) -> "Iterator[Open]":
    """Return a function that opens the overview; afterwards no page may have complained."""
    with pages_of(browser, home.console, until=LIVE) as pages:
        yield pages.open


def background(page: "Page") -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def overflow(page: "Page") -> int:
    return int(page.evaluate("document.documentElement.scrollWidth - innerWidth"))


def test_overview_renders_tiles_charts_and_no_complaint(open_page: Open) -> None:
    page = open_page()
    page.wait_for_selector(".equity .plot path.line.series-3")
    assert page.locator(".equity .plot path.line").count() == 4
    assert page.locator(".curve path.line").count() == 2
    assert page.locator("#model .badge").inner_text() == "validated"
    assert "0.0400" in page.locator("#model").inner_text()
    assert page.locator("#banner").inner_text().startswith("Simulated market")
    assert page.locator("#live").inner_text() == "Live"


def test_learning_curve_moves_when_events_are_appended(open_page: Open, home: Home) -> None:
    page = open_page()
    step = page.locator("#training [data-field=step]")
    page.wait_for_function(
        "n => document.querySelector('#training [data-field=step]').textContent === n",
        arg=str(home.steps),
    )
    before = page.locator(".curve path.line.series-1").get_attribute("d")
    home.train(50)
    page.wait_for_function(
        "n => document.querySelector('#training [data-field=step]').textContent === n",
        arg=str(home.steps),
    )
    after = page.locator(".curve path.line.series-1").get_attribute("d")
    assert step.inner_text() == str(home.steps)
    assert before is not None
    assert after is not None
    assert after.count("L") == home.steps - 1 > before.count("L")
    assert "at most" in page.locator("#training [data-field=left]").inner_text()


def test_page_follows_the_journal_without_being_loaded_again(open_page: Open, home: Home) -> None:
    page = open_page()
    page.wait_for_selector(".equity .plot path.line")
    page.evaluate("document.querySelector('.equity').dataset.seen = 'yes'")
    deploy(home.journal, "production")
    page.wait_for_selector("#environment-2 .version")
    assert VERSION in page.locator("#environment-2").inner_text().replace("\n", "")
    # The chart was carried over, not drawn anew.
    assert page.locator(".equity").get_attribute("data-seen") == "yes"
    assert page.locator(".equity .plot path.line").count() == 4


def test_event_with_hostile_text_is_shown_as_text(open_page: Open, home: Home) -> None:
    page = open_page()
    evil = "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"
    home.journal.append("alerts", "raised", {"text": evil})
    home.journal.append(f"training/{RUNNING}", "progress", {"stage": evil, "step": 1})
    page.wait_for_function(
        "t => document.querySelector('#events').textContent.includes(t)", arg=evil
    )
    page.wait_for_function(
        "t => document.querySelector('#training [data-field=stage]').textContent === t", arg=evil
    )
    assert page.title() == "Overview · qlops"
    assert page.locator("#overview img, #overview script").count() == 0


def test_page_reconnects_after_the_server_was_killed_and_shows_what_it_missed(
    open_page: Open, home: Home
) -> None:
    page = open_page()
    home.console.end()
    page.wait_for_selector("#live[data-state=waiting]")
    assert page.locator("#live").inner_text() == "Reconnecting"
    home.train(10)
    home.journal.append("alerts", "raised", {"text": "while you were away"})
    home.console.start()
    page.wait_for_selector(LIVE)
    page.wait_for_function(
        "() => document.querySelector('#events').textContent.includes('while you were away')",
    )
    page.wait_for_function(
        "n => document.querySelector('#training [data-field=step]').textContent === n",
        arg=str(home.steps),
    )
    path = page.locator(".curve path.line.series-1").get_attribute("d")
    assert path is not None
    assert path.count("L") == home.steps - 1


def test_theme_follows_the_system_until_one_is_chosen_and_that_is_remembered(
    open_page: Open,
) -> None:
    light, dark = (background(open_page(color_scheme=scheme)) for scheme in ("light", "dark"))
    assert light != dark
    page = open_page(color_scheme="light")
    page.locator("#theme").click()
    assert background(page) == dark
    page.reload()
    assert background(page) == dark
    page.locator("#theme").click()
    assert background(page) == light


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_enough_to_be_read(open_page: Open, scheme: str) -> None:
    page = open_page(color_scheme=scheme)
    page.wait_for_selector(".equity .plot path.line")
    assert page.evaluate(CONTRASTS) == []


def test_phone_shows_everything_without_scrolling_sideways(open_page: Open, home: Home) -> None:
    page = open_page(viewport=PHONE, has_touch=True)
    page.wait_for_selector(".equity .plot path.line")
    assert overflow(page) <= 0
    home.journal.append("alerts", "raised", {"text": "x" * 170})
    page.wait_for_function("() => document.querySelector('#events').textContent.includes('xxxx')")
    assert overflow(page) <= 0
    assert page.locator("#metrics").bounding_box()["width"] <= 390


def test_keyboard_reaches_links_buttons_charts_and_lists_in_order(open_page: Open) -> None:
    page = open_page()
    page.wait_for_selector(".equity .plot path.line")
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                "() => { const e = document.activeElement; const s = getComputedStyle(e);"
                " return [e.id || e.className || e.textContent.trim(), s.outlineStyle]; }"
            )
        )
        if "feed" in reached[-1][0]:
            break
    names = [name for name, _ in reached]
    assert names[0] == "skip"
    wanted = ["brand", "theme", "onward", "plot", "feed"]
    places = [next(i for i, name in enumerate(names) if word in name) for word in wanted]
    assert places == sorted(places)
    assert all(outline != "none" for _, outline in reached)


def test_chart_is_read_zoomed_and_reset_by_keyboard_and_mouse(open_page: Open) -> None:
    page = open_page()
    plot = page.locator(".equity .plot").first
    page.wait_for_selector(".equity .plot path.line")
    plot.focus()
    page.keyboard.press("Home")
    legend = page.locator(".equity .legend").first
    assert "2025-01-02" in legend.inner_text()
    assert "+1.00\u00a0%" in legend.inner_text()
    page.keyboard.press("ArrowRight")
    assert "2025-01-03" in legend.inner_text()
    assert "+3.00\u00a0%" in legend.inner_text()
    assert "2025-01-03" in page.locator(".equity .legend").nth(1).inner_text()  # linked
    legend.get_by_role("button", name="Benchmark").click()
    assert page.locator(".equity .plot").first.locator("path.line").count() == 2
    curve = page.locator(".curve .plot")
    curve.scroll_into_view_if_needed()
    box = curve.bounding_box()
    assert box is not None
    whole = page.locator(".curve path.line").first.get_attribute("d")
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + 60, steps=4)
    page.mouse.up()
    zoomed = page.locator(".curve path.line").first.get_attribute("d")
    page.mouse.dblclick(box["x"] + box["width"] * 0.6, box["y"] + 50)
    assert whole is not None
    assert zoomed is not None
    assert zoomed.count("L") < whole.count("L")
    assert page.locator(".curve path.line").first.get_attribute("d") == whole


def test_empty_home_fills_itself_when_the_first_run_starts(
    browser: "Browser", tmp_path: Path
) -> None:
    settings = Settings(home=tmp_path)
    with console_process(settings.home) as console:
        page = browser.new_page()
        page.goto(console.url)
        page.wait_for_selector(LIVE)
        assert page.locator("#welcome").count() == 1
        journal = Journal(settings.journal_url)
        Registry(journal).advance(RUNNING, ModelEvent.STARTED, by="demo", why="first")
        report_fit(journal, RUNNING, range(1, 31))
        page.wait_for_selector(".curve path.line")
        assert page.locator("#welcome").count() == 0
        page.wait_for_function(
            "() => document.querySelector('#training [data-field=step]').textContent === '30'"
        )
        journal.close()
        page.close()
