"""How this process gives memory back to the system."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Final

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
"""Of glibc's mallopt(3)."""
_LARGE_BYTES: Final = 2 << 20
_KEPT_BYTES: Final = 8 << 20


@cache
def give_back_large_blocks() -> None:
    """Let bodies and rollups of 2 MiB and more have pages of their own, which go back when they do.

    By itself glibc stops that with the first such block that is freed, and from then on they leave holes. Smaller
    blocks are left to it: to get pages anew for each costs CPU time. Where there is no glibc, nothing is done.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
    mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
