"""How this process gives memory back to the system."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any, Final

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
"""Of glibc's mallopt(3)."""
_LARGE_BYTES: Final = 2 << 20
_KEPT_BYTES: Final = 8 << 20


def give_back() -> None:
    """Give back the pages in which nothing is used; between two tasks there are many.

    From the first call on, bodies and rollups of 2 MiB and more have pages of their own, which go when they do. By
    itself glibc stops that with the first such block that is freed, and from then on they leave holes. Smaller blocks
    are left to it: to get pages anew for each costs CPU time. Where there is no glibc, nothing is done.
    """
    if (library := _glibc()) is not None:
        library.malloc_trim(0)


@cache
def _glibc() -> Any:
    try:
        library = ctypes.CDLL(None)
        mallopt, _ = library.mallopt, library.malloc_trim
    except (AttributeError, OSError, TypeError):
        return None
    mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
    mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
    return library
