"""Whole contents, many at a time: of small rollups, and of loose logs."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import takewhile

from s3_log_roller.errors import RollerError
from s3_log_roller.reading.groups import Stores
from s3_log_roller.reading.shares import Share
from s3_log_roller.rollup.stored import READ_BYTES, PackedFile
from s3_log_roller.store import ListedObject, ReadStore, whole_or_split


class Contents:
    """Small rollups, fetched whole: many at once, handed out in order."""

    def __init__(self, stores: Stores, shares: list[Share]) -> None:
        self._files = deque(PackedFile(stores(share.bucket), share.packed[0].listed) for share in shares)
        self._store: ReadStore | None = None
        self._bodies: Generator[tuple[bytes, bytes], None, None] | None = None

    def take(self) -> PackedFile:
        """The next one. If it cannot be had, the one behind it is next."""
        file = self._files[0]
        if self._bodies is None or self._store is not file.store:
            self.close()
            self._store = file.store
            same = takewhile(lambda other: other.store is file.store, list(self._files))
            self._bodies = file.store.fetch(other.whole_range() for other in same)
        self._files.popleft()
        try:
            return file.with_tail(next(self._bodies)[0])
        except RollerError:
            self._bodies = None
            raise

    def close(self) -> None:
        """Stop fetching."""
        if self._bodies is not None:
            self._bodies.close()
            self._bodies = None


def fetch_logs(store: ReadStore, logs: tuple[ListedObject, ...]) -> Iterator[tuple[ListedObject, bytes, bool]]:
    """The logs' contents in parts; the parts of one that is gone after some were handed out stop there."""
    ranges = whole_or_split(((log.key, log.etag, log.size) for log in logs), READ_BYTES)
    with closing(store.fetch(ranges)) as bodies:
        for log in logs:
            left = log.size
            while True:
                body, _ = next(bodies)
                left -= len(body)
                yield log, body, left <= 0
                if left <= 0:
                    break
