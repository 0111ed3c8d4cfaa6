"""How much there is to read, and how much of it was read."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from s3_log_roller.reading.shares import Shares

MAX_SHARES_AHEAD: Final = 20_000
"""Found before their turn comes, so that it is known early how much there is: some 20 MB."""
_LOOKING_SECONDS: Final = 1.0
"""What may be found in this time is found before the work begins, where one process does both."""


@dataclass(slots=True)
class Extent:
    """Counted in bytes as they are stored: what is found while listing goes on, and what is done."""

    watched: bool = False
    """Somebody looks on: it is worth finding out early how much there is."""
    found_shares: int = 0
    found_bytes: int = 0
    done_bytes: int = 0
    all_found: bool = False
    """Listing has come to its end: `found_bytes` is all there is."""

    def found(self, shares: Shares) -> Shares:
        """Count in what was found."""
        self.found_shares += len(shares)
        self.found_bytes += _bytes(shares)
        return shares

    def did(self, shares: Shares) -> None:
        """Count in what was done."""
        self.done_bytes += _bytes(shares)


def look_ahead(work: Iterable[Shares], extent: Extent) -> Iterator[Shares]:
    """The work; how much it is, is known from the beginning where listing it takes no time worth mentioning."""
    source = iter(work)
    looking_seconds = _LOOKING_SECONDS if extent.watched else 0.0
    ahead: list[Shares] = []
    error: Exception | None = None
    began = time.monotonic()
    try:
        for shares in source:
            ahead.append(extent.found(shares))
            if time.monotonic() - began >= looking_seconds or sum(map(len, ahead)) > MAX_SHARES_AHEAD:
                break
        else:
            extent.all_found = True
    except Exception as fault:  # it comes when what was found before it is done
        error = fault
    for shares in ahead:
        yield shares
        extent.did(shares)
    if error is not None:
        raise error
    for shares in source:
        yield extent.found(shares)
        extent.did(shares)
    extent.all_found = True


def _bytes(shares: Shares) -> int:
    return sum(share.packed_bytes for share in shares)
