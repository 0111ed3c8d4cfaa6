"""Figures of a run while it runs, on one line of the terminal."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from s3_log_roller.amounts import count, size
from s3_log_roller.cli.signs import signs

if TYPE_CHECKING:
    from rich.text import Text

    from s3_log_roller.reading.extent import Extent
    from s3_log_roller.rolling.meter import Meter
    from s3_log_roller.rolling.summary import Summary

RATE_SECONDS: Final = 10
"""Rates are averages over the last so many seconds."""
ESTIMATE_AFTER_SECONDS: Final = 10
"""An estimate of the time left that is younger than this is worth nothing."""
REFRESHES_PER_SECOND: Final = 4

Line = Callable[[float, int], str]
"""Makes the line as of now, in seconds of any steady clock, for so many columns."""


class ProgressLine:
    """What a run that rolls up shows of itself while it runs."""

    def __init__(self, summary: Summary, meter: Meter, prefixes: int = 0) -> None:
        """`prefixes` is how many will be scanned; 0 if the tasks come from elsewhere."""
        self._summary = summary
        self._meter = meter
        self._prefixes = prefixes
        self._started: float | None = None
        self._samples: deque[tuple[float, int, int]] = deque()

    def __call__(self, now: float, columns: int) -> str:
        """See `Line`. What does not fit is left out, the least important first. ASCII only."""
        if self._started is None:
            self._started = now
        return fit(self._parts(now), columns)

    def _parts(self, now: float) -> list[str]:
        """The parts of the line, the most important first."""
        summary = self._summary
        failed = [f"{summary.failed_count:,} failed"] if summary.failed_count else []
        scanned = summary.prefixes_scanned + summary.prefixes_failed
        scanning = [f"{scanned:,} of {count(self._prefixes, 'prefix', 'prefixes')} scanned"] if self._prefixes else []
        if not summary.tasks_received:
            if not self._prefixes:
                return ["waiting for tasks", *failed]
            return [*scanning, *failed, f"{count(summary.day_groups_found, 'day group')} found"]
        if summary.idle and not self._prefixes:
            return ["waiting for tasks", *failed, self._done(scanned), count(self._meter.logs, "log")]
        logs, n_bytes = self._meter.logs, self._meter.n_bytes
        logs_rate, bytes_rate = self._rates(now, logs, n_bytes)
        return [
            self._done(scanned),
            *failed,
            count(logs, "log"),
            *self._time_left(now, scanned),
            f"{logs_rate:,.0f} logs/s",
            size(n_bytes),
            f"{size(bytes_rate)}/s",
            *(scanning if scanned < self._prefixes else []),
        ]

    def _total(self, scanned: int) -> int | None:
        """How many day groups there are to do, once all prefixes are scanned."""
        found = self._summary.day_groups_found
        return found if self._prefixes and scanned == self._prefixes and found >= self._done_count else None

    @property
    def _done_count(self) -> int:
        return self._summary.day_groups_done

    def _done(self, scanned: int) -> str:
        total = self._total(scanned)
        if total is None:
            return f"{count(self._done_count, 'day group')} done"
        return f"{self._done_count:,} of {count(total, 'day group')} done"

    def _time_left(self, now: float, scanned: int) -> list[str]:
        total = self._total(scanned)
        elapsed = now - (self._started or now)
        if total is None or not self._done_count or elapsed < ESTIMATE_AFTER_SECONDS or total == self._done_count:
            return []
        return [f"about {duration(elapsed / self._done_count * (total - self._done_count))} left"]

    def _rates(self, now: float, logs: int, n_bytes: int) -> tuple[float, float]:
        self._samples.append((now, logs, n_bytes))
        while self._samples[0][0] < now - RATE_SECONDS:
            self._samples.popleft()
        then, logs_then, bytes_then = self._samples[0]
        seconds = now - then
        return ((logs - logs_then) / seconds, (n_bytes - bytes_then) / seconds) if seconds else (0.0, 0.0)


class Course:
    """How far reading is, of how much, and when it may be done."""

    def __init__(self, extent: Extent) -> None:
        self._extent = extent
        self._started: float | None = None

    def parts(self, now: float) -> list[str]:
        """For a `Line`, the most important first. The total is known once everything was listed."""
        if self._started is None:
            self._started = now
        extent, elapsed = self._extent, now - self._started
        if not extent.done_bytes:
            return []
        if not extent.all_found:
            return [f"{size(extent.done_bytes)} read"]
        parts = [f"{size(extent.done_bytes)} of {size(extent.found_bytes)}"]
        left = extent.found_bytes - extent.done_bytes
        if left and elapsed >= ESTIMATE_AFTER_SECONDS:
            parts.append(f"about {duration(elapsed / extent.done_bytes * left)} left")
        return parts


def fit(parts: Sequence[str], columns: int) -> str:
    """As many of the parts, from the first on, as the columns hold. The first one is there in any case."""
    line = parts[0]
    for part in parts[1:]:
        if len(line) + 2 + len(part) > columns:
            break
        line += f", {part}"
    return line[:columns]


def duration(seconds: float) -> str:
    """A time in one unit: `40 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"


@contextmanager
def show_progress(line: Line, *, wanted: bool, beside_output: bool = False) -> Iterator[None]:
    """Keep the line on the screen during the `with` block, if standard error is a terminal.

    Where the cursor can't be moved, or the command's output goes to the same terminal, there is a line now and then,
    when nothing else was written for a while: see `never_silent`.
    """
    if not wanted or not sys.stderr.isatty():
        yield
    elif beside_output or os.environ.get("TERM", "dumb") == "dumb":
        before, signs.line = signs.line, line
        try:
            yield
        finally:
            signs.line = before
    else:
        signs.live += 1
        try:
            with _live_line(line):
                yield
        finally:
            signs.live -= 1
            signs.show()


@contextmanager
def _live_line(line: Line) -> Iterator[None]:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(stderr=True)
    style = "" if "NO_COLOR" in os.environ else "dim"

    def render() -> Text:
        return Text(line(time.monotonic(), console.width - 1), style=style, no_wrap=True, overflow="crop")

    with Live(
        get_renderable=render,
        console=console,
        refresh_per_second=REFRESHES_PER_SECOND,
        transient=True,
        redirect_stdout=False,
    ):
        yield
