"""An S3 bucket in memory, and connections to it on which a seed says what goes wrong."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from hashlib import md5
from itertools import islice
from random import Random
from typing import NamedTuple, TypeVar

from tests.support.paging import PageByPage
from tests.support.simulation.faults import Odds
from tests.support.simulation.ledger import Ledger
from tests.support.simulation.schedule import Schedule

from s3_log_roller.errors import AlreadyExists, ObjectArchived, ObjectGone, StorageError
from s3_log_roller.log_keys import parse_log_key, parse_rollup_key
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

T = TypeVar("T")

KEYS_PER_DELETE = 3
KEPT_STATES = 6


class Stored(NamedTuple):
    body: bytes
    etag: str
    mtime: int
    metadata: Metadata = NO_METADATA
    archived: bool = False


class Bucket:
    """What is there, and what was there some changes ago."""

    name = "bucket"

    def __init__(self, page_size: int) -> None:
        self.page_size = page_size
        self.objects: dict[str, Stored] = {}
        self._before: list[dict[str, Stored]] = []

    def put(self, key: str, body: bytes, mtime: int, metadata: Metadata = NO_METADATA) -> Stored:
        self._remember()
        stored = self.objects[key] = Stored(body, md5(body).hexdigest(), mtime, metadata)
        return stored

    def remove(self, key: str) -> None:
        self._remember()
        self.objects.pop(key, None)

    def archive(self, key: str, *, archived: bool) -> None:
        """Move an object to an archive class, or back."""
        self._remember()
        self.objects[key] = self.objects[key]._replace(archived=archived)

    def rollups(self) -> list[tuple[str, str, bytes]]:
        """(key, ETag, content) of each."""
        found = ((key, stored) for key, stored in self.objects.items() if parse_rollup_key(key))
        return [(key, stored.etag, stored.body) for key, stored in found]

    def logs(self) -> dict[str, bytes]:
        return {key: stored.body for key, stored in self.objects.items() if parse_log_key(key)}

    def page(self, prefix: str, start_after: str, max_keys: int, changes_ago: int = 0) -> Page:
        state = self._before[-changes_ago] if 0 < changes_ago <= len(self._before) else self.objects
        keys = sorted(key for key in state if key.startswith(prefix))
        if start_after:
            keys = keys[bisect_right(keys, start_after) :]
        size = min(self.page_size, max_keys)
        found = [
            ListedObject(key, state[key].etag, len(state[key].body), state[key].mtime, state[key].archived)
            for key in keys[:size]
        ]
        return Page(found, len(keys) > size)

    def _remember(self) -> None:
        self._before.append(dict(self.objects))
        del self._before[:-KEPT_STATES]


class Connection(PageByPage):
    """One process's `Store`: every call is a point where others may go on, and may go wrong."""

    def __init__(self, bucket: Bucket, schedule: Schedule, odds: Odds, ledger: Ledger, rollup_mtime: int) -> None:
        self.bucket = bucket.name
        self._bucket = bucket
        self._schedule = schedule
        self._odds = odds
        self._ledger = ledger
        self._rollup_mtime = rollup_mtime
        self.in_parts = schedule.rng.random() < 0.5
        """Metadata is sent before the content, as with an upload in parts."""
        self._read: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
        """Which bytes of which rollup this process has read since the task began."""

    def begin_task(self) -> None:
        """Proofs of earlier tasks count no longer."""
        self._read.clear()

    def list_page(
        self, prefix: str, start_after: str = "", *, max_keys: int = 1000, continuation_token: str = ""
    ) -> Page:
        self._send("list")
        changes_ago = 0
        if self._happens(self._odds.stale_listing):
            changes_ago = 1 + int(self._rng.random() * KEPT_STATES)
            self._ledger.stale_listings += 1
        page = self._bucket.page(prefix, start_after, max_keys, changes_ago)
        if self._schedule.trace is not None:
            stale = f", {changes_ago} changes ago" if changes_ago else ""
            self._schedule.note(f"lists {prefix}{stale}: {[entry.key[-20:] for entry in page.objects]}")
        self._answer("list")
        return page

    def fetch(self, ranges: Iterable[ByteRange]) -> Generator[tuple[bytes, bytes], None, None]:
        for wanted in ranges:
            yield self._fetch_one(wanted)

    def fetch_each(self, ranges: Iterable[ByteRange]) -> Generator[tuple[bytes, bytes] | StorageError, None, None]:
        for wanted in ranges:
            try:
                answer: tuple[bytes, bytes] | StorageError = self._fetch_one(wanted)
            except StorageError as error:
                answer = error
            yield answer

    def _fetch_one(self, wanted: ByteRange) -> tuple[bytes, bytes]:
        self._send("fetch")
        stored = self._bucket.objects.get(wanted.key)
        if stored is None or stored.etag != wanted.etag:
            raise ObjectGone(f"{wanted.key} is gone")
        if stored.archived:
            raise ObjectArchived(f"{wanted.key} is archived", key=wanted.key)
        body = stored.body[wanted.offset : wanted.offset + wanted.length]
        if parse_rollup_key(wanted.key):
            self._read[wanted.key, wanted.etag].update(range(wanted.offset, wanted.offset + len(body)))
            if body and self._happens(self._odds.flipped_read):
                place = int(self._rng.random() * len(body))
                body = body[:place] + bytes((body[place] ^ 1,)) + body[place + 1 :]
                self._schedule.note(f"reads {wanted.key} with byte {wanted.offset + place} flipped")
        self._answer("fetch")
        return body, md5(body).digest() if wanted.whole else b""

    def etag_is_md5(self, key: str) -> bool:
        return True

    def read_metadata(self, objects: Iterable[ListedObject]) -> list[Metadata | StorageError]:
        return [self._read_metadata(entry) for entry in objects]

    def _read_metadata(self, entry: ListedObject) -> Metadata | StorageError:
        try:
            self._send("head")
            stored = self._bucket.objects.get(entry.key)
            if stored is None or stored.etag != entry.etag:
                return ObjectGone(f"{entry.key} is gone")
            self._answer("head")
        except StorageError as error:
            return error
        return stored.metadata

    def upload(self, key: str, expected_bytes: int, metadata: Callable[[], Metadata] = no_metadata) -> SimulatedUpload:
        return SimulatedUpload(self, key, metadata)

    def delete(self, objects: Iterable[tuple[str, str]], report: DeleteReport | None = None) -> DeleteReport:
        report = report or DeleteReport()
        source = iter(objects)
        while batch := list(islice(source, KEYS_PER_DELETE)):
            proven = {key for key in self._read if self._has_read(*key)}
            act = lambda batch=batch, proven=proven: self._delete(batch, proven)  # noqa: E731
            for key, reason in self._write("delete", act):
                if reason:
                    report.failures.append(DeleteFailure(key, reason))
                else:
                    report.deleted += 1
        return report

    def put_if_absent(self, key: str, new: NewObject) -> str:
        """Publish a rollup. Raises `AlreadyExists`."""

        def act() -> str:
            if key in self._bucket.objects:
                raise AlreadyExists(f"{key} exists")
            self._schedule.note(f"publishes {key}")
            return self._bucket.put(key, new.body, self._rollup_mtime, new.metadata).etag

        etag = self._write("put", act)
        if self._happens(self._odds.retried):
            raise AlreadyExists(f"{key} exists")
        return etag

    def publish_all(
        self, objects: Mapping[str, NewObject], last_look: Callable[[Collection[str]], Collection[str]]
    ) -> dict[str, str | StorageError]:
        answers: dict[str, str | StorageError] = {}
        for key in last_look(list(objects)):
            try:
                answers[key] = self.put_if_absent(key, objects[key])
            except StorageError as error:
                answers[key] = error
        return answers

    def _delete(self, batch: list[tuple[str, str]], proven: set[tuple[str, str]]) -> list[tuple[str, str]]:
        """(key, reason or nothing) of each."""
        answers = []
        for key, etag in batch:
            stored = self._bucket.objects.get(key)
            if self._happens(self._odds.refused_delete):
                answers.append((key, "InternalError"))
            elif stored is not None and stored.etag != etag:
                answers.append((key, "PreconditionFailed"))
            else:
                if stored is not None:
                    self._ledger.check_delete(key, self._bucket.rollups(), proven)
                    self._ledger.deletes += 1
                    self._bucket.remove(key)
                answers.append((key, ""))
        self._schedule.note(f"deletes {answers}")
        return answers

    def _has_read(self, key: str, etag: str) -> bool:
        stored = self._bucket.objects.get(key)
        return stored is not None and stored.etag == etag and len(self._read[key, etag]) == len(stored.body)

    @property
    def _rng(self) -> Random:
        return self._schedule.rng

    def _happens(self, chance: float) -> bool:
        return chance > 0 and self._rng.random() < chance

    def _send(self, what: str) -> None:
        """A request goes out: others go on; it may get lost, and its sender may die."""
        self._schedule.pause()
        if self._happens(self._odds.killed):
            self._schedule.kill(self._schedule.current)
            self._schedule.pause()
        if self._happens(self._odds.lost_request):
            raise StorageError(f"{what}: the request was lost")

    def _answer(self, what: str) -> None:
        """An answer comes back: others go on; it may get lost, and who waits for it may die."""
        self._schedule.pause()
        if self._happens(self._odds.killed):
            self._schedule.kill(self._schedule.current)
            self._schedule.pause()
        if self._happens(self._odds.lost_answer):
            self._schedule.note(f"{what}: the answer is lost")
            raise StorageError(f"{what}: the answer was lost")

    def _write(self, what: str, act: Callable[[], T]) -> T:
        self._send(what)
        if self._happens(self._odds.late_request):
            self._schedule.note(f"{what}: the request is late")
            self._schedule.add(f"late {what}", lambda: self._arrive(act))
            raise StorageError(f"{what}: no answer came in time")
        done = act()
        self._answer(what)
        return done

    def _arrive(self, act: Callable[[], object]) -> None:
        """A request that its sender has given up, some turns later."""
        for _ in range(int(self._rng.random() * 40)):
            self._schedule.pause()
        try:
            act()
        except StorageError:
            self._schedule.note("the late request is refused")


class SimulatedUpload:
    """A rollup being written; it becomes visible at once or never."""

    def __init__(self, connection: Connection, key: str, metadata: Callable[[], Metadata]) -> None:
        self._connection = connection
        self._key = key
        self._metadata = metadata() if connection.in_parts else None
        self._metadata_at_the_end = metadata
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        self._parts.append(data)

    def finish(self, last_look: Callable[[], object] = lambda: None) -> str:
        last_look()
        metadata = self._metadata_at_the_end() if self._metadata is None else self._metadata
        return self._connection.put_if_absent(self._key, NewObject(b"".join(self._parts), metadata))

    def abort(self) -> None:
        self._parts.clear()
