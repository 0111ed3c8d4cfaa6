"""The small day groups in a range of keys: their originals, and as far as they are listed their rollups.

A pass takes on what the listing shows whole and in order. Everything else goes alone, to reconcile: large days, days
with archived or huge originals, days inside of others, and whatever does not list as S3 does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from s3_log_roller.errors import StorageError
from s3_log_roller.log_keys import DayGroup, after_day, parse_log_key, parse_rollup_key
from s3_log_roller.rolling.fetching import PIECE_BYTES
from s3_log_roller.rolling.tasks import RangeTask
from s3_log_roller.rollup.originals import Originals
from s3_log_roller.store import ListedObject, Page, Pager, Store

MAX_DAY_LOGS: Final = 8_000
MAX_DAY_BYTES: Final = 24 << 20
"""Days with more are not small: they are packed while they are uploaded."""
MAX_LOGS: Final = 50_000
MAX_DAYS: Final = 2_000
"""Listed at a time, however long the range of keys is."""


@dataclass(frozen=True, slots=True)
class SmallDay:
    """A day group that was listed whole."""

    originals: Originals
    rollups: list[ListedObject] | None
    """The day group's rollups; None if this listing does not show them."""


@dataclass(slots=True)
class RangeListing:
    """What lies in a range of keys."""

    days: list[SmallDay] = field(default_factory=list)
    """In key order."""
    alone: list[DayGroup] = field(default_factory=list)
    """Day groups that are not for a pass."""
    go_on_after: str | None = None
    """Where the range goes on, if this is not all of it."""
    in_sight: set[DayGroup] = field(default_factory=set)
    """All day groups of the window of which there are logs or rollups in the range."""


def list_range(store: Store, task: RangeTask) -> RangeListing:
    """List the day groups in the task's range of keys. Raises `StorageError` if that fails."""
    parts = task.parts()
    readers = [_Reader(store.bucket, part, len(parts)) for part in parts]
    while wanted := [(reader, pager) for reader in readers for pager in reader.pagers()]:
        pages = store.next_pages([pager for _, pager in wanted])
        for (reader, pager), page in zip(wanted, pages, strict=True):
            reader.take(pager, page)
    listing = RangeListing()
    for reader in readers:
        part_of_it = reader.listing()
        listing.days += part_of_it.days
        listing.alone += part_of_it.alone
        listing.in_sight |= part_of_it.in_sight
        listing.go_on_after = part_of_it.go_on_after
        if listing.go_on_after is not None:
            break
    return listing


