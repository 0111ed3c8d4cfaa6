"""Tests run on changed programs, each in a child process, so that nothing of one is left for the next."""

from __future__ import annotations

import ast
import faulthandler
import importlib
import math
import os
import resource
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import NoReturn

import boto3  # noqa: F401 - as are the others, for the children
import pycurl  # noqa: F401
import pytest
import zlib_ng  # noqa: F401
from proof.callers import HANGS, FirstFailure
from proof.grafting import graft, living

ROOT = Path(__file__).resolve().parents[1]
TIMEOUT_SECONDS = 300
TIMEOUT_CPU_SECONDS = 120
"""A mutant that takes so long is noticed: it goes on for ever."""
TEST_TIMEOUT_SECONDS = 20
TEST_TIMEOUT_CPU_SECONDS = 10
"""For one test: the slowest take six seconds on a busy machine."""
MAX_BYTES = 4 << 30
QUICK = "not slow and not heavy"
NOT_GRAFTED = "(not grafted)"


def failing_test(
    directory: Path, tests: list[str], plugins: list[object], seconds: float = TIMEOUT_SECONDS
) -> str | None:
    """Run tests on the package in that directory; the first that fails. With no end to the time, all of them run."""
    failed = directory / "failed"

    def run() -> int:
        if math.isinf(seconds):
            return _pytest(directory, tests, plugins)
        _limit(TIMEOUT_CPU_SECONDS)
        return _pytest(directory, ["-x", *tests], [*plugins, FirstFailure(failed)])

    return _verdict(run, failed, seconds)


class Collected:
    """Tests that are collected once, in a child; a child of it runs some of them on a changed file. To be closed."""

    def __init__(self, package: Path, tests: list[str], files: list[str]) -> None:
        self._asked, asked = Pipe()
        loop = _Loop(package, files, asked)
        self._child = os.fork()  # with pytest and the libraries imported; multiprocessing would count it as its own
        if self._child == 0:
            _end_with(lambda: _collect(package.parent, tests, loop, self._asked))
        asked.close()

    def failing_test(self, file: str, before: ast.Module, after: ast.Module, tests: list[str]) -> str | None:
        """The first of these tests that fails on the changed file; `NOT_GRAFTED` where it was not run on it."""
        self._asked.send((file, before, after, tests))
        verdict: str | None = self._asked.recv()
        return verdict

    def close(self) -> None:
        """End the child."""
        self._asked.send(None)
        os.waitpid(self._child, 0)


class _Loop(FirstFailure):
    """A plugin of pytest: waits for orders instead of running all tests."""

    def __init__(self, package: Path, files: list[str], asked: Connection) -> None:
        super().__init__(package.parent / "failed")
        self._package = package
        self._files = files
        self._asked = asked

    @pytest.hookimpl
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """See pytest."""
        for file in self._files:
            importlib.import_module(".".join((self._package.name, *Path(file).with_suffix("").parts)))
        items = {item.nodeid: item for item in session.items}
        alive = living(self._package)

        def run() -> int:
            if not graft(alive[str(self._package / file)], before, after):
                self._note.write_text(NOT_GRAFTED)
                return 1
            ordered = [items[test] for test in tests if test in items]
            for item, following in zip(ordered, [*ordered[1:], None], strict=True):
                _limit(TEST_TIMEOUT_CPU_SECONDS)
                faulthandler.dump_traceback_later(2 * TEST_TIMEOUT_SECONDS, exit=True)  # where the other is ignored
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                if session.testsfailed:
                    return 1
            return 0

        while (order := self._asked.recv()) is not None:
            file, before, after, tests = order
            shutil.rmtree(self._package.parent / "hypothesis", ignore_errors=True)  # which remembers what failed
            self._note.unlink(missing_ok=True)
            self._asked.send(_verdict(run, self._note, TIMEOUT_SECONDS))
        return True


def _collect(directory: Path, tests: list[str], loop: _Loop, asking: Connection) -> int:
    asking.close()  # it is the parent's: so the child hears when that is gone
    return _pytest(directory, tests, [loop])


def _verdict(run: Callable[[], int], failed: Path, seconds: float) -> str | None:
    """What a child notes of the first test that fails; None if none does."""
    child = os.fork()
    if child == 0:
        _end_with(run)
    give_up_at = time.monotonic() + seconds
    while time.monotonic() < give_up_at:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return (failed.read_text() if failed.exists() else "(it died)") if status else None
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return HANGS


def _end_with(run: Callable[[], int]) -> NoReturn:
    code = 1
    with suppress(BaseException):
        code = run()
    os._exit(code != 0)


def _limit(cpu_seconds: int) -> None:
    """A loop that never ends may also grow."""
    resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, MAX_BYTES))
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = math.ceil(used.ru_utime + used.ru_stime) + cpu_seconds
    resource.setrlimit(resource.RLIMIT_CPU, (most, resource.RLIM_INFINITY))


def _pytest(directory: Path, tests: list[str], plugins: list[object]) -> int:
    """In a child: it says nothing."""
    with open(os.devnull, "w") as nowhere:
        for stream in (1, 2):
            os.dup2(nowhere.fileno(), stream)
    os.chdir(ROOT)
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(directory / "hypothesis")
    always = ["-q", "-p", "no:cacheprovider", "--tb=no", "-o", f"pythonpath={directory} .", "-m", QUICK]
    always += [f"--timeout={TEST_TIMEOUT_SECONDS}", f"--basetemp={directory / 'tests'}"]
    return int(pytest.main([*always, *tests], plugins=plugins))
