"""Memory that was needed for a moment goes back to the system."""

from __future__ import annotations

import subprocess
import sys

import pytest

_CHILD = """
import sys
from s3_log_roller.memory import give_back_large_blocks

def resident_mb():
    for line in open("/proc/self/status"):
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1000

if sys.argv[1] == "give back":
    give_back_large_blocks()
bytes(30 << 20)  # makes glibc keep blocks of up to 30 MiB
before = resident_mb()
blocks, small = [], []
for _ in range(20):
    blocks.append(b"x" * (3 << 20))
    small.append(b"x" * 5000)
    small.append(b"x" * 100_000)
del blocks
print(resident_mb() - before)
"""


def grown_mb(how: str) -> float:
    """How much memory a process keeps after it let go of large blocks that had small ones between them."""
    done = subprocess.run([sys.executable, "-c", _CHILD, how], capture_output=True, text=True, check=True, timeout=30)
    return float(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="it is glibc's memory")
def test_large_blocks_go_back_when_they_are_freed() -> None:
    """Though others before them were freed, and small ones that stay lie between them."""
    assert grown_mb("leave it") > 40, "glibc gives them back by itself: this test shows nothing"
    assert grown_mb("give back") < 10
