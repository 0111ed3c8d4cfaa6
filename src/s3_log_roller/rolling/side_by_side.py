"""Scan a long listing in several ranges of keys beside each other.

A listing goes on where its last page ended, so one range waits for one page after the other. Where it turns out to be
long, it is divided at its folders: one LIST with a delimiter shows the folders that follow, and everything behind one
of them is listed beside what is before it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Final

from s3_log_roller.errors import StorageError
from s3_log_roller.log_keys import parse_log_key
from s3_log_roller.rolling.outcome import ScanOutcome
from s3_log_roller.rolling.scan import RangeScan, Tally, no_deadline
from s3_log_roller.rolling.spans import Span, SpanCutter
from s3_log_roller.rolling.tasks import ScanTask
from s3_log_roller.store import Store

RANGES_AT_ONCE: Final = 16
LONG_PAGES: Final = 16
"""A range of so many pages is long: dividing it costs a LIST or two, and a page for each new range."""
_MAX_DEPTH: Final = 8
"""Folders inside of each other that are looked into for one that has neighbours."""


def find_spans(
    store: Store, task: ScanTask, *, time_left_s: Callable[[], float] = no_deadline, reserve_s: float = 0.0
) -> Generator[Span, None, ScanOutcome]:
    """Yield what a scan of the task's range comes to, as spans.

    If less than `reserve_s` seconds are left after a page, the outcome has the scans that go on. When the scan fails,
    the day groups that it came to before are handed out first, as ones that go one by one.
    """
    tally = Tally(task)
    ranges = [_Range(task, tally)]
    while ranges:
        pages = store.next_pages([one.scan.pager for one in ranges])
        errors = [page for page in pages if isinstance(page, StorageError)]
        for one, page in zip(ranges, pages, strict=True):
            if not isinstance(page, StorageError):
                for sighting in one.scan.take(page):
                    yield from one.cutter.take(sighting)
            if errors:
                yield from one.cutter.give_up()
        if errors:
            raise errors[0]
        for one in ranges:
            if one.scan.ended:
                yield from one.cutter.end(one.scan.task.end)
        ranges = [one for one in ranges if not one.scan.ended]
        # Behind an empty page no key says where to go on: then the time has to do.
        if time_left_s() < reserve_s and not any(one.scan.pager.continuation_token for one in ranges):
            break
        ranges += _divide_longest(store, ranges, tally)
    for one in ranges:
        yield from one.cutter.end(one.scan.pager.start_after)
    return tally.outcome(tuple(replace(one.scan.task, start_after=one.scan.pager.start_after) for one in ranges))


class _Range:
    def __init__(self, task: ScanTask, tally: Tally) -> None:
        self.scan = RangeScan(task, tally)
        self.cutter = SpanCutter(task)
        self.long_pages = LONG_PAGES


def _divide_longest(store: Store, ranges: list[_Range], tally: Tally) -> list[_Range]:
    """Divide the longest of the ranges if there is room; the new ones."""
    room = RANGES_AT_ONCE - len(ranges)
    long = [one for one in ranges if one.scan.pages >= one.long_pages and one.scan.in_order]
    if not (room and long):
        return []
    longest = max(long, key=lambda one: one.scan.pages)
    longest.long_pages = 2 * longest.scan.pages
    borders = _evenly(_find_borders(store, longest.scan, tally), room)
    if not borders:
        return []
    task = longest.scan.task
    ends = [*borders[1:], task.end]
    longest.scan.task = replace(task, end=borders[0])
    longest.long_pages = longest.scan.pages + LONG_PAGES
    return [_Range(replace(task, start_after=start, end=end), tally) for start, end in zip(borders, ends, strict=True)]


def _evenly(borders: list[str], number: int) -> list[str]:
    """So many of them, or all, so that as many lie before each as behind the last."""
    number = min(number, len(borders))
    return [borders[(at + 1) * len(borders) // (number + 1)] for at in range(number)]


def _find_borders(store: Store, scan: RangeScan, tally: Tally) -> list[str]:
    """Names of folders behind the last page and inside the range, in order, that no day group lies across.

    It looks at the prefix itself first, then into the folder that the listing is in.
    """
    prefix, behind, end = scan.task.prefix, scan.pager.start_after, scan.task.end
    for _ in range(_MAX_DEPTH):
        try:
            level = store.list_folders(prefix, behind)
        except StorageError:
            return []  # the scan goes on, and meets what is in the way
        tally.requests += 1
        first_log = next((key for key in level.keys if parse_log_key(key)), None)
        borders = [
            folder
            for folder in level.folders
            if folder > behind and not (end and folder >= end) and not (first_log and folder > first_log)
        ]
        if borders != sorted(borders):
            return []
        if borders:
            return [] if scan.is_inside_a_day(borders[0]) else borders
        slash = behind.find("/", len(prefix))
        if slash < 0 or not behind.startswith(prefix):
            return []
        prefix = behind[: slash + 1]
    return []
