"""Waiting for what another process or server does."""

from __future__ import annotations

import socket
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


def listens(port: int) -> bool:
    """Whether somebody takes connections on that port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
