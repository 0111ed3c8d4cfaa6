"""Neighbouring day groups that one worker does in one pass, and the order in which tasks are sent."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rolling.scan import Sighting
from s3_log_roller.rolling.tasks import RangeTask, ScanTask, WorkTask
from s3_log_roller.store import PAGE_KEYS

SPAN_LOGS: Final = 10_000
"""A span ends with the day group in which this many logs were seen. Of a large day a scan sees a page."""
SPAN_GROUPS: Final = 500
MAX_GROUPS: Final = 2 * SPAN_GROUPS
"""Day groups that lie inside each other have no key between them; if there are more than this, they go one by one."""
SPAN_KEYS: Final = 30_000
"""Keys of any kind, so that rollups and today's logs do not make a span long to list."""
_WELL_FILLED: Final = 0.8
"""A border lies where the pages of the part before it are filled with keys of it, so that it costs few LISTs more."""
_MAX_BORDERS_CHARS: Final = 6_000
"""How long all borders in a message may be together."""
FIRST_MIX: Final = 10
LARGEST_MIX: Final = 1_000
"""Spans mixed at a time: few at first, so that work starts soon; then more, so that it spreads widely."""


@dataclass(slots=True)
class Span:
    """Day groups that lie side by side in a listing."""

    scan: ScanTask
    start_after: str
    first: Sighting
    groups: list[DayGroup] = field(default_factory=list)
    end: str = ""
    """The last key; empty where the span goes on to the end of the prefix."""
    in_order: bool = True
    """Whether all keys came in key order: else no range of keys is known to hold these day groups."""
    borders: list[str] = field(default_factory=list)
    _part_from: int = 0
    """How many keys came before the part that the last day group is in."""
    _last: Sighting | None = None
    """The last day group that the part can be divided before."""
    _borders_chars: int = 0

    def add(self, sighting: Sighting) -> None:
        """Take in the next day group, and divide the span before the one before it where that is worth while."""
        if not self.groups:
            self._part_from = sighting.keys
        elif not sighting.nested:
            self._divide(sighting.keys)
            self._last = sighting
        self.groups.append(sighting.group)
        self.in_order = self.in_order and sighting.in_order

    def end_before(self, following: Sighting) -> None:
        """End where that day group begins."""
        self._divide(following.keys)
        self.end = following.behind

    def _divide(self, keys: int) -> None:
        """Divide the span before its last day group, if that one takes a page more, and those before it fill theirs."""
        if self._last is None:
            return
        keys_before = self._last.keys - self._part_from
        pages = _pages_of(keys_before)
        if pages == _pages_of(keys - self._part_from) or keys_before < _WELL_FILLED * pages * PAGE_KEYS:
            return
        self._part_from = self._last.keys
        self._borders_chars += len(json.dumps(self._last.behind))
        if self._borders_chars <= _MAX_BORDERS_CHARS:
            self.borders.append(self._last.behind)

    def is_full(self, following: Sighting) -> bool:
        """Whether that day group is better left to another span."""
        logs, keys = following.logs - self.first.logs, following.keys - self.first.keys
        return logs >= SPAN_LOGS or keys >= SPAN_KEYS or len(self.groups) >= SPAN_GROUPS

    def tasks(self) -> list[WorkTask]:
        """One task for the range of keys, or one for each day group."""
        scan = self.scan
        borders, groups = tuple(self.borders), len(set(self.groups))
        whole = RangeTask(
            scan.bucket, scan.prefix, scan.window, scan.role, self.start_after, self.end, scan.owner, borders, groups
        )
        if self.in_order and 1 < len(self.groups) <= MAX_GROUPS:
            return [whole]
        return [whole.for_group(group) for group in self.groups]


def _pages_of(keys: int) -> int:
    """Pages of a listing that show so many keys and one behind them, which tells that there are no more."""
    return keys // PAGE_KEYS + 1


class SpanCutter:
    """Makes spans of what the scan of a range comes to; they cover every key up to where it ends."""

    def __init__(self, scan: ScanTask) -> None:
        self._scan = scan
        self._span: Span | None = None

    def take(self, sighting: Sighting) -> Iterator[Span]:
        """The next day group; yields the span that ends before it."""
        span = self._span or Span(self._scan, self._scan.start_after, sighting)
        if (not sighting.nested and span.is_full(sighting)) or len(span.groups) > MAX_GROUPS:
            span.end_before(sighting)
            yield span
            span = Span(self._scan, span.end, sighting)
        span.add(sighting)
        self._span = span

    def end(self, last_key: str) -> Iterator[Span]:
        """The scan ended: with that key, or where it is empty, with the prefix."""
        if self._span is not None:
            self._span.end = last_key
            yield self._span

    def give_up(self) -> Iterator[Span]:
        """The scan failed. Where the last span ends is not known, so its day groups go one by one."""
        if self._span is not None:
            self._span.in_order = False
            yield self._span


def interleave(spans: Iterable[Span]) -> Iterator[Span]:
    """Mix spans so that neighbours begin with different target prefixes, holding at most `LARGEST_MIX` of them."""
    source = iter(spans)
    size = FIRST_MIX
    while True:
        by_prefix: dict[tuple[str, str], deque[Span]] = {}
        for _, span in zip(range(size), source, strict=False):
            group = span.first.group
            by_prefix.setdefault((group.bucket, group.target_prefix), deque()).append(span)
        if not by_prefix:
            return
        while by_prefix:
            for prefix, waiting in list(by_prefix.items()):
                yield waiting.popleft()
                if not waiting:
                    del by_prefix[prefix]
        size = min(LARGEST_MIX, size * 2)
