"""A place in another bucket where a bucket's rollups lie, seen under the keys that they would have beside the logs.

The rollups of `s3://my-logs/web/…` lie in `s3://archive/logs/my-logs/web/…` if the destination is `s3://archive/logs/`:
the name of the logs' bucket is part of the path, so the rollups of two buckets never meet
(docs/decisions/0013-destination.md).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from dataclasses import replace

from s3_log_roller.errors import StorageError
from s3_log_roller.store import (
    PAGE_KEYS,
    ByteRange,
    ListedObject,
    Metadata,
    NewObject,
    Page,
    Pager,
    ReadStore,
    RollupStore,
    Upload,
    no_metadata,
)
from s3_log_roller.uris import S3Uri


def place_in(destination: S3Uri, bucket: str) -> str:
    """Where the rollups of that bucket lie: a bucket and a folder of it, with a slash between all of them."""
    folder = destination.prefix.strip("/")
    return "/".join((destination.bucket, *([folder] if folder else []), bucket))


def split_place(place: str, key: str) -> tuple[str, str]:
    """The bucket and the key of an object that has that key in that place; a bucket is a place, too."""
    bucket, _, folder = place.partition("/")
    return bucket, f"{folder}/{key}" if folder else key


class MirroredReadStore:
    """`store.ReadStore` of such a place. Its `bucket` is the place, so URIs made of it and of a key are right."""

    def __init__(self, store: ReadStore, place: str) -> None:
        self.bucket = place
        self._read_store = store
        self._folder = split_place(place, "")[1]

    def list_page(
        self, prefix: str, start_after: str = "", *, max_keys: int = PAGE_KEYS, continuation_token: str = ""
    ) -> Page:
        """See `ReadStore.list_page`."""
        return self._page_here(
            self._read_store.list_page(
                self._folder + prefix,
                self._key_there(start_after),
                max_keys=max_keys,
                continuation_token=continuation_token,
            )
        )

    def next_pages(self, pagers: Sequence[Pager]) -> list[Page | StorageError]:
        """See `ReadStore.next_pages`."""
        there = [Pager(self._read_store.bucket, *self._listing_there(pager)) for pager in pagers]
        for pager, other in zip(pagers, there, strict=True):
            other.continuation_token = pager.continuation_token
        answers = self._read_store.next_pages(there)
        return [self._taken(pager, answer) for pager, answer in zip(pagers, answers, strict=True)]

    def fetch(self, ranges: Iterable[ByteRange]) -> Generator[tuple[bytes, bytes], None, None]:
        """See `ReadStore.fetch`."""
        return self._read_store.fetch(self._ranges_there(ranges))

    def fetch_each(self, ranges: Iterable[ByteRange]) -> Generator[tuple[bytes, bytes] | StorageError, None, None]:
        """See `ReadStore.fetch_each`."""
        return self._read_store.fetch_each(self._ranges_there(ranges))

    def read_metadata(self, objects: Iterable[ListedObject]) -> list[Metadata | StorageError]:
        """See `ReadStore.read_metadata`."""
        return self._read_store.read_metadata(entry._replace(key=self._folder + entry.key) for entry in objects)

    def etag_is_md5(self, key: str) -> bool:
        """See `ReadStore.etag_is_md5`."""
        return self._read_store.etag_is_md5(self._folder + key)

    def _listing_there(self, pager: Pager) -> tuple[str, str]:
        return self._folder + pager.prefix, self._key_there(pager.start_after)

    def _taken(self, pager: Pager, answer: Page | StorageError) -> Page | StorageError:
        if isinstance(answer, StorageError):
            return answer
        page = self._page_here(answer)
        try:
            pager.take(page)
        except StorageError as error:
            return error
        return page

    def _key_there(self, start_after: str) -> str:
        return self._folder + start_after if start_after else ""

    def _page_here(self, page: Page) -> Page:
        chars = len(self._folder)
        return replace(page, objects=[entry._replace(key=entry.key[chars:]) for entry in page.objects])

    def _ranges_there(self, ranges: Iterable[ByteRange]) -> Iterable[ByteRange]:
        return (wanted._replace(key=self._folder + wanted.key) for wanted in ranges)


class MirroredStore(MirroredReadStore):
    """`store.RollupStore` of such a place."""

    def __init__(self, store: RollupStore, place: str) -> None:
        super().__init__(store, place)
        self._store = store

    def publish_all(
        self, objects: Mapping[str, NewObject], last_look: Callable[[Collection[str]], Collection[str]]
    ) -> dict[str, str | StorageError]:
        """See `RollupStore.publish_all`."""
        chars = len(self._folder)

        def look(keys: Collection[str]) -> list[str]:
            return [self._folder + key for key in last_look([key[chars:] for key in keys])]

        there = {self._folder + key: new for key, new in objects.items()}
        return {key[chars:]: answer for key, answer in self._store.publish_all(there, look).items()}

    def upload(self, key: str, expected_bytes: int, metadata: Callable[[], Metadata] = no_metadata) -> Upload:
        """See `RollupStore.upload`."""
        return _SettledUpload(self._store.upload(self._folder + key, expected_bytes, metadata))


class _SettledUpload:
    """An upload that leaves nothing under way while its content is fetched.

    The content comes from another bucket, over other connections. Nobody moves this upload on while those are waited
    for, and S3 gives up a part that stands still for some seconds.
    """

    def __init__(self, upload: Upload) -> None:
        self._upload = upload
        self.finish = upload.finish
        self.abort = upload.abort

    def write(self, data: bytes) -> None:
        """See `Upload.write`."""
        self._upload.write(data)
        self._upload.settle()

    def settle(self) -> None:
        """See `Upload.settle`: there is nothing to wait for."""
