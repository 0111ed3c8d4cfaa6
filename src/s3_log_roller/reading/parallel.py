"""Shares of work on several processes, their results in order, in bounded memory.

A child reads its shares through connections of its own and sends results as it makes them. What comes early waits here,
up to `MAX_WAITING_BYTES`; then the children that are ahead wait, because nobody empties their pipes.
"""

from __future__ import annotations

import os
import pickle
import signal
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import dataclass, field
from itertools import chain, islice
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Final

from s3_log_roller.children import (
    CLEAN_UP_SECONDS,
    CONTEXT,
    ChildLog,
    enter_child,
    log_of_this_process,
    starting,
    working,
)
from s3_log_roller.errors import RollerError, StorageError
from s3_log_roller.reading.extent import MAX_SHARES_AHEAD, Extent, look_ahead
from s3_log_roller.reading.groups import Stores
from s3_log_roller.reading.shares import SHARE_BYTES, Share, Shares

MAX_WAITING_BYTES: Final = 32 << 20

OpenStores = Callable[[], AbstractContextManager[Stores]]
"""Makes what opens stores for reading, in whatever process it is called; must be picklable."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that could not be done, in one line."""

    message: str


Emit = Callable[[Any], None]
"""Takes a result."""


class Operation(ABC):
    """An operation on shares. It goes to child processes, so it holds settings only."""

    @property
    def inline_batches(self) -> int:
        """So many batches are done in less time than child processes take to come up (half a second each)."""
        return 2

    open_stores: OpenStores

    @abstractmethod
    def start(self, stores: Stores, emit: Emit) -> Performer:
        """Make ready in the process that does the work. `emit` takes results that can be pickled, and failures."""


class Performer(ABC):
    """An operation in the process that does it."""

    @abstractmethod
    def run(self, shares: Shares) -> None:
        """Do some shares. Raises `RollerError` where it makes no sense to go on with any."""

    def close(self) -> None:  # noqa: B027 - most have nothing to let go of
        """Let go of everything."""


def batches(shares: Iterable[Share]) -> Iterator[Shares]:
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


def run_all(
    operation: Operation,
    work: Iterable[Shares],
    processes: int,
    take: Emit,
    *,
    stores: Stores,
    extent: Extent | None = None,
    stop_at: int | None = None,
) -> None:
    """Give the results of all shares to `take`, in order. Little work is done in this process, with its `stores`.

    An `extent` that is given is kept up to date.

    Raises `BrokenPipeError` when the pipe with the descriptor `stop_at` has lost its reader, and what `take` raises.
    """
    extent = extent or Extent()
    source = iter(work)
    first = list(islice(source, operation.inline_batches)) if processes > 1 else []
    if processes <= 1 or len(first) < operation.inline_batches:
        with closing(operation.start(stores, take)) as performer:
            for shares in look_ahead(chain(first, source), extent):
                performer.run(shares)
        return
    with closing(_Pool(operation, processes, stop_at, extent)) as pool:
        pool.run(map(extent.found, chain(first, source)), take)


@dataclass(eq=False)
class _Child:
    process: BaseProcess
    pipe: Connection
    turn: _Turn | None = None


@dataclass(eq=False)
class _Turn:
    """Some shares, the child they were given to, and its results so far."""

    shares: Shares
    child: _Child | None = None
    results: deque[bytes] = field(default_factory=deque)
    done: bool = False


_DONE: Final = b""
_STOPPED: Final = b"!"
"""Begins the message of an error that ends everything. No pickle begins so."""


