"""What the use cases need of an object store: the port that the S3 client implements."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

MAX_IN_FLIGHT: Final = 300
"""Requests of one store under way at once, whatever was asked for: each has a connection, a process often may have no
more than 1,024 descriptors, and libcurl's `select` sees no others."""


class ListedObject(NamedTuple):
    """One entry of a listing."""

    key: str
    etag: str
    """Without quotes."""
    size: int
    """In bytes."""
    mtime: int
    """LastModified, in whole seconds since the epoch."""
    archived: bool
    """In a storage class that has to be restored before it can be read."""


@dataclass(frozen=True, slots=True)
class Page:
    """Up to 1,000 objects in key order, and whether more follow."""

    objects: list[ListedObject]
    truncated: bool


class Piece(NamedTuple):
    """A range of an object to fetch, of the very version with that ETag."""

    key: str
    etag: str
    offset: int
    length: int
    whole: bool
    """The piece is the whole object; its body is then checked against the ETag where that is an MD5."""


@dataclass(frozen=True, slots=True)
class DeleteFailure:
    """An object that was not deleted, and S3's reason."""

    key: str
    reason: str


@dataclass(slots=True)
class DeleteReport:
    """The answers for every single key of a delete."""

    deleted: int = 0
    markers: int = 0
    """Of the deleted, those that only got a delete marker: the bucket is versioned."""
    failures: list[DeleteFailure] = field(default_factory=list)


class Upload(Protocol):
    """One object being written. It becomes visible with `finish`, or never."""

    def write(self, data: bytes) -> None:
        """Add to the object's content; may wait for earlier parts, so that memory stays bounded."""

    def finish(self, last_look: Callable[[], object] = ...) -> str:
        """Publish the object, only if its key is free, and return its ETag. Raises `AlreadyExists`.

        `last_look` is called right before every attempt, when all that takes time is done; what it raises stops the
        publishing.
        """

    def abort(self) -> None:
        """Drop everything written. Harmless after `finish`, and when called twice."""


class Store(Protocol):
    """One bucket. All methods raise `StorageError` when a call failed for good."""

    bucket: str

    def list_page(self, prefix: str, start_after: str = "", max_keys: int = 1000) -> Page:
        """The next objects in key order whose keys start with `prefix` and sort behind `start_after`."""

    def fetch(self, pieces: Iterable[Piece]) -> Generator[tuple[bytes, bytes], None, None]:
        """The pieces' bodies in their order, with many requests in flight and bounded memory.

        With each body comes its MD5 (16 bytes) if the piece is a whole object; it was compared with the ETag where
        that is an MD5.

        Raises `ObjectGone` when an object is no longer there or has another ETag, `ObjectArchived` when it cannot be
        read without a restore.
        """

    def etag_is_md5(self, key: str) -> bool:
        """Whether an ETag in the form of an MD5 is one: not if the object is encrypted with SSE-KMS or SSE-C."""

    def upload(self, key: str, expected_bytes: int) -> Upload:
        """Start an upload; `expected_bytes` is an upper estimate of its size."""

    def delete(self, objects: Iterable[tuple[str, str]]) -> DeleteReport:
        """Delete (key, ETag) pairs, each object only if it still has that ETag."""