class _Reader:
    """Reads a range of keys page by page, and beside it the rest of days that are longer than a page."""

    def __init__(self, bucket: str, task: RangeTask, readers: int) -> None:
        """It is one of so many that share the memory there is."""
        self._max_logs = MAX_LOGS // readers
        self._max_days = max(1, MAX_DAYS // readers)
        self._bucket = bucket
        self._task = task
        self._range = Pager(bucket, task.prefix, task.start_after)
        self._rest_of_days: dict[DayGroup, Pager] = {}
        self._tables: dict[DayGroup, Originals] = {}
        self._split: set[DayGroup] = set()
        """Days whose originals were not listed in one go with what lies behind them."""
        self._rollups: dict[DayGroup, list[ListedObject]] = {}
        self._alone: dict[DayGroup, None] = {}
        self._open: list[DayGroup] = []
        self._last_key = task.start_after
        self._in_order = True
        self._logs = 0
        self._ended = False
        self._listed_to_the_end = False
        self._go_on_after: str | None = None

    def pagers(self) -> list[Pager]:
        """The listings of which the next page is wanted; none when all is listed."""
        return [*([] if self._ended else [self._range]), *self._rest_of_days.values()]

    def take(self, pager: Pager, page: Page | StorageError) -> None:
        """Take a page of one of the listings."""
        if pager is self._range:
            if isinstance(page, StorageError):
                raise page
            self._take_of_range(page)
        else:
            group = next(group for group, other in self._rest_of_days.items() if other is pager)
            self._take_of_day(group, page)

    def listing(self) -> RangeListing:
        """What was found."""
        for group in self._tables if not self._in_order else ():
            self._alone[group] = None
        days = [
            SmallDay(originals, self._rollups.get(group, []) if self._shows_rollups(group) else None)
            for group, originals in self._tables.items()
            if group not in self._alone
        ]
        rolled_up = {group for group in self._rollups if group in self._task.window}
        in_sight = rolled_up | self._tables.keys() | self._alone.keys()
        return RangeListing(days, list(self._alone), self._go_on_after, in_sight)

    def _take_of_range(self, page: Page) -> None:
        for entry in page.objects:
            if self._task.end and entry.key > self._task.end:
                # In no order, what belongs to the range may follow; then everything goes alone anyway.
                if self._in_order and not self._ended:
                    self._ended = True
                    self._last_key = self._task.end
                continue
            self._in_order = self._in_order and entry.key > self._last_key
            if self._ended:
                return
            self._take_entry(entry)
            self._last_key = entry.key
        if self._ended:
            return
        self._ended = self._range.ended
        self._listed_to_the_end = self._ended
        if not self._ended and self._open:
            self._skip_rest_of(self._open[0], page)

    def _skip_rest_of(self, group: DayGroup, page: Page) -> None:
        """Where a page shows nothing but one day, list the rest of that day beside what follows it, or not at all."""
        first, last = page.objects[0].key, page.objects[-1].key
        if not (first.startswith(group.logs_prefix) and last.startswith(group.logs_prefix)):
            return
        if last >= group.behind_logs:  # all its logs were listed; days that follow inside of it go alone
            self._range.skip_to(after_day(last))
        else:
            if group not in self._alone:
                self._rest_of_days[group] = Pager(self._bucket, group.logs_prefix, last)
                self._split.add(group)
            self._range.skip_to(group.behind_logs)
        self._last_key = self._range.start_after

    def _take_of_day(self, group: DayGroup, page: Page | StorageError) -> None:
        if isinstance(page, StorageError):
            self._alone[group] = None
        else:
            for entry in page.objects:
                if not self._take_log(group, entry):
                    self._take_nested(entry)
        if group in self._alone or self._rest_of_days[group].ended:
            del self._rest_of_days[group]

    def _take_nested(self, entry: ListedObject) -> None:
        log = parse_log_key(entry.key)
        if log is not None and log in self._task.window:
            self._alone[DayGroup(self._bucket, log.target_prefix, log.day)] = None

    def _take_entry(self, entry: ListedObject) -> None:
        key = entry.key
        if self._open and key.startswith(self._open[-1].logs_prefix) and self._take_log(self._open[-1], entry):
            return
        log = parse_log_key(key)
        if log is None:
            rollup = parse_rollup_key(key)
            if rollup is not None:
                group = DayGroup(self._bucket, rollup.target_prefix, rollup.day)
                self._rollups.setdefault(group, []).append(entry)
            return
        if log not in self._task.window:
            return
        while self._open and not key.startswith(self._open[-1].logs_prefix):
            self._open.pop()
        group = DayGroup(self._bucket, log.target_prefix, log.day)
        if group not in self._open:
            if not self._open and self._is_full():
                self._go_on_after = group.logs_prefix
                self._ended = True
                return
            if self._open:
                self._alone[group] = None
            self._open.append(group)
        self._take_log(group, entry)

    def _is_full(self) -> bool:
        return self._logs >= self._max_logs or len(self._tables) + len(self._alone) >= self._max_days

    def _take_log(self, group: DayGroup, entry: ListedObject) -> bool:
        """Add an entry to the day group's table, if it is one of its logs. False if it is not."""
        suffix = entry.key[len(group.target_prefix) :]
        if group in self._alone:
            log = parse_log_key(entry.key)
            return log is not None and log.target_prefix == group.target_prefix
        table = self._tables.get(group)
        if table is None:
            table = self._tables[group] = Originals(group)
        try:
            if not table.append(suffix, entry.etag, entry.size, entry.mtime):
                return False
        except StorageError:
            self._send_alone(group)
            return True
        self._logs += 1
        if (
            entry.archived
            or entry.size > PIECE_BYTES
            or not group.target_prefix.isprintable()  # a NUL fits no tarball, others no DeleteObjects call
            or len(table) > MAX_DAY_LOGS
            or table.total_bytes > MAX_DAY_BYTES
        ):
            self._send_alone(group)
        return True

    def _send_alone(self, group: DayGroup) -> None:
        self._alone[group] = None
        self._tables.pop(group, None)

    def _shows_rollups(self, group: DayGroup) -> bool:
        """Whether the day's rollups were listed, and behind its originals."""
        return (
            group not in self._split
            and group.rollups_prefix.startswith(self._task.prefix)
            and (self._listed_to_the_end or self._last_key > group.rollups_prefix + "~")
        )
