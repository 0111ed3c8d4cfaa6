"""Puts originals back as they were: name, bytes and, in a directory, time.

Never over something else: what is there and is the same is left alone, what is there and differs is told of. Never
outside the target: names come out of files that anybody may have made, so they are checked before anything is written.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import stat
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from hashlib import md5
from typing import Final

from s3_log_roller.errors import AlreadyExists, DamagedRollup, RollerError, StorageError
from s3_log_roller.local_files import LOCAL, location
from s3_log_roller.reading.groups import OnFailure, Stores
from s3_log_roller.reading.logs import Origin, Piece, Reader
from s3_log_roller.reading.parallel import OpenBuckets
from s3_log_roller.reading.shares import Shares
from s3_log_roller.reading.tarball import Member
from s3_log_roller.rollup.stored import READ_BYTES
from s3_log_roller.store import ByteRange, Store, split_range

PUTS_IN_FLIGHT: Final = 16
"""Threads that upload, each with a connection of its own."""
PUTS_WAITING: Final = 48

_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


@dataclass(frozen=True, slots=True)
class Target:
    """A directory, or a bucket and what keys in it begin with."""

    bucket: str
    prefix: str


@dataclass(slots=True)
class Restored:
    """What became of the logs of some shares."""

    restored: int = 0
    restored_bytes: int = 0
    already_there: int = 0

    def add(self, other: Restored) -> None:
        """Count in what was done elsewhere."""
        self.restored += other.restored
        self.restored_bytes += other.restored_bytes
        self.already_there += other.already_there


def safe_name(name: str) -> str:
    """A member's name without `./` in front. Raises `DamagedRollup` if it is none that a log can be restored as."""
    parts = name.split("/")
    while len(parts) > 1 and parts[0] == ".":
        parts.pop(0)
    if not name.isprintable() or any(part in ("", ".", "..") for part in parts):
        raise DamagedRollup(f"it has a member called {name!r}: such a name is not restored")
    return "/".join(parts)


class Restorer:
    """Restores the packed logs of shares."""

    def __init__(self, stores: Stores, target: Target, open_buckets: OpenBuckets, failed: OnFailure) -> None:
        self._failed = failed
        self._reader = Reader(stores, failed, packed_only=True, prove=True)
        self._tally = Restored()
        self._place: _Directory | _Bucket
        if target.bucket == LOCAL:
            self._place = _Directory(target.prefix)
        else:
            self._place = _Bucket(target, open_buckets)

    def close(self) -> None:
        """Let go of connections."""
        self._place.close()

    def restore(self, shares: Shares) -> Restored:
        """Restore the members wanted of the shares; what cannot be done is told, the rest is done."""
        self._tally = Restored()
        for share in shares:
            for origin, member, content in _LogStream(self._reader.read((share,))):
                outcome: bool | Exception | Future[bool]
                try:
                    outcome = self._place.restore(_relative(origin, member, share.root), member, content)
                except (RollerError, OSError, OverflowError) as error:
                    outcome = error
                self._settle(origin.name(member), member, outcome)
        for where, member, outcome in self._place.finish():
            self._count(where, member, outcome)
        return self._tally

    def _settle(self, where: str, member: Member, outcome: bool | Exception | Future[bool]) -> None:
        if isinstance(outcome, Future):
            for earlier in self._place.wait_for_room(where, member, outcome):
                self._count(*earlier)
        else:
            self._count(where, member, outcome)

    def _count(self, where: str, member: Member, outcome: bool | Exception) -> None:
        if isinstance(outcome, Exception):
            self._failed(f"{where}: {_reason(outcome)}")
        elif outcome:
            self._tally.restored += 1
            self._tally.restored_bytes += member.size
        else:
            self._tally.already_there += 1


class _LogStream:
    """Pieces of logs as logs, each with an iterator over its content, which raises if the content is cut off."""

    def __init__(self, pieces: Iterator[Piece]) -> None:
        self._pieces = pieces
        self._next = next(pieces, None)

    def __iter__(self) -> Iterator[tuple[Origin, Member, Iterator[bytes]]]:
        while self._next is not None:
            origin, member, _, _ = self._next
            content = self._content(member)
            yield origin, member, content
            with suppress(DamagedRollup):
                for _ in content:
                    pass

    def _content(self, member: Member) -> Iterator[bytes]:
        while self._next is not None and self._next[1] is member:
            _, _, data, last = self._next
            self._next = next(self._pieces, None)
            yield data
            if last:
                return
        raise DamagedRollup("its content is cut off or wrong: not restored")


def _relative(origin: Origin, member: Member, root: str) -> str:
    """Where a log goes below the target: as its rollup lies below what the user named."""
    folder = "" if origin.bucket == LOCAL else origin.key[: origin.key.rfind("/") + 1].removeprefix(root)
    return folder + safe_name(member.name)


