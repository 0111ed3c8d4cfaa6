from __future__ import annotations

import sys

import pytest

from s3_log_roller.cli.progress import ProgressLine, show_progress
from s3_log_roller.rolling.meter import Meter, Ticker
from s3_log_roller.rolling.summary import Summary


def test_the_line_of_a_run() -> None:
    """Prefixes scanned, day groups done, logs, bytes, and rates over the last seconds."""
    summary = Summary(prefixes_scanned=1, tasks_received=3, day_groups_done=2)
    meter = Meter(2)
    line = ProgressLine(summary, meter, prefixes=3)
    line.text(now=100.0)
    Ticker(meter.cells, 0)(600, 2_000_000)
    Ticker(meter.cells, 1)(400, 2_000_000)
    assert line.text(now=102.0) == ("prefixes 1/3 · 2 day groups done · 1,000 logs · 4.0 MB · 500 logs/s, 2.0 MB/s")
    assert line.text(now=111.5).endswith(" · 0 logs/s, 0 B/s")


def test_the_line_of_a_producer() -> None:
    """Only what a producer does."""
    summary = Summary(prefixes_scanned=1, prefixes_failed=1, day_groups_found=12, failures={"a": "b"})
    assert ProgressLine(summary, Meter(0), prefixes=3).text(0.0) == "prefixes 2/3 · 12 day groups found · 1 failed"


def test_nothing_is_shown_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    """No control characters where nobody watches, and rich is not even imported."""
    before = set(sys.modules)
    with show_progress(ProgressLine(Summary(), Meter(0)), wanted=True):
        pass
    assert capsys.readouterr().err == ""
    assert not any(name.startswith("rich") for name in set(sys.modules) - before)
