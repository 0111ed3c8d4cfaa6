"""A store to be read, which counts the requests and may make many of them beforehand, beside each other."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing

from s3_log_roller.errors import ObjectArchived, StorageError
from s3_log_roller.rollup.stored import first_range
from s3_log_roller.store import PAGE_KEYS, ByteRange, ListedObject, Metadata, Page, Pager, RollupStore


class CountedStore:
    """`ReadStore` that counts the requests that reading from it makes, repeated ones aside."""

    def __init__(self, store: RollupStore) -> None:
        self.bucket = store.bucket
        self.lists = 0
        self.gets = 0
        self._store = store
        self._pages: dict[str, Page] = {}
        """First pages that were asked for ahead, by prefix. Each answer is handed out once, and counted then."""
        self._bodies: dict[ByteRange, tuple[bytes, bytes] | StorageError] = {}
        self._metadata: dict[ListedObject, Metadata | StorageError] = {}

    def ask_ahead(self, prefixes: Sequence[str], rollups: Sequence[ListedObject]) -> None:
        """Ask at once for the first page under each prefix, and for what is read first of each rollup.

        That is its index, and where it is archived, its metadata. Answers of before that nobody wanted are dropped.
        """
        self._pages, self._bodies, self._metadata = {}, {}, {}
        pagers = [Pager(self.bucket, prefix) for prefix in prefixes]
        for prefix, page in zip(prefixes, self._store.next_pages(pagers), strict=True):
            if isinstance(page, Page):  # otherwise it is asked for again, and the error is told there
                self._pages[prefix] = page
        wanted = {first_range(rollup): rollup for rollup in rollups if rollup.size}
        with closing(self._store.fetch_each(wanted)) as bodies:
            self._bodies = dict(zip(wanted, bodies, strict=True))
        archived = [wanted[one] for one, body in self._bodies.items() if isinstance(body, ObjectArchived)]
        self._metadata = dict(zip(archived, self._store.read_metadata(archived), strict=True))

    def list_page(
        self, prefix: str, start_after: str = "", *, max_keys: int = PAGE_KEYS, continuation_token: str = ""
    ) -> Page:
        """See `ReadStore.list_page`."""
        self.lists += 1
        is_first = not start_after and not continuation_token and max_keys == PAGE_KEYS
        page = self._pages.pop(prefix, None) if is_first else None
        return page or self._store.list_page(
            prefix, start_after, max_keys=max_keys, continuation_token=continuation_token
        )

    def fetch(self, ranges: Iterable[ByteRange]) -> Generator[tuple[bytes, bytes], None, None]:
        """See `ReadStore.fetch`."""
        source = iter(ranges)
        for wanted in source:
            answer = self._bodies.pop(wanted, None)
            if answer is None:
                yield from self._store.fetch(self._counted(wanted, source))
                return
            self.gets += 1
            if isinstance(answer, StorageError):
                raise answer
            yield answer

    def etag_is_md5(self, key: str) -> bool:
        """See `ReadStore.etag_is_md5`."""
        self.gets += 1
        return self._store.etag_is_md5(key)

    def read_metadata(self, objects: Iterable[ListedObject]) -> list[Metadata | StorageError]:
        """See `ReadStore.read_metadata`. A HEAD costs as much as a GET."""
        wanted = list(objects)
        self.gets += len(wanted)
        if wanted and all(one in self._metadata for one in wanted):
            return [self._metadata[one] for one in wanted]
        return self._store.read_metadata(wanted)

    def _counted(self, first: ByteRange, others: Iterator[ByteRange]) -> Iterator[ByteRange]:
        self.gets += 1
        yield first
        for wanted in others:
            self.gets += 1
            yield wanted
