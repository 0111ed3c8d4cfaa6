from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from s3_log_roller.cli.progress import Course, ProgressLine, duration, fit, show_progress
from s3_log_roller.errors import StorageError
from s3_log_roller.reading.extent import Extent, look_ahead
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
    summary = Summary(tasks_received=3, day_groups_done=2, idle=True)
    line = ProgressLine(summary, Meter(1))
    assert line(0.0, WIDE) == "waiting for tasks, 2 day groups done, 0 logs"
    summary.idle = False
    assert line(0.0, WIDE).startswith("2 day groups done, 0 logs")


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
    from s3_log_roller.cli import progress, signs
    signs.QUIET_SECONDS = 0.1
    wanted = sys.argv[1] == "wanted"
    made = []
    def line(now, columns):
        made.append("x" * columns)
        return made[-1]
    with signs.never_silent(wanted=wanted), progress.show_progress(line, wanted=wanted):
        time.sleep(0.35)
        give_up_at = time.monotonic() + 50
        while wanted and len(made) < 3 and time.monotonic() < give_up_at:
            time.sleep(0.01)
        print("a line of the log", file=sys.stderr)
        time.sleep(0.05)
"""


def screen(environment: dict[str, str], *, wanted: bool = True, columns: int = 80) -> str:
    """What a run writes to a terminal of that width."""
    code, written = watch(environment, [PROGRAM, "wanted" if wanted else "not"], columns=columns, output=None)
    assert code == 0
    return written.decode("ascii")


def watch(
    environment: dict[str, str], program: list[str], *, columns: int = 80, output: int | None = -1
) -> tuple[int, bytes]:
    """The exit code of a Python program with its arguments, and what it writes to a terminal."""
    written = b""
    with started(environment, program, columns=columns, output=output) as (run, terminal):
        give_up_at = time.monotonic() + 60
        while time.monotonic() < give_up_at:
            if select.select([terminal], [], [], 0.1)[0]:
                try:
                    written += os.read(terminal, 4096)
                except OSError:
                    break
        return run.wait(30), written


@contextmanager
def started(
    environment: dict[str, str], program: list[str], *, columns: int = 80, output: int | None = -1
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A Python program with its arguments on a terminal, and the terminal's other end."""
    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    kept = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "TERM", "NO_COLOR", "LC_ALL"}}
    run = subprocess.Popen(
        [sys.executable, "-c", *program],
        stdout=end if output == -1 else output,
        stderr=end,
        env=kept | {"PYTHONPATH": os.pathsep.join(sys.path)} | environment,
    )
    os.close(end)
    with run:
        try:
            yield run, terminal
        finally:
            run.kill()
            os.close(terminal)


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


COMMAND = """if True:
    import sys
    from s3_log_roller.cli import main, signs
    signs.QUIET_SECONDS = 0.3
    sys.exit(main.main())
"""
MOMENTS = 4
"""So often something has to come. Each time may take as long as it likes on a machine where others are at work."""
APART_SECONDS = 0.15
"""What comes sooner than that behind something else is part of it."""


COMMANDS_THAT_WAIT = (
    "roll s3://logs/",
    "plan s3://logs/",
    "discover",
    "producer --queue-name q s3://logs/",
    "worker --queue-name q",
    "ls s3://logs/",
    "cat s3://logs/",
    "grep GET s3://logs/",
    "query FROM+logs s3://logs/",
    "export s3://logs/ --to out",
    "report s3://logs/ --html out.html",
    "verify s3://logs/",
    "restore s3://logs/ --to out",
)


@pytest.mark.heavy
@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_no_command_is_silent_on_a_terminal(term: str, tmp_path: Path) -> None:
    """However long a server takes to answer, whatever the terminal can do: again and again there is something new."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environment = {
            "TERM": term,
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
            "AWS_REGION": "us-west-2",
            "AWS_CONFIG_FILE": os.devnull,
            "NO_PROXY": "127.0.0.1",
        }
        program = f"import os; os.chdir({str(tmp_path)!r})\n{COMMAND}"

        def says_something(line: str) -> bool:
            words = [word.replace("+", " ") for word in line.split()]
            with started(environment, [program, *words, "--timeout=600"]) as (run, terminal):
                for _ in range(MOMENTS):
                    if not select.select([terminal], [], [], 60)[0]:
                        return False
                    time.sleep(APART_SECONDS)
                    while select.select([terminal], [], [], 0)[0]:
                        os.read(terminal, 4096)
                assert run.poll() is None, line
                return True

        with ThreadPoolExecutor(len(COMMANDS_THAT_WAIT)) as pool:
            runs = dict(zip(COMMANDS_THAT_WAIT, pool.map(says_something, COMMANDS_THAT_WAIT), strict=True))
    assert [line for line, said in runs.items() if not said] == []


@dataclass(frozen=True)
class Piece:
    packed_bytes: int


def pieces(*sizes: int) -> list[Any]:
    return [(Piece(n_bytes),) for n_bytes in sizes]


def test_how_far_reading_is() -> None:
    """Bytes of how many, once that is known, and an estimate when it is worth something."""
    extent = Extent(watched=True)
    course = Course(extent)
    assert course.parts(0) == []
    work = look_ahead(pieces(1_000_000, 2_000_000, 3_000_000), extent)
    next(work)
    assert course.parts(0) == []
    next(work)
    assert course.parts(5) == ["1.0 MB of 6.0 MB"]
    next(work)
    assert course.parts(20) == ["3.0 MB of 6.0 MB", "about 20 s left"]
    assert list(work) == []
    assert course.parts(30) == ["6.0 MB of 6.0 MB"]


def test_nothing_is_found_early_where_nobody_watches() -> None:
    """It would only cost requests; what is done is told."""
    extent = Extent()
    found = iter(pieces(1000, 2000, 3000))
    work = look_ahead(found, extent)
    next(work)
    assert len(list(found)) == 2
    next(work, None)
    assert (extent.done_bytes, extent.found_bytes) == (1000, 1000)
    assert Course(Extent(done_bytes=1000, found_bytes=3000)).parts(0) == ["1.0 kB read"]


def test_a_fault_in_listing_comes_behind_what_was_found_before_it() -> None:
    """Looking ahead hides nothing that could be read."""

    def failing() -> Iterator[Any]:
        yield from pieces(1, 2)
        raise StorageError("the listing broke off")

    work = look_ahead(failing(), Extent(watched=True))
    assert [next(work), next(work)] == pieces(1, 2)
    with pytest.raises(StorageError, match="broke off"):
        next(work)
