"""A store to be read, which counts the requests and may make many of them beforehand, beside each other."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence

from s3_log_roller.ahead import AskedAhead
from s3_log_roller.errors import ObjectArchived, StorageError
from s3_log_roller.rollup.stored import first_range
from s3_log_roller.store import PAGE_KEYS, ByteRange, ListedObject, Metadata, Page, Pager, ReadStore


class CountedStore:
    """`ReadStore` that counts the requests that reading from it makes, repeated ones aside."""

    def __init__(self, store: ReadStore) -> None:
        self.bucket = store.bucket
        self.lists = 0
        self.gets = 0
        self._store = AskedAhead(store)

    def ask_ahead(self, prefixes: Sequence[str], rollups: Sequence[ListedObject]) -> None:
        """Ask at once for the first page under each prefix, and for what is read first of each rollup.

        That is its index, and where it is archived, its metadata. Each is counted where it is needed.
        """
        self._store.forget()
        self._store.ask_for_pages(prefixes)
        readable = [rollup for rollup in rollups if rollup.size]
        bodies = self._store.ask_for_ranges([first_range(rollup) for rollup in readable])
        answers = zip(readable, bodies, strict=True)
        self._store.ask_for_metadata([rollup for rollup, body in answers if isinstance(body, ObjectArchived)])

    def list_page(
        self, prefix: str, start_after: str = "", *, max_keys: int = PAGE_KEYS, continuation_token: str = ""
    ) -> Page:
        """See `ReadStore.list_page`."""
        self.lists += 1
        return self._store.list_page(prefix, start_after, max_keys=max_keys, continuation_token=continuation_token)

    def next_pages(self, pagers: Sequence[Pager]) -> list[Page | StorageError]:
        """See `ReadStore.next_pages`."""
        self.lists += len(pagers)
        return self._store.next_pages(pagers)

    def fetch(self, ranges: Iterable[ByteRange]) -> Generator[tuple[bytes, bytes], None, None]:
        """See `ReadStore.fetch`."""
        return self._store.fetch(self._counted(ranges))

    def fetch_each(self, ranges: Iterable[ByteRange]) -> Generator[tuple[bytes, bytes] | StorageError, None, None]:
        """See `ReadStore.fetch_each`."""
        return self._store.fetch_each(self._counted(ranges))

    def etag_is_md5(self, key: str) -> bool:
        """See `ReadStore.etag_is_md5`."""
        self.gets += 1
        return self._store.etag_is_md5(key)

    def read_metadata(self, objects: Iterable[ListedObject]) -> list[Metadata | StorageError]:
        """See `ReadStore.read_metadata`. A HEAD costs as much as a GET."""
        wanted = list(objects)
        self.gets += len(wanted)
        return self._store.read_metadata(wanted)

    def _counted(self, ranges: Iterable[ByteRange]) -> Iterator[ByteRange]:
        for wanted in ranges:
            self.gets += 1
            yield wanted
