"""Buckets in memory: one that stores objects, and one whose millions of logs are made up as they are asked for."""

from __future__ import annotations

import hashlib
from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, overload

from bench.logs import FIRST_DAY, Content, LogSet, contents, generate


@dataclass(slots=True)
class StoredObject:
    """An object's content and what S3 says about it."""

    body: bytes
    etag: str
    """Without quotes."""
    mtime: int
    """LastModified, in seconds since the epoch."""
    metadata: bytes = b""
    """Header lines that begin with `x-amz-meta-`."""
    storage_class: str = "STANDARD"
    """An object in one of the `ARCHIVE_CLASSES` can't be read."""


@dataclass(slots=True)
class MultipartUpload:
    """Parts by number: (body, ETag without quotes)."""

    key: str
    metadata: bytes = b""
    parts: dict[int, tuple[bytes, str]] = field(default_factory=dict)


class Bucket:
    """Objects by key, listed in the order of their keys' UTF-8 bytes (which is that of Python's strings)."""

    read_only: Final = False

    def __init__(self) -> None:
        self._objects: dict[str, StoredObject] = {}
        self._keys: list[str] = []
        """Sorted. Holds every key of `_objects`, and some deleted ones until there are many."""
        self._deleted = 0
        self.uploads: dict[str, MultipartUpload] = {}

    def __len__(self) -> int:
        return len(self._objects)

    def fill(self, logs: LogSet) -> None:
        """Add logs."""
        for key, content, mtime in generate(logs):
            self._objects[key] = StoredObject(content.body, content.etag, mtime)
        self._forget_deleted()

    def put_rollups(self, prefixes: Sequence[str], count: int) -> None:
        """Add so many objects under the names of rollups of earlier days, for listings that have them."""
        stored = StoredObject(b"", hashlib.md5(usedforsecurity=False).hexdigest(), 0)
        for prefix in prefixes:
            for number in range(count):
                day = FIRST_DAY - timedelta(days=number + 1)
                self._objects[f"{prefix}rollup-{day}-{number:08x}.tgz"] = stored
        self._forget_deleted()

    def find(self, key: str) -> StoredObject | None:
        """The object, if it is there."""
        return self._objects.get(key)

    def put(self, key: str, body: bytes, mtime: int, etag: str = "") -> StoredObject:
        """Store an object; its ETag is the MD5 unless given."""
        stored = StoredObject(body, etag or hashlib.md5(body, usedforsecurity=False).hexdigest(), mtime)
        if key not in self._objects:
            place = bisect_left(self._keys, key)
            if place == len(self._keys) or self._keys[place] != key:
                insort(self._keys, key)
            else:
                self._deleted -= 1
        self._objects[key] = stored
        return stored

    def remove(self, key: str) -> None:
        """Delete an object, if it is there."""
        if self._objects.pop(key, None) is not None:
            self._deleted += 1
            if self._deleted * 4 > len(self._keys):
                self._forget_deleted()

    def entries(self, prefix: str, start_after: str) -> Iterator[tuple[str, StoredObject]]:
        """The objects behind `start_after` whose keys start with the prefix, in order."""
        objects, keys = self._objects, self._keys
        place = bisect_left(keys, max(prefix, start_after))
        for index in range(place, len(keys)):
            key = keys[index]
            if not key.startswith(prefix):
                return
            stored = objects.get(key)
            if stored is not None and key > start_after:
                yield key, stored

    def _forget_deleted(self) -> None:
        self._keys = sorted(self._objects)
        self._deleted = 0


class _MadeUpKeys(Sequence[str]):
    """The keys of every log of a `LogSet`, sorted, each computed when it is asked for."""

    def __init__(self, logs: LogSet) -> None:
        self._groups = [f"{prefix}{day}-" for prefix, day in sorted(logs.prefix_days())]
        self._logs = logs.logs
        seconds = (number * 86_400 // self._logs for number in range(self._logs))
        # The number comes first in the unique part, so that logs of the same second sort, too.
        self._suffixes = [
            f"{second // 3600:02}-{second // 60 % 60:02}-{second % 60:02}-{number:08X}{number * 2654435761 % 2**32:08X}"
            for number, second in enumerate(seconds)
        ]

    def __len__(self) -> int:
        return len(self._groups) * self._logs

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        group, number = divmod(index, self._logs)
        return self._groups[group] + self._suffixes[number]


class MadeUpBucket:
    """A read-only bucket of as many logs as one likes: only those that are asked for are made."""

    read_only: Final = True

    def __init__(self, logs: LogSet, pool: int = 1_000) -> None:
        self._keys = _MadeUpKeys(logs)
        self._pool: tuple[Content, ...] = contents(logs.seed, pool, logs.records)
        self._midnights: dict[str, int] = {}
        self.uploads: dict[str, MultipartUpload] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, key: str) -> StoredObject | None:
        """The object, if it is there."""
        place = bisect_left(self._keys, key)
        return self._object(place, key) if place < len(self._keys) and self._keys[place] == key else None

    def put(self, key: str, body: bytes, mtime: int, etag: str = "") -> StoredObject:
        """Never."""
        raise NotImplementedError

    def remove(self, key: str) -> None:
        """Never."""
        raise NotImplementedError

    def entries(self, prefix: str, start_after: str) -> Iterator[tuple[str, StoredObject]]:
        """The objects behind `start_after` whose keys start with the prefix, in order."""
        for place in range(bisect_left(self._keys, max(prefix, start_after)), len(self._keys)):
            key = self._keys[place]
            if not key.startswith(prefix):
                return
            if key > start_after:
                yield key, self._object(place, key)

    def _object(self, place: int, key: str) -> StoredObject:
        content = self._pool[place % len(self._pool)]
        day = key[-36:-26]
        midnight = self._midnights.get(day)
        if midnight is None:
            midnight = int(datetime.combine(date.fromisoformat(day), time(), UTC).timestamp())
            self._midnights[day] = midnight
        clock_s = int(key[-25:-23]) * 3600 + int(key[-22:-20]) * 60 + int(key[-19:-17])
        return StoredObject(content.body, content.etag, midnight + clock_s)
