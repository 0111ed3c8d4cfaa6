"""Waiting for what another process or server does."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def wait_for(what: Callable[[], T], seconds: float = 60, *, every: float = 0.2) -> T:
    """What `what` returns once that is true; the test fails if it is not within that time."""
    give_up_at = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < give_up_at, f"waited {seconds} s in vain"
        time.sleep(every)
    return found


def wait_for_midnight_to_pass() -> None:
    """What begins now is on one day (UTC): if that ends within a minute, wait for the next one."""
    left = 86_400 - time.time() % 86_400
    if left < 60:
        time.sleep(left + 1)


def listens(port: int) -> bool:
    """Whether somebody takes connections on that port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def has_socket(pid: int, port: int) -> bool:
    """Whether a socket of that process has that local port; on Linux."""
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    inodes = {row[9] for row in rows if int(row[1].rpartition(":")[2], 16) == port}
    opened = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # it was closed meanwhile
            opened.add(os.readlink(entry))
    return any(f"socket:[{inode}]" in opened for inode in inodes)
