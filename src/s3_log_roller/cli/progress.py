"""Figures of a run while it runs, and one line of them on a terminal."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from s3_log_roller.rolling.meter import Meter
from s3_log_roller.rolling.summary import Summary, count, size

if TYPE_CHECKING:
    from rich.text import Text

RATE_SECONDS: Final = 10
"""Rates are averages over the last so many seconds."""
REFRESHES_PER_SECOND: Final = 4


class ProgressLine:
    """What a run shows of itself while it runs."""

    def __init__(self, summary: Summary, meter: Meter, prefixes: int = 0) -> None:
        self._summary = summary
        self._meter = meter
        self._prefixes = prefixes
        self._samples: deque[tuple[float, int, int]] = deque()

    def text(self, now: float) -> str:
        """The line as of `now`, in seconds of any steady clock."""
        summary = self._summary
        logs, n_bytes = self._meter.logs, self._meter.n_bytes
        parts = []
        if self._prefixes:
            parts.append(f"prefixes {summary.prefixes_scanned + summary.prefixes_failed}/{self._prefixes}")
        if summary.tasks_received:
            parts += [f"{count(summary.day_groups_done, 'day group')} done", count(logs, "log"), size(n_bytes)]
            logs_rate, bytes_rate = self._rates(now, logs, n_bytes)
            parts.append(f"{logs_rate:,.0f} logs/s, {size(bytes_rate)}/s")
        else:
            parts.append(f"{count(summary.day_groups_found, 'day group')} found")
        if summary.failed_count:
            parts.append(f"{summary.failed_count:,} failed")
        return " · ".join(parts)

    def _rates(self, now: float, logs: int, n_bytes: int) -> tuple[float, float]:
        self._samples.append((now, logs, n_bytes))
        while self._samples[0][0] < now - RATE_SECONDS:
            self._samples.popleft()
        then, logs_then, bytes_then = self._samples[0]
        seconds = now - then
        return ((logs - logs_then) / seconds, (n_bytes - bytes_then) / seconds) if seconds else (0.0, 0.0)


@contextmanager
def show_progress(line: ProgressLine, *, wanted: bool) -> Iterator[None]:
    """Keep the line on the screen during the `with` block, if standard error is a terminal."""
    if not wanted or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    def render() -> Text:
        return Text(line.text(time.monotonic()), style="dim", no_wrap=True, overflow="ellipsis")

    console = Console(stderr=True)
    with Live(
        get_renderable=render,
        console=console,
        refresh_per_second=REFRESHES_PER_SECOND,
        transient=True,
        redirect_stdout=False,
    ):
        yield
