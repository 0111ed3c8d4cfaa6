"""A store that was asked for much beforehand, all at once: code that asks for one thing at a time is quick then."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from itertools import chain

from s3_log_roller.errors import StorageError
from s3_log_roller.store import PAGE_KEYS, ByteRange, ListedObject, Metadata, Page, Pager, ReadStore


class AskedAhead:
    """`ReadStore` of the same bucket. Each answer that was asked for ahead is handed out once."""

    def __init__(self, store: ReadStore) -> None:
        self.bucket = store.bucket
        self._store = store
        self._pages: dict[str, Page] = {}
        """The first pages, by prefix."""
        self._bodies: dict[ByteRange, tuple[bytes, bytes] | StorageError] = {}
        self._metadata: dict[ListedObject, Metadata | StorageError] = {}

    def forget(self) -> None:
        """Drop what nobody wanted."""
        self._pages, self._bodies, self._metadata = {}, {}, {}

    def ask_for_pages(self, prefixes: Sequence[str]) -> dict[str, Page]:
        """The first page under each prefix. One that can't be had is missing: whoever wants it asks again."""
        pagers = [Pager(self.bucket, prefix) for prefix in prefixes]
        answers = zip(prefixes, self._store.next_pages(pagers), strict=True)
        pages = {prefix: page for prefix, page in answers if isinstance(page, Page)}
        self._pages |= pages
        return pages

    def ask_for_ranges(self, ranges: Sequence[ByteRange]) -> list[tuple[bytes, bytes] | StorageError]:
        """The bodies of some ranges, or why they can't be had, in their order."""
        with closing(self._store.fetch_each(ranges)) as bodies:
            answers = list(bodies)
        self._bodies |= zip(ranges, answers, strict=True)
        return answers

    def ask_for_metadata(self, objects: Sequence[ListedObject]) -> None:
        """Their metadata, or why it can't be had."""
        self._metadata |= zip(objects, self._store.read_metadata(objects), strict=True)

    def list_page(
        self, prefix: str, start_after: str = "", *, max_keys: int = PAGE_KEYS, continuation_token: str = ""
    ) -> Page:
        """See `ReadStore.list_page`."""
        is_first = not start_after and not continuation_token and max_keys == PAGE_KEYS
        page = self._pages.pop(prefix, None) if is_first else None
        return page or self._store.list_page(
            prefix, start_after, max_keys=max_keys, continuation_token=continuation_token
        )

    def next_pages(self, pagers: Sequence[Pager]) -> list[Page | StorageError]:
        """See `ReadStore.next_pages`."""
        return self._store.next_pages(pagers)

    def fetch(self, ranges: Iterable[ByteRange]) -> Generator[tuple[bytes, bytes], None, None]:
        """See `ReadStore.fetch`."""
        source = iter(ranges)
        for wanted in source:
            answer = self._bodies.pop(wanted, None)
            if answer is None:
                yield from self._store.fetch(chain([wanted], source))
                return
            if isinstance(answer, StorageError):
                raise answer
            yield answer

    def fetch_each(self, ranges: Iterable[ByteRange]) -> Generator[tuple[bytes, bytes] | StorageError, None, None]:
        """See `ReadStore.fetch_each`."""
        return self._store.fetch_each(ranges)

    def read_metadata(self, objects: Iterable[ListedObject]) -> list[Metadata | StorageError]:
        """See `ReadStore.read_metadata`."""
        wanted = list(objects)
        if all(one in self._metadata for one in wanted):
            return [self._metadata.pop(one) for one in wanted]
        return self._store.read_metadata(wanted)

    def etag_is_md5(self, key: str) -> bool:
        """See `ReadStore.etag_is_md5`."""
        return self._store.etag_is_md5(key)
