"""The pages of trainings in a real browser."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from qlops_assets.core.errors import TrainingCancelledError
from qlops_assets.core.journal import Journal
from qlops_assets.core.settings import Settings
from qlops_assets.core.trainings.failure import failure_record
from qlops_assets.core.trainings.progress import TrainingProgress
from qlops_assets.core.trainings.signs import read_sign
from qlops_assets.core.trainings.status import sign_path
from qlops_assets.registry.registry import Registry
from qlops_assets.registry.states import ModelEvent
from qlops_assets_tests.support.browser import chromium, pages_of
from qlops_assets_tests.support.consoles import (
    ConsoleProcess,
    add_evaluated_model,
    console_process,
)
from qlops_assets_tests.support.pages import CONTRASTS, NAMELESS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("console-browser")]

RUNNING = "lightgbm-simulated-7-300x8-20251231-b20f4d"
FAILED = "lightgbm-simulated-7-300x8-20251231-0aced1"
PHONE = {"width": 390, "height": 844}
LIVE = "#live[data-state=live]"
TASK = {"class": "LGBModel", "kwargs": {"num_boost_round": 1000}}
VALID = "#curves .chart path.line.series-1"


@dataclass
class Home:
    """A home with a training under way in this process, and its console."""

    settings: Settings
    journal: Journal
    console: ConsoleProcess
    progress: TrainingProgress | None = None
    steps: int = field(default=0)

    def begin(self, version: str = RUNNING) -> TrainingProgress:
        """Begin another attempt."""
        self.progress = TrainingProgress(
            self.journal,
            version,
            "trained_model",
            sign=sign_path(self.settings.models, version),
            run_id="r1",
            rows={"fit": 5000},
            patience=900,
        )
        Registry(self.journal).advance(
            version, ModelEvent.STARTED, by="d", why="", facts={"task": TASK, "failure": None}
        )
        self.progress.report("load", 0, None)
        self.steps = 0
        return self.progress

    def train(self, steps: int) -> None:
        """Report iterations; validation is best at step 30."""
        assert self.progress is not None
        for _ in range(steps):
            self.steps += 1
            valid = 0.99 + (self.steps - 30) ** 2 / 1e6
            metrics = {"train.l2": 1 - self.steps / 5000, "valid.l2": valid, "valid.ic": 0.05}
            self.progress.report("fit", self.steps, 1000, metrics)

    def end(self, event: ModelEvent, facts: dict[str, Any], version: str = RUNNING) -> None:
        """End the attempt, as the assets do."""
        assert self.progress is not None
        Registry(self.journal).advance(version, event, by="d", why="", facts=facts)
        self.progress.end(str(event) if event != ModelEvent.TRAINED else "finished", facts)
        self.progress = None

    def fail(self, version: str = RUNNING) -> None:
        """End the attempt with an error."""
        assert self.progress is not None
        failure = failure_record(
            MemoryError("Unable to allocate 3.12 GiB"),
            step="trained_model",
            attempt=self.progress.attempt,
            last=self.progress.last,
            task=TASK,
            data_version="ab" * 16,
        )
        self.end(ModelEvent.FAILED, {"failure": failure}, version)


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    journal = Journal(settings.journal_url)
    add_evaluated_model(settings, journal)
    with console_process(settings.home) as console:
        home = Home(settings, journal, console)
        home.begin(FAILED)
        home.train(12)
        home.fail(FAILED)
        yield home
    journal.close()


@pytest.fixture
def running(home: Home) -> Iterator[Home]:
    """Let an attempt run during the test."""
    home.begin()
    home.train(40)
    yield home
    if home.progress is not None:
        home.fail()


Open = Callable[..., "Page"]


@pytest.fixture
def open_page(browser: "Browser", home: Home) -> "Iterator[Open]":
    """Return a function that opens a page; afterwards none may have complained."""
    with pages_of(browser, home.console, f"training/{RUNNING}", until=LIVE) as pages:
        yield pages.open


def wait_for_step(page: "Page", steps: int) -> None:
    page.wait_for_function(
        "n => document.querySelector('#curves [data-field=step]').textContent === n",
        arg=str(steps),
    )


def wait_for_text(page: "Page", selector: str, text: str) -> None:
    page.wait_for_function(
        "([s, t]) => document.querySelector(s)?.textContent.includes(t)",
        arg=[selector, text],
    )


def train_slowly(page: "Page", home: Home) -> None:
    """Train on, for twenty seconds at most; somebody cancels it."""
    while home.steps < 900:
        home.train(1)
        page.wait_for_timeout(20)


def points(page: "Page") -> int:
    return str(page.locator(VALID).first.get_attribute("d")).count("L") + 1


def test_curves_and_numbers_move_with_the_training_without_a_reload(
    open_page: Open, running: Home
) -> None:
    page = open_page()
    page.evaluate("window.loadedOnce = true")
    wait_for_step(page, 40)
    page.wait_for_function("document.querySelectorAll('#curves .chart').length >= 2")
    assert page.locator("#curves .chart").count() == 2  # l2 and ic
    assert "best so far 30" in page.locator("#curves .chart").first.inner_text()
    running.train(25)
    wait_for_step(page, 65)
    assert points(page) == 65
    numbers = page.locator("#curves .numbers").inner_text()
    assert "0.99000" in numbers
    assert "at 30" in numbers
    assert "if valid improves no more" in numbers
    assert re.search(r"[0-9]+ (MB|GB)", numbers.replace(".", ""))
    assert page.locator("#timeline .stage-name").all_inner_texts() == ["load", "fit"]
    assert page.evaluate("window.loadedOnce") is True


def test_attempt_that_begins_takes_over_the_page(open_page: Open, running: Home) -> None:
    page = open_page()
    wait_for_step(page, 40)
    running.fail()
    page.wait_for_selector("#failure")
    assert "Unable to allocate 3.12 GiB" in page.locator("#failure").inner_text()
    assert page.locator("#head .badge").inner_text() == "failed"
    assert page.locator("#cancel").count() == 0
    running.begin()
    running.train(7)
    wait_for_step(page, 7)
    page.wait_for_selector("#failure", state="detached")
    page.wait_for_selector("#cancel")
    page.wait_for_function(
        "s => document.querySelector(s).getAttribute('d').split('L').length === 7", arg=VALID
    )


def test_training_is_cancelled_by_the_keyboard_after_a_question(
    open_page: Open, running: Home
) -> None:
    page = open_page()
    wait_for_step(page, 40)
    page.locator("#cancel").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#cancel-dialog[open]")
    page.keyboard.press("Escape")
    page.wait_for_selector("#cancel-dialog", state="hidden")
    page.locator("#cancel").click()
    page.get_by_label("Reason").fill("wrong <b>label</b>")
    page.locator("#cancel-dialog").get_by_role("button", name="Keep it running").click()
    running.train(5)  # nobody asked for anything yet
    page.locator("#cancel").click()
    page.get_by_label("Reason").fill("wrong <b>label</b>")
    page.locator("#cancel-dialog").get_by_role("button", name="Cancel training").click()
    wait_for_text(page, "#request", "wrong <b>label</b>")
    assert page.locator("#cancel").is_disabled()
    with pytest.raises(TrainingCancelledError) as caught:
        train_slowly(page, running)
    told = {"by": caught.value.by, "why": caught.value.why, "reached": caught.value.reached}
    running.end(ModelEvent.CANCELLED, told)
    wait_for_text(page, "#cancelled", f"It had done fit {running.steps} of 1000")
    assert page.locator("#head .badge").inner_text() == "cancelled"


def test_page_goes_on_after_the_server_was_killed_and_misses_nothing(
    open_page: Open, running: Home
) -> None:
    page = open_page()
    wait_for_step(page, 40)
    running.console.end()
    page.wait_for_selector("#live[data-state=waiting]")
    running.train(30)
    running.console.start()
    page.wait_for_selector(LIVE)
    wait_for_step(page, 70)
    assert points(page) == 70


def test_process_that_is_gone_is_shown_as_dead_without_an_event(
    open_page: Open, running: Home
) -> None:
    page = open_page()
    wait_for_step(page, 40)
    path = sign_path(running.settings.models, RUNNING)
    sign = read_sign(path)
    assert sign is not None
    path.write_text(path.read_text().replace(f'"pid": {sign.worker.pid}', '"pid": 4194305'))
    page.wait_for_selector("#dead")
    assert page.locator("#head .badge").inner_text() == "dead"
    assert page.locator("#cancel").count() == 0
    assert page.locator("#curves [data-field=eta]").inner_text() == "–"


def test_list_follows_trainings_and_leads_to_each(open_page: Open, running: Home) -> None:
    page = open_page("training")
    row = f'#list tr:has(a[href="/training/{RUNNING}"])'
    wait_for_text(page, row, "40 of 1,000")
    running.train(9)
    wait_for_text(page, row, "49 of 1,000")
    assert page.locator(f"{row} .badge").inner_text() == "running"
    running.fail()
    wait_for_text(page, row, "failed")
    page.locator(f"{row} a").first.click()
    page.wait_for_selector("#failure")
    assert page.locator("nav a[aria-current]").inner_text() == "Training"


PAGES = ["training", f"training/{RUNNING}", f"training/{FAILED}", f"training/{RUNNING}?attempt=1"]


@pytest.mark.parametrize("path", PAGES)
def test_pages_can_be_read_and_used_by_everybody(open_page: Open, running: Home, path: str) -> None:
    for scheme in ("light", "dark"):
        page = open_page(path, color_scheme=scheme)
        if path != "training":
            page.wait_for_selector(VALID)
        assert page.evaluate(CONTRASTS) == []
        assert page.evaluate(NAMELESS) == []
    phone = open_page(path, viewport=PHONE, has_touch=True)
    assert phone.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
