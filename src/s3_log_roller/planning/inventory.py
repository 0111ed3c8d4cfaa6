"""What lies under a prefix: counted exactly, by listing all of it.

Of the objects themselves only the indexes of rollups are read, and only where originals lie beside rollups of their
day: nothing else tells leftovers from late logs.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from s3_log_roller.errors import RollerError
from s3_log_roller.log_keys import DayGroup, parse_log_key, parse_rollup_key
from s3_log_roller.planning.places import Place, place_of
from s3_log_roller.planning.sizes import Measured, measure_sample, model_bytes
from s3_log_roller.rolling.day_listing import list_originals, list_rollups
from s3_log_roller.rolling.fetching import PIECE_BYTES
from s3_log_roller.rolling.leftovers import find_leftovers
from s3_log_roller.rolling.window import Window
from s3_log_roller.rollup.originals import ContentDigest, Originals
from s3_log_roller.rollup.stored import blaming, read_rollup
from s3_log_roller.store import ByteRange, ListedObject, Page, ReadStore, list_objects

KEYS_A_PAGE: Final = 1000
MIN_BILLED_BYTES: Final = 128 << 10
"""Standard-IA and Glacier Instant Retrieval bill a smaller object as if it were so large."""


class CountedStore:
    """A store that counts the requests that reading from it makes, repeated ones aside."""

    def __init__(self, store: ReadStore) -> None:
        self.bucket = store.bucket
        self.lists = 0
        self.gets = 0
        self._store = store

    def list_page(
        self, prefix: str, start_after: str = "", *, max_keys: int = KEYS_A_PAGE, continuation_token: str = ""
    ) -> Page:
        """See `ReadStore.list_page`."""
        self.lists += 1
        return self._store.list_page(prefix, start_after, max_keys=max_keys, continuation_token=continuation_token)

    def fetch(self, ranges: Iterable[ByteRange]) -> Generator[tuple[bytes, bytes], None, None]:
        """See `ReadStore.fetch`."""
        return self._store.fetch(self._counted(ranges))

    def etag_is_md5(self, key: str) -> bool:
        """See `ReadStore.etag_is_md5`."""
        self.gets += 1
        return self._store.etag_is_md5(key)

    def _counted(self, ranges: Iterable[ByteRange]) -> Iterator[ByteRange]:
        for wanted in ranges:
            self.gets += 1
            yield wanted


@dataclass(slots=True)
class Day:
    """What lies in a day group. Archived originals are counted apart: they are in none of the other figures."""

    group: DayGroup
    logs: int = 0
    bytes: int = 0
    billed_bytes: int = 0
    """What a storage class with a minimum bills: each log counts as at least 128 KiB."""
    pieces: int = 0
    """GETs to fetch each of them once."""
    archived: int = 0
    leftovers: int = 0
    """Logs that are members of a rollup already."""
    leftover_bytes: int = 0
    leftover_pieces: int = 0
    rollups: list[ListedObject] = field(default_factory=list)
    holders: list[tuple[ListedObject, int]] = field(default_factory=list)
    """Rollups that have leftovers as members, and how many."""
    index_gets: int = 0
    """It took that many to read the rollups' indexes."""
    content_digest: str = ""
    """Over key, ETag and size of every log; empty unless it was asked for."""
    problem: str = ""
    """Why its rollups could not be read. A run will fail on this day, and say the same."""

    @property
    def to_pack(self) -> int:
        """Logs that no rollup has."""
        return self.logs - self.leftovers

    @property
    def late(self) -> int:
        """How many of these belong to a day that was rolled up before."""
        return self.to_pack if self.rollups else 0

    def count(self, size: int) -> None:
        """Take up one more original, of that many bytes."""
        self.logs += 1
        self.bytes += size
        self.billed_bytes += max(size, MIN_BILLED_BYTES)
        self.pieces += pieces_of(size)


