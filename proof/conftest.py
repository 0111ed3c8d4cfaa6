"""The long part of the proof: `make test-all` runs it, `make test` does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

FIGURES: list[str] = []


@pytest.fixture
def figure() -> Callable[[str], None]:
    """Takes a line for the end of the report."""
    return FIGURES.append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the figures that the tests took."""
    for line in FIGURES:
        terminalreporter.write_line(line)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this directory is slow."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("slow")
