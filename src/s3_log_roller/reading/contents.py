"""Contents, many at a time: of small rollups and the ends of large ones, and of loose logs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from itertools import takewhile

from s3_log_roller.errors import RollerError
from s3_log_roller.reading.groups import Stores, holder
from s3_log_roller.rollup.stored import READ_BYTES, TAIL_BYTES, PackedFile
from s3_log_roller.store import ByteRange, ListedObject, ReadStore, whole_or_split


class Tails:
    """The last bytes of files, of small ones all: fetched many at a time, handed out in order."""

    def __init__(
        self, stores: Stores, files: Iterable[tuple[str, ListedObject]], tail_bytes: Callable[[int], int]
    ) -> None:
        self._files = deque(PackedFile(holder(stores, bucket, listed), listed) for bucket, listed in files)
        self._tail_bytes = tail_bytes
        """How much of a file's end to read first, by the file's size."""
        self._store: ReadStore | None = None
        self._bodies: Generator[tuple[bytes, bytes], None, None] | None = None

    def take(self) -> PackedFile:
        """The next one. If it cannot be had, the one behind it is next."""
        file = self._files[0]
        if self._bodies is None or self._store is not file.store:
            self.close()
            self._store = file.store
            same = takewhile(lambda other: other.store is file.store, list(self._files))
            self._bodies = file.store.fetch(self._tail(other.listed) for other in same if other.listed.size)
        self._files.popleft()
        if not file.listed.size:
            return file
        try:
            return file.with_tail(next(self._bodies)[0])
        except RollerError:
            self._bodies = None
            raise

    def take_some(self, number: int) -> list[PackedFile]:
        """The next ones. If one of them cannot be had, its error is raised, and the one behind all of them is next."""
        files, errors = [], []
        for _ in range(number):
            try:
                files.append(self.take())
            except RollerError as error:
                errors.append(error)
        if errors:
            raise errors[0]
        return files

    def close(self) -> None:
        """Stop fetching."""
        if self._bodies is not None:
            self._bodies.close()
            self._bodies = None

    def _tail(self, listed: ListedObject) -> ByteRange:
        start = max(0, listed.size - self._tail_bytes(listed.size))
        return ByteRange.part(listed.key, listed.etag, range(start, listed.size))


def whole_if_small(size: int) -> int:
    """All of files that one request fetches; of others what an index needs as a rule."""
    return size if size <= READ_BYTES else TAIL_BYTES


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
