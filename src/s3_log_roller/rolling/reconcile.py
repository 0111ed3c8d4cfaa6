"""Bring one day group to its end state, whatever state it is in.

The end state: every original of the day is a verified member of exactly one rollup; if deleting, no original is left.
Reconcile looks at what is there now and moves it there, so a task may be lost, repeated, run twice at once or killed
anywhere: running again always converges. The order of the steps is what makes that true:

1. List the originals, *then* the rollups: an original that is missing because another worker deleted it is in a
   rollup that this list shows.
2. Originals that are members of a rollup are leftovers and are not packed again.
3. Fetch, pack and upload the others; publish only if the key is free and no other rollup of the day appeared.
4. Verify: read the rollup back and prove every member.
5. Only if deleting: delete what verified rollups hold, and check the answer for every key.
"""

from __future__ import annotations

import logging
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from hashlib import md5
from itertools import tee
from operator import and_
from typing import Final

from s3_log_roller.errors import (
    DamagedRollup,
    DayChanged,
    DeleteRefused,
    ObjectArchived,
    OutOfTime,
    RollerError,
    StorageError,
)
from s3_log_roller.log_keys import DayGroup, parse_log_key, parse_rollup_key
from s3_log_roller.rolling.outcome import RollOutcome
from s3_log_roller.rolling.pace import Pace
from s3_log_roller.rolling.tasks import RollTask
from s3_log_roller.rollup.originals import Original, Originals
from s3_log_roller.rollup.verify import Verified, blaming, read_index, verify
from s3_log_roller.rollup.writer import RollupWriter
from s3_log_roller.store import ByteRange, DeleteFailure, ListedObject, Store, Upload, list_objects, whole_or_split

