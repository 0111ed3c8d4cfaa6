from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time

import pytest

from s3_log_roller.cli.progress import ProgressLine, duration, fit, show_progress
from s3_log_roller.rolling.meter import Meter, Ticker
from s3_log_roller.rolling.summary import Summary

WIDE = 200


def test_the_line_of_a_run() -> None:
    """Day groups done, logs, bytes, rates over the last seconds; no total while prefixes are still scanned."""
    summary = Summary(prefixes_scanned=1, tasks_received=3, day_groups_done=2, day_groups_found=9)
    meter = Meter(2)
    line = ProgressLine(summary, meter, prefixes=3)
    line(100.0, WIDE)
    Ticker(meter.cells, 0)(600, 2_000_000)
    Ticker(meter.cells, 1)(400, 2_000_000)
    assert line(102.0, WIDE) == ("2 day groups done, 1,000 logs, 500 logs/s, 4.0 MB, 2.0 MB/s, 1 of 3 prefixes scanned")
    assert line(112.5, WIDE) == "2 day groups done, 1,000 logs, 0 logs/s, 4.0 MB, 0 B/s, 1 of 3 prefixes scanned"


def test_once_all_is_scanned_there_are_a_total_and_an_estimate() -> None:
    """The estimate waits until it is worth something."""
    summary = Summary(prefixes_scanned=3, tasks_received=3, day_groups_done=2, day_groups_found=5)
    line = ProgressLine(summary, Meter(1), prefixes=3)
    assert line(100.0, WIDE).startswith("2 of 5 day groups done, 0 logs, 0 logs/s")
    assert line(120.0, WIDE).startswith("2 of 5 day groups done, 0 logs, about 30 s left, 0 logs/s")
    summary.day_groups_done = 5
    assert line(121.0, WIDE).startswith("5 of 5 day groups done, 0 logs, 0 logs/s")


def test_the_line_of_a_producer() -> None:
    """Only what a producer does."""
    summary = Summary(prefixes_scanned=1, prefixes_failed=1, day_groups_found=12, failures={"a": "b"})
    assert ProgressLine(summary, Meter(0), prefixes=3)(0.0, WIDE) == (
        "2 of 3 prefixes scanned, 1 failed, 12 day groups found"
    )


def test_the_line_of_an_idle_worker() -> None:
    """It is not silent."""
    assert ProgressLine(Summary(), Meter(1))(0.0, WIDE) == "waiting for tasks"


@pytest.mark.parametrize(
    ("columns", "line"), [(3, "thr"), (11, "three"), (12, "three, words"), (19, "three, words, there")]
)
def test_what_does_not_fit_is_left_out(columns: int, line: str) -> None:
    """Whole parts, the least important first; the failures stand near the front."""
    assert fit(["three", "words", "there"], columns) == line


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (89, "89 s"), (600, "10 min"), (5000, "83 min"), (12_600, "3.5 h")]
)
def test_durations_have_one_unit(seconds: float, text: str) -> None:
    """An estimate is not more exact than that."""
    assert duration(seconds) == text


def test_nothing_is_shown_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    """No control characters where nobody watches, and rich is not even imported."""
    before = set(sys.modules)
    with show_progress(ProgressLine(Summary(), Meter(0)), wanted=True):
        pass
    assert capsys.readouterr().err == ""
    assert not any(name.startswith("rich") for name in set(sys.modules) - before)


PROGRAM = """if True:
    import sys, time
    from s3_log_roller.cli import progress
    progress.PLAIN_LINE_SECONDS = 0.1
    with progress.show_progress(lambda now, columns: "x" * columns, wanted=sys.argv[1] == "wanted"):
        time.sleep(0.35)
        print("a line of the log", file=sys.stderr)
        time.sleep(0.05)
"""


def screen(environment: dict[str, str], *, wanted: bool = True, columns: int = 80) -> str:
    """What a run writes to a terminal of that width."""
    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    kept = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "TERM", "NO_COLOR", "LC_ALL"}}
    run = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "wanted" if wanted else "not"],
        stderr=end,
        env=kept | {"PYTHONPATH": os.pathsep.join(sys.path)} | environment,
    )
    os.close(end)
    written = b""
    give_up_at = time.monotonic() + 30
    while time.monotonic() < give_up_at:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                written += os.read(terminal, 4096)
            except OSError:
                break
    os.close(terminal)
    assert run.wait(30) == 0
    return written.decode("ascii")


def test_a_line_is_kept_on_a_terminal_and_gone_in_the_end() -> None:
    """It is one column narrower than the terminal, and lines of the log stand above it."""
    written = screen({"TERM": "xterm"}, columns=40)
    assert "x" * 39 in written
    assert "x" * 40 not in written
    assert "\x1b[2m" in written
    assert "a line of the log\r\n" in written
    assert written.rstrip("\r").endswith("\x1b[2K") or "\x1b[2K" in written.rpartition("x")[2]


def test_no_color_leaves_out_even_dim_text() -> None:
    """https://no-color.org: no escape sequence that sets how characters look."""
    assert not re.search(r"\x1b\[[\d;]+m", screen({"TERM": "xterm", "NO_COLOR": "1"}))


@pytest.mark.heavy
def test_a_dumb_terminal_gets_plain_lines_now_and_then() -> None:
    """No escape sequences at all; so does a terminal without a TERM, and one in the C locale."""
    for environment in ({}, {"TERM": "dumb", "LC_ALL": "C"}):
        lines = screen(environment).splitlines()
        assert set(lines) == {"x" * 79, "a line of the log"}
        assert len(lines) > 3


def test_progress_can_be_switched_off() -> None:
    """`--no-progress`."""
    assert screen({"TERM": "xterm"}, wanted=False) == "a line of the log\r\n"
