"""A Chromium for tests, driven by Playwright; the tests skip aloud where there is none."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from qlops_assets_tests.support.consoles import ConsoleProcess

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def chromium() -> Iterator["Browser"]:
    """Yield a browser."""
    executable = next(filter(None, map(shutil.which, _NAMES)), None)
    if executable is None:
        pytest.skip(f"no browser: none of {', '.join(_NAMES)} is on the PATH")
    playwright = pytest.importorskip("playwright.sync_api", reason="no Playwright for Python")
    with playwright.sync_playwright() as session:
        browser = session.chromium.launch(executable_path=executable, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


_HERE = re.compile(r"(http|ws)://127\.0\.0\.1:")


@dataclass
class Pages:
    """Pages of a console, and all that the browser complained of and asked for in them."""

    browser: "Browser"
    console: ConsoleProcess
    path: str
    until: str | None
    opened: list["Page"] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    requests: set[str] = field(default_factory=set)

    def open(self, path: str | None = None, **options: Any) -> "Page":
        """Open a path of the console in a page of its own; ``options`` are Playwright's."""
        page = self.browser.new_page(**{"viewport": {"width": 1440, "height": 900}, **options})
        page.set_default_timeout(30_000)
        self.opened.append(page)
        page.on("console", lambda said: self.complaints.append(said.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda asked: self.requests.add(asked.url))
        page.goto(self.console.url + (self.path if path is None else path))
        if self.until is not None:
            page.wait_for_selector(self.until)
        return page

    def close(self) -> None:
        """Close them: no page may have complained or asked for anything of another machine.

        Where the console was killed meanwhile, the browser itself says that it could not connect,
        or that an answer on its way broke off (``net::ERR_...``, by where it was cut).
        """
        for page in self.opened:
            page.close()
        killed = self.console.kills > 0
        assert [t for t in self.complaints if not (killed and "net::ERR_" in t)] == []
        assert {url for url in self.requests if not _HERE.match(url)} == set()


@contextmanager
def pages_of(
    browser: "Browser", console: ConsoleProcess, path: str = "", *, until: str | None = None
) -> Iterator[Pages]:
    """Yield pages of a console, which are closed and judged in the end.

    Args:
        browser: Of :func:`chromium`.
        console: Whose pages.
        path: Opened where no other is asked for.
        until: Selector of what a page has once it is ready.
    """
    console.kills = 0
    pages = Pages(browser, console, path, until)
    yield pages
    pages.close()
