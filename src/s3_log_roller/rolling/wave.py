"""Many small day groups brought to their end states together, one step for all after the other.

The steps are those of reconcile, and keep its order for every single day group: rollups are listed behind the
originals, leftovers are not packed again, the last look comes when all that takes time is done and before every attempt
to publish, every rollup is read back and proven, and only what is proven is deleted. What cannot be done for a day
group stops that one alone; it is left to reconcile, which looks again at everything and tells what is wrong.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import closing
from datetime import date
from io import BytesIO
from itertools import islice
from typing import Final

from s3_log_roller.errors import DamagedRollup, DayChanged, NewerFormat, ObjectArchived, StorageError
from s3_log_roller.rolling.archived import try_outlines, without_uncertain
from s3_log_roller.rolling.deleting import delete_verified
from s3_log_roller.rolling.destination import RollupPlaces
from s3_log_roller.rolling.figures import Figures
from s3_log_roller.rolling.leftovers import find_leftovers, is_young
from s3_log_roller.rolling.manifest import Manifest
from s3_log_roller.rolling.options import RollOptions
from s3_log_roller.rolling.packing import Tick, name, outline
from s3_log_roller.rolling.range_listing import SmallDay
from s3_log_roller.rolling.wave_day import Day, NotForAPass
from s3_log_roller.rolling.wave_packing import pack_days
from s3_log_roller.rollup.stored import READ_BYTES, Index, PackedFile, blaming, read_index
from s3_log_roller.rollup.verify import Verified, verify, verify_index
from s3_log_roller.store import ByteRange, ListedObject, NewObject, RollupStore, Store

MAX_ROLLUPS: Final = 4
"""A day group with more rollups goes alone."""


_OF_ONE_DAY: Final = (StorageError, DamagedRollup, NewerFormat)
"""Errors that stop one day group and let the others go on."""


class Wave:
    """Some small day groups of one bucket. The first of them, as many as fit into memory together, are rolled."""

    def __init__(
        self,
        store: Store,
        places: RollupPlaces,
        listed: Sequence[SmallDay],
        options: RollOptions,
        manifest: Manifest,
        today: date,
        tick: Tick,
    ) -> None:
        self.days = [
            Day(day.originals, [PackedFile(store, one) for one in day.rollups or []], day.originals) for day in listed
        ]
        self._to_look_at = [
            day for day, shown in zip(self.days, listed, strict=True) if shown.rollups is None or places.are_elsewhere
        ]
        self._store = store
        self._places = places
        self._options = options
        self._manifest = manifest
        self._today = today
        self._tick = tick

    def roll(self) -> None:
        """Do all steps; `days` are those that were rolled then, and not those that were put off.

        Raises what would stop all day groups, and what `tick` raises before anything is published.
        """
        self._list_rollups()
        self._find_leftovers()
        put_off = pack_days(self._store, self._going(), self._options.level, self._tick)
        if put_off is not None:
            del self.days[self.days.index(put_off) :]
        published = self._publish()
        self._read_back(published)
        self._manifest.sync()
        if self._options.delete:
            self._delete()

    def _going(self) -> list[Day]:
        return [day for day in self.days if not day.stopped]

    def _list_rollups(self) -> None:
        """Where the listing of the originals did not show them."""
        found = self._places.find_rollups([day.group for day in self._to_look_at]) if self._to_look_at else {}
        for day in self._to_look_at:
            rollups = found[day.group]
            if isinstance(rollups, StorageError):
                day.stop(rollups)
            else:
                day.rollups = rollups

    def _find_leftovers(self) -> None:
        """Read the rollups there are, each with one request, and take out of `loose` what they have."""
        for day in self._going():
            wanted = [_wanted(rollup).length for rollup in day.rollups]
            in_two_places = any(rollup.store is not day.rollups[0].store for rollup in day.rollups)
            if len(wanted) > MAX_ROLLUPS or sum(wanted) > READ_BYTES or not all(wanted) or in_two_places:
                day.stop(NotForAPass(f"{day.group} has many rollups, large or empty ones, or some in two places"))
        for place in self._places.all:
            days = [day for day in self._going() if day.rollups and day.rollups[0].store is place]
            self._read_rollups(place, days)
        self._leave_uncertain()

    def _read_rollups(self, place: RollupStore, days: list[Day]) -> None:
        files = [rollup for day in days for rollup in day.rollups]
        with closing(place.fetch_each(map(_wanted, files))) as bodies:
            answers = zip(files, bodies, strict=True)
            for day in days:
                read = [next(answers) for _ in day.rollups]
                # S3 says whether one can be read: some that are archived list like any other, and the other way round.
                day.unread = [file for file, answer in read if isinstance(answer, ObjectArchived)]
                readable = [(file, answer) for file, answer in read if not isinstance(answer, ObjectArchived)]
                try:
                    if any(file.listed.archived and not isinstance(answer, StorageError) for file, answer in readable):
                        raise NotForAPass(f"{day.group} has rollups that were restored from an archive tier")
                    self._split(day, [_read_index(day, file, answer) for file, answer in readable])
                except _OF_ONE_DAY as error:
                    day.stop(error)

    def _leave_uncertain(self) -> None:
        """Take out of `loose` what rollups that can't be read may have."""
        days = [day for day in self._going() if day.unread and len(day.loose)]
        outlines = iter(try_outlines((day.group, rollup) for day in days for rollup in day.unread))
        for day in days:
            known = []
            for told in islice(outlines, len(day.unread)):
                if isinstance(told, StorageError):
                    day.stop(told)
                else:
                    known.append(told)
            missing = len(day.loose)
            day.loose = without_uncertain(day.loose, known)
            day.seen += Figures(uncertain=missing - len(day.loose))

    def _split(self, day: Day, indexes: list[Index]) -> None:
        day.loose, found = find_leftovers(self._store, day.originals, indexes)
        for leftovers in found:
            day.seen += Figures(leftovers=len(leftovers.originals))
            rollup = leftovers.rollup
            lacking = self._manifest.lacks(leftovers.index.file.store.bucket, rollup)
            if not (self._options.delete or is_young(rollup, self._today) or lacking):
                continue
            if len(leftovers.odd):
                raise NotForAPass(f"{day.group} has leftovers that must be read once more")
            verified = leftovers.prove(self._store, self._manifest)
            if (unlike := leftovers.unlike(verified)) is not None:
                raise unlike
            day.seen += Figures(leftovers_proven=len(verified.originals))
            day.proven.append(verified)

    def _publish(self) -> list[tuple[Day, PackedFile]]:
        """Write the rollups under their names; those that were written."""
        by_key: dict[str, Day] = {}
        for day in self._going():
            if day.writer is not None:
                try:
                    by_key[name(day.loose, day.rollups)] = day
                except StorageError as error:
                    day.stop(error)
        objects = {key: _take_rollup(day) for key, day in by_key.items()}
        sizes = {key: len(new.body) for key, new in objects.items()}
        published = []
        written = self._places.written
        answers = written.publish_all(objects, lambda keys: self._look_for_others(by_key, keys)) if objects else {}
        for key, answer in answers.items():
            if isinstance(answer, StorageError):
                by_key[key].stop(answer)
            else:
                listed = ListedObject(key, answer, sizes[key], 0, archived=False)
                published.append((by_key[key], PackedFile(written, listed)))
        return published

    def _look_for_others(self, by_key: dict[str, Day], keys: Collection[str]) -> list[str]:
        """The keys of those day groups for which no other rollup appeared meanwhile."""
        found = self._places.find_rollups([by_key[key].group for key in keys])
        for key in keys:
            day = by_key[key]
            now = found[day.group]
            if isinstance(now, StorageError):
                day.stop(now)
            elif now != day.rollups:
                day.stop(DayChanged(f"another rollup of {day.group} appeared meanwhile"))
        return [key for key in keys if not by_key[key].stopped]

    def _read_back(self, published: list[tuple[Day, PackedFile]]) -> None:
        """Prove every rollup, the small ones with one request each."""
        with_sha256 = self._manifest.wants_sha256
        small = [(day, file) for day, file in published if file.listed.size <= READ_BYTES]
        with closing(self._places.written.fetch_each(file.whole_range() for _, file in small)) as bodies:
            for (day, file), answer in zip(small, bodies, strict=True):
                try:
                    index = _read_index(day, file, answer)
                    self._take_proof(day, verify_index(index, day.loose, day.md5s, with_sha256=with_sha256))
                except _OF_ONE_DAY as error:
                    day.stop(error)
        for day, file in published:
            if file.listed.size > READ_BYTES:
                try:
                    verified = verify(file.store, day.group, file.listed, day.loose, day.md5s, with_sha256=with_sha256)
                    self._take_proof(day, verified)
                except _OF_ONE_DAY as error:
                    day.stop(error)

    def _take_proof(self, day: Day, verified: Verified) -> None:
        if len(verified.originals) != len(day.loose):
            raise DamagedRollup(f"s3://{verified.bucket}/{verified.rollup.key} does not hold all that was packed")
        day.proven.append(verified)
        day.written.append(self._places.name(verified.rollup))
        rollup_bytes = verified.rollup.size
        day.done += Figures(rollups=1, packed=len(day.loose), bytes_in=day.loose.total_bytes, bytes_out=rollup_bytes)
        self._manifest.add(verified)

    def _delete(self) -> None:
        """Delete what was proven, of all day groups in common calls."""
        proven = [(day, verified) for day in self._going() for verified in day.proven]
        if not proven:
            return

        def count(number: int, figures: Figures) -> None:
            proven[number][0].done += figures

        rollups, versions = [verified for _, verified in proven], self._options.delete_versions
        answers = delete_verified(self._store, rollups, self._manifest, count, versions=versions)
        for (day, _), refused in zip(proven, answers, strict=True):
            if refused is not None:
                day.stop(refused)


def _take_rollup(day: Day) -> NewObject:
    """The rollup that was packed in memory, which is let go of."""
    body = day.packed.getvalue()
    day.packed = BytesIO()
    return NewObject(body, outline(day.loose, day.writer) if day.writer else {})


def _wanted(rollup: PackedFile) -> ByteRange:
    """All of a rollup, or one byte of one that lists as archived: enough to learn whether it can be read."""
    listed = rollup.listed
    return ByteRange.part(listed.key, listed.etag, range(1)) if listed.archived else rollup.whole_range()


def _read_index(day: Day, file: PackedFile, answer: tuple[bytes, bytes] | StorageError) -> Index:
    if isinstance(answer, StorageError):
        raise answer
    with blaming(file.store, file.listed):
        return read_index(file.with_tail(answer[0]), day.group)
