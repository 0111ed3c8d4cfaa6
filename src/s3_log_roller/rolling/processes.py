"""Run roll tasks in child processes; the parent keeps the queue, the acknowledgements and the summary.

Every child is a pool of its own with one process, so that a child that is killed takes only its own task with it.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, MutableSequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress

from s3_log_roller import children
from s3_log_roller.children import CLEAN_UP_SECONDS, ChildLog, LogRelay
from s3_log_roller.rolling.meter import Meter, Ticker
from s3_log_roller.rolling.runner import Result, Roll, attempt
from s3_log_roller.rolling.tasks import WorkTask

logger = logging.getLogger(__name__)

MakeRoll = Callable[[Ticker], Roll]
"""Builds what runs a task, inside the child; must be picklable."""


class ProcessRunner:
    """`runner.Runner` over child processes, started when they are first needed."""

    def __init__(self, processes: int, make_roll: MakeRoll, meter: Meter) -> None:
        self.capacity = processes
        self._make_roll = make_roll
        self._meter = meter
        self._children: list[_Child | None] = [None] * processes
        self._log = LogRelay()

    def submit(self, task: WorkTask) -> Future[Result]:
        """See `Runner.submit`; call it only while fewer than `capacity` tasks run."""
        for number, child in enumerate(self._children):
            if child is None or child.is_idle():
                return self._give(number, task)
        raise RuntimeError("every child process is busy")

    def _give(self, number: int, task: WorkTask) -> Future[Result]:
        child = self._children[number]
        if child is not None and not child.is_broken:
            with suppress(BrokenProcessPool):  # it was killed while it waited; this task is none the worse for it
                return child.run(task)
        if child is not None:
            sentence = "a child process was killed (out of memory?), and another one takes its place"
            logger.warning("child_process_replaced", extra={"sentence": sentence})
            child.close()
        child = self._children[number] = self._start_child(number)
        return child.run(task)

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
        self._log.close()

    def _start_child(self, number: int) -> _Child:
        pool = ProcessPoolExecutor(
            max_workers=1,
            mp_context=children.CONTEXT,
            initializer=_start,
            initargs=(self._make_roll, self._meter.cells, number, self._log.child_log()),
        )
        with children.starting():
            pid = pool.submit(children.process_id)
        return _Child(pool, pid)


class _Child:
    """A process, and what it is working on."""

    def __init__(self, pool: ProcessPoolExecutor, pid: Future[int]) -> None:
        self.current: Future[Result] | None = None
        self.is_broken = False
        self._pool = pool
        self._pid = pid

    def is_idle(self) -> bool:
        """Whether it runs no task. It can take one then, or must be replaced if it is broken."""
        if self.current is not None and self.current.done():
            self.is_broken = self.current.exception() is not None
            self.current = None
        return self.current is None

    def run(self, task: WorkTask) -> Future[Result]:
        """Raises `BrokenProcessPool` if the process is known to be gone."""
        self.current = self._pool.submit(_run, task)
        return self.current

    def signal(self, number: signal.Signals) -> None:
        with suppress(Exception):  # it never came up
            children.send(self._pid.result(timeout=CLEAN_UP_SECONDS), number)

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


# What follows runs in the child.

_roll: Roll | None = None


def _start(make_roll: MakeRoll, cells: MutableSequence[int], number: int, log: ChildLog) -> None:
    global _roll
    children.enter_child(log)
    _roll = make_roll(Ticker(cells, number))


def _run(task: WorkTask) -> Result:
    if _roll is None:
        raise RuntimeError("the child process was not set up")
    with children.working():
        return attempt(_roll, task)
