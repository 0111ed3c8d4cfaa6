from __future__ import annotations

import importlib
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from datetime import date
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest
from tests.support.waiting import wait_for

from s3_log_roller import children
from s3_log_roller.children import LogRelay
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rolling import processes
from s3_log_roller.rolling.figures import Figures
from s3_log_roller.rolling.meter import Meter, Ticker
from s3_log_roller.rolling.outcome import RollOutcome
from s3_log_roller.rolling.processes import ProcessRunner
from s3_log_roller.rolling.queue import InProcessQueue
from s3_log_roller.rolling.runner import Failed, Result, Roll
from s3_log_roller.rolling.summary import Summary
from s3_log_roller.rolling.tasks import RollTask
from s3_log_roller.rolling.window import Window
from s3_log_roller.rolling.worker import Worker

IN_CHILD = """
import logging, os, select, signal, time
from pathlib import Path
from s3_log_roller.errors import ObjectArchived
from s3_log_roller.rolling.figures import Figures
from s3_log_roller.rolling.outcome import RollOutcome, keeping

def make_roll(directory, ticker):
    def roll(task):
        name = task.group.target_prefix
        if name == "killed in a record":
            logging.getLogger("s3_log_roller.child").info("its reader is held up with this one")
            logging.getLogger("s3_log_roller.child").info("x" * (64 << 20))
            records = logging.getLogger().handlers[0].queue
            while select.select([], [records._writer], [], 0)[1]:  # the pipe is not full yet
                time.sleep(0.01)
        if name.startswith("killed"):
            os.kill(os.getpid(), signal.SIGKILL)
        if name == "archived":
            raise ObjectArchived("restore it first", key="k")
        if name == "slow":
            try:
                with keeping(lambda: [RollOutcome(task.group, Figures(deleted=7), remaining=1)]):
                    Path(directory, "started").touch()
                    time.sleep(600)
            finally:
                Path(directory, "cleaned up").touch()
        ticker(2, 100)
        logging.getLogger("s3_log_roller.child").info("in_child", extra={"prefix": name})
        return RollOutcome(task.group, Figures(packed=2))
    return roll
"""


@pytest.fixture
def in_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A module that child processes can import, too."""
    (tmp_path / "in_child.py").write_text(IN_CHILD)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("in_child")
    del sys.modules["in_child"]


def task(name: str) -> RollTask:
    return RollTask(DayGroup("logs", name, date(2022, 7, 1)), Window(date(2022, 7, 3)))


@pytest.fixture
def meter() -> Meter:
    return Meter(2)


@pytest.fixture
def runner(in_child: ModuleType, meter: Meter, tmp_path: Path) -> Iterator[ProcessRunner]:
    runner = ProcessRunner(2, partial(in_child.make_roll, str(tmp_path)), meter)
    yield runner
    runner.close()


def test_outcomes_figures_and_logs_come_back(
    runner: ProcessRunner, meter: Meter, caplog: pytest.LogCaptureFixture
) -> None:
    """The parent gets what its children did, counted and said."""
    with caplog.at_level(logging.INFO):
        futures = [runner.submit(task("a")), runner.submit(task("b"))]
        assert [future.result(120) for future in futures] == [
            RollOutcome(task(name).group, Figures(packed=2)) for name in ("a", "b")
        ]
        assert (meter.logs, meter.n_bytes) == (4, 200)
        wait_for(lambda: len(caplog.records) == 2, every=0.01)
    assert sorted(record.prefix for record in caplog.records) == ["a", "b"]  # type: ignore[attr-defined]


def test_errors_cross_processes_as_text(runner: ProcessRunner) -> None:
    """Also those whose constructors pickle cannot call."""
    assert runner.submit(task("archived")).result(120) == Failed("restore it first")


def test_a_killed_child_fails_its_own_task_only(runner: ProcessRunner) -> None:
    """Out of memory in a child: its task fails and says why, a new child takes its place, the others are done."""
    summary = Summary()
    names = ["a", "killed1/", "killed2/", *(f"b{number}/" for number in range(6))]
    queue = InProcessQueue(map(task, names))
    Worker(queue, runner, None, lambda: date(2022, 7, 3), summary).work()  # type: ignore[arg-type]
    assert summary.day_groups_done == 7
    assert sorted(summary.failures) == ["s3://logs/killed1/2022-07-01", "s3://logs/killed2/2022-07-01"]
    assert all("was killed (out of memory?)" in why for why in summary.failures.values())


def test_a_child_that_is_killed_in_a_record_holds_up_nobody(
    runner: ProcessRunner, caplog: pytest.LogCaptureFixture
) -> None:
    """The others go on, are heard, and end."""
    heard = threading.Event()
    slow = logging.Filter()
    slow.filter = lambda record: heard.wait(120) or True  # type: ignore[method-assign]
    logger = logging.getLogger("s3_log_roller.child")
    logger.addFilter(slow)
    try:
        with caplog.at_level(logging.INFO):
            futures = [runner.submit(task("a")), runner.submit(task("killed in a record"))]
            with pytest.raises(BrokenProcessPool):
                futures[1].result(120)
            heard.set()
            assert runner.submit(task("b")).result(120) == RollOutcome(task("b").group, Figures(packed=2))
            closing = threading.Thread(target=runner.close, daemon=True)
            closing.start()
            closing.join(60)
            assert not closing.is_alive()
            assert {"a", "b"} <= {record.__dict__.get("prefix") for record in caplog.records}
    finally:
        heard.set()
        logger.removeFilter(slow)


def test_an_idle_child_that_is_killed_is_replaced(runner: ProcessRunner) -> None:
    """The OOM killer takes a child that only waits: the next tasks run in a new one, and nothing fails."""
    for name in ("a", "b", "c"):
        assert runner.submit(task(name)).result(120) == RollOutcome(task(name).group, Figures(packed=2))
        (child,) = multiprocessing.active_children()
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        wait_for(lambda: runner._children[0]._pool._broken, every=0.01)  # type: ignore[union-attr]


def test_interrupting_lets_a_task_clean_up(
    runner: ProcessRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupted child aborts its upload before it ends, and at once: nobody waits for as long as it may take."""
    monkeypatch.setattr(processes, "CLEAN_UP_SECONDS", 100_000)
    future = runner.submit(task("slow"))
    wait_for((tmp_path / "started").exists, every=0.01)
    runner.interrupt()
    assert (tmp_path / "cleaned up").exists()
    assert isinstance(future.exception(0), KeyboardInterrupt)


