"""The page of a report in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.browser import Browser, needs_browser
from tests.support.sample_report import HOSTILE, sample_report

from s3_log_roller.log_output import printable
from s3_log_roller.querying.page import render_page

pytestmark = needs_browser


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render_page(sample_report()))
    return path


def test_texts_of_strangers_are_never_markup(browser: Browser, page: Path) -> None:
    """Whoever sends a request writes its user agent and its key, and everybody can."""
    browser.open(page, 1280)
    assert browser.logged() == []
    assert browser.run("return [document.images.length, document.scripts.length]") == [0, 1]
    text = browser.driver.find_element("tag name", "body").text
    assert text.count(printable(HOSTILE)) >= 2  # as a user agent, and as a name that could not be read


def test_nothing_needs_the_script(browser: Browser, page: Path) -> None:
    """The figures, the calendar and the tables are there without it."""
    browser.open(page, 1280, script=False)
    text = browser.driver.find_element("tag name", "body").text
    assert "3 days without requests, the first on 2022-08-16" in text
    assert "REST.PUT.BUCKETPOLICY" in text
    assert len(browser.driver.find_elements("css selector", "svg rect")) == 94


def test_the_tables_can_be_sorted(browser: Browser, page: Path) -> None:
    """Texts as texts and numbers as numbers, whatever column they are in."""
    browser.open(page, 1280)
    table = "[aria-labelledby=bytes-by-requester]"
    column = f"return [...document.querySelectorAll('{table} tbody tr')].map((row) => row.cells[{{}}].innerText)"
    headings = browser.driver.find_elements("css selector", f"{table} thead button")
    headings[1].click()
    numbers = [int(text.replace(",", "")) for text in browser.run(column.format(1))]
    assert numbers == sorted(numbers, reverse=True)
    headings[0].click()
    names = browser.run(column.format(0))
    assert names == sorted(names, key=str.lower, reverse=True)
