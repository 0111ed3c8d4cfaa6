"""Find the day groups in a range of keys without listing every object.

Log keys sort by target prefix, then by date. Where a page of the listing ends among the logs of a day, the rest of that
day is skipped, so the requests grow with the day groups, not with the objects, and are never more than those of a
full listing. Rollups are not skipped: a thousand of them cost one request (docs/decisions/0004-scan.md).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Generator
from typing import Final, NamedTuple

from s3_log_roller.log_keys import DayGroup, LogKey, after_day, looks_like_log, parse_log_key
from s3_log_roller.rolling.outcome import ScanOutcome
from s3_log_roller.rolling.tasks import ScanTask
from s3_log_roller.store import Page, Pager, ReadStore, list_pages
from s3_log_roller.uris import S3Uri, describe_empty

UNSEEN_PAGES: Final = 2
"""A day that fills a whole page counts as so many pages of logs more: the scan skips them unseen."""

logger = logging.getLogger(__name__)


def no_deadline() -> float:
    """The time left if there is no deadline."""
    return math.inf


class Sighting(NamedTuple):
    """A day group, as a scan comes to it."""

    group: DayGroup
    key: str
    """The day group's first key."""
    behind: str
    """A key that sorts behind everything of the day groups before and before everything of this one."""
    logs: int
    """Logs of the window before, of all day groups: those that were seen, and what is supposed of large days."""
    keys: int
    """Keys of any kind that it has seen before."""
    nested: bool
    """Whether a day group before it may go on behind it."""
    in_order: bool
    """Whether all keys so far came in key order."""


def scan(store: ReadStore, task: ScanTask) -> Generator[Sighting, None, ScanOutcome]:
    """Yield every day group of the task's window in its range of keys, in key order."""
    tally = Tally(task)
    scanning = RangeScan(task, tally)
    for page in list_pages(store, scanning.pager):
        yield from scanning.take(page)
        if scanning.ended:
            break
    return tally.outcome()


class RangeScan:
    """One range of keys, as its pages come in."""

    def __init__(self, task: ScanTask, tally: Tally) -> None:
        self.task = task
        self.pager = Pager(task.bucket, task.prefix, task.start_after)
        self.pages = 0
        self.in_order = True
        """Whether all keys so far came in key order."""
        self._tally = tally
        self._last_key = task.start_after
        self._keys = 0
        self._logs_of_window = 0
        self._open_groups: list[DayGroup] = []
        """Keys of other target prefixes may lie among those of a day (`a/2022-07-01-0/…`), hence a stack."""

    @property
    def ended(self) -> bool:
        """Whether the range has no further page."""
        return self.pager.ended

    def is_inside_a_day(self, key: str) -> bool:
        """Whether that key behind the last page may lie between the logs of a day that was seen."""
        return any(key.startswith(group.logs_prefix) for group in self._open_groups)

    def take(self, page: Page) -> list[Sighting]:
        """Look at the next page, which the pager has moved on behind; the day groups that begin on it."""
        self.pages += 1
        self._tally.requests += 1
        sightings = []
        for entry in page.objects:
            if self.task.end and entry.key > self.task.end:
                if self.in_order:
                    self.pager.ended = True
                    break
                continue  # in no order, what belongs to the range may follow
            if (sighting := self._take_key(entry.key)) is not None:
                sightings.append(sighting)
        if not self.in_order:
            self._tally.warn_of_disorder()
        if page.truncated and self._is_of_one_day(page):
            self._logs_of_window += UNSEEN_PAGES * len(page.objects)
        self.pager.skip_to(after_day(self._last_key))
        self._last_key = self.pager.start_after
        return sightings

    def _is_of_one_day(self, page: Page) -> bool:
        if not (page.objects and self._open_groups):
            return False
        prefix = self._open_groups[0].logs_prefix
        return page.objects[0].key.startswith(prefix) and page.objects[-1].key.startswith(prefix)

    def _take_key(self, key: str) -> Sighting | None:
        self.in_order = self.in_order and key.encode() > self._last_key.encode()
        before, self._last_key = self._last_key, key
        self._keys += 1
        log = self._tally.take(key)
        if log is None:
            return None
        self._logs_of_window += 1
        open_groups = self._open_groups
        while open_groups and not key.startswith(open_groups[-1].logs_prefix):
            open_groups.pop()
        if any(group.target_prefix == log.target_prefix for group in open_groups):
            return None
        group = DayGroup(self.task.bucket, log.target_prefix, log.day)
        behind = after_day(before)
        # Late by preference: what is yet to come behind the day groups before, rollups most of all, is theirs.
        behind = max(behind if behind < key else before, group.logs_prefix)
        nested = bool(open_groups)
        open_groups.append(group)
        self._tally.day_groups += 1
        logs, keys = self._logs_of_window - 1, self._keys - 1
        return Sighting(group, key, behind, logs, keys, nested=nested, in_order=self.in_order)