def _reason(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


class _Directory:
    """Restores into a directory, and never out of it, be it through a link that lies there."""

    def __init__(self, path: str) -> None:
        self._root = os.path.realpath(path)
        self._parents: set[str] = set()
        self._numbers = itertools.count()

    def restore(self, relative: str, member: Member, content: Iterator[bytes]) -> bool:
        """Whether the file was written; if not, the same is there already."""
        parts = [part for part in relative.split("/") if part]
        if any(part in (".", "..") or "\0" in part for part in parts):
            raise DamagedRollup(f"{relative!r} is no name for a file: not restored")
        path = os.path.join(self._root, *parts)
        self._make_parent(os.path.dirname(path))
        if os.path.lexists(path):
            return _same_or_raise(_is_same_file(path, member, content), path)
        temporary = os.path.join(os.path.dirname(path), f".s3-log-roller-{os.getpid()}-{next(self._numbers)}.part")
        digest = md5(usedforsecurity=False)
        try:
            with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666), "wb") as file:
                for data in content:
                    digest.update(data)
                    file.write(data)
            os.utime(temporary, (member.mtime, member.mtime))
            if not _publish(temporary, path):
                return _same_or_raise(_digest_of(path) == digest.digest(), path)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
        return True

    def finish(self) -> Iterator[tuple[str, Member, bool | Exception]]:
        """Nothing is ever left to wait for."""
        return iter(())

    def wait_for_room(
        self, where: str, member: Member, outcome: Future[bool]
    ) -> Iterator[tuple[str, Member, bool | Exception]]:
        """Never needed."""
        return iter(())

    def close(self) -> None:
        """Nothing to let go of."""

    def _make_parent(self, parent: str) -> None:
        if parent in self._parents:
            return
        real = os.path.realpath(parent)
        if os.path.commonpath([real, self._root]) != self._root:
            raise StorageError(f"{parent} leads out of {self._root} through a link: not restored")
        os.makedirs(real, exist_ok=True)
        self._parents.add(parent)


def _publish(temporary: str, path: str) -> bool:
    """Give a file its name unless there is one of that name."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # A file system without hard links. What appears between these two lines is lost; there is no other way there.
        if os.path.lexists(path):
            return False
        os.rename(temporary, path)
    return True


def _is_same_file(path: str, member: Member, content: Iterator[bytes]) -> bool:
    digest = md5(usedforsecurity=False)
    for data in content:
        digest.update(data)
    found = os.lstat(path)
    return stat.S_ISREG(found.st_mode) and found.st_size == member.size and _digest_of(path) == digest.digest()


def _digest_of(path: str) -> bytes:
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
        return hashlib.file_digest(file, lambda: md5(usedforsecurity=False)).digest()


def _same_or_raise(same: bool, where: str) -> bool:
    if not same:
        raise StorageError(f"{where} is there already and differs: it was left as it is, move it away first")
    return False


class _Bucket:
    """Restores into a bucket: many uploads at once, each only if its key is free."""

    def __init__(self, target: Target, open_buckets: OpenBuckets) -> None:
        self._target = target
        self._open_buckets = open_buckets
        self._local = threading.local()
        self._opened = ExitStack()
        self._store = self._opened.enter_context(open_buckets())(target.bucket)
        self._opening = threading.Lock()
        self._pool = ThreadPoolExecutor(PUTS_IN_FLIGHT)
        self._waiting: deque[tuple[str, Member, Future[bool]]] = deque()

    def restore(self, relative: str, member: Member, content: Iterator[bytes]) -> bool | Future[bool]:
        """Whether the object was written, or that to be."""
        key = self._target.prefix + relative
        if member.size <= READ_BYTES:
            return self._pool.submit(self._put, key, b"".join(content))
        upload = self._store.upload(key, member.size)
        digest = md5(usedforsecurity=False)
        try:
            for data in content:
                digest.update(data)
                upload.write(data)
            upload.finish()
        except AlreadyExists:
            return _same_or_raise(
                _is_same_object(self._store, key, member.size, digest.digest()), location(self._store.bucket, key)
            )
        finally:
            upload.abort()
        return True

    def wait_for_room(
        self, where: str, member: Member, outcome: Future[bool]
    ) -> Iterator[tuple[str, Member, bool | Exception]]:
        """Remember an upload; yields earlier ones that are done."""
        self._waiting.append((where, member, outcome))
        while len(self._waiting) > PUTS_WAITING or (self._waiting and self._waiting[0][2].done()):
            yield self._first()

    def finish(self) -> Iterator[tuple[str, Member, bool | Exception]]:
        """Wait for all uploads."""
        while self._waiting:
            yield self._first()

    def close(self) -> None:
        """Close all connections."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._opened.close()

    def _first(self) -> tuple[str, Member, bool | Exception]:
        where, member, future = self._waiting.popleft()
        try:
            return where, member, future.result()
        except RollerError as error:
            return where, member, error

    def _put(self, key: str, body: bytes) -> bool:
        """In a thread, over the thread's own connection."""
        if not hasattr(self._local, "store"):
            with self._opening:  # boto3 makes one client at a time
                self._local.store = self._opened.enter_context(self._open_buckets())(self._target.bucket)
        store: Store = self._local.store
        upload = store.upload(key, len(body))
        try:
            upload.write(body)
            upload.finish()
        except AlreadyExists:
            digest = md5(body, usedforsecurity=False).digest()
            return _same_or_raise(_is_same_object(store, key, len(body), digest), location(store.bucket, key))
        finally:
            upload.abort()
        return True


def _is_same_object(store: Store, key: str, size: int, digest: bytes) -> bool:
    page = store.list_page(key, max_keys=1)
    if not page.objects or page.objects[0].key != key or page.objects[0].size != size:
        return False
    found = page.objects[0]
    if found.etag == digest.hex():
        return True
    content = md5(usedforsecurity=False)
    ranges = (ByteRange.part(key, found.etag, part) for part in split_range(range(size), READ_BYTES))
    with closing(store.fetch(ranges)) as bodies:
        for body, _ in bodies:
            content.update(body)
    return content.digest() == digest
