"""What docs/reference/mistakes.md says the program answers to wrong inputs and environments is what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from pathlib import Path

from docs.write_reference import REFERENCE
from tests.support.mistakes.page import page, row, type_all
from tests.support.mistakes.scene import Said, set_scene
from tests.support.mistakes.table import MISTAKES

from s3_log_roller.demo.servers import Ministack, SeaweedFS

LEAST = 70
OTHERS_AT_WORK_SECONDS = 15
"""Tests run beside each other, and six mistakes are made at a time."""
EVERY_MISTAKE = list(chain.from_iterable(MISTAKES.values()))


def test_every_mistake_is_answered_as_documented(seaweedfs: SeaweedFS, ministack: Ministack, tmp_path: Path) -> None:
    """One test, for all lines are typed once for it: otherwise `make mistakes`."""
    with set_scene(tmp_path, seaweedfs, ministack) as scene:
        answers = type_all(scene, EVERY_MISTAKE)
    assert len(answers) == len(EVERY_MISTAKE) >= LEAST
    assert_documented(answers)
    assert_in_time(answers)
    assert_no_traceback_or_silence(answers)


def assert_documented(answers: Mapping[str, Said]) -> None:
    """Message and exit code, line by line."""
    written = (REFERENCE / "mistakes.md").read_text()
    rows = [row(mistake, answers[mistake.line]) for mistake in EVERY_MISTAKE]
    assert [made for made in rows if made not in written.splitlines()] == []
    assert page(answers) == written


def assert_in_time(answers: Mapping[str, Said]) -> None:
    """No mistake leaves its user waiting longer than the page says."""
    slow = {
        mistake.typed: answers[mistake.line].seconds
        for mistake in EVERY_MISTAKE
        if answers[mistake.line].seconds > mistake.seconds + OTHERS_AT_WORK_SECONDS
    }
    assert slow == {}


def assert_no_traceback_or_silence(answers: Mapping[str, Said]) -> None:
    """Whatever goes wrong is told in lines of the program's own, unless nobody reads them any more."""
    for line, said in answers.items():
        assert "Traceback" not in said.errors, line
        assert "bug in the roller" not in said.errors, line
        assert said.errors or said.code == 141, line
