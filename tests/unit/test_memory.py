"""Memory that was needed for a moment goes back to the system."""

from __future__ import annotations

import subprocess
import sys

import pytest

_CHILD = """
import sys
from s3_log_roller.memory import give_back

def resident_mb():
    for line in open("/proc/self/status"):
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1000

early, late, block_bytes = "early" in sys.argv, "late" in sys.argv, int(sys.argv[1])
if early:
    give_back()
bytes(30 << 20)  # makes glibc keep blocks of up to 30 MiB
before = resident_mb()
blocks, small = [], []
for _ in range((60 << 20) // block_bytes):
    blocks.append(b"x" * block_bytes)
    small.append(b"x" * 5000)
del blocks
if late:
    give_back()
print(resident_mb() - before)
"""


def grown_mb(block_bytes: int, *when: str) -> float:
    """How much memory a process keeps of 60 MiB that it let go of in blocks with small ones between them."""
    command = [sys.executable, "-c", _CHILD, str(block_bytes), *when]
    return float(subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout)


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it is glibc's memory")


def test_large_blocks_go_back_when_they_are_freed() -> None:
    """Though others before them were freed, and small ones that stay lie between them."""
    assert grown_mb(3 << 20) > 40, "glibc gives them back by itself: this test shows nothing"
    assert grown_mb(3 << 20, "early") < 10


def test_smaller_ones_go_back_between_two_tasks() -> None:
    """Their pages are kept while a task runs, and are no longer when the next one begins."""
    assert grown_mb(200_000, "early") > 40, "glibc gives them back by itself: this test shows nothing"
    assert grown_mb(200_000, "early", "late") < 10
