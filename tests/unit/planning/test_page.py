from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.support.missing import hide_library
from tests.support.sample_plan import sample_plan, sample_terms

from s3_log_roller.cli import main as cli
from s3_log_roller.planning.inventory import Inventory
from s3_log_roller.planning.page import render_page
from s3_log_roller.planning.plan import make_plan
from s3_log_roller.planning.verdict import verdict


def test_the_page_holds_everything_it_needs() -> None:
    """Nothing is loaded from anywhere, and its policy for content forbids it."""
    page = render_page(sample_plan())
    assert verdict(sample_plan()) in page
    assert not re.search(r"""(src|href)=|url\(|@import""", page)
    assert "default-src 'none'" in page
    assert len(page) < 200_000


def test_a_plan_of_nothing_is_a_page_too() -> None:
    """It says that there is nothing to do."""
    assert "There is nothing to do" in render_page(
        make_plan(sample_terms(), [Inventory("logs", "", sample_terms().window)], {})
    )


def test_without_jinja2_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Before anything is listed."""
    monkeypatch.setattr("signal.signal", lambda number, handler: None)
    hide_library(monkeypatch, "jinja2", "s3_log_roller.planning.page", "s3_log_roller.pages.page")
    assert cli.main(["plan", "s3://logs/", "--html", str(tmp_path / "plan.html")]) == 2
    assert "[report]'" in capsys.readouterr().err