PIECE_BYTES: Final = 4 << 20
"""Originals above this are fetched in pieces, so that one huge log takes no more memory than many small ones."""
MAX_LOOKS: Final = 20
MIN_WINDOW_KEYS: Final = 10_000
"""Listed at a time where there is a deadline, at least: ten requests."""
_TICK_LOGS: Final = 100
_TICK_BYTES: Final = 16 << 20
_NAMED_FAILURES: Final = 5

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""Called with how many logs and bytes were packed since the last call."""


@dataclass(slots=True)
class _Tally:
    """The figures of all looks of one reconcile."""

    rollups: list[str] = field(default_factory=list)
    packed: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    leftovers: int = 0
    deleted: int = 0
    delete_markers: int = 0
    archived: int = 0
    remaining: int = 0
    nested: set[DayGroup] = field(default_factory=set)

    def outcome(self, group: DayGroup) -> RollOutcome:
        return RollOutcome(
            group,
            tuple(self.rollups),
            self.packed,
            self.bytes_in,
            self.bytes_out,
            self.leftovers,
            self.deleted,
            self.delete_markers,
            self.archived,
            self.remaining,
            frozenset(self.nested),
        )


def reconcile(
    store: Store,
    task: RollTask,
    *,
    delete: bool,
    today: date,
    level: int,
    pace: Pace | None = None,
    on_progress: Progress | None = None,
) -> RollOutcome:
    """Bring the task's day group to its end state, or as near as the time left allows (`RollOutcome.remaining`).

    Raises a `RollerError` when something stands in the way; whatever was reached until then holds, and no original is
    gone that is not a verified member of a rollup.
    """
    if task.group.day >= today:
        raise StorageError(f"{task.group} is not over yet: today is {today} (UTC); nothing was touched")
    if "\0" in task.group.target_prefix:
        raise StorageError(f"{task.group} has a NUL in its target prefix, which no tarball can hold: untouched")
    reconciler = _Reconciler(store, task, delete, level, pace or Pace(), on_progress or (lambda logs, size: None))
    looks = 0
    while looks < MAX_LOOKS:
        try:
            reconciler.look()
            return reconciler.tally.outcome(task.group)
        except DayChanged as change:
            looks += 1
            logger.info("looking_again", extra={"day_group": str(task.group), "why": str(change)})
        except ObjectArchived as archived:
            # A rollup, without whose index nobody can tell which originals it holds; or one that was to be left out.
            if parse_log_key(archived.key) is None or archived.key in reconciler.unreadable:
                raise
            reconciler.unreadable.add(archived.key)
    raise StorageError(f"{task.group} changed {MAX_LOOKS} times while it was rolled up; run again when it is at rest")


class _Reconciler:
    def __init__(
        self, store: Store, task: RollTask, delete: bool, level: int, pace: Pace, on_progress: Progress
    ) -> None:
        self.store = store
        self.group = task.group
        self.task = task
        self.delete = delete
        self.level = level
        self.pace = pace
        self.on_progress = on_progress
        self.unreadable: set[str] = set()
        self.tally = _Tally()

    def look(self) -> None:
        """One pass over the day group: see what is there, and do all that is left to do.

        Under a deadline a giant day, whose listing alone could take longer, is seen one window after another; the pass
        ends with the first one that had something to pack, or when the time is over.
        """
        self.tally.leftovers = self.tally.archived = self.tally.remaining = 0
        deleted_before = self.tally.deleted
        start_after: str | None = ""
        while start_after is not None:
            originals, start_after = self._list_originals(start_after)
            packed = self._settle(originals)
            if start_after is None:
                return
            if packed or (self.pace.is_short and self.tally.deleted > deleted_before):
                self.tally.remaining += 1  # at least: what follows was not listed
                return
            if self.pace.is_short:
                raise OutOfTime(f"{self.group} has more logs than can be looked through in the time there is")

    def _settle(self, originals: Originals) -> bool:
        """Pack those that no rollup has and delete the others; whether there was something to pack."""
        rollups = self._list_rollups()
        holders, odd = self._find_holders(originals, rollups)
        loose = originals.select(bytearray(not holder for holder in holders)) if any(holders) else originals
        self.tally.leftovers += len(originals) - len(loose)
        if len(loose):
            self._roll_up(loose, rollups)
        if self.delete:
            for number, rollup in enumerate(rollups, 1):
                mine = bytearray(holder == number for holder in holders)
                if any(mine):
                    mine_odd = originals.select(bytearray(map(and_, mine, odd)))
                    self._delete_leftovers(rollup, originals.select(mine), mine_odd)
        return len(loose) > 0

    def _list_originals(self, start_after: str) -> tuple[Originals, str | None]:
        """The day's originals in key order, without those in archive tiers, which are counted instead.

        Under a deadline not more than could be packed, and then where to go on.
        """
        originals = Originals(self.group)
        prefix_chars = len(self.group.target_prefix)
        archived, first_archived = 0, ""
        window = max(MIN_WINDOW_KEYS, self.pace.allowance(None))
        last_key, go_on_after = start_after, None
        for number, entry in enumerate(list_objects(self.store, self.group.logs_prefix, start_after)):
            if number == window:
                go_on_after = last_key
                break
            last_key = entry.key
            readable = not entry.archived and entry.key not in self.unreadable
            try:
                if readable and originals.append(entry.key[prefix_chars:], entry.etag, entry.size, entry.mtime):
                    continue
            except ValueError as error:
                raise StorageError(f"s3://{self.store.bucket} does not list as S3 does: {error}") from error
            key = parse_log_key(entry.key)
            if key is None:
                continue
            if key.target_prefix == self.group.target_prefix:
                archived += 1
                first_archived = first_archived or entry.key
            else:
                self.tally.nested.add(DayGroup(self.group.bucket, key.target_prefix, key.day))
        self.tally.archived += archived
        if archived:
            logger.warning(
                "archived_originals_skipped",
                extra={"day_group": str(self.group), "archived": archived, "first": first_archived},
            )
        return originals, go_on_after

    def _list_rollups(self) -> list[ListedObject]:
        found = []
        for entry in list_objects(self.store, self.group.rollups_prefix):
            key = parse_rollup_key(entry.key)
            if key is not None and key.target_prefix == self.group.target_prefix:
                found.append(entry)
        return found

    def _find_holders(self, originals: Originals, rollups: list[ListedObject]) -> tuple[array[int], bytearray]:
        """For every original the number, from 1, of the rollup whose index has it as a member, or 0; and whether its
        ETag is no MD5 there."""
        if not rollups:
            return array("I"), bytearray()
        holders = array("I", bytes(4 * len(originals)))
        odd = bytearray(len(originals))
        for number, rollup in enumerate(rollups if len(originals) else [], 1):
            with blaming(self.store, rollup):
                members = read_index(self.store, self.group, rollup).members()
                member = next(members, None)
                for row, original in enumerate(originals):
                    while member is not None and member.suffix < original.suffix:
                        member = next(members, None)
                    if member is None:
                        break
                    if not holders[row] and member.may_hold(original):
                        holders[row] = number
                        odd[row] = member.etag is not None
        return holders, odd

    def _roll_up(self, loose: Originals, rollups: list[ListedObject]) -> None:
        """Pack as many of the originals as the time left allows, verify the rollup and, if deleting, delete them."""
        allowance = self.pace.allowance(self.task.max_members)
        if allowance < 1:
            raise OutOfTime(f"no time left to start on {self.group}")
        taken = loose if len(loose) <= allowance else loose.head(allowance)
        with self.pace.measuring(len(taken)):
            rollup, md5s = self._pack(taken, rollups)
            verified = verify(self.store, self.group, rollup, taken, md5s)
            if len(verified.originals) != len(taken):
                raise DamagedRollup(
                    f"s3://{self.store.bucket}/{rollup.key} was read back with "
                    f"{len(verified.originals)} of {len(taken)} members right; no original was deleted: run again"
                )
            self.tally.rollups.append(rollup.key)
            self.tally.packed += len(taken)
            self.tally.bytes_in += taken.total_bytes
            self.tally.bytes_out += rollup.size
            self.tally.remaining = len(loose) - len(taken)
            if self.delete:
                self._delete(verified)

    def _pack(self, originals: Originals, rollups: list[ListedObject]) -> tuple[ListedObject, dict[str, bytes]]:
        """Upload one rollup of the originals under the name that its first member gives it.

        Returns with it, by suffix, the MD5s of the originals whose ETags are not MD5s.
        """
        key = self._name(originals, rollups)
        writer = RollupWriter(self.group, originals.content_digest(), self.level)
        upload = self.store.upload(key, originals.total_bytes + 600 * len(originals) + 4096)
        try:
            md5s = self._write(originals, writer, upload)
            etag = upload.finish(partial(self._look_for_others, rollups))
        except BaseException:
            _abort(upload)
            raise
        return ListedObject(key, etag, writer.bytes_out, 0, archived=False), md5s

    def _name(self, originals: Originals, rollups: list[ListedObject]) -> str:
        try:
            return self.group.rollup_key(next(iter(originals)).suffix, {rollup.key for rollup in rollups})
        except ValueError as error:
            raise StorageError(f"{self.group} cannot be rolled up: {error}; move those rollups elsewhere") from error

    def _look_for_others(self, rollups: list[ListedObject]) -> None:
        """A rollup that appeared meanwhile may hold some of the same originals: nothing is to be packed twice."""
        if self._list_rollups() != rollups:
            raise DayChanged(f"another rollup of {self.group} appeared meanwhile")

    def _write(self, originals: Originals, writer: RollupWriter, upload: Upload) -> dict[str, bytes]:
        target_prefix = self.group.target_prefix
        md5s = {}
        logs = size = 0
        to_fetch, to_pack = tee(originals)
        with closing(self.store.fetch(_ranges(target_prefix, to_fetch))) as bodies:
            for original in to_pack:
                if original.size <= PIECE_BYTES:
                    body, digest = next(bodies)
                    packed = writer.add(original, body, digest)
                    if packed:
                        upload.write(packed)
                else:
                    digest = self._write_huge(original, bodies, writer, upload)
                if digest != original.md5:
                    md5s[original.suffix] = digest
                logs += 1
                size += original.size
                if logs == _TICK_LOGS or size >= _TICK_BYTES:
                    self._tick(logs, size)
                    logs = size = 0
        for packed in writer.finish():
            upload.write(packed)
        self._tick(logs, size)
        return md5s

    def _write_huge(
        self, original: Original, bodies: Iterator[tuple[bytes, bytes]], writer: RollupWriter, upload: Upload
    ) -> bytes:
        content = md5(usedforsecurity=False)
        upload.write(writer.begin(original))
        for _ in range(0, original.size, PIECE_BYTES):
            body, _ = next(bodies)
            content.update(body)
            upload.write(writer.write(body))
        digest = content.digest()
        key = self.group.target_prefix + original.suffix
        if original.md5 is not None and digest != original.md5 and self.store.etag_is_md5(key):
            raise StorageError(
                f"s3://{self.store.bucket}/{key} did not come as its ETag says: damaged on the way, or in the bucket; "
                "nothing was lost, run again"
            )
        upload.write(writer.end(digest))
        return digest

    def _delete_leftovers(self, rollup: ListedObject, leftovers: Originals, odd: Originals) -> None:
        """Delete originals that an earlier run packed but did not delete, after proving that rollup.

        Those with odd ETags are read once more: what the index says of them is no proof.
        """
        verified = verify(self.store, self.group, rollup, leftovers, self._read_md5s(odd))
        self._delete(verified)
        if len(verified.originals) != len(leftovers):
            raise DamagedRollup(
                f"s3://{self.store.bucket}/{rollup.key} holds other bytes than "
                f"{len(leftovers) - len(verified.originals)} originals of the same names; those were not deleted: "
                "compare them by hand"
            )

    def _read_md5s(self, originals: Originals) -> dict[str, bytes]:
        md5s = {}
        with closing(self.store.fetch(_ranges(self.group.target_prefix, originals))) as bodies:
            for original in originals:
                content = md5(usedforsecurity=False)
                for _ in range(0, max(1, original.size), PIECE_BYTES):
                    content.update(next(bodies)[0])
                md5s[original.suffix] = content.digest()
        return md5s

    def _delete(self, verified: Verified) -> None:
        prefix = self.group.target_prefix
        report = self.store.delete((prefix + original.suffix, original.etag) for original in verified.originals)
        self.tally.deleted += report.deleted
        self.tally.delete_markers += report.markers
        if report.failures:
            raise DeleteRefused(_refusals(self.store.bucket, report.failures))

    def _tick(self, logs: int, size: int) -> None:
        self.on_progress(logs, size)
        if self.pace.is_short:
            raise OutOfTime(f"{self.group} needs a smaller step: the time is nearly over and the rollup is not whole")


def _abort(upload: Upload) -> None:
    try:
        upload.abort()
    except RollerError as error:
        # What made us abort is what the user has to hear of; a lifecycle rule removes the parts.
        logger.warning("upload_not_aborted", extra={"why": str(error)})


def _ranges(target_prefix: str, originals: Iterable[Original]) -> Iterator[ByteRange]:
    return whole_or_split(((target_prefix + one.suffix, one.etag, one.size) for one in originals), PIECE_BYTES)


def _refusals(bucket: str, failures: list[DeleteFailure]) -> str:
    """Every key goes to the log, the first few into the error."""
    for failure in failures:
        logger.error("delete_refused", extra={"bucket": bucket, "key": failure.key, "why": failure.reason})
    named = "; ".join(f"{failure.key}: {failure.reason}" for failure in failures[:_NAMED_FAILURES])
    more = f"; and {len(failures) - _NAMED_FAILURES} more, see the log" if len(failures) > _NAMED_FAILURES else ""
    return (
        f"{len(failures)} originals in s3://{bucket} were not deleted ({named}{more}); they are safe in a verified "
        "rollup: allow s3:DeleteObject (with an ETag it needs s3:GetObject, too), then run again"
    )