class Tally:
    """What was seen of a whole scan, in all of its ranges."""

    def __init__(self, task: ScanTask) -> None:
        self.day_groups = 0
        self.requests = 0
        self._uri = S3Uri(task.bucket, task.prefix)
        self._window = task.window
        self._from_the_start = not task.start_after
        self._keys = 0
        self._logs = 0
        self._alike = 0
        """Keys that look like logs and are not."""
        self._first_alike = ""
        self._warned = False
        self._excluded: dict[str, set[LogKey]] = {}

    def outcome(self, rest: tuple[ScanTask, ...] = ()) -> ScanOutcome:
        """What the scan came to; warns of what is strange, unless there is a rest to be scanned later."""
        if not rest:
            self._warn_of_strange_keys()
        excluded = {prefix: len(groups) for prefix, groups in self._excluded.items()}
        return ScanOutcome(self.day_groups, self.requests, rest, excluded)

    def take(self, key: str) -> LogKey | None:
        """Count a key; the log that it names, if that is one of the window."""
        self._keys += 1
        log = parse_log_key(key)
        if log is None:
            if looks_like_log(key):
                self._alike += 1
                self._first_alike = self._first_alike or key
            return None
        self._logs += 1
        if not self._window.has_day(log.day):
            return None
        if (exclusion := self._window.exclusion_of(log)) is not None:
            self._excluded.setdefault(exclusion, set()).add(log)
            return None
        return log

    def warn_of_disorder(self) -> None:
        """Say once that the keys do not come in order.

        SeaweedFS lists `a/x` before `a-x`. Within a folder, all that skipping needs, its order is S3's.
        """
        if self._warned:
            return
        self._warned = True
        sentence = f"the server does not list {self._uri} in the order of keys; no log is missed"
        extra = {"bucket": self._uri.bucket, "prefix": self._uri.prefix, "sentence": sentence}
        logger.warning("listing_not_in_key_order", extra=extra)

    def _warn_of_strange_keys(self) -> None:
        """Say that nothing was there, or hardly anything but keys that look like logs and are not."""
        prefix = str(self._uri)
        if self._alike > self._logs:
            what = "1 key looks like an access log and was"
            if self._alike > 1:
                what = f"{self._alike:,} keys look like access logs and were"
            sentence = (
                f"under {prefix} {what} left alone (the first is {self._first_alike}): the names of S3's logs end "
                "with a date and time that exist and 16 upper-case hexadecimal digits, so these logs are not S3's, "
                "or were renamed"
            )
            extra = {"prefix": prefix, "keys": self._alike, "first": self._first_alike, "sentence": sentence}
            logger.warning("keys_like_logs", extra=extra)
        if self._from_the_start and not self._keys:
            extra = {"prefix": prefix, "sentence": describe_empty(self._uri)}
            logger.warning("nothing_under_prefix", extra=extra)
