"""What the use cases need of an object store: the port that the S3 client implements."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

from s3_log_roller.errors import StorageError

MAX_IN_FLIGHT: Final = 300
"""Requests of one store under way at once, whatever was asked for: each has a connection, a process often may have no
more than 1,024 descriptors, and libcurl's `select` sees no others."""

PAGE_KEYS: Final = 1_000  # of a listing, at most
MAX_ODD_PAGES: Final = 10_000
"""Empty pages in a row, and times that a listing may go back behind keys it has shown, before it counts as endless."""


class ListedObject(NamedTuple):
    """One entry of a listing."""

    key: str
    etag: str
    """The ETag without its quotes."""
    size: int
    """The object's size in bytes."""
    mtime: int
    """LastModified, in whole seconds since the epoch."""
    archived: bool
    """Whether it is in a storage class from which it must be restored before it can be read."""
    place: str = ""
    """Where it is (see `mirrored`), if not in the bucket that it was looked for in."""


@dataclass(frozen=True, slots=True)
class Page:
    """Up to `PAGE_KEYS` objects in key order, and whether more follow."""

    objects: list[ListedObject]
    truncated: bool
    continuation_token: str = ""
    """Where the listing goes on, in the server's own words; empty where it gave none."""


class Level(NamedTuple):
    """One page of a listing that goes no deeper than the next `/`."""

    folders: list[str]
    """What keys begin with, up to and including a `/`."""
    keys: list[str]
    """The keys without a further `/`."""


class ByteRange(NamedTuple):
    """A range of an object to fetch, of the very version with that ETag."""

    key: str
    etag: str
    offset: int
    length: int
    whole: bool
    """The range is the whole object; its body is then checked against the ETag where that is an MD5."""

    @classmethod
    def part(cls, key: str, etag: str, wanted: range) -> ByteRange:
        """Some of an object's bytes; they are fetched with a range request, even if they are all of them."""
        return cls(key, etag, wanted.start, len(wanted), whole=False)


def split_range(wanted: range, max_bytes: int) -> Iterator[range]:
    """The range in pieces of up to `max_bytes`, in order."""
    return (range(at, min(at + max_bytes, wanted.stop)) for at in range(wanted.start, wanted.stop, max_bytes))


def whole_or_split(objects: Iterable[tuple[str, str, int]], max_bytes: int) -> Iterator[ByteRange]:
    """For each (key, ETag, size) the whole object, or its parts where it is longer than `max_bytes`."""
    for key, etag, size in objects:
        if size <= max_bytes:
            yield ByteRange(key, etag, 0, size, whole=True)
        else:
            for wanted in split_range(range(size), max_bytes):
                yield ByteRange.part(key, etag, wanted)


Metadata = Mapping[str, str]
"""What is kept with an object beside its content: by names in lower case, without `x-amz-meta-`. All of it is ASCII.

Where it was read, the checksums that the server keeps are among it, under `CHECKSUM` and the algorithm."""

CHECKSUM: Final = "checksum/"
"""No name of metadata has a slash, so these are the server's own. A value ends in `-` and the number of parts where it
is over the checksums of the parts."""


NO_METADATA: Final[Metadata] = MappingProxyType({})
"""Nothing is kept with the object."""


def no_metadata() -> Metadata:
    """`NO_METADATA`."""
    return NO_METADATA


class NewObject(NamedTuple):
    """A small object to be written."""

    body: bytes
    metadata: Metadata = NO_METADATA


@dataclass(frozen=True, slots=True)
class DeleteFailure:
    """An object that was not deleted, and S3's reason."""

    key: str
    reason: str
    """S3's error code, and behind a colon its message."""


@dataclass(slots=True)
class DeleteReport:
    """The answers for every single key of a delete."""

    deleted: int = 0
    markers: int = 0
    """How many of the deleted objects only got a delete marker, because the bucket is versioned."""
    failures: list[DeleteFailure] = field(default_factory=list)
    versions: int = 0
    """How many of the deleted objects got a marker, and then their version was deleted for good."""
    other_versions: int = 0
    """Other versions of these objects, which stay."""
    version_failures: list[DeleteFailure] = field(default_factory=list)
    """Objects that got a marker, but whose version, or whose marker, could not be deleted."""
    gave_up: bool = False
    """The server kept asking to wait and deleted nothing for so long that the objects left were given up."""


class Upload(Protocol):
    """One object being written. It becomes visible with `finish`, or never."""

    def write(self, data: bytes) -> None:
        """Add to the object's content; may wait for earlier parts, so that memory stays bounded."""

    def finish(self, last_look: Callable[[], object] = ...) -> str:
        """Publish the object, only if its key is free, and return its ETag. Raises `AlreadyExists`.

        `last_look` is called right before every attempt, when all that takes time is done; what it raises stops the
        publishing.
        """

    def settle(self) -> None:
        """Wait until nothing of what was written is under way."""

    def abort(self) -> None:
        """Drop everything written. Harmless after `finish`, and when called twice."""


