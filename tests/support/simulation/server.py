"""An S3 bucket in memory, and connections to it on which a seed says what goes wrong."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from hashlib import md5
from itertools import islice
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


class State(NamedTuple):
    """What is in a bucket at some time."""

    keys: list[str]
    """Of all objects, in order."""
    entries: dict[str, ListedObject]


class Bucket:
    """What is there and, if anybody may see it, what was there some changes ago."""

    def __init__(self, page_size: int, *, remembers: bool = True, name: str = "bucket", folder: str = "") -> None:
        self.name = name
        self.folder = folder
        """What the keys of its rollups begin with before those of the logs' bucket."""
        self.page_size = page_size
        self.bodies: dict[str, bytes] = {}
        self.metadata: dict[str, Metadata] = {}
        self._now = State([], {})
        self._remembers = remembers
        self._before: list[State] = []
        self._rollups: dict[str, tuple[str, str, bytes]] = {}

    def put(self, key: str, body: bytes, mtime: int, metadata: Metadata = NO_METADATA) -> str:
        """Store an object, and return its ETag."""
        self._remember()
        if key not in self._now.entries:
            insort(self._now.keys, key)
        etag = md5(body).hexdigest()
        self._now.entries[key] = ListedObject(key, etag, len(body), mtime, False)
        self.bodies[key] = body
        self.metadata[key] = metadata
        if parse_rollup_key(key):
            self._rollups[key] = key.removeprefix(self.folder), etag, body
        return etag

    def remove(self, key: str) -> None:
        """Remove an object, if it is there."""
        if key not in self.bodies:
            return
        self._remember()
        self._now.keys.remove(key)
        del self._now.entries[key], self.bodies[key], self.metadata[key]
        self._rollups.pop(key, None)

    def archive(self, key: str, *, archived: bool) -> None:
        """Move an object to an archive class, or back."""
        self._remember()
        self._now.entries[key] = self._now.entries[key]._replace(archived=archived)

    def is_archived(self, key: str) -> bool:
        """Whether an object is in an archive class."""
        return self._now.entries[key].archived

    def refuses(self, key: str) -> bool:
        """Whether a PUT with `If-None-Match: *` is refused."""
        return key in self.bodies

    def etag(self, key: str) -> str | None:
        """The ETag of an object; None if it is not there."""
        entry = self._now.entries.get(key)
        return entry and entry.etag

    def rollups(self) -> list[tuple[str, str, bytes]]:
        """(key in the logs' bucket, ETag, content) of each."""
        return list(self._rollups.values())

    def rollup_keys(self) -> list[str]:
        """The keys of all rollups."""
        return list(self._rollups)

    def is_rollup(self, key: str) -> bool:
        """Whether there is a rollup of that key."""
        return key in self._rollups

    def logs(self) -> dict[str, bytes]:
        """The bodies of the logs by key, in the order of the keys."""
        return {key: self.bodies[key] for key in self._now.keys if parse_log_key(key)}

    def page(self, prefix: str, start_after: str, max_keys: int, changes_ago: int = 0) -> Page:
        """A page of a listing, as it was so many changes ago."""
        keys, entries = self._before[-changes_ago] if 0 < changes_ago <= len(self._before) else self._now
        first = bisect_right(keys, start_after) if start_after >= prefix else bisect_left(keys, prefix)
        size = min(self.page_size, max_keys)
        found: list[ListedObject] = []
        for key in islice(keys, first, None):
            if not key.startswith(prefix):
                break
            if len(found) == size:
                return Page(found, truncated=True)
            found.append(entries[key])
        return Page(found, truncated=False)

    def _remember(self) -> None:
        if self._remembers:
            self._before.append(State(self._now.keys.copy(), self._now.entries.copy()))
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
        self._rng = schedule.rng
        self.destination: Connection | None = None
        """The same process's connection to the bucket that rollups go to."""
        self.in_parts = schedule.rng.random() < 0.5
        """Metadata is sent before the content, as with an upload in parts."""
        self._read: defaultdict[tuple[str, str], int] = defaultdict(int)
        """Which bytes of which rollup this process has read since the task began: bit n stands for byte n."""

    def begin_task(self) -> None:
        """Proofs of earlier tasks count no longer."""
        self._read.clear()
        if self.destination is not None:
            self.destination.begin_task()

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
        if self._bucket.etag(wanted.key) != wanted.etag:
            raise ObjectGone(f"{wanted.key} is gone")
        if self._bucket.is_archived(wanted.key):
            raise ObjectArchived(f"{wanted.key} is archived", key=wanted.key)
        body = self._bucket.bodies[wanted.key][wanted.offset : wanted.offset + wanted.length]
        if self._bucket.is_rollup(wanted.key):
            self._read[wanted.key, wanted.etag] |= _bits(len(body)) << wanted.offset
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
            if self._bucket.etag(entry.key) != entry.etag:
                return ObjectGone(f"{entry.key} is gone")
            metadata = self._bucket.metadata[entry.key]
            self._answer("head")
        except StorageError as error:
            return error
        return metadata

    def upload(self, key: str, expected_bytes: int, metadata: Callable[[], Metadata] = no_metadata) -> SimulatedUpload:
        return SimulatedUpload(self, key, metadata)

    def delete(
        self, objects: Iterable[tuple[str, str]], report: DeleteReport | None = None, *, versions: bool = False
    ) -> DeleteReport:
        report = report or DeleteReport()
        source = iter(objects)
        while batch := list(islice(source, KEYS_PER_DELETE)):
            proven = self.proven()
            act = lambda batch=batch, proven=proven: self._delete(batch, proven)  # noqa: E731
            for key, reason in self._write("delete", act):
                if reason:
                    report.failures.append(DeleteFailure(key, reason))
                else:
                    report.deleted += 1
        return report

    def proven(self) -> set[tuple[str, str]]:
        """(key in the logs' bucket, ETag) of the rollups that this process has read whole."""
        mine = {(key.removeprefix(self._bucket.folder), etag) for key, etag in self._read if self._has_read(key, etag)}
        return mine if self.destination is None else mine | self.destination.proven()

    def rollups(self) -> list[tuple[str, str, bytes]]:
        """(key in the logs' bucket, ETag, content) of each, wherever it is."""
        return self._bucket.rollups() + ([] if self.destination is None else self.destination.rollups())

    def put_if_absent(self, key: str, new: NewObject) -> str:
        """Publish a rollup. Raises `AlreadyExists`."""

        def act() -> str:
            if self._bucket.refuses(key):
                raise AlreadyExists(f"{key} exists")
            self._schedule.note(f"publishes {key}")
            return self._bucket.put(key, new.body, self._rollup_mtime, new.metadata)

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
            now = self._bucket.etag(key)
            if self._happens(self._odds.refused_delete):
                answers.append((key, "InternalError"))
            elif now is not None and now != etag:
                answers.append((key, "PreconditionFailed"))
            else:
                if now is not None:
                    self._ledger.check_delete(key, self.rollups(), proven)
                    self._ledger.deletes += 1
                    self._bucket.remove(key)
                answers.append((key, ""))
        self._schedule.note(f"deletes {answers}")
        return answers

    def _has_read(self, key: str, etag: str) -> bool:
        return self._bucket.etag(key) == etag and self._read[key, etag] == _bits(len(self._bucket.bodies[key]))

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


def _bits(count: int) -> int:
    """So many ones."""
    return (1 << count) - 1


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

    def settle(self) -> None:
        """Nothing is ever under way."""

    def abort(self) -> None:
        self._parts.clear()
