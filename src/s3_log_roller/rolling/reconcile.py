"""Bring one day group to its end state, whatever state it is in.

The end state: every original of the day is a verified member of exactly one rollup; if deleting, no original is left.
Reconcile looks at what is there now and moves it there, so a task may be lost, repeated, run twice at once or killed
anywhere: running again always converges. The order of the steps is what makes that true:

1. List the originals, *then* the rollups: an original that is missing because another worker deleted it is in a
   rollup that this list shows.
2. Originals that are members of a rollup are leftovers and are not packed again. Those that may be members of a rollup
   that is archived, and so cannot be read, are left alone.
3. Fetch, pack and upload the others; publish only if the key is free and no other rollup of the day appeared.
4. Verify: read the rollup back and prove every member.
5. Prove leftovers in the same way where the rollup that holds them is young: a process may have been killed between
   publishing it and reading it back, and damage is told of by every run that sees it.
6. Only if deleting: delete what verified rollups hold, and check the answer for every key.
"""

from __future__ import annotations

import logging
from datetime import date
from functools import partial
from typing import Final

from s3_log_roller.errors import DamagedRollup, DayChanged, OutOfTime, StorageError
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rolling.archived import read_indexes, read_outlines, without_uncertain
from s3_log_roller.rolling.day_listing import DayListing, list_originals
from s3_log_roller.rolling.deleting import delete_verified
from s3_log_roller.rolling.destination import RollupPlaces
from s3_log_roller.rolling.fetching import OriginalsArchived
from s3_log_roller.rolling.figures import Figures
from s3_log_roller.rolling.leftovers import Leftovers, find_leftovers, is_young
from s3_log_roller.rolling.manifest import NO_MANIFEST, Manifest
from s3_log_roller.rolling.options import RollOptions
from s3_log_roller.rolling.outcome import RollOutcome, keeping
from s3_log_roller.rolling.pace import Pace
from s3_log_roller.rolling.packing import Tick, pack
from s3_log_roller.rolling.tasks import RollTask
from s3_log_roller.rollup.originals import Originals
from s3_log_roller.rollup.stored import PackedFile
from s3_log_roller.rollup.verify import Verified, verify
from s3_log_roller.store import ListedObject, RollupStore, Store

MAX_LOOKS: Final = 20
MIN_WINDOW_KEYS: Final = 10_000
"""Listed at a time where there is a deadline, at least: ten requests."""
PROOFS_PER_LOG: Final = 2
"""Members that are read back and proven in the time that packing one log takes."""

logger = logging.getLogger(__name__)


def reconcile(
    store: Store,
    task: RollTask,
    options: RollOptions,
    *,
    today: date,
    rollups: RollupStore | None = None,
    manifest: Manifest = NO_MANIFEST,
    pace: Pace | None = None,
    on_progress: Tick | None = None,
) -> RollOutcome:
    """Bring the task's day group to its end state, or as near as the time left allows (`RollOutcome.remaining`).

    Raises a `RollerError` when something stands in the way; whatever was reached until then holds, and no original is
    gone that is not a verified member of a rollup. What was done is with the error: `done_before`.

    Rollups go to `rollups`, by default beside the logs.
    """
    if task.group.day >= today:
        raise StorageError(f"{task.group} is not over yet: today is {today} (UTC); nothing was touched")
    if "\0" in task.group.target_prefix:
        raise StorageError(f"{task.group} has a NUL in its target prefix, which no tarball can hold: untouched")
    on_progress = on_progress or (lambda logs, size: None)
    places = RollupPlaces(store, rollups)
    reconciler = _Reconciler(store, places, task, options, manifest, today, pace or Pace(), on_progress)
    with keeping(reconciler.so_far):
        looks = 0
        while looks < MAX_LOOKS:
            try:
                reconciler.look()
                manifest.sync()
                return reconciler.outcome()
            except DayChanged as change:
                looks += 1
                extra = {
                    "day_group": str(task.group),
                    "why": str(change),
                    "sentence": f"{change}: it is looked at again",
                }
                logger.info("looking_again", extra=extra)
            except OriginalsArchived as archived:
                looks += archived.keys <= reconciler.unreadable
                reconciler.unreadable |= archived.keys
        raise StorageError(f"{task.group} changed {MAX_LOOKS} times while it was rolled up; run again later")


