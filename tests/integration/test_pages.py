"""What holds for every page, in a real browser. What holds for one of them has files of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.browser import Browser, needs_axe, needs_browser
from tests.support.sample_plan import sample_plan
from tests.support.sample_report import sample_report

from s3_log_roller.planning import page as plan_page
from s3_log_roller.querying import page as report_page

pytestmark = needs_browser
WIDTHS = (360, 1280)
PAGES = {
    "plan": lambda: plan_page.render_page(sample_plan()),
    "report": lambda: report_page.render_page(sample_report()),
}


@pytest.fixture(scope="module", params=PAGES)
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / f"{request.param}.html"
    path.write_text(PAGES[request.param]())
    return path


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dark", [False, True])
def test_the_page_is_quiet_and_fits(browser: Browser, page: Path, width: int, dark: bool) -> None:
    """No errors, no request but for the page itself, and no scrolling to the side."""
    browser.open(page, width, dark=dark)
    assert browser.logged() == []
    assert browser.requested() == [page.as_uri()]
    assert browser.run("return document.documentElement.scrollWidth") <= width


@needs_axe
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dark", [False, True])
def test_the_page_can_be_read_by_everybody(browser: Browser, page: Path, width: int, dark: bool) -> None:
    """Contrast, headings, tables and names of pictures, by axe-core's rules."""
    browser.open(page, width, dark=dark)
    assert browser.axe() == []


def test_the_page_prints_in_light_colours(browser: Browser, page: Path) -> None:
    """Whatever the screen's."""
    browser.open(page, 1280, dark=True, media="print")
    assert browser.run("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
