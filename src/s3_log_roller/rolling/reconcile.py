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
from collections.abc import Callable
from datetime import date
from functools import partial
from operator import and_
from typing import Final

from s3_log_roller.errors import DamagedRollup, DayChanged, ObjectArchived, OutOfTime, StorageError
from s3_log_roller.log_keys import DayGroup, parse_log_key
from s3_log_roller.rolling.day_listing import list_originals, list_rollups
from s3_log_roller.rolling.deleting import delete_verified
from s3_log_roller.rolling.fetching import read_md5s
from s3_log_roller.rolling.figures import Figures
from s3_log_roller.rolling.options import RollOptions
from s3_log_roller.rolling.outcome import RollOutcome
from s3_log_roller.rolling.pace import Pace
from s3_log_roller.rolling.packing import pack
from s3_log_roller.rolling.tasks import RollTask
from s3_log_roller.rollup.matching import match
from s3_log_roller.rollup.originals import Originals
from s3_log_roller.rollup.stored import blaming, read_rollup
from s3_log_roller.rollup.verify import Verified, verify
from s3_log_roller.store import ListedObject, Store

MAX_LOOKS: Final = 20
MIN_WINDOW_KEYS: Final = 10_000
"""Listed at a time where there is a deadline, at least: ten requests."""

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""Called with how many logs and bytes were packed since the last call."""


def reconcile(
    store: Store,
    task: RollTask,
    options: RollOptions,
    *,
    today: date,
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
    reconciler = _Reconciler(store, task, options, pace or Pace(), on_progress or (lambda logs, size: None))
    looks = 0
    while looks < MAX_LOOKS:
        try:
            reconciler.look()
            return reconciler.outcome()
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
    """One day group, looked at until it is at its end state."""

    def __init__(self, store: Store, task: RollTask, options: RollOptions, pace: Pace, on_progress: Progress) -> None:
        self.unreadable: set[str] = set()
        self._store = store
        self._group = task.group
        self._task = task
        self._options = options
        self._pace = pace
        self._on_progress = on_progress
        self._done = Figures()
        """What was done in all looks."""
        self._seen = Figures()
        """What was seen in this look."""
        self._rollups: list[str] = []
        self._remaining = 0
        self._nested: set[DayGroup] = set()

    def outcome(self) -> RollOutcome:
        """What was done, and what the last look saw."""
        figures = self._done + self._seen
        return RollOutcome(self._group, figures, tuple(self._rollups), self._remaining, frozenset(self._nested))

    def look(self) -> None:
        """See what is there, and do all that is left to do.

        Under a deadline a giant day, whose listing alone could take longer, is seen one window after another; the look
        ends with the first one that had something to pack, or when the time is over.
        """
        self._seen = Figures()
        self._remaining = 0
        deleted_before = self._done.deleted
        start_after: str | None = ""
        while start_after is not None:
            listing = list_originals(
                self._store,
                self._group,
                start_after=start_after,
                max_keys=max(MIN_WINDOW_KEYS, self._pace.allowance(None)),
                unreadable=self.unreadable,
            )
            self._seen += Figures(archived=listing.archived)
            self._nested |= listing.nested
            start_after = listing.go_on_after
            packed = self._settle(listing.originals)
            if start_after is None:
                return
            if packed or (self._pace.is_short and self._done.deleted > deleted_before):
                self._remaining += 1  # at least: what follows was not listed
                return
            if self._pace.is_short:
                raise OutOfTime(f"{self._group} has more logs than can be looked through in the time there is")

    def _settle(self, originals: Originals) -> bool:
        """Pack those that no rollup has and delete the others; whether there was something to pack."""
        rollups = list_rollups(self._store, self._group)
        holders, odd = self._find_holders(originals, rollups)
        loose = originals.select(bytearray(not holder for holder in holders)) if any(holders) else originals
        self._seen += Figures(leftovers=len(originals) - len(loose))
        if len(loose):
            self._roll_up(loose, rollups)
        if self._options.delete:
            for number, rollup in enumerate(rollups, 1):
                mine = bytearray(holder == number for holder in holders)
                if any(mine):
                    mine_odd = originals.select(bytearray(map(and_, mine, odd)))
                    self._delete_leftovers(rollup, originals.select(mine), mine_odd)
        return len(loose) > 0

    def _find_holders(self, originals: Originals, rollups: list[ListedObject]) -> tuple[array[int], bytearray]:
        """For every original the number, from 1, of the rollup whose index has it as a member, or 0; and whether its
        ETag is not an MD5 there."""
        if not rollups:
            return array("I"), bytearray()
        holders = array("I", bytes(4 * len(originals)))
        odd = bytearray(len(originals))
        for number, rollup in enumerate(rollups if len(originals) else [], 1):
            with blaming(self._store, rollup):
                members = read_rollup(self._store, self._group, rollup).members()
                for row, original, member in match(originals, members, lambda member: member.suffix):
                    if not holders[row] and member.may_hold(original):
                        holders[row] = number
                        odd[row] = member.etag is not None
        return holders, odd

    def _roll_up(self, loose: Originals, rollups: list[ListedObject]) -> None:
        """Pack as many of the originals as the time left allows, verify the rollup and, if deleting, delete them."""
        allowance = self._pace.allowance(self._task.max_members)
        if allowance < 1:
            raise OutOfTime(f"no time left to start on {self._group}")
        taken = loose if len(loose) <= allowance else loose.head(allowance)
        with self._pace.measuring(len(taken)):
            packed = pack(
                self._store,
                taken,
                others=rollups,
                level=self._options.level,
                last_look=partial(self._look_for_others, rollups),
                tick=self._tick,
            )
            rollup = packed.rollup
            verified = verify(self._store, self._group, rollup, taken, packed.md5s)
            if len(verified.originals) != len(taken):
                raise DamagedRollup(
                    f"s3://{self._store.bucket}/{rollup.key} was read back with "
                    f"{len(verified.originals)} of {len(taken)} members right; no original was deleted: run again"
                )
            self._rollups.append(rollup.key)
            self._done += Figures(rollups=1, packed=len(taken), bytes_in=taken.total_bytes, bytes_out=rollup.size)
            self._remaining = len(loose) - len(taken)
            if self._options.delete:
                self._delete(verified)

    def _look_for_others(self, rollups: list[ListedObject]) -> None:
        """A rollup that appeared meanwhile may hold some of the same originals: nothing is to be packed twice."""
        if list_rollups(self._store, self._group) != rollups:
            raise DayChanged(f"another rollup of {self._group} appeared meanwhile")

    def _delete_leftovers(self, rollup: ListedObject, leftovers: Originals, odd: Originals) -> None:
        """Delete originals that an earlier run packed but did not delete, after proving that rollup.

        Those whose ETags are not MD5s are read once more: what the index says of them proves nothing.
        """
        verified = verify(self._store, self._group, rollup, leftovers, read_md5s(self._store, odd))
        self._delete(verified)
        if len(verified.originals) != len(leftovers):
            raise DamagedRollup(
                f"s3://{self._store.bucket}/{rollup.key} holds other bytes than "
                f"{len(leftovers) - len(verified.originals)} originals of the same names; those were not deleted: "
                "compare them by hand"
            )

    def _delete(self, verified: Verified) -> None:
        figures, refused = delete_verified(self._store, verified)
        self._done += figures
        if refused is not None:
            raise refused

    def _tick(self, logs: int, size: int) -> None:
        self._on_progress(logs, size)
        if self._pace.is_short:
            raise OutOfTime(f"{self._group} needs a smaller step: the time is nearly over and the rollup is not whole")