class _Reconciler:
    """One day group, looked at until it is at its end state."""

    def __init__(
        self,
        store: Store,
        places: RollupPlaces,
        task: RollTask,
        options: RollOptions,
        manifest: Manifest,
        today: date,
        pace: Pace,
        on_progress: Tick,
    ) -> None:
        self.unreadable: set[str] = set()
        self._store = store
        self._places = places
        self._group = task.group
        self._task = task
        self._options = options
        self._manifest = manifest
        self._today = today
        self._pace = pace
        self._on_progress = on_progress
        self._done = Figures()
        """What was done in all looks."""
        self._seen = Figures()
        """What was seen in this look."""
        self._rollups: list[str] = []
        self._remaining = 0
        self._nested: set[DayGroup] = set()
        self._proven: set[ListedObject] = set()
        """The rollups that were read back and proven."""

    def outcome(self) -> RollOutcome:
        """What was done, and what the last look saw."""
        figures = self._done + self._seen
        return RollOutcome(self._group, figures, tuple(self._rollups), self._remaining, frozenset(self._nested))

    def so_far(self) -> list[RollOutcome]:
        """What was done, where the day group does not come to its end."""
        return [RollOutcome(self._group, self._done, tuple(self._rollups), remaining=1)]

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
            packed = self._settle(listing)
            if start_after is None:
                return
            if packed or (self._pace.is_short and self._done.deleted > deleted_before):
                self._remaining += 1  # at least: what follows was not listed
                return
            if self._pace.is_short:
                raise OutOfTime(f"{self._group} has too many logs to list them in the time that is left")

    def _settle(self, listing: DayListing) -> bool:
        """Pack those that no rollup has and delete the others; whether there was something to pack."""
        rollups = self._places.list_rollups(self._group)
        seen_none = listing.is_empty and not self._seen.archived and not self._nested
        if seen_none and not rollups and not self._done.deleted:
            raise StorageError(
                f"{self._group} has neither logs nor rollups, although a scan found logs: they expired or were moved "
                "before they were rolled up, or the server does not list what it has; look there before you run again"
            )
        indexes, archived = read_indexes(self._group, rollups if len(listing.originals) else [])
        missing, found = find_leftovers(self._store, listing.originals, indexes)
        loose = without_uncertain(missing, read_outlines(self._group, archived))
        self._seen += Figures(leftovers=len(listing.originals) - len(missing), uncertain=len(missing) - len(loose))
        if len(loose):
            self._roll_up(loose, rollups)
        for leftovers in found:
            if self._options.delete or self._is_to_be_proven(leftovers):
                self._prove(leftovers)
        return len(loose) > 0

    def _is_to_be_proven(self, leftovers: Leftovers) -> bool:
        """Rollups that are young or missing from the manifest are proven, once, and before a deadline if that fits."""
        rollup = leftovers.rollup
        return (
            (is_young(rollup, self._today) or self._manifest.lacks(leftovers.index.file.store.bucket, rollup))
            and rollup not in self._proven
            and leftovers.index.footer.members <= PROOFS_PER_LOG * self._pace.allowance(None)
        )

    def _roll_up(self, loose: Originals, rollups: list[PackedFile]) -> None:
        """Pack as many of the originals as the time left allows, verify the rollup and, if deleting, delete them."""
        allowance = self._pace.allowance(self._task.max_members)
        if allowance < 1:
            raise OutOfTime(f"no time left to start on {self._group}")
        taken = loose if len(loose) <= allowance else loose.head(allowance)
        with self._pace.measuring(len(taken)):
            packed = pack(
                self._store,
                taken,
                self._places.written,
                others=rollups,
                level=self._options.level,
                last_look=partial(self._look_for_others, rollups),
                tick=self._tick,
            )
            written, rollup = self._places.written, packed.rollup
            with_sha256 = self._manifest.wants_sha256
            verified = verify(written, self._group, rollup, taken, packed.md5s, with_sha256=with_sha256)
            if len(verified.originals) != len(taken):
                raise DamagedRollup(
                    f"s3://{written.bucket}/{rollup.key} was read back with "
                    f"{len(verified.originals)} of {len(taken)} members right; no original was deleted: run again"
                )
            self._rollups.append(self._places.name(rollup))
            self._done += Figures(rollups=1, packed=len(taken), bytes_in=taken.total_bytes, bytes_out=rollup.size)
            self._remaining = len(loose) - len(taken)
            self._manifest.add(verified)
            if self._options.delete:
                self._delete(verified)

    def _look_for_others(self, rollups: list[PackedFile]) -> None:
        """Raise `DayChanged` if a rollup appeared meanwhile: it may hold some of the same originals."""
        if self._places.list_rollups(self._group) != rollups:
            raise DayChanged(f"another rollup of {self._group} appeared meanwhile")

    def _prove(self, leftovers: Leftovers) -> None:
        """Prove that a rollup holds the leftovers and, if deleting, delete those it does hold."""
        verified = leftovers.prove(self._store, self._manifest)
        self._proven.add(leftovers.rollup)
        self._seen += Figures(leftovers_proven=len(verified.originals))
        if self._options.delete:
            self._delete(verified)
        if (unlike := leftovers.unlike(verified)) is not None:
            raise unlike

    def _delete(self, verified: Verified) -> None:
        (refused,) = delete_verified(
            self._store, [verified], self._manifest, self._count, versions=self._options.delete_versions
        )
        if refused is not None:
            raise refused

    def _count(self, number: int, figures: Figures) -> None:
        self._done += figures

    def _tick(self, logs: int, size: int) -> None:
        self._on_progress(logs, size)
        if self._pace.is_short:
            raise OutOfTime(f"{self._group} needs a smaller step: the time is nearly over and the rollup is not whole")
