"""Child processes: how they start, what they do about signals and a parent that is gone, and where their log goes.

The parent decides what Ctrl-C means: the terminal sends it to all processes, and children ignore it. A child ends at a
SIGTERM, and when its parent is gone, however that ended; a child that `working` marks as busy cleans up first.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from logging.handlers import QueueHandler
from multiprocessing.queues import Queue
from queue import Empty
from types import FrameType
from typing import Any, Final

from s3_log_roller.log_output import configure_logging

CLEAN_UP_SECONDS: Final = 20
"""How long interrupted work has to abort its uploads before its process is killed."""
CONTEXT: Final = multiprocessing.get_context("spawn")

_PACKAGE: Final = "s3_log_roller"
_POLL_SECONDS: Final = 0.2
_GIVE_UP_SECONDS: Final = 2


@dataclass(frozen=True)
class ChildLog:
    """Where a child's log goes, and from which level on. Goes to the child when it starts."""

    level: int
    records: Queue[Any] | None = None
    """The parent takes them from here and gives them to its own handlers; without it they go to standard error."""


def log_of_this_process() -> ChildLog:
    """Standard error, at the level of this process."""
    return ChildLog(logging.getLogger(_PACKAGE).getEffectiveLevel())


class LogRelay:
    """Gives the records of children to this process's own handlers, until it is closed.

    Each child has a queue of its own. One that is killed in the middle of a record keeps its queue's lock for ever; if
    all had one queue, the others would wait for that lock when they end.
    """

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._readers: list[threading.Thread] = []

    def child_log(self) -> ChildLog:
        """What one child that starts now is given."""
        records: Queue[Any] = CONTEXT.Queue()
        reader = threading.Thread(target=self._hand_on, args=(records,), daemon=True)
        reader.start()
        self._readers.append(reader)
        return ChildLog(log_of_this_process().level, records)

    def close(self) -> None:
        """Hand on what has come so far, and stop; call it when the children have ended."""
        self._ended.set()
        for reader in self._readers:
            reader.join(_GIVE_UP_SECONDS)  # of a killed child half a record may have come, and no more will

    def _hand_on(self, records: Queue[Any]) -> None:
        while True:
            try:
                record = records.get(timeout=_POLL_SECONDS)
            except Empty:
                if self._ended.is_set():
                    return
            else:
                logging.getLogger(record.name).handle(record)


@contextmanager
def starting() -> Iterator[None]:
    """Start children inside: they inherit that Ctrl-C is ignored, so that none dies of it before it is set up."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal to a child, unless it is gone."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


# What follows runs in the child.

process_id = os.getpid

_working = False
_orphaned = False


def enter_child(log: ChildLog) -> None:
    """The first thing a child does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if log.records is None:
        configure_logging(level=log.level)
    else:
        logging.basicConfig(level=logging.WARNING, handlers=[QueueHandler(log.records)], force=True)
        logging.getLogger(_PACKAGE).setLevel(log.level)


@contextmanager
def working() -> Iterator[None]:
    """Work that cleans up if interrupted: a SIGTERM raises `KeyboardInterrupt` and does not end the process at once."""
    global _working
    _working = True
    try:
        yield
    finally:
        _working = False
        if _orphaned:
            os._exit(1)


def _stop(number: int, frame: FrameType | None) -> None:
    if _working:
        raise KeyboardInterrupt
    os._exit(0)


def _end_with_parent() -> None:
    """Without this a child would wait for ever for a parent that was killed."""
    global _orphaned
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        _orphaned = True
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(CLEAN_UP_SECONDS)
        os._exit(1)
