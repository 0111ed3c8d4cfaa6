"""Run roll tasks in child processes; the parent keeps the queue, the acknowledgements and the summary.

Every child is a pool of its own with one process, so that a child that is killed takes only its own task with it.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, MutableSequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from contextlib import suppress
from logging.handlers import QueueHandler, QueueListener
from multiprocessing.queues import Queue
from types import FrameType
from typing import Any, Final

from s3_log_roller.rolling.meter import Meter, Ticker
from s3_log_roller.rolling.tasks import RollTask
from s3_log_roller.rolling.worker import Result, Roll, attempt

CLEAN_UP_SECONDS: Final = 20
"""What an interrupted task has to abort its upload, before its process is killed."""

MakeRoll = Callable[[Ticker], Roll]
"""Builds what runs a task, inside the child; has to be picklable."""


class ProcessRunner:
    """`worker.Runner` over child processes, started when they are first needed."""

    def __init__(self, processes: int, make_roll: MakeRoll, meter: Meter) -> None:
        self.capacity = processes
        self._make_roll = make_roll
        self._meter = meter
        self._context = multiprocessing.get_context("spawn")
        self._children: list[_Child | None] = [None] * processes
        self._logs: Queue[Any] = self._context.Queue()
        self._listener = QueueListener(self._logs, _Relay())
        self._listener.start()

    def submit(self, task: RollTask) -> Future[Result]:
        """See `Runner.submit`; call it only while fewer than `capacity` tasks run."""
        for number, child in enumerate(self._children):
            if child is not None and child.current is not None and child.current.done():
                if child.current.exception() is not None:
                    child.close()
                    child = self._children[number] = None
                else:
                    child.current = None
            if child is None:
                child = self._children[number] = self._start_child(number)
            if child.current is None:
                child.current = child.pool.submit(_run, task)
                return child.current
        raise RuntimeError("every child process is busy")

    def interrupt(self) -> None:
        """See `Runner.interrupt`."""
        children = [child for child in self._children if child is not None]
        for child in children:
            child.signal(signal.SIGTERM)
        _, late = wait([child.current for child in children if child.current is not None], CLEAN_UP_SECONDS)
        for child in children:
            if child.current in late:
                child.signal(signal.SIGKILL)

    def close(self) -> None:
        """End the child processes; call it when no task runs any more."""
        for child in self._children:
            if child is not None:
                child.close()
        self._listener.stop()
        self._logs.close()

    def _start_child(self, number: int) -> _Child:
        level = logging.getLogger("s3_log_roller").getEffectiveLevel()
        pool = ProcessPoolExecutor(
            max_workers=1,
            mp_context=self._context,
            initializer=_start,
            initargs=(self._make_roll, self._meter.cells, number, self._logs, level),
        )
        # A child inherits that Ctrl-C is ignored: the terminal sends it to all, and the parent decides what it means.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            pid = pool.submit(os.getpid)
        finally:
            signal.signal(signal.SIGINT, before)
        return _Child(pool, pid)


class _Child:
    """A process, and what it is working on."""

    def __init__(self, pool: ProcessPoolExecutor, pid: Future[int]) -> None:
        self.pool = pool
        self.current: Future[Result] | None = None
        self._pid = pid

    def signal(self, number: signal.Signals) -> None:
        with suppress(Exception):  # it is gone, or never came up
            os.kill(self._pid.result(timeout=CLEAN_UP_SECONDS), number)

    def close(self) -> None:
        self.pool.shutdown(wait=True, cancel_futures=True)


class _Relay(logging.Handler):
    """Hands a child's records to the parent's own handlers."""

    def emit(self, record: logging.LogRecord) -> None:
        logging.getLogger(record.name).handle(record)


# What follows runs in the child.

_roll: Roll | None = None
_running = False
_orphaned = False


def _start(make_roll: MakeRoll, cells: MutableSequence[int], number: int, logs: Queue[Any], level: int) -> None:
    global _roll
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    logging.basicConfig(level=logging.WARNING, handlers=[QueueHandler(logs)], force=True)
    logging.getLogger("s3_log_roller").setLevel(level)
    _roll = make_roll(Ticker(cells, number))


def _run(task: RollTask) -> Result:
    global _running
    if _roll is None:
        raise RuntimeError("the child process was not set up")
    _running = True
    try:
        return attempt(_roll, task)
    finally:
        _running = False
        if _orphaned:
            os._exit(1)


def _stop(number: int, frame: FrameType | None) -> None:
    if _running:
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
