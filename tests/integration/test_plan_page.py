"""The plan's page in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.browser import Browser, needs_browser
from tests.support.sample_plan import sample_plan, sample_terms

from s3_log_roller.planning.page import render_page
from s3_log_roller.planning.verdict import verdict

pytestmark = needs_browser


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "plan.html"
    path.write_text(render_page(sample_plan()))
    return path


def test_nothing_needs_the_script(browser: Browser, page: Path) -> None:
    """The verdict, the pictures and the table are there without it."""
    browser.open(page, 1280, script=False)
    text = browser.driver.find_element("tag name", "body").text
    assert verdict(sample_plan()) in text
    assert "s3://my-logs/old/" in text
    assert len(browser.driver.find_elements("css selector", "svg rect")) > 250


def test_the_table_can_be_sorted(browser: Browser, page: Path) -> None:
    """By numbers as numbers, by names, and back."""
    browser.open(page, 1280)
    column = "return [...document.querySelectorAll('tbody tr')].map((row) => row.cells[{}].innerText)"
    headings = browser.driver.find_elements("css selector", "thead button")
    headings[1].click()
    assert browser.run(column.format(1)) == ["91", "80", "33", "1"]
    headings[1].click()
    assert browser.run(column.format(1)) == ["1", "33", "80", "91"]
    headings[0].click()
    headings[0].click()
    names = browser.run(column.format(0))
    assert names == sorted(names, key=str.lower)


def test_names_are_never_markup(browser: Browser, tmp_path: Path) -> None:
    """Whoever may write into the bucket, or name a prefix, writes text."""
    plan = sample_plan()
    for day in plan.days:
        group = day.found.group
        object.__setattr__(group, "target_prefix", "<img src=x onerror=alert(1)>\x1b[31m/")
    path = tmp_path / "plan.html"
    path.write_text(render_page(plan))
    browser.open(path, 1280)
    assert browser.logged() == []
    assert browser.requested() == [path.as_uri()]
    assert browser.run("return document.images.length") == 0
    assert "<img src=x onerror=alert(1)>" in browser.driver.find_element("tag name", "body").text
    assert "\x1b" not in path.read_text()


def test_a_plan_that_does_not_pay(browser: Browser, tmp_path: Path) -> None:
    """It says so on top."""
    path = tmp_path / "plan.html"
    path.write_text(render_page(sample_plan(sample_terms(keep_days=30))))
    browser.open(path, 360)
    assert "costs 0.5" in browser.driver.find_element("css selector", ".verdict").text
    assert browser.run("return document.documentElement.scrollWidth") <= 360
