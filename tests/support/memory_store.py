"""An object store in memory with S3's semantics, for tests that break things at every step.

The contract suite (tests/integration/test_store_contract.py) holds it and the real servers to the same behaviour.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from hashlib import md5
from typing import NamedTuple

from tests.support.paging import PageByPage

from s3_log_roller.errors import AlreadyExists, ObjectArchived, ObjectGone, StorageError
from s3_log_roller.store import (
    NO_METADATA,
    ByteRange,
    DeleteFailure,
    DeleteReport,
    ListedObject,
    Metadata,
    NewObject,
    Page,
    no_metadata,
)


class Stored(NamedTuple):
    body: bytes
    etag: str
    mtime: int
    archived: bool = False
    encrypted: bool = False
    metadata: Metadata = NO_METADATA


def no_step(step: str, key: str) -> None:
    """Let every step happen."""


class MemoryStore(PageByPage):
    """`before` is called in front of every step that reads or changes the store, `after` behind it; both may raise."""

    def __init__(self, bucket: str = "bucket", page_size: int = 1000) -> None:
        self.bucket = bucket
        self.page_size = page_size
        self.objects: dict[str, Stored] = {}
        self.before: Callable[[str, str], None] = no_step
        self.after: Callable[[str, str], None] = no_step
        self.undeletable: set[str] = set()
        self.open_uploads = 0
        self.in_parts = False
        """Uploads go in parts, so their metadata is sent before their content."""

    def put(
        self,
        key: str,
        body: bytes,
        *,
        etag: str | None = None,
        mtime: int = 1_656_652_543,
        encrypted: bool = False,
        metadata: Metadata = NO_METADATA,
    ) -> None:
        """Store an object as S3 log delivery does; `encrypted` with a key of KMS, so that its ETag is no MD5."""
        etag = etag or md5(body, usedforsecurity=False).hexdigest()
        self.objects[key] = Stored(body, etag, mtime, encrypted=encrypted, metadata=metadata)

    def archive(self, key: str) -> None:
        """Move an object to an archive tier."""
        self.objects[key] = self.objects[key]._replace(archived=True)

    def list_page(
        self, prefix: str, start_after: str = "", *, max_keys: int = 1000, continuation_token: str = ""
    ) -> Page:
        self.before("list", prefix)
        keys = sorted((key for key in self.objects if key.startswith(prefix)), key=str.encode)
        keys = keys[bisect_right(keys, start_after.encode(), key=str.encode) :] if start_after else keys
        size = min(self.page_size, max_keys)
        objects = []
        for key in keys[:size]:
            stored = self.objects[key]
            objects.append(ListedObject(key, stored.etag, len(stored.body), stored.mtime, stored.archived))
        self.after("list", prefix)
        return Page(objects, len(keys) > size)

    def fetch(self, pieces: Iterable[ByteRange]) -> Generator[tuple[bytes, bytes], None, None]:
        for piece in pieces:
            yield self._fetch_one(piece)
            self.after("fetch", piece.key)

    def fetch_each(self, ranges: Iterable[ByteRange]) -> Generator[tuple[bytes, bytes] | StorageError, None, None]:
        for piece in ranges:
            try:
                answer: tuple[bytes, bytes] | StorageError = self._fetch_one(piece)
            except StorageError as error:
                answer = error
            yield answer
            self.after("fetch", piece.key)

    def _fetch_one(self, piece: ByteRange) -> tuple[bytes, bytes]:
        self.before("fetch", piece.key)
        stored = self.objects.get(piece.key)
        if stored is None or stored.etag != piece.etag:
            raise ObjectGone(f"{piece.key} is gone")
        if stored.archived:
            raise ObjectArchived(f"{piece.key} is in an archive tier", key=piece.key)
        body = stored.body[piece.offset : piece.offset + piece.length]
        digest = md5(body, usedforsecurity=False)
        if piece.whole and len(stored.etag) == 32 and stored.etag != digest.hexdigest() and not stored.encrypted:
            raise StorageError(f"{piece.key} came damaged")
        return body, digest.digest() if piece.whole else b""

    def etag_is_md5(self, key: str) -> bool:
        return not self.objects[key].encrypted

    def read_metadata(self, objects: Iterable[ListedObject]) -> list[Metadata | StorageError]:
        return [self._metadata_of(entry) for entry in objects]

    def _metadata_of(self, entry: ListedObject) -> Metadata | StorageError:
        try:
            self.before("metadata", entry.key)
        except StorageError as error:
            return error
        stored = self.objects.get(entry.key)
        if stored is None or stored.etag != entry.etag:
            return ObjectGone(f"{entry.key} is gone")
        return stored.metadata

    def upload(self, key: str, expected_bytes: int, metadata: Callable[[], Metadata] = no_metadata) -> MemoryUpload:
        self.before("upload", key)
        self.open_uploads += 1
        return MemoryUpload(self, key, metadata)

    def publish_all(
        self, objects: Mapping[str, NewObject], last_look: Callable[[Collection[str]], Collection[str]]
    ) -> dict[str, str | StorageError]:
        return {key: self._publish(key, objects[key]) for key in last_look(list(objects))}

    def _publish(self, key: str, new: NewObject) -> str | StorageError:
        try:
            self.before("finish", key)
            if key in self.objects:
                raise AlreadyExists(f"{key} exists")
            self.put(key, new.body, metadata=new.metadata)
            self.after("finish", key)
        except StorageError as error:
            return error
        return self.objects[key].etag

    def delete(
        self, objects: Iterable[tuple[str, str]], report: DeleteReport | None = None, *, versions: bool = False
    ) -> DeleteReport:
        report = report or DeleteReport()
        for key, etag in objects:
            self.before("delete", key)
            stored = self.objects.get(key)
            if key in self.undeletable:
                report.failures.append(DeleteFailure(key, "AccessDenied: Access Denied"))
            elif stored is not None and stored.etag != etag:
                report.failures.append(DeleteFailure(key, "PreconditionFailed: replaced"))
            else:
                self.objects.pop(key, None)
                report.deleted += 1
            self.after("delete", key)
        return report


class MemoryUpload:
    """Its metadata is that of one PUT, sent at the end; with `in_parts` that of an upload in parts."""

    def __init__(self, store: MemoryStore, key: str, metadata: Callable[[], Metadata] = no_metadata) -> None:
        self._store = store
        self._key = key
        self._metadata = metadata
        self._sent: Metadata | None = metadata() if store.in_parts else None
        self._parts: list[bytes] = []
        self._open = True

    def write(self, data: bytes) -> None:
        self._store.before("write", self._key)
        self._parts.append(data)

    def finish(self, last_look: Callable[[], object] = lambda: None) -> str:
        last_look()
        self._store.before("finish", self._key)
        if self._key in self._store.objects:
            raise AlreadyExists(f"{self._key} exists")
        metadata = self._metadata() if self._sent is None else self._sent
        self._store.put(self._key, b"".join(self._parts), metadata=metadata)
        self._close()
        self._store.after("finish", self._key)
        return self._store.objects[self._key].etag

    def settle(self) -> None:
        """Nothing is ever under way."""

    def abort(self) -> None:
        self._close()

    def _close(self) -> None:
        self._store.open_uploads -= self._open
        self._open = False
