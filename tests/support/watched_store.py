"""A store in memory that tells what is asked for at once, and what one by one."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence

from tests.support.memory_store import MemoryStore

from s3_log_roller.errors import StorageError
from s3_log_roller.store import ByteRange, ListedObject, Metadata, Page, Pager


class Watched(MemoryStore):
    """Notes how many requests were made at once, by kind, and which were made one by one.

    Of several ranges that are fetched in order only the first is noted: the others are under way with it.
    """

    def __init__(self, page_size: int = 1000, bucket: str = "bucket") -> None:
        super().__init__(bucket, page_size)
        self.together: list[tuple[str, int]] = []
        self.alone: list[str] = []

    def next_pages(self, pagers: Sequence[Pager]) -> list[Page | StorageError]:
        self.together.append(("list", len(pagers)))
        alone = list(self.alone)
        pages = super().next_pages(pagers)
        self.alone = alone
        return pages

    def list_page(
        self, prefix: str, start_after: str = "", *, max_keys: int = 1000, continuation_token: str = ""
    ) -> Page:
        self.alone.append(f"list {prefix}")
        return super().list_page(prefix, start_after, max_keys=max_keys, continuation_token=continuation_token)

    def fetch_each(self, ranges: Iterable[ByteRange]) -> Generator[tuple[bytes, bytes] | StorageError, None, None]:
        wanted = list(ranges)
        self.together.append(("fetch", len(wanted)))
        yield from super().fetch_each(wanted)

    def fetch(self, pieces: Iterable[ByteRange]) -> Generator[tuple[bytes, bytes], None, None]:
        for number, piece in enumerate(pieces):
            if number == 0:
                self.alone.append(f"fetch {piece.key}")
            yield from super().fetch([piece])

    def read_metadata(self, objects: Iterable[ListedObject]) -> list[Metadata | StorageError]:
        wanted = list(objects)
        self.together.append(("metadata", len(wanted)))
        return super().read_metadata(wanted)
