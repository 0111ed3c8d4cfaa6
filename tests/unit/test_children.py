from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import subprocess
import threading
import time
from contextlib import suppress

import pytest
from tests.support.waiting import wait_for

from s3_log_roller import children
from s3_log_roller.children import CLEAN_UP_SECONDS, ChildLog, LogRelay


class Ended(Exception):
    """The process would have ended with this exit code."""


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that ends raises `Ended` here."""

    def end(code: int) -> None:
        raise Ended(code)

    monkeypatch.setattr(os, "_exit", end)


@pytest.mark.usefixtures("ends")
def test_a_stop_lets_work_clean_up_and_ends_an_idle_child_at_once() -> None:
    """Before work, while it runs, after it was done, and after it failed."""
    with pytest.raises(Ended, match=r"^0$"):
        children._stop(signal.SIGTERM, None)
    with children.working(), pytest.raises(KeyboardInterrupt):
        children._stop(signal.SIGTERM, None)
    with pytest.raises(Ended, match=r"^0$"):
        children._stop(signal.SIGTERM, None)
    with suppress(KeyboardInterrupt), children.working():
        children._stop(signal.SIGTERM, None)
    with pytest.raises(Ended, match=r"^0$"):
        children._stop(signal.SIGTERM, None)


@pytest.mark.usefixtures("ends")
def test_an_orphan_ends_as_soon_as_its_work_is_cleaned_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not wait for another task, which nobody will send, nor until it is killed."""
    monkeypatch.setattr(children, "_orphaned", True)
    with pytest.raises(Ended, match=r"^1$"), children.working():
        raise KeyboardInterrupt


@pytest.mark.usefixtures("ends")
def test_a_child_whose_parent_is_gone_stops_and_is_ended_if_it_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told as by anybody else, has time to clean up, and does not outlive that."""
    seen: list[tuple[object, ...]] = []

    class Parent:
        def join(self) -> None:
            seen.append(("gone", children._orphaned))

    monkeypatch.setattr(children, "_orphaned", False)
    monkeypatch.setattr(multiprocessing, "parent_process", Parent)
    monkeypatch.setattr(os, "kill", lambda pid, number: seen.append((pid, number, children._orphaned)))
    monkeypatch.setattr(time, "sleep", lambda seconds: seen.append((seconds,)))
    with pytest.raises(Ended, match=r"^1$"):
        children._end_with_parent()
    assert seen == [("gone", False), (os.getpid(), signal.SIGTERM, True), (CLEAN_UP_SECONDS,)]


def test_ctrl_c_is_ignored_while_children_start_and_at_no_other_time() -> None:
    """They inherit that it is; the parent hears it again afterwards, also where one could not be started."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored already
    try:
        with suppress(OSError), children.starting():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
            raise OSError("no memory")
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_closed_relay_leaves_no_thread(caplog: pytest.LogCaptureFixture) -> None:
    """However many children it had, and whatever they said."""
    before = set(threading.enumerate())
    relay = LogRelay()
    logs = [relay.child_log() for _ in range(3)]
    reading = set(threading.enumerate()) - before
    said = logging.LogRecord("s3_log_roller.child", logging.WARNING, "", 0, "an event", None, None)
    records = logs[1].records
    assert records is not None
    records.put(said)
    wait_for(lambda: bool(caplog.records), 30, every=0.01)
    relay.close()
    assert [record.getMessage() for record in caplog.records] == ["an event"]
    assert len(reading) == 3
    assert all(thread.daemon for thread in reading)  # one that waits for a killed child must not keep the program
    assert not any(thread.is_alive() for thread in reading)


def test_signals_reach_a_child_and_go_nowhere_when_it_is_gone() -> None:
    """It may end by itself just before."""
    child = subprocess.Popen(["sleep", "60"])
    children.send(child.pid, signal.SIGTERM)
    assert child.wait(30) == -signal.SIGTERM
    children.send(child.pid, signal.SIGTERM)


def test_a_child_heeds_a_stop_and_not_ctrl_c_and_logs_as_it_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a parent that takes its records they go to standard error, from the parent's level on."""
    handlers: dict[int, object] = {}
    levels: list[int] = []
    monkeypatch.setattr(signal, "signal", handlers.__setitem__)
    monkeypatch.setattr(children, "configure_logging", lambda *, level: levels.append(level))
    children.enter_child(ChildLog(logging.ERROR))
    assert handlers == {signal.SIGINT: signal.SIG_IGN, signal.SIGTERM: children._stop}
    assert levels == [logging.ERROR]
