"""When this process last gave a sign of life, and what it would say if it were asked."""

from __future__ import annotations

import logging
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

QUIET_SECONDS: Final = 9
"""A terminal on which nothing is written for so long gets a line."""


@dataclass(slots=True)
class Signs:
    """What there is on the terminal."""

    shown_at: float = field(default_factory=time.monotonic)
    """When something was written last."""
    live: int = 0
    """Lines that are kept on the screen."""
    line: Callable[[float, int], str] | None = None
    """Makes the line that tells how far the work is, see `progress.Line`."""

    def show(self) -> None:
        """Something was written."""
        self.shown_at = time.monotonic()


signs: Final = Signs()


@contextmanager
def never_silent(*, wanted: bool) -> Iterator[None]:
    """Write a line whenever nothing was written for `QUIET_SECONDS`, if standard error is a terminal."""
    if not wanted or not sys.stderr.isatty():
        yield
        return
    started = time.monotonic()
    ended = threading.Event()
    signs.show()

    def still_at_work(now: float, columns: int) -> str:
        return f"still at work, {now - started:.0f} s so far"[:columns]

    def watch() -> None:
        while not ended.wait(QUIET_SECONDS / 20):
            now = time.monotonic()
            if not signs.live and now - signs.shown_at >= QUIET_SECONDS:
                line = signs.line or still_at_work
                sys.stderr.write(line(now, shutil.get_terminal_size().columns - 1) + "\n")
                sys.stderr.flush()
                signs.show()

    watcher = threading.Thread(target=watch, name="progress", daemon=True)
    handler = _Showing()
    logging.getLogger().addHandler(handler)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
        logging.getLogger().removeHandler(handler)


class _Showing(logging.Handler):
    """The log is a sign of life."""

    def emit(self, record: logging.LogRecord) -> None:
        """Note it."""
        signs.show()
