"""Where logs are restored to: a bucket here, a directory in `directories`."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass
from hashlib import md5
from typing import Final, Protocol

from s3_log_roller.errors import AlreadyExists, RollerError, StorageError
from s3_log_roller.local_files import location
from s3_log_roller.reading.tarball import Member
from s3_log_roller.rollup.stored import READ_BYTES
from s3_log_roller.store import ByteRange, ReadStore, Store, split_range

PUTS_IN_FLIGHT: Final = 16
"""Threads that upload, each with a connection of its own."""
PUTS_WAITING: Final = 48
REFUSALS: Final = frozenset(
    {"AccessDenied", "AllAccessDisabled", "AccountProblem", "NoSuchBucket", "QuotaExceeded", "MethodNotAllowed"}
)
"""Error codes that every other log would get, too."""

OpenBuckets = Callable[[], AbstractContextManager[Callable[[str], Store]]]
"""Makes what opens buckets for writing, in whatever process it is called; must be picklable."""


@dataclass(frozen=True, slots=True)
class Target:
    """A directory, or a bucket and what keys in it begin with."""

    bucket: str
    prefix: str


class TargetUnusable(StorageError):
    """Nothing can be written to the target any more, so going on is useless."""


Outcome = tuple[str, Member, bool | Exception]
"""A log as users are told of it, its member, and whether it was written (if not, it is there already and the same)."""


class Place(Protocol):
    """Takes logs. Never overwrites anything; raises `TargetUnusable`."""

    def restore(self, where: str, relative: str, member: Member, content: Iterator[bytes]) -> Iterator[Outcome]:
        """Restore a log, which users are told of as `where`, below the target; yields what is settled by now."""

    def finish(self) -> Iterator[Outcome]:
        """Wait for what is not settled yet."""

    def close(self) -> None:
        """Let go of everything."""


def same_or_raise(same: bool, where: str) -> bool:
    """False, for what is there already; raises `StorageError` if that is something else."""
    if not same:
        raise StorageError(f"{where} exists and differs: it was left as it is; move it away, then run again")
    return False


class BucketPlace:
    """Restores into a bucket: many uploads at once, each only if its key is free."""

    def __init__(self, target: Target, open_buckets: OpenBuckets) -> None:
        self._target = target
        self._open_buckets = open_buckets
        self._local = threading.local()
        self._opened = ExitStack()
        self._opening = threading.Lock()
        self._refusal: StorageError | None = None
        self._pool = ThreadPoolExecutor(PUTS_IN_FLIGHT)
        self._waiting: deque[tuple[str, Member, Future[bool]]] = deque()

    def restore(self, where: str, relative: str, member: Member, content: Iterator[bytes]) -> Iterator[Outcome]:
        """See `Place.restore`."""
        key = self._target.prefix + relative
        if member.size > READ_BYTES:
            yield where, member, _settled(lambda: _upload(self._bucket(), key, member.size, content))
            return
        self._waiting.append((where, member, self._pool.submit(self._put, key, b"".join(content))))
        while len(self._waiting) > PUTS_WAITING or (self._waiting and self._waiting[0][2].done()):
            yield self._first()

    def finish(self) -> Iterator[Outcome]:
        """See `Place.finish`."""
        while self._waiting:
            yield self._first()

    def close(self) -> None:
        """See `Place.close`."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._opened.close()

    def _first(self) -> Outcome:
        where, member, future = self._waiting.popleft()
        return where, member, _settled(future.result)

    def _bucket(self) -> Store:
        """The thread's own connection."""
        if not hasattr(self._local, "store"):
            with self._opening:  # boto3 makes one client at a time
                if self._refusal is not None:
                    raise self._refusal
                self._local.store = self._opened.enter_context(self._open_buckets())(self._target.bucket)
        store: Store = self._local.store
        return store

    def _put(self, key: str, body: bytes) -> bool:
        """Upload a log. What was refused once is not asked for again by those that wait for their turn."""
        if self._refusal is not None:
            raise self._refusal
        store = self._bucket()
        try:
            return _upload(store, key, len(body), iter((body,)))
        except StorageError as error:
            if error.code in REFUSALS:
                self._refusal = error
            raise


def _settled(upload: Callable[[], bool]) -> bool | Exception:
    """What an upload returns or raises. Raises `TargetUnusable` where all others would fail, too."""
    try:
        return upload()
    except StorageError as error:
        if error.code in REFUSALS:
            raise TargetUnusable(str(error)) from error
        return error
    except RollerError as error:
        return error


def _upload(store: Store, key: str, size: int, content: Iterator[bytes]) -> bool:
    upload = store.upload(key, size)
    digest = md5(usedforsecurity=False)
    try:
        for data in content:
            digest.update(data)
            upload.write(data)
        upload.finish()
    except AlreadyExists:
        return same_or_raise(_is_same_object(store, key, size, digest.digest()), location(store.bucket, key))
    finally:
        upload.abort()
    return True


def _is_same_object(store: ReadStore, key: str, size: int, digest: bytes) -> bool:
    page = store.list_page(key, max_keys=1)
    if not page.objects or page.objects[0].key != key or page.objects[0].size != size:
        return False
    found = page.objects[0]
    if found.etag == digest.hex():
        return True
    content = md5(usedforsecurity=False)
    parts = (ByteRange.part(key, found.etag, part) for part in split_range(range(size), READ_BYTES))
    with closing(store.fetch(parts)) as bodies:
        for body, _ in bodies:
            content.update(body)
    return content.digest() == digest