class _Pool:
    def __init__(self, operation: Operation, processes: int, stop_at: int | None, extent: Extent) -> None:
        self._children: list[_Child] = []
        self._waiting_bytes = 0
        self._stop_at = stop_at
        self._extent = extent
        self._most_ahead = MAX_SHARES_AHEAD if extent.watched else 0
        with starting():
            for _ in range(processes):
                ours, theirs = CONTEXT.Pipe()
                process = CONTEXT.Process(target=_serve, args=(theirs, operation, log_of_this_process()), daemon=True)
                process.start()
                theirs.close()
                self._children.append(_Child(process, ours))

    def run(self, source: Iterator[Shares], take: Emit) -> None:
        turns: deque[_Turn] = deque()
        ahead = 0
        while True:
            while not self._extent.all_found and (
                len(turns) < 4 * len(self._children) or (ahead < self._most_ahead and self._nothing_came())
            ):
                shares = next(source, None)
                self._extent.all_found = shares is None
                if shares is not None:
                    turns.append(_Turn(shares))
                    ahead += len(shares)
                self._assign(turns)
            if not turns:
                return
            head = turns[0]
            while head.results:
                result = head.results.popleft()
                self._waiting_bytes -= len(result)
                take(pickle.loads(result))  # noqa: S301 - from our own child
            if head.done:
                self._extent.did(head.shares)
                ahead -= len(head.shares)
                turns.popleft()
                continue
            self._assign(turns)
            self._receive(head)

    def _nothing_came(self) -> bool:
        """Whether all children are at work: then there is time to look for more of it."""
        return not wait([child.pipe for child in self._children], 0)

    def _assign(self, turns: deque[_Turn]) -> None:
        idle = [child for child in self._children if child.turn is None]
        for turn in turns:
            if not idle:
                return
            if turn.child is None:
                turn.child = idle.pop()
                turn.child.turn = turn
                turn.child.pipe.send(turn.shares)

    def _receive(self, head: _Turn) -> None:
        """Wait for results: those of the head in any case, others while there is room."""
        busy = [child for child in self._children if child.turn is not None]
        if self._waiting_bytes > MAX_WAITING_BYTES:
            busy = [child for child in busy if child.turn is head]
        by_pipe: dict[object, _Child] = {child.pipe: child for child in busy}
        waited_for: list[Connection | int] = [child.pipe for child in busy]
        for ready in wait(waited_for if self._stop_at is None else [*waited_for, self._stop_at]):
            if ready == self._stop_at:
                raise BrokenPipeError
            child = by_pipe[ready]
            turn = child.turn
            if turn is None:
                continue
            try:
                result = child.pipe.recv_bytes()
            except (EOFError, OSError) as error:
                raise ChildDied(child.process) from error
            if result == _DONE:
                turn.done, child.turn = True, None
            elif result.startswith(_STOPPED):
                raise StorageError(result[len(_STOPPED) :].decode())
            else:
                turn.results.append(result)
                self._waiting_bytes += len(result)

    def close(self) -> None:
        for child in self._children:
            child.pipe.close()
            child.process.terminate()
        for child in self._children:
            child.process.join(CLEAN_UP_SECONDS)
            if child.process.is_alive():
                child.process.kill()
                child.process.join()


class ChildDied(RollerError):
    """A child process ended in the middle of its work."""

    def __init__(self, process: BaseProcess) -> None:
        process.join(1)
        why = "out of memory?" if process.exitcode == -signal.SIGKILL else f"exit code {process.exitcode}"
        super().__init__(f"a child process was killed ({why}); nothing was changed: run again, with --processes 1")


# What follows runs in the child.


def _serve(pipe: Connection, operation: Operation, log: ChildLog) -> None:
    enter_child(log)
    with (
        suppress(EOFError, BrokenPipeError, ConnectionResetError, KeyboardInterrupt),
        operation.open_stores() as stores,
    ):
        performer = operation.start(stores, lambda result: pipe.send_bytes(pickle.dumps(result)))
        while True:
            shares = pipe.recv()
            try:
                with working():
                    performer.run(shares)
            except RollerError as error:
                pipe.send_bytes(_STOPPED + str(error).encode("utf-8", "backslashreplace"))
                break
            pipe.send_bytes(_DONE)
    os._exit(0)
