"""The page in a browser: it asks for nothing, and fits a narrow screen in light and in dark."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from qlops_assets_tests.support.browser import chromium
from qlops_assets_tests.support.market_fixtures import Trained

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser
_CONTRAST = """
() => {
  const luminance = (text) => {
    const [r, g, b] = text.match(/[\\d.]+/g).slice(0, 3).map((v) => {
      const c = v / 255;
      return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = luminance(getComputedStyle(document.body).backgroundColor);
  const ratio = (text) => {
    const ink = luminance(text);
    return (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
  };
  return [...document.querySelectorAll("body, .note, figcaption, th, a, svg text, summary")]
    .map((e) => ratio(getComputedStyle(e)[e.closest("svg") ? "fill" : "color"]));
}
"""


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def page_file(trained: Trained) -> Path:
    return trained.settings.models / trained.first / "report.html"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_page_asks_for_nothing_fits_the_screen_and_is_legible(
    browser: "Browser", page_file: Path, scheme: str, width: int
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)  # type: ignore[arg-type]
    asked: list[str] = []
    troubles: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: troubles.append(message.text))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    try:
        page.goto(page_file.as_uri())
        assert (asked, troubles) == ([page_file.as_uri()], [])
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("svg[role=img]").count() == 9
        assert min(page.evaluate(_CONTRAST)) >= 4.5
    finally:
        page.close()


def test_page_prints_dark_on_white_also_where_the_reader_prefers_dark(
    browser: "Browser", page_file: Path
) -> None:
    page = browser.new_page(color_scheme="dark")
    try:
        page.goto(page_file.as_uri())
        page.emulate_media(media="print", color_scheme="dark")
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        ink = page.evaluate("getComputedStyle(document.querySelector('svg text')).fill")
        assert (ground, ink) == ("rgb(255, 255, 255)", "rgb(0, 0, 0)")
        assert page.locator("details").first.is_hidden()
    finally:
        page.close()
