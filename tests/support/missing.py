"""A library that is not installed."""

from __future__ import annotations

import sys

import pytest


def hide_library(monkeypatch: pytest.MonkeyPatch, library: str, *modules: str) -> None:
    """Let a library be missing for those modules of the program, and all below them, as long as the test runs.

    They are imported anew. Afterwards their packages lead to the modules that all other tests have, not to the copies.
    """
    below = tuple(f"{module}." for module in modules)
    for name in [name for name in sys.modules if name in modules or name.startswith(below)]:
        package, _, child = name.rpartition(".")
        monkeypatch.setattr(sys.modules[package], child, sys.modules[name])
        if name.count(".") > 1:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
