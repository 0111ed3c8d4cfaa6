"""Shares of work in several children: what comes back in which order, and how it ends.

The children are threads here; `test_extent.py` and the suites of integration have real ones.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from s3_log_roller.children import CONTEXT, ChildLog
from s3_log_roller.errors import StorageError
from s3_log_roller.local_files import LocalFiles
from s3_log_roller.reading import parallel
from s3_log_roller.reading.extent import Extent
from s3_log_roller.reading.groups import Stores
from s3_log_roller.reading.parallel import ChildDied, Emit, Operation, Performer, run_all
from s3_log_roller.reading.selection import Selection
from s3_log_roller.reading.shares import Share, Shares
from s3_log_roller.store import ListedObject

SHARES = 40
PROCESSES = 2


def stores(bucket: str) -> LocalFiles:
    return LocalFiles()


def share(number: int) -> Share:
    """A share of so many bytes, with its number as its root."""
    listed = ListedObject("key", "etag", number, 0, archived=False)
    return Share("bucket", str(number), None, Selection(), through=(listed,))


class ThreadProcess:
    """Looks like a child process, and is a thread with a pipe of its own."""

    made: ClassVar[list[ThreadProcess]] = []

    def __init__(self, target: Callable[..., None], args: tuple[Any, Operation, ChildLog], daemon: bool) -> None:
        pipe = Connection(os.dup(args[0].fileno()))  # the pool closes what it gave away

        def run() -> None:
            with pipe:
                target(pipe, *args[1:])

        self._thread = threading.Thread(target=run, daemon=daemon)
        self.exitcode = -9
        self.ended_by: list[str] = []
        self.made.append(self)

    def start(self) -> None:
        self._thread.start()

    def join(self, timeout: float | None = None) -> None:
        self._thread.join(60 if timeout is None else timeout)

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def terminate(self) -> None:
        self.ended_by.append("SIGTERM")

    def kill(self) -> None:
        self.ended_by.append("SIGKILL")


class Scripted(Operation):
    """Does with each share what a function does."""

    def __init__(self, do: Callable[[Share, Emit], None]) -> None:
        self._do = do

    @contextmanager
    def open_stores(self) -> Iterator[Stores]:
        yield stores

    def start(self, stores: Stores, emit: Emit) -> Performer:
        return Doing(self._do, emit)


class Doing(Performer):
    def __init__(self, do: Callable[[Share, Emit], None], emit: Emit) -> None:
        self._do = do
        self._emit = emit

    def run(self, shares: Shares) -> None:
        for one in shares:
            self._do(one, self._emit)


@pytest.fixture(autouse=True)
def children(monkeypatch: pytest.MonkeyPatch) -> list[ThreadProcess]:
    """Threads in their place; the list is of those that were made."""
    monkeypatch.setattr(ThreadProcess, "made", [])
    monkeypatch.setattr(parallel, "CONTEXT", SimpleNamespace(Pipe=CONTEXT.Pipe, Process=ThreadProcess))
    monkeypatch.setattr(parallel, "enter_child", lambda log: None)
    monkeypatch.setattr(parallel, "os", SimpleNamespace(_exit=lambda code: None))
    return ThreadProcess.made


def run(do: Callable[[Share, Emit], None], work: Iterator[Shares] | None = None, **how: Any) -> list[Any]:
    """What is taken, in its order; of `SHARES` shares unless others are given."""
    taken: list[Any] = []
    source = iter([(share(number),) for number in range(SHARES)]) if work is None else work
    run_all(Scripted(do), source, PROCESSES, taken.append, stores=stores, **how)
    return taken


def test_results_come_in_the_order_of_the_work(children: list[ThreadProcess]) -> None:
    """Whichever child is done first; all the children end."""
    second_is_done = threading.Event()

    def do(one: Share, emit: Emit) -> None:
        if one.root == "0":
            assert second_is_done.wait(60)
        emit(f"{one.root} begins")
        emit(f"{one.root} ends")
        if one.root == "1":
            second_is_done.set()

    extent = Extent()
    taken = run(do, extent=extent)
    assert taken == [f"{number} {what}" for number in range(SHARES) for what in ("begins", "ends")]
    assert extent.all_found
    assert extent.done_bytes == extent.found_bytes == sum(range(SHARES))
    assert [child.ended_by for child in children] == [["SIGTERM"]] * PROCESSES
    assert not any(child.is_alive() for child in children)


@pytest.mark.parametrize(("watched", "most_ahead", "found"), [(False, 20, 8), (True, 20, 20), (True, 1000, SHARES)])
def test_where_somebody_looks_on_work_is_found_while_children_are_busy(
    watched: bool, most_ahead: int, found: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to a bound. Else only as much as keeps the children busy, for each share costs memory."""
    monkeypatch.setattr(parallel, "MAX_SHARES_AHEAD", most_ahead)
    all_of_it = threading.Event()
    extent = Extent(watched=watched)

    def source() -> Iterator[Shares]:
        for number in range(SHARES):
            if number == found - 1:
                all_of_it.set()
            yield (share(number),)

    def do(one: Share, emit: Emit) -> None:
        assert all_of_it.wait(60)
        emit(one.root)

    found_at: list[int] = []
    run_all(
        Scripted(do),
        source(),
        PROCESSES,
        lambda result: found_at.append(extent.found_shares),
        stores=stores,
        extent=extent,
    )
    assert found_at[0] == found
    assert len(found_at) == SHARES