def test_what_interrupted_children_had_done_is_counted(runner: ProcessRunner, tmp_path: Path) -> None:
    """Ctrl-C goes to the parent; the figures come from the child that stops for it."""
    summary = Summary()
    queue = InProcessQueue([task("slow")])
    worker = Worker(queue, runner, None, lambda: date(2022, 7, 3), summary)  # type: ignore[arg-type]

    def interrupt(timeout_seconds: float | None) -> None:
        wait_for((tmp_path / "started").exists, every=0.01)
        raise KeyboardInterrupt

    worker._settle_done = interrupt  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        worker.work()
    assert (summary.figures.deleted, summary.day_groups_done) == (7, 0)


def test_children_end_with_a_parent_that_was_killed(in_child: ModuleType, tmp_path: Path) -> None:
    """Nobody is left waiting, and what ran was cleaned up."""
    program = tmp_path / "parent.py"
    program.write_text(
        "import sys; from functools import partial; from datetime import date; import in_child\n"
        "from s3_log_roller.rolling.processes import *; from s3_log_roller.rolling.meter import Meter\n"
        "from s3_log_roller.log_keys import DayGroup; from s3_log_roller.rolling.tasks import RollTask\n"
        "from s3_log_roller.rolling.window import Window\n"
        "if __name__ == '__main__':\n"
        "    runner = ProcessRunner(1, partial(in_child.make_roll, sys.argv[1]), Meter(1))\n"
        "    task = RollTask(DayGroup('logs', 'slow', date(2022, 7, 1)), Window(date(2022, 7, 3)))\n"
        "    runner.submit(task).result()\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(program), str(tmp_path)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as parent:
        wait_for((tmp_path / "started").exists, every=0.01)
        parent.send_signal(signal.SIGKILL)
    wait_for((tmp_path / "cleaned up").exists, every=0.01)


class Pool:
    """Instead of a process: its tasks end when the test says so."""

    def __init__(self) -> None:
        self.futures: list[Future[Result]] = []
        self.closed = False

    def submit(self, run: object, task: RollTask) -> Future[Result]:
        self.futures.append(Future())
        return self.futures[-1]

    def shutdown(self, **how: bool) -> None:
        self.closed = True


def roll_never(ticker: Ticker) -> Roll:
    raise AssertionError("there is no process that could")


@pytest.fixture
def pools(monkeypatch: pytest.MonkeyPatch) -> list[Pool]:
    """What a runner starts instead of processes, in their order; the process ids are 0, 1, 2 and so on."""
    started: list[Pool] = []

    def start(runner: ProcessRunner, number: int) -> processes._Child:
        pid: Future[int] = Future()
        pid.set_result(len(started))
        started.append(Pool())
        return processes._Child(started[-1], pid)  # type: ignore[arg-type]

    monkeypatch.setattr(ProcessRunner, "_start_child", start)
    return started


def test_only_a_child_that_does_not_stop_in_time_is_killed(pools: list[Pool], monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has cleaned up, or has nothing to do, ends by itself."""
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(children, "send", lambda pid, number: sent.append((pid, number)))
    monkeypatch.setattr(processes, "CLEAN_UP_SECONDS", 0.01)
    runner = ProcessRunner(4, roll_never, Meter(4))
    for name in ("idle", "cleans up", "goes on"):
        runner.submit(task(name))
    pools[0].futures[0].set_result(Failed(""))
    runner._children[0].is_idle()  # type: ignore[union-attr]
    pools[1].futures[0].set_exception(KeyboardInterrupt())
    runner.interrupt()
    assert sent == [(0, signal.SIGTERM), (1, signal.SIGTERM), (2, signal.SIGTERM), (2, signal.SIGKILL)]


def test_a_child_whose_process_failed_is_given_no_other_task(
    pools: list[Pool], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is ended and replaced, and the log says so; one whose task merely failed goes on. In the end all are ended."""
    relays: list[LogRelay] = []
    monkeypatch.setattr(LogRelay, "close", lambda relay: relays.append(relay))
    runner = ProcessRunner(1, roll_never, Meter(1))
    runner.submit(task("a"))
    pools[0].futures[0].set_result(Failed("it merely failed"))
    runner.submit(task("b"))
    with pytest.raises(RuntimeError, match="every child process is busy"):
        runner.submit(task("c"))
    assert (len(pools), len(pools[0].futures)) == (1, 2)
    pools[0].futures[1].set_exception(BrokenProcessPool())
    runner.submit(task("c"))
    assert [(len(pool.futures), pool.closed) for pool in pools] == [(2, True), (1, False)]
    assert [record.message for record in caplog.records] == ["child_process_replaced"]
    runner.close()
    assert pools[1].closed
    assert len(relays) == 1  # whose threads would go on
