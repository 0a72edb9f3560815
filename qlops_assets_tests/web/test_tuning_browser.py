"""The pages of studies in a real browser."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from qlops_assets.core.journal import Journal
from qlops_assets.core.settings import Settings
from qlops_assets.core.studies import words
from qlops_assets.core.studies.status import sign_path
from qlops_assets.core.trainings.signs import read_sign
from qlops_assets_tests.support.browser import chromium, pages_of
from qlops_assets_tests.support.consoles import ConsoleProcess, console_process
from qlops_assets_tests.support.pages import CONTRASTS, NAMELESS
from qlops_assets_tests.support.studies import (
    ABOUT,
    StudyWriter,
    finished_study,
    searched,
    value_of,
)

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("console-browser")]

DONE = "lightgbm-simulated-7-300x8-20251231-0aced1"
FULL = "lightgbm-simulated-7-300x8-20251231-c0ffee"
PHONE = {"width": 390, "height": 844}
LIVE = "#live[data-state=live]"
MARKS = "#history .marks > *"
LINES = "#parallel .trials > .trial-line"


@dataclass
class Home:
    """A home with a study that is over, a long one, and its console."""

    settings: Settings
    journal: Journal
    console: ConsoleProcess
    begun: int = 0

    def begin(self, trials: int = 8) -> StudyWriter:
        """Begin a study of its own for a test."""
        self.begun += 1
        name = f"lightgbm-simulated-7-300x8-20251231-{self.begun:06d}"
        return StudyWriter(self.settings, self.journal, name).begin(trials)


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    journal = Journal(settings.journal_url)
    finished_study(settings, journal, DONE)
    long_study(settings, journal)
    with console_process(settings.home) as console:
        yield Home(settings, journal, console)
    journal.close()


def long_study(settings: Settings, journal: Journal) -> None:
    """Write a study of 80 trials over a space of eight parameters."""
    more = {f"min_data_in_leaf_{n}": {"low": 20, "high": 2000, "log": True} for n in range(4)}
    space = {**ABOUT["space"], **more}
    writer = StudyWriter(settings, journal, FULL, {**ABOUT, "space": space}).begin(80)
    for number in range(80):
        tried = {**searched(number), **dict.fromkeys(more, 20 + 13 * number)}
        started = {"trial": number, "parameters": tried, "searched": tried}
        writer.say(words.TRIAL_STARTED, **started, is_baseline=number == 0)
        state = words.PRUNED if number % 5 == 4 else words.COMPLETE
        writer.end(number, state, value_of(number))
    writer.find(**dict.fromkeys(space, 0.125))
    writer.stop(words.FINISHED, complete=64, pruned=16, failed=0)


Open = Callable[..., "Page"]


@pytest.fixture
def open_page(browser: "Browser", home: Home) -> "Iterator[Open]":
    """Return a function that opens a page; afterwards none may have complained."""
    with pages_of(browser, home.console, f"tuning/{DONE}", until=LIVE) as pages:
        yield pages.open


def wait_for_count(page: "Page", selector: str, count: int) -> None:
    page.wait_for_function(
        "([s, n]) => document.querySelectorAll(s).length === n", arg=[selector, count]
    )


def wait_for_text(page: "Page", selector: str, text: str) -> None:
    page.wait_for_function(
        "([s, t]) => document.querySelector(s)?.textContent.includes(t)", arg=[selector, text]
    )


def numbers(page: "Page", selector: str) -> list[int]:
    found = page.locator(selector).evaluate_all("all => all.map(one => Number(one.dataset.trial))")
    return [int(number) for number in found]


def test_charts_and_table_move_with_the_study_without_a_reload(open_page: Open, home: Home) -> None:
    study = home.begin(6)
    page = open_page(f"tuning/{study.study}")
    page.evaluate("window.loadedOnce = true")
    wait_for_text(page, "#history", "No trial has started yet")
    wait_for_text(page, "#importance", "after four complete trials")
    study.complete(0, 0.040)
    wait_for_count(page, MARKS, 1)
    wait_for_count(page, "#history line.baseline", 2)  # one is in the legend
    study.complete(1, 0.045)
    study.prune(2, 0.010)
    study.fail(3, "its scores rank nothing")
    study.start(4)
    study.iterate(4, 0, 57)
    wait_for_text(page, "#trial-4", "fold 1 of 3, iteration 57 of 200")
    study.iterate(4, 0, 58)
    wait_for_text(page, "#trial-4", "iteration 58 of 200")
    assert page.locator("#trial-4 progress").evaluate("bar => [bar.value, bar.max]") == [58, 200]
    kinds = ("complete", "complete", "pruned", "failed", "running")
    shapes = page.locator(MARKS).evaluate_all("all => all.map(one => one.getAttribute('class'))")
    assert shapes == [f"mark-{kind}" for kind in kinds]
    assert numbers(page, LINES) == [3, 2, 4, 0, 1]  # the best on top
    assert page.locator("#parallel path.over.best").get_attribute("data-over") == "1"
    assert numbers(page, "#trials tbody") == [4, 3, 2, 1, 0]
    assert "its scores rank nothing" in page.locator("tbody[data-trial='3']").inner_text()
    wait_for_text(page, "#best", "0.0450")
    wait_for_text(page, "#gain", "+0.0050")
    study.fold(4, 0, 0.05)
    study.end(4, words.COMPLETE, 0.05)
    study.find(learning_rate=0.7, loss=0.3)
    wait_for_text(page, "#importance", "70 %")
    wait_for_text(page, "#ended", "5")
    wait_for_text(page, "tbody.best", "0.0500")
    assert numbers(page, "#trials tbody.best") == [4]
    assert "best so far 0.0500, trial 4" in page.locator("#history .legend").inner_text()
    study.complete(5, 0.03)
    study.stop(words.FINISHED, complete=4, pruned=1, failed=1)
    wait_for_text(page, "#head .badge", "finished")
    assert page.locator("#cancel").count() == 0
    assert page.evaluate("window.loadedOnce") is True


def test_page_goes_on_after_the_server_was_killed_and_misses_nothing(
    open_page: Open, home: Home
) -> None:
    study = home.begin(12)
    study.complete(0, 0.040)
    page = open_page(f"tuning/{study.study}")
    wait_for_count(page, MARKS, 1)
    home.console.end()
    page.wait_for_selector("#live[data-state=waiting]")
    for number in range(1, 9):
        study.complete(number, value_of(number))
    home.console.start()
    page.wait_for_selector(LIVE)
    wait_for_count(page, "#trials tbody", 9)
    wait_for_count(page, MARKS, 9)
    study.complete(9, value_of(9))
    wait_for_count(page, "#trials tbody", 10)
    wait_for_count(page, MARKS, 10)
    assert numbers(page, MARKS) == list(range(10))
    assert numbers(page, "#trials tbody") == list(range(9, -1, -1))
    assert sorted(numbers(page, LINES)) == list(range(10))
    study.stop(words.FINISHED, complete=10, pruned=0, failed=0)


def test_trial_that_is_pointed_at_is_told_by_every_chart(open_page: Open) -> None:
    page = open_page()
    wait_for_count(page, MARKS, 8)
    page.locator("#trial-2 .value").hover()
    assert page.locator("#parallel path.looked").get_attribute("data-over") == "2"
    assert page.locator("#history .ring.pointed").count() == 1
    tried = searched(2)
    told = page.locator("#parallel .trial-value").all_text_contents()
    shown = [f"{tried['learning_rate']:.3g}", f"{tried['lambda_l1']:.3g}"]
    assert told == [*shown, str(tried["max_depth"]), tried["loss"], "0.0420"]
    page.locator("#history .marks [data-trial='4']").hover()
    tip = page.locator("#history .tip").inner_text()
    assert "Trial 4, complete" in tip
    assert "0.0480" in tip
    page.wait_for_selector("tbody.pointed[data-trial='4']")
    page.mouse.move(5, 5)
    page.wait_for_selector("#parallel path.looked", state="detached")
    assert page.locator("#history .tip").is_hidden()


def test_trial_is_chosen_by_a_click_and_by_the_keyboard_and_kept(
    open_page: Open, home: Home
) -> None:
    page = open_page(f"tuning/{FULL}")
    wait_for_count(page, MARKS, 80)
    page.locator("#trial-76 .value").click()
    page.wait_for_selector("tbody.chosen[data-trial='76']")
    page.mouse.move(5, 5)
    assert page.locator("#parallel path.looked").get_attribute("data-over") == "76"
    page.locator("#history .plot").focus()
    page.keyboard.press("Home")
    page.wait_for_selector("tbody.chosen[data-trial='0']")
    box, table = (page.locator(s).bounding_box() for s in ("#trial-0", ".trial-table"))
    assert box is not None
    assert table is not None
    assert table["y"] <= box["y"] < table["y"] + table["height"]  # it was scrolled to
    page.keyboard.press("ArrowRight")
    assert "Trial 1, complete" in page.locator("#history output").inner_text()
    assert page.locator("#history .tip b").inner_text() == "Trial 1, complete"
    page.keyboard.press("Escape")
    page.wait_for_selector("tbody.chosen", state="detached")
    page.locator("#parallel .plot").focus()
    page.keyboard.press("End")
    best = max((n for n in range(80) if n % 5 != 4), key=value_of)
    page.wait_for_selector(f"tbody.chosen.best[data-trial='{best}']")
    page.goto(f"{home.console.url}tuning/{FULL}#trial-12")
    page.reload()
    page.wait_for_selector("tbody.chosen[data-trial='12']")


def test_row_of_a_table_that_is_read_stays_where_it_is_when_a_trial_begins(
    open_page: Open, home: Home
) -> None:
    study = home.begin(60)
    for number in range(40):
        study.complete(number, value_of(number))
    page = open_page(f"tuning/{study.study}")
    wait_for_count(page, MARKS, 40)
    page.locator(".trial-table").evaluate("table => { table.scrollTop = 400 }")
    row = page.locator("#trial-24")
    before = row.bounding_box()
    study.start(40)
    wait_for_count(page, "#trials tbody", 41)
    after = row.bounding_box()
    assert before is not None
    assert after is not None
    assert abs(after["y"] - before["y"]) < 2
    study.stop(words.FINISHED, complete=40, pruned=0, failed=0)


def test_study_is_cancelled_by_the_keyboard_after_a_question(open_page: Open, home: Home) -> None:
    study = home.begin()
    study.complete(0, 0.04)
    study.start(1)
    page = open_page(f"tuning/{study.study}")
    page.locator("#cancel").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#cancel-dialog[open]")
    page.keyboard.press("Escape")
    page.wait_for_selector("#cancel-dialog", state="hidden")
    page.locator("#cancel").click()
    page.get_by_label("Reason").fill("wrong <b>label</b>")
    page.locator("#cancel-dialog").get_by_role("button", name="Cancel study").click()
    wait_for_text(page, "#request", "wrong <b>label</b>")
    assert page.locator("#cancel").is_disabled()
    study.stop(words.CANCELLED, by="ann", why="wrong <b>label</b>")
    wait_for_text(page, "#cancelled", "1 of 8 trials had ended")
    wait_for_count(page, "#history .mark-waiting", 2)  # one is in the legend
    wait_for_text(page, "#trial-1", "waiting")


def test_process_that_is_gone_is_shown_as_dead_without_an_event(
    open_page: Open, home: Home
) -> None:
    study = home.begin()
    study.start(0)
    page = open_page(f"tuning/{study.study}")
    wait_for_count(page, "#history .marks .mark-running", 1)
    path = sign_path(home.settings.studies, study.study)
    sign = read_sign(path)
    assert sign is not None
    path.write_text(path.read_text().replace(f'"pid": {sign.worker.pid}', '"pid": 4194305'))
    page.wait_for_selector("#dead")
    assert page.locator("#head .badge").inner_text() == "dead"
    wait_for_count(page, "#history .marks .mark-waiting", 1)
    assert page.locator("#cancel").count() == 0


def test_list_follows_studies_and_leads_to_each(open_page: Open, home: Home) -> None:
    study = home.begin()
    page = open_page("tuning")
    row = f'#list tr:has(a[href="/tuning/{study.study}"])'
    wait_for_text(page, row, "0 of 8")
    study.complete(0, 0.04)
    study.complete(1, 0.044)
    wait_for_text(page, row, "2 of 8")
    wait_for_text(page, row, "+0.0040")
    assert page.locator(f"{row} progress").evaluate("bar => [bar.value, bar.max]") == [2, 8]
    study.stop(words.FINISHED, complete=2, pruned=0, failed=0)
    wait_for_text(page, row, "finished")
    page.locator(f"{row} a").click()
    wait_for_count(page, MARKS, 2)
    assert page.locator("nav a[aria-current]").inner_text() == "Tuning"


# Texts of a chart that lie on each other, or outside of it.
MESS = """selector => {
  const svg = document.querySelector(selector).getBoundingClientRect();
  const all = [...document.querySelectorAll(`${selector} text`)];
  const boxes = all.map((text) => [text.textContent, text.getBoundingClientRect()]);
  const out = ([, b]) => b.left < svg.left - 1 || b.right > svg.right + 1
    || b.top < svg.top - 1 || b.bottom > svg.bottom + 1;
  const meet = ([, a], [, b]) => a.left < b.right && b.left < a.right
    && a.top + 2 < b.bottom - 2 && b.top + 2 < a.bottom - 2;
  const messy = boxes.filter(out).map(([text]) => `out: ${text}`);
  boxes.forEach((a, i) => boxes.slice(i + 1).forEach((b) => {
    if (meet(a, b)) messy.push(`${a[0]} on ${b[0]}`);
  }));
  return messy;
}"""


@pytest.mark.parametrize("study", [DONE, FULL])
@pytest.mark.parametrize("width", [390, 820, 1440])
def test_texts_of_charts_can_be_read_at_every_width(
    open_page: Open, study: str, width: int
) -> None:
    page = open_page(f"tuning/{study}", viewport={"width": width, "height": 900})
    page.wait_for_selector(LINES)
    assert page.evaluate(MESS, "#parallel .plot > svg") == []
    assert page.evaluate(MESS, "#history .plot > svg") == []
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


@pytest.mark.parametrize("path", ["tuning", f"tuning/{DONE}", f"tuning/{FULL}"])
def test_pages_can_be_read_and_used_by_everybody(open_page: Open, path: str) -> None:
    for scheme in ("light", "dark"):
        page = open_page(path, color_scheme=scheme)
        if path != "tuning":
            page.wait_for_selector(LINES)
        assert page.evaluate(CONTRASTS) == []
        assert page.evaluate(NAMELESS) == []
    phone = open_page(path, viewport=PHONE, has_touch=True)
    assert phone.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
