"""Pages of evidence are those of the figures that were taken."""

from __future__ import annotations

import json
from pathlib import Path

from bench.read_report import render
from bench.read_side import RESULTS
from tests.support.paths import ROOT


def test_the_page_on_reading_is_that_of_its_results(tmp_path: Path) -> None:
    """Nobody edits figures: `python -m bench.read_side --render` writes page and charts."""
    render(json.loads(RESULTS.read_text()), tmp_path)
    written = sorted(tmp_path.iterdir())
    assert "reading.md" in [path.name for path in written]
    for path in written:
        assert path.read_text() == (ROOT / "docs" / "evidence" / path.name).read_text()
