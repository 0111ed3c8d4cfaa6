"""Shares of work on several processes, their results in order, in bounded memory.

A child reads its shares through connections of its own and sends results as it makes them. What comes early waits here,
up to `MAX_WAITING_BYTES`; then the children that are ahead wait, because nobody empties their pipes.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import signal
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing.connection import Connection, wait
from typing import Any, Final

from s3_log_roller.errors import RollerError
from s3_log_roller.log_output import configure_logging
from s3_log_roller.reading.shares import SHARE_BYTES, Share, Stores
from s3_log_roller.store import Store

MAX_WAITING_BYTES: Final = 32 << 20

Batch = tuple[Share, ...]
OpenStores = Callable[[], AbstractContextManager[Stores]]
"""Makes what opens stores for reading, in whatever process it is called; has to be picklable."""
OpenBuckets = Callable[[], AbstractContextManager[Callable[[str], Store]]]
"""Makes what opens buckets for writing; has to be picklable, too."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that could not be done, in one line."""

    message: str


class Job(ABC):
    """What is to be done with shares. Goes to child processes, so it holds settings only."""

    @property
    def inline_batches(self) -> int:
        """So many batches are done in less time than child processes take to come up (half a second each)."""
        return 2

    @abstractmethod
    def start(self) -> Worker:
        """Make ready in the process that does the work."""


class Worker(ABC):
    """A job in the process that does it."""

    @abstractmethod
    def run(self, batch: Batch) -> Iterator[Any]:
        """Do some shares; yields results that can be pickled, `Failure`s among them."""

    @abstractmethod
    def close(self) -> None:
        """Let go of everything."""


def batches(shares: Iterable[Share]) -> Iterator[Batch]:
    """Small shares together, so that their requests go out together."""
    batch: list[Share] = []
    size = 0
    for share in shares:
        if batch and size + share.packed_bytes > SHARE_BYTES:
            yield tuple(batch)
            batch, size = [], 0
        batch.append(share)
        size += share.packed_bytes
    if batch:
        yield tuple(batch)


def run_all(job: Job, work: Iterable[Batch], processes: int) -> Generator[Any, None, None]:
    """The results of all batches, in order. Little work is done in this process."""
    source = iter(work)
    first = list(islice(source, job.inline_batches)) if processes > 1 else []
    if processes <= 1 or len(first) < job.inline_batches:
        with closing(_Closable(job.start())) as inline:
            for batch in (*first, *source):
                yield from inline.worker.run(batch)
        return
    with closing(_Pool(job, processes)) as pool:
        yield from pool.run(_chain(first, source))


def _chain(first: list[Batch], rest: Iterator[Batch]) -> Iterator[Batch]:
    yield from first
    yield from rest


@dataclass
class _Closable:
    worker: Worker

    def close(self) -> None:
        self.worker.close()


@dataclass(eq=False)
class _Child:
    process: multiprocessing.process.BaseProcess
    pipe: Connection
    task: _Task | None = None


@dataclass(eq=False)
class _Task:
    batch: Batch
    child: _Child | None = None
    results: deque[bytes] = field(default_factory=deque)
    done: bool = False


_DONE: Final = b""


class _Pool:
    def __init__(self, job: Job, processes: int) -> None:
        context = multiprocessing.get_context("spawn")
        level = logging.getLogger("s3_log_roller").getEffectiveLevel()
        self._children: list[_Child] = []
        self._waiting_bytes = 0
        # A child inherits that Ctrl-C is ignored: the terminal sends it to all, and the parent decides what it means.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            for _ in range(processes):
                ours, theirs = context.Pipe()
                process = context.Process(target=_serve, args=(theirs, job, level), daemon=True)
                process.start()
                theirs.close()
                self._children.append(_Child(process, ours))
        finally:
            signal.signal(signal.SIGINT, before)

    def run(self, source: Iterator[Batch]) -> Iterator[Any]:
        queue: deque[_Task] = deque()
        exhausted = False
        while True:
            while not exhausted and len(queue) < 4 * len(self._children):
                batch = next(source, None)
                exhausted = batch is None
                if batch is not None:
                    queue.append(_Task(batch))
                self._assign(queue)
            if not queue:
                return
            head = queue[0]
            while head.results:
                result = head.results.popleft()
                self._waiting_bytes -= len(result)
                yield pickle.loads(result)  # noqa: S301 - from our own child
            if head.done:
                queue.popleft()
                continue
            self._assign(queue)
            self._receive(head)

    def _assign(self, queue: deque[_Task]) -> None:
        idle = [child for child in self._children if child.task is None]
        for task in queue:
            if not idle:
                return
            if task.child is None:
                task.child = idle.pop()
                task.child.task = task
                task.child.pipe.send(task.batch)

    def _receive(self, head: _Task) -> None:
        """Wait for results: those of the head in any case, others while there is room."""
        busy = [child for child in self._children if child.task is not None]
        if self._waiting_bytes > MAX_WAITING_BYTES:
            busy = [child for child in busy if child.task is head]
        by_pipe = {child.pipe: child for child in busy}
        for pipe in wait(list(by_pipe)):
            child = by_pipe[pipe]  # type: ignore[index]
            task = child.task
            if task is None:
                continue
            try:
                result = child.pipe.recv_bytes()
            except (EOFError, OSError) as error:
                raise ChildDied(child.process) from error
            if result == _DONE:
                task.done, child.task = True, None
            else:
                task.results.append(result)
                self._waiting_bytes += len(result)

    def close(self) -> None:
        for child in self._children:
            child.pipe.close()
            child.process.terminate()
        for child in self._children:
            child.process.join()


class ChildDied(RollerError):
    """A child process ended in the middle of its work."""

    def __init__(self, process: multiprocessing.process.BaseProcess) -> None:
        process.join(1)
        why = "out of memory?" if process.exitcode == -signal.SIGKILL else f"exit code {process.exitcode}"
        super().__init__(f"a child process was killed ({why}); nothing was changed: run again, with --processes 1")


# What follows runs in the child.


def _serve(pipe: Connection, job: Job, level: int) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    configure_logging(level=level)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        worker = job.start()
        while True:
            batch = pipe.recv()
            for result in worker.run(batch):
                pipe.send_bytes(pickle.dumps(result))
            pipe.send_bytes(_DONE)
    os._exit(0)