def test_an_error_that_ends_a_child_ends_all(children: list[ThreadProcess]) -> None:
    """What was found before it comes first."""

    def do(one: Share, emit: Emit) -> None:
        if one.root == "0":
            emit("found")
            raise StorageError("the bucket is gone")

    taken: list[str] = []
    with pytest.raises(StorageError, match=r"^the bucket is gone$"):
        run_all(Scripted(do), [(share(0),), (share(1),)], PROCESSES, taken.append, stores=stores)
    assert taken == ["found"]
    assert not any(child.is_alive() for child in children)


@pytest.mark.parametrize(("exit_code", "why"), [(-9, "out of memory?"), (1, "exit code 1")])
def test_a_child_that_dies_is_told_of(exit_code: int, why: str, children: list[ThreadProcess]) -> None:
    """It may have been killed because memory was short."""

    def die(one: Share, emit: Emit) -> None:
        for child in children:
            child.exitcode = exit_code
        raise KeyboardInterrupt  # as a SIGTERM does

    with pytest.raises(ChildDied) as died:
        run(die)
    assert str(died.value) == (
        f"a child process was killed ({why}); nothing was changed: run again, with --processes 1"
    )


def test_nobody_works_on_for_a_reader_that_is_gone(children: list[ThreadProcess]) -> None:
    """As behind `head`: it ends though no result could be written, or none came."""
    reader, writer = os.pipe()
    os.close(reader)

    def do(one: Share, emit: Emit) -> None:
        while True:
            emit("more")

    try:
        with pytest.raises(BrokenPipeError):
            run(do, stop_at=writer)
    finally:
        os.close(writer)
    assert not any(child.is_alive() for child in children)


def test_a_child_that_does_not_end_is_killed(children: list[ThreadProcess], monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it had its time to clean up."""
    monkeypatch.setattr(parallel, "CLEAN_UP_SECONDS", 0)
    killed = threading.Event()

    def kill(child: ThreadProcess) -> None:
        child.ended_by.append("SIGKILL")
        killed.set()

    monkeypatch.setattr(ThreadProcess, "kill", kill)

    def do(one: Share, emit: Emit) -> None:
        if one.root == "0":
            raise StorageError("no")
        assert killed.wait(60)

    with pytest.raises(StorageError):
        run(do)
    assert sorted(child.ended_by[0] for child in children) == ["SIGTERM"] * 2
    assert killed.is_set()
    assert not any(child.is_alive() for child in children if "SIGKILL" in child.ended_by)


def test_a_child_that_ends_in_its_time_is_not_killed(
    children: list[ThreadProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have uploads to abort."""
    waited_for = threading.Event()

    def join(child: ThreadProcess, timeout: float | None = None) -> None:
        waited_for.set()
        child._thread.join(60)

    monkeypatch.setattr(ThreadProcess, "join", join)

    def do(one: Share, emit: Emit) -> None:
        if one.root == "0":
            raise StorageError("no")
        assert waited_for.wait(60)

    with pytest.raises(StorageError):
        run(do)
    assert [child.ended_by for child in children] == [["SIGTERM"]] * PROCESSES


@pytest.mark.parametrize(("waiting_bytes", "taken"), [(100, [True, True]), (101, [True, False])])
def test_what_comes_early_waits_in_bounded_memory(
    waiting_bytes: int, taken: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With so much at hand only the child whose turn it is is listened to; the pipes of the others fill up."""
    monkeypatch.setattr(parallel, "MAX_WAITING_BYTES", 100)
    pool = parallel._Pool(Scripted(lambda one, emit: None), 0, None, Extent())
    others: list[Any] = []
    for number in range(2):
        ours, other_end = CONTEXT.Pipe()
        others.append(other_end)
        turn = parallel._Turn((share(number),))
        turn.child = parallel._Child(None, ours, turn)  # type: ignore[arg-type]
        pool._children.append(turn.child)
        other_end.send_bytes(b"result")
    ours, other_end = CONTEXT.Pipe()
    others.append(other_end)
    pool._children.append(parallel._Child(None, ours))  # type: ignore[arg-type]
    pool._waiting_bytes = waiting_bytes
    turns = [child.turn for child in pool._children if child.turn is not None]
    pool._receive(turns[0])
    assert [list(turn.results) == [b"result"] for turn in turns] == taken
    assert pool._waiting_bytes == waiting_bytes + 6 * sum(taken)
    for end in (*others, *(child.pipe for child in pool._children)):
        end.close()
