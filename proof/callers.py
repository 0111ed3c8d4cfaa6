"""Which tests call which function: a plugin of pytest that writes it down."""

from __future__ import annotations

import json
import sys
import threading
from collections import defaultdict
from collections.abc import Generator
from pathlib import Path
from types import CodeType, FrameType
from typing import NamedTuple

import pytest

HANGS = "(it hangs)"


class Noted(NamedTuple):
    """What was learned from a run of some tests on the unchanged package."""

    failing: list[str]
    callers: dict[str, list[str]]
    """The tests that pass, the quickest first, by `file:line` of the functions that they call."""

    @classmethod
    def read(cls, note: Path) -> Noted:
        """From where `CallNoter` wrote it."""
        return cls(**json.loads(note.read_text()))


class CallNoter:
    """Notes for every test which functions of a package it calls, in any thread but in no other process."""

    def __init__(self, package: Path, note: Path) -> None:
        self._package = f"{package}/"
        self._note = note
        self._seconds: dict[str, float] = {}
        self._functions: dict[str, set[str]] = {}
        self._failing: list[str] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """See pytest."""
        called: dict[int, CodeType] = {}

        def note_call(frame: FrameType, event: str, argument: object) -> None:
            if event == "call":
                called[id(frame.f_code)] = frame.f_code

        threading.setprofile(note_call)
        sys.setprofile(note_call)
        try:
            return (yield)
        finally:
            sys.setprofile(None)
            threading.setprofile(None)
            self._functions[item.nodeid] = {
                f"{code.co_filename.removeprefix(self._package)}:{code.co_firstlineno}"
                for code in called.values()
                if code.co_filename.startswith(self._package)
            }

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """See pytest."""
        self._seconds[report.nodeid] = self._seconds.get(report.nodeid, 0.0) + report.duration
        if report.failed:
            self._failing.append(report.nodeid)

    @pytest.hookimpl
    def pytest_sessionfinish(self) -> None:
        """See pytest."""
        callers = defaultdict(list)
        for test in sorted(
            self._functions.keys() - self._failing, key=lambda test: (self._seconds.get(test, 0.0), test)
        ):
            for function in self._functions[test]:
                callers[function].append(test)
        self._note.write_text(json.dumps(Noted(self._failing, callers)._asdict()))


class Only:
    """Runs some tests only, in their order."""

    def __init__(self, tests: list[str]) -> None:
        self._tests = {test: number for number, test in enumerate(tests)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """See pytest."""
        wanted = [item for item in items if item.nodeid in self._tests]
        items[:] = sorted(wanted, key=lambda item: self._tests[item.nodeid])


class FirstFailure:
    """Notes the first test that fails, or cannot be collected."""

    def __init__(self, note: Path) -> None:
        self._note = note

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """See pytest."""
        self._take(report)

    @pytest.hookimpl
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """See pytest."""
        self._take(report)

    def _take(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.failed and not self._note.exists():
            hangs = f" {HANGS}" if "from pytest-timeout" in str(report.longrepr) else ""
            self._note.write_text(report.nodeid + hangs)