def pieces_of(size: int) -> int:
    """GETs that fetch a log of that many bytes."""
    return max(1, -(-size // PIECE_BYTES))


@dataclass(slots=True)
class Run:
    """Keys that lie side by side in a listing and are logs of one day group, or no logs at all."""

    first: str
    last: str
    group: DayGroup | None
    """Also of days outside the window; None for what is not a log."""
    keys: int
    nested: bool
    """It lies among the keys of another day group."""


@dataclass(slots=True)
class Inventory:
    """Everything under a prefix."""

    bucket: str
    prefix: str
    window: Window
    region: str = ""
    """Where the bucket is."""
    days: list[Day] = field(default_factory=list)
    """The days of the window that have originals, in key order."""
    settled: list[Day] = field(default_factory=list)
    """The days of the window that have rollups and no originals left."""
    young: int = 0
    """Logs of days that are too young, today's among them."""
    outside: int = 0
    """Logs of other days that were not asked for."""
    others: int = 0
    """Objects that are neither logs nor rollups."""
    runs: list[Run] = field(default_factory=list)
    """All keys in order."""
    lists: int = 0
    """LISTs that this inventory took."""
    gets: int = 0
    """GETs that this inventory took: for indexes of rollups, and for the logs that were measured."""
    measured: dict[Place, Measured] = field(default_factory=dict)
    """How well logs compress: by rollups whose indexes were read, and by logs that were read for it."""

    def add_measured(self, group: DayGroup, measured: Measured) -> None:
        """Real bytes of that day group told something."""
        place = place_of(group)
        self.measured[place] = self.measured.get(place, Measured()) + measured


def take_inventory(store: ReadStore, prefix: str, window: Window, *, with_digests: bool = False) -> Inventory:
    """List everything under a prefix. Raises `StorageError` where listing fails."""
    counted = CountedStore(store)
    found = Inventory(store.bucket, prefix, window)
    days: dict[DayGroup, Day] = {}
    digests: dict[DayGroup, ContentDigest] = {}
    runs = _Runs()
    for entry in list_objects(counted, prefix):
        key = entry.key
        log = parse_log_key(key)
        runs.take(key, DayGroup(store.bucket, log.target_prefix, log.day) if log else None)
        parsed = log or parse_rollup_key(key)
        if parsed is None:
            found.others += 1
        elif parsed not in window:
            if log is not None:
                found.young += log.day >= window.cutoff
                found.outside += log.day < window.cutoff
        else:
            group = DayGroup(store.bucket, parsed.target_prefix, parsed.day)
            day = days.get(group)
            if day is None:
                day = days[group] = Day(group)
            if log is None:
                day.rollups.append(entry)
                continue
            if entry.archived:
                day.archived += 1
                continue
            day.count(entry.size)
            if with_digests:
                digest = digests.get(group) or digests.setdefault(group, ContentDigest(log.target_prefix))
                digest.add(key[len(log.target_prefix) :], entry.etag, entry.size)
    found.runs = runs.runs
    for group, digest in digests.items():
        days[group].content_digest = digest.digest().hex()
    for day in days.values():
        if not day.logs and not day.archived:
            found.settled.append(day)
            continue
        if day.logs and (day.rollups or not day.group.rollups_prefix.startswith(prefix)):
            day = _look_closely(counted, day, prefix, found)
        found.days.append(day)
    found.days.sort(key=lambda day: day.group)
    found.lists, found.gets = counted.lists, counted.gets
    return found


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


def _look_closely(store: CountedStore, day: Day, prefix: str, found: Inventory) -> Day:
    """The day with what its rollups say of it. Where the prefix covers only a part of it, all of it is counted."""
    group = day.group
    rollups = day.rollups if group.rollups_prefix.startswith(prefix) else list_rollups(store, group)
    listing = list_originals(store, group, start_after="", max_keys=sys.maxsize, unreadable=())
    looked = Day(group, rollups=rollups, archived=listing.archived)
    looked.content_digest = day.content_digest and listing.originals.content_digest().hex()
    for original in listing.originals:
        looked.count(original.size)
    gets_before = store.gets
    try:
        _tell_leftovers(store, looked, listing.originals, found)
    except RollerError as error:
        looked.problem = str(error)
    looked.index_gets = store.gets - gets_before
    return looked


def _tell_leftovers(store: CountedStore, day: Day, originals: Originals, found: Inventory) -> None:
    indexes = []
    for rollup in day.rollups:
        with blaming(store, rollup):
            index = read_rollup(store, day.group, rollup)
        indexes.append(index)
        modelled = model_bytes(index.footer.members, index.footer.original_bytes)
        found.add_measured(day.group, Measured(index.footer.members, rollup.size, modelled))
    for held in find_leftovers(store, originals, indexes)[1]:
        day.holders.append((held.rollup, len(held.originals)))
        day.leftovers += len(held.originals)
        day.leftover_bytes += held.originals.total_bytes
        day.leftover_pieces += sum(pieces_of(original.size) for original in held.originals)
