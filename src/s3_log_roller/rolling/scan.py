"""Find the day groups under a prefix without listing every object.

Log keys sort by target prefix, then by date. Where a page of the listing ends among the logs of a day, the rest of that
day is skipped, so the requests grow with the day groups, not with the objects, and are never more than those of a
full listing. Rollups are not skipped: a thousand of them cost one request (docs/decisions/0004-scan.md).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Generator
from typing import NamedTuple

from s3_log_roller.log_keys import DayGroup, LogKey, after_day, looks_like_log, parse_log_key
from s3_log_roller.rolling.outcome import ScanOutcome
from s3_log_roller.rolling.tasks import ScanTask
from s3_log_roller.rolling.window import Window
from s3_log_roller.store import Pager, ReadStore, list_pages
from s3_log_roller.uris import S3Uri, describe_empty

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
    """Logs of the window that the scan has seen before, of all day groups."""
    keys: int
    """Keys of any kind that it has seen before."""
    nested: bool
    """Whether a day group before it may go on behind it."""
    in_order: bool
    """Whether all keys so far came in key order."""


def scan(
    store: ReadStore, task: ScanTask, *, time_left_s: Callable[[], float] = no_deadline, reserve_s: float = 0.0
) -> Generator[Sighting, None, ScanOutcome]:
    """Yield every day group of the task's window under its prefix, in key order.

    Returns where to go on if less than `reserve_s` seconds were left after a page.
    """
    pager = Pager(store.bucket, task.prefix, task.start_after)
    seen = _Seen(S3Uri(store.bucket, task.prefix), task.window, task.start_after)
    requests = 0
    for page in list_pages(store, pager):
        requests += 1
        for entry in page.objects:
            if (sighting := seen.take(entry.key)) is not None:
                yield sighting
        seen.warn_of_disorder()
        pager.skip_to(after_day(seen.last_key))
        seen.last_key = pager.start_after
        # Behind an empty page no key says where to go on: then the time has to do.
        if not pager.ended and not pager.continuation_token and time_left_s() < reserve_s:
            return ScanOutcome(seen.day_groups, requests, pager.start_after, seen.excluded)
    seen.warn_of_strange_keys()
    return ScanOutcome(seen.day_groups, requests, excluded=seen.excluded)


class _Seen:
    """What a scan has seen so far."""

    def __init__(self, uri: S3Uri, window: Window, last_key: str) -> None:
        self.last_key = last_key
        self.day_groups = 0
        self._uri = uri
        self._window = window
        self._keys = 0
        self._logs = 0
        self._logs_of_window = 0
        self._alike = 0
        """Keys that look like logs and are not."""
        self._first_alike = ""
        self._in_order = True
        self._warned = False
        self._open_groups: list[DayGroup] = []
        """Keys of other target prefixes may lie among those of a day (`a/2022-07-01-0/…`), hence a stack."""
        self._excluded: dict[str, set[LogKey]] = {}

    @property
    def excluded(self) -> dict[str, int]:
        """How many day groups each exclusion left out."""
        return {prefix: len(groups) for prefix, groups in self._excluded.items()}

    def take(self, key: str) -> Sighting | None:
        """Look at the next key; the day group that begins with it, if one does."""
        self._in_order = self._in_order and key.encode() > self.last_key.encode()
        before, self.last_key = self.last_key, key
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
        self._logs_of_window += 1
        return self._open(log, key, before)

    def _open(self, log: LogKey, key: str, before: str) -> Sighting | None:
        """Tell of the log's day group, unless it was told of already."""
        open_groups = self._open_groups
        while open_groups and not key.startswith(open_groups[-1].logs_prefix):
            open_groups.pop()
        if any(group.target_prefix == log.target_prefix for group in open_groups):
            return None
        group = DayGroup(self._uri.bucket, log.target_prefix, log.day)
        behind = after_day(before)
        # Late by preference: what is yet to come behind the day groups before, rollups most of all, is theirs.
        behind = max(behind if behind < key else before, group.logs_prefix)
        nested = bool(open_groups)
        open_groups.append(group)
        self.day_groups += 1
        logs, keys = self._logs_of_window - 1, self._keys - 1
        return Sighting(group, key, behind, logs, keys, nested=nested, in_order=self._in_order)

    def warn_of_disorder(self) -> None:
        """Say once that the keys do not come in order.

        SeaweedFS lists `a/x` before `a-x`. Within a folder, all that skipping needs, its order is S3's.
        """
        if self._in_order or self._warned:
            return
        self._warned = True
        sentence = f"the server does not list {self._uri} in the order of keys; no log is missed"
        extra = {"bucket": self._uri.bucket, "prefix": self._uri.prefix, "sentence": sentence}
        logger.warning("listing_not_in_key_order", extra=extra)

    def warn_of_strange_keys(self) -> None:
        """Say, at the end, that nothing was there, or hardly anything but keys that look like logs and are not."""
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
        if not self.last_key:
            extra = {"prefix": prefix, "sentence": describe_empty(self._uri)}
            logger.warning("nothing_under_prefix", extra=extra)
