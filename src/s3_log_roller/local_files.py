"""Files on this machine as a store, so that whatever reads rollups in S3 reads copies of them, too."""

from __future__ import annotations

import os
import stat
from collections.abc import Generator, Iterable, Sequence

from s3_log_roller.errors import ObjectGone, StorageError
from s3_log_roller.store import NO_METADATA, PAGE_KEYS, ByteRange, ListedObject, Metadata, Page, Pager

LOCAL = ""
"""The name of the bucket that local files are in."""


def location(bucket: str, key: str) -> str:
    """Where an object is, as users write it."""
    return f"s3://{bucket}/{key}" if bucket != LOCAL else key


class LocalFiles:
    """`store.ReadStore` of the files on this machine: their keys are their paths."""

    bucket = LOCAL

    def find(self, path: str) -> ListedObject:
        """The file as a listing would show it. Raises `StorageError`."""
        try:
            return _listed(path, os.stat(path))
        except OSError as error:
            raise StorageError(f"{path}: {error.strerror}") from error

    def fetch(self, ranges: Iterable[ByteRange]) -> Generator[tuple[bytes, bytes], None, None]:
        """See `ReadStore.fetch`."""
        path, handle = "", -1
        try:
            for wanted in ranges:
                if wanted.key != path:
                    if handle >= 0:
                        os.close(handle)
                    path, handle = wanted.key, _open(wanted)
                data = os.pread(handle, wanted.length, wanted.offset)
                if len(data) != wanted.length:
                    raise ObjectGone(f"{wanted.key} became shorter while it was read")
                yield data, b""
        except OSError as error:
            raise StorageError(f"{path}: {error.strerror}") from error
        finally:
            if handle >= 0:
                os.close(handle)

    def list_page(
        self, prefix: str, start_after: str = "", *, max_keys: int = PAGE_KEYS, continuation_token: str = ""
    ) -> Page:
        """An empty page: a file stands for itself, and nothing is looked for beside it."""
        return Page([], truncated=False)

    def fetch_each(self, ranges: Iterable[ByteRange]) -> Generator[tuple[bytes, bytes] | StorageError, None, None]:
        """See `ReadStore.fetch_each`."""
        for wanted in ranges:
            try:
                yield from self.fetch([wanted])
            except StorageError as error:
                yield error

    def next_pages(self, pagers: Sequence[Pager]) -> list[Page | StorageError]:
        """Empty pages, as `list_page` has."""
        pages: list[Page | StorageError] = []
        for pager in pagers:
            page = self.list_page(pager.prefix)
            pager.take(page)
            pages.append(page)
        return pages

    def read_metadata(self, objects: Iterable[ListedObject]) -> list[Metadata | StorageError]:
        """Nothing: files have no metadata."""
        return [NO_METADATA for _ in objects]

    def etag_is_md5(self, key: str) -> bool:
        """False: a file has no MD5 to its name."""
        return False


def _open(wanted: ByteRange) -> int:
    handle = os.open(wanted.key, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _listed(wanted.key, os.fstat(handle)).etag != wanted.etag:
            raise ObjectGone(f"{wanted.key} changed while it was read")
    except BaseException:
        os.close(handle)
        raise
    return handle


def _listed(path: str, found: os.stat_result) -> ListedObject:
    if not stat.S_ISREG(found.st_mode):
        raise StorageError(f"{path} is not a file: name the .tgz files themselves")
    etag = f"{found.st_dev}-{found.st_ino}-{found.st_size}-{found.st_mtime_ns}"
    return ListedObject(path, etag, found.st_size, int(found.st_mtime), archived=False)
