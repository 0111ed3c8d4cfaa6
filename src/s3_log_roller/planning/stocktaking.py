"""Taking an inventory: counted exactly, by listing everything.

Of the objects themselves only the indexes of rollups are read, and only where originals lie beside rollups of their
day: nothing else tells leftovers from late logs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from random import Random
from typing import Final

from s3_log_roller.errors import RollerError
from s3_log_roller.log_keys import DayGroup, after_day, parse_log_key, parse_rollup_key
from s3_log_roller.planning.counted_store import CountedStore
from s3_log_roller.planning.inventory import Day, Inventory, Run, pieces_of
from s3_log_roller.planning.places import Place, place_of
from s3_log_roller.planning.sampling import estimate_rest
from s3_log_roller.planning.sizes import Measured, measure_sample, model_bytes
from s3_log_roller.rolling.archived import read_indexes, read_outlines, without_uncertain
from s3_log_roller.rolling.day_listing import list_originals
from s3_log_roller.rolling.leftovers import find_leftovers
from s3_log_roller.rolling.window import Window
from s3_log_roller.rollup.originals import ContentDigest, Originals
from s3_log_roller.rollup.stored import PackedFile, first_range, list_rollups
from s3_log_roller.store import PAGE_KEYS, ListedObject, Pager, ReadStore, list_objects, list_pages

AHEAD_DAYS: Final = 250
AHEAD_KEYS: Final = 20_000
AHEAD_BYTES: Final = 8 << 20
"""Days that are looked at closely together: so many, with so many keys in their first pages, and so many bytes that are
read first of their rollups, or one day that has more."""


def take_inventory(
    store: ReadStore,
    prefix: str,
    window: Window,
    *,
    elsewhere: ReadStore | None = None,
    with_digests: bool = False,
    sampling: Random | None = None,
) -> Inventory:
    """List everything under a prefix, and the rollups that lie elsewhere. Raises `StorageError` where listing fails.

    With `sampling`, of a day that goes on behind a page the rest is estimated; days that have rollups are listed whole.
    """
    counted = CountedStore(store)
    taking = _Taking(store.bucket, prefix, window, with_digests=with_digests)
    pager = Pager(store.bucket, prefix)
    for page in list_pages(counted, pager):
        for entry in page.objects:
            taking.take(entry)
        if sampling is not None and page.objects and not pager.ended:
            last_key = page.objects[-1].key
            taking.estimate_rest(counted, last_key, sampling)
            pager.skip_to(after_day(last_key))
    there = None if elsewhere is None else CountedStore(elsewhere)
    if there is not None:
        for entry in list_objects(there, prefix):
            taking.take_rollup(entry._replace(place=there.bucket))
    found = taking.finish()
    unclear = []
    for day in taking.days.values():
        if not day.logs and not day.archived:
            found.settled.append(day)
        elif day.logs and (day.rollups or not day.group.rollups_prefix.startswith(prefix)):
            unclear.append(day)
        else:
            found.days.append(day)
    for together in _batches(unclear):
        rollups = [rollup for day in together for rollup in day.rollups]
        counted.ask_ahead([day.group.logs_prefix for day in together], [one for one in rollups if not one.place])
        if there is not None:
            there.ask_ahead([], [one for one in rollups if one.place])
        found.days += [_look_closely(counted, there, day, prefix, found) for day in together]
    found.days.sort(key=lambda day: day.group)
    found.lists, found.gets = counted.lists, counted.gets
    if there is not None:
        found.lists += there.lists
        found.gets += there.gets
        for day in found.days:
            day.places = 2
    return found


def _batches(days: Iterable[Day]) -> Iterator[list[Day]]:
    """The days in their order, as many at a time as may be asked about at once."""
    batch: list[Day] = []
    keys = n_bytes = 0
    for day in days:
        of_day = min(day.logs, PAGE_KEYS), sum(first_range(rollup).length for rollup in day.rollups)
        keys, n_bytes = keys + of_day[0], n_bytes + of_day[1]
        if batch and (len(batch) == AHEAD_DAYS or keys > AHEAD_KEYS or n_bytes > AHEAD_BYTES):
            yield batch
            batch, (keys, n_bytes) = [], of_day
        batch.append(day)
    if batch:
        yield batch


class _Taking:
    """Takes up the entries of a listing, one after the other."""

    def __init__(self, bucket: str, prefix: str, window: Window, *, with_digests: bool) -> None:
        self.days: dict[DayGroup, Day] = {}
        self._found = Inventory(bucket, prefix, window)
        self._digests: dict[DayGroup, ContentDigest] | None = {} if with_digests else None
        self._runs = _Runs()

    def take(self, entry: ListedObject) -> None:
        """The next entry, in key order."""
        found, key = self._found, entry.key
        log = parse_log_key(key)
        self._runs.take(key, DayGroup(found.bucket, log.target_prefix, log.day) if log else None)
        parsed = log or parse_rollup_key(key)
        if parsed is None:
            found.others += 1
        elif parsed in found.window:
            self._take_of_day(DayGroup(found.bucket, parsed.target_prefix, parsed.day), entry, is_log=log is not None)
        elif log is not None:
            found.young += log.day >= found.window.cutoff
            found.outside += log.day < found.window.cutoff

    def take_rollup(self, entry: ListedObject) -> None:
        """The next entry in the place where rollups go."""
        key = parse_rollup_key(entry.key)
        if key is not None and key in self._found.window:
            self._take_of_day(DayGroup(self._found.bucket, key.target_prefix, key.day), entry, is_log=False)

    def _take_of_day(self, group: DayGroup, entry: ListedObject, *, is_log: bool) -> None:
        day = self.days.get(group)
        if day is None:
            day = self.days[group] = Day(group)
        if not is_log:
            day.rollups.append(entry)
        elif entry.archived:
            day.archived += 1
        else:
            day.count(entry.size)
            if self._digests is not None:
                digest = self._digests.get(group) or self._digests.setdefault(group, ContentDigest(group.target_prefix))
                digest.add(entry.key[len(group.target_prefix) :], entry.etag, entry.size)

    def estimate_rest(self, store: ReadStore, last_key: str, rng: Random) -> None:
        """Add what lies behind the last key of its day, if that day is one of the window."""
        run = self._runs.runs[-1]
        day = self.days.get(run.group) if run.group is not None else None
        if day is None:
            return
        rest = estimate_rest(store, day.group, last_key, rng)
        if not rest.seen:
            return
        like = Day(day.group)
        for entry in rest.seen:
            like.count(entry.size)
        share = rest.logs / like.logs
        day.logs += rest.logs
        day.bytes += round(share * like.bytes)
        day.billed_bytes += round(share * like.billed_bytes)
        day.pieces += round(share * like.pieces)
        day.variance = rest.variance
        run.keys += rest.logs

    def finish(self) -> Inventory:
        """What was found, but for the days."""
        self._found.runs = self._runs.runs
        for group, digest in (self._digests or {}).items():
            self.days[group].content_digest = digest.digest().hex()
        return self._found


def measure(store: ReadStore, found: Inventory, level: int) -> None:
    """Read and pack some logs of each place in memory, to learn how well they compress."""
    counted = CountedStore(store)
    by_place: dict[Place, list[Day]] = {}
    for day in found.days:
        if day.to_pack:
            by_place.setdefault(place_of(day.group), []).append(day)
    for days in by_place.values():
        for day in {id(day): day for day in (days[0], days[len(days) // 2], days[-1])}.values():
            found.add_measured(day.group, measure_sample(counted, day.group, level))
    found.lists += counted.lists
    found.gets += counted.gets


class _Runs:
    """Takes the keys of a listing and compresses them to runs."""

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self._open: list[DayGroup] = []

    def take(self, key: str, group: DayGroup | None) -> None:
        """The next key in order, and whose log it is, if it is one."""
        if self.runs and self.runs[-1].group == group:
            run = self.runs[-1]
            run.last = key
            run.keys += 1
            return
        while self._open and not key.startswith(self._open[-1].logs_prefix):
            self._open.pop()
        nested = group is not None and any(group != other for other in self._open)
        self.runs.append(Run(key, key, group, 1, nested))
        if group is not None and group not in self._open:
            self._open.append(group)


def _look_closely(store: CountedStore, there: CountedStore | None, day: Day, prefix: str, found: Inventory) -> Day:
    """The day with what its rollups say of it. Where the prefix covers only a part of it, all of it is counted."""
    group = day.group
    rollups = day.rollups
    if not group.rollups_prefix.startswith(prefix):
        rollups = list_rollups(store, group)
        if there is not None:
            rollups += [rollup._replace(place=there.bucket) for rollup in list_rollups(there, group)]
    listing = list_originals(store, group, start_after="", max_keys=sys.maxsize, unreadable=())
    looked = Day(group, rollups=rollups, archived=listing.archived)
    looked.content_digest = day.content_digest and listing.originals.content_digest().hex()
    stores = [store] if there is None else [store, there]
    gets_before = sum(one.gets for one in stores)
    counted = [listing.originals]
    try:
        counted = _tell_leftovers({one.bucket: one for one in stores}, looked, listing.originals, found)
    except RollerError as error:
        looked.problem = str(error)
    for original in chain.from_iterable(counted):
        looked.count(original.size)
    looked.uncertain = len(listing.originals) - looked.logs
    looked.index_gets = sum(one.gets for one in stores) - gets_before
    return looked


def _tell_leftovers(
    stores: Mapping[str, ReadStore], day: Day, originals: Originals, found: Inventory
) -> list[Originals]:
    """The originals, in some tables, without those that an archived rollup may hold."""
    indexes, archived = read_indexes(
        day.group, [PackedFile(stores[one.place or day.group.bucket], one) for one in day.rollups]
    )
    day.unread = len(archived)
    for index in indexes:
        modelled = model_bytes(index.footer.members, index.footer.original_bytes)
        found.add_measured(day.group, Measured(index.footer.members, index.file.listed.size, modelled))
    missing, leftovers = find_leftovers(stores[day.group.bucket], originals, indexes)
    loose = without_uncertain(missing, read_outlines(day.group, archived))
    for held in leftovers:
        day.holders.append((held.rollup, len(held.originals)))
        day.leftovers += len(held.originals)
        day.leftover_bytes += held.originals.total_bytes
        day.leftover_pieces += sum(pieces_of(original.size) for original in held.originals)
    return [loose, *(held.originals for held in leftovers)]
