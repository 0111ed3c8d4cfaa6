"""Waiting for what another process or server does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(what: Callable[[], T], seconds: float = 60, *, every: float = 0.2) -> T:
    """What `what` returns once that is true; the test fails if it is not within that time."""
    give_up_at = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < give_up_at, f"waited {seconds} s in vain"
        time.sleep(every)
    return found
