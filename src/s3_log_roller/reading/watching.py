"""Stores that say when they are about to wait for the network: the moment to write what was found so far."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from typing import TypeVar

from s3_log_roller.errors import StorageError
from s3_log_roller.reading.groups import Stores
from s3_log_roller.store import PAGE_KEYS, ByteRange, ListedObject, Metadata, Page, Pager, ReadStore

T = TypeVar("T")


def watched(stores: Stores, before_wait: Callable[[], None]) -> Stores:
    """The same stores; `before_wait` is called before each answer that they have to wait for."""
    opened: dict[str, ReadStore] = {}

    def store(bucket: str) -> ReadStore:
        if bucket not in opened:
            opened[bucket] = _WatchedStore(stores(bucket), before_wait)
        return opened[bucket]

    return store


class _WatchedStore:
    """See `ReadStore`."""

    def __init__(self, store: ReadStore, before_wait: Callable[[], None]) -> None:
        self.bucket = store.bucket
        self._store = store
        self._before_wait = before_wait

    def list_page(
        self, prefix: str, start_after: str = "", *, max_keys: int = PAGE_KEYS, continuation_token: str = ""
    ) -> Page:
        self._before_wait()
        return self._store.list_page(prefix, start_after, max_keys=max_keys, continuation_token=continuation_token)

    def next_pages(self, pagers: Sequence[Pager]) -> list[Page | StorageError]:
        self._before_wait()
        return self._store.next_pages(pagers)

    def fetch(self, ranges: Iterable[ByteRange]) -> Generator[tuple[bytes, bytes], None, None]:
        return self._each(self._store.fetch(ranges))

    def fetch_each(self, ranges: Iterable[ByteRange]) -> Generator[tuple[bytes, bytes] | StorageError, None, None]:
        return self._each(self._store.fetch_each(ranges))

    def _each(self, answers: Generator[T, None, None]) -> Generator[T, None, None]:
        with closing(answers):
            while True:
                self._before_wait()
                answer = next(answers, None)
                if answer is None:
                    return
                yield answer

    def read_metadata(self, objects: Iterable[ListedObject]) -> list[Metadata | StorageError]:
        self._before_wait()
        return self._store.read_metadata(objects)

    def etag_is_md5(self, key: str) -> bool:
        self._before_wait()
        return self._store.etag_is_md5(key)
