"""Counting what is called: it says more than a clock does, and the same on every machine."""

from __future__ import annotations

from collections.abc import Callable

import pytest


def count_calls(monkeypatch: pytest.MonkeyPatch, of: object, name: str) -> list[None]:
    """Grows by one with each call of that function, which does as ever."""
    function: Callable[..., object] = getattr(of, name)
    calls: list[None] = []

    def counted(*arguments: object, **named: object) -> object:
        calls.append(None)
        return function(*arguments, **named)

    monkeypatch.setattr(of, name, counted)
    return calls