class ReadStore(Protocol):
    """One bucket, to be read.

    All methods raise `StorageError` when a call failed for good. Those that do many things at once hand out a
    `StorageError` in the place of the one that failed, and go on. What would fail all the others, too, such as
    credentials that expired, they raise.
    """

    bucket: str

    def list_page(
        self, prefix: str, start_after: str = "", *, max_keys: int = PAGE_KEYS, continuation_token: str = ""
    ) -> Page:
        """The next objects in key order whose keys start with `prefix` and sort behind `start_after`.

        With a `continuation_token`, as an earlier page of that prefix gave it, the page behind that one.
        """

    def next_pages(self, pagers: Sequence[Pager]) -> list[Page | StorageError]:
        """The next page of each of these listings. Each pager has moved on behind its page."""

    def fetch(self, ranges: Iterable[ByteRange]) -> Generator[tuple[bytes, bytes], None, None]:
        """The bodies of the ranges in their order, with many requests in flight and bounded memory.

        With each body comes its MD5 (16 bytes) if the range is a whole object; it was compared with the ETag where
        that is an MD5.

        Raises `ObjectGone` if an object is gone or has another ETag, `ObjectArchived` when it cannot be
        read without a restore.
        """

    def fetch_each(self, ranges: Iterable[ByteRange]) -> Generator[tuple[bytes, bytes] | StorageError, None, None]:
        """As `fetch`; where a range can't be had, the error is in its place."""

    def read_metadata(self, objects: Iterable[ListedObject]) -> list[Metadata | StorageError]:
        """The metadata of these very objects, in their order, also of archived ones; or why it can't be had."""

    def etag_is_md5(self, key: str) -> bool:
        """Whether an ETag in the form of an MD5 is one: not if the object is encrypted with SSE-KMS or SSE-C."""


class RollupStore(ReadStore, Protocol):
    """A bucket, or a part of one, to be read and added to."""

    def publish_all(
        self, objects: Mapping[str, NewObject], last_look: Callable[[Collection[str]], Collection[str]]
    ) -> dict[str, str | StorageError]:
        """Write small objects by key, each only if its key is free; by key the ETags, or what went wrong.

        `last_look` is called with the keys that are about to be written, before the first and before every further
        attempt. What it doesn't return is not written, and not in the answer.
        """

    def upload(self, key: str, expected_bytes: int, metadata: Callable[[], Metadata] = no_metadata) -> Upload:
        """Start an upload; `expected_bytes` is an upper estimate of its size.

        `metadata` is asked for when it must be sent: of a small object at its end, of others with the first part.
        """


class Store(RollupStore, Protocol):
    """One bucket, to be read, added to and deleted from."""

    def list_folders(self, prefix: str, start_after: str) -> Level:
        """The first page of what lies right under a prefix and sorts behind `start_after`, in the server's order."""

    def delete(
        self, objects: Iterable[tuple[str, str]], report: DeleteReport | None = None, *, versions: bool = False
    ) -> DeleteReport:
        """Delete (key, ETag) pairs, each object only if it still has that ETag.

        With `versions`, in a versioned bucket, the version with that ETag is then deleted for good, and no other one.

        A `report` that is given is filled in as the answers come, so it is right if this ends with an exception, too.
        """


class Pager:
    """Goes through a listing page by page, and comes to an end whatever the server answers.

    It goes on behind the last key of a page, or behind a later one (`skip_to`), so it can be continued by anyone who
    knows that key. Only behind an empty page that says more follows does it use the server's continuation token.
    """

    def __init__(self, bucket: str, prefix: str, start_after: str = "") -> None:
        self._what = f"s3://{bucket}/{prefix}"
        self.prefix = prefix
        self.start_after = start_after
        """The listing goes on behind this key."""
        self.continuation_token = ""
        """Or, where this is not empty, where the server says."""
        self.ended = False
        self._turned_back_to: set[str] = set()
        self._tokens: set[str] = set()

    def take(self, page: Page) -> None:
        """Move on behind a page. Raises `StorageError` where the server says that more follows and shows no more."""
        self.ended = not page.truncated
        if self.ended:
            return
        if not page.objects:
            self._follow(page.continuation_token)
            return
        last_key = page.objects[-1].key
        self.continuation_token = ""
        self._tokens.clear()
        if last_key == self.start_after:
            raise StorageError(f"{self._what}: the server says that more follows, but it lists nothing more")
        if last_key < self.start_after:
            # SeaweedFS lists `a/x` before `a-x`, so going back is allowed. Going back to the same place is a fault.
            self._remember(last_key, self._turned_back_to)
        self.start_after = last_key

    def skip_to(self, key: str) -> None:
        """Leave out everything up to that key, where the listing has not got that far by itself."""
        self.start_after = max(self.start_after, key)

    def _follow(self, token: str) -> None:
        if not token:
            raise StorageError(f"{self._what}: the server says that more follows, but it lists nothing more")
        self._remember(token, self._tokens)
        self.continuation_token = token

    def _remember(self, place: str, places: set[str]) -> None:
        if place in places or len(places) == MAX_ODD_PAGES:
            raise StorageError(f"{self._what}: the server lists the same pages again and again, without an end")
        places.add(place)


def list_pages(store: ReadStore, pager: Pager) -> Iterator[Page]:
    """The pages of a listing; between two of them the caller may make the pager skip keys."""
    while not pager.ended:
        page = store.list_page(pager.prefix, pager.start_after, continuation_token=pager.continuation_token)
        pager.take(page)
        yield page


def list_objects(store: ReadStore, prefix: str, start_after: str = "") -> Iterator[ListedObject]:
    """Every object under a prefix whose key sorts behind `start_after`, in key order."""
    for page in list_pages(store, Pager(store.bucket, prefix, start_after)):
        yield from page.objects
