"""The course that a run will take through a bucket: its scan, its ranges of keys, its passes and their waves.

Spans are cut by `rolling.spans` itself, from what a scan of the listing would see. What a range lists, and what its
waves do, follows `rolling.range_listing` and `rolling.wave`; tests hold the sums to what a counting server saw.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Final

from s3_log_roller.log_keys import DayGroup
from s3_log_roller.planning.inventory import Day, Inventory, Run
from s3_log_roller.planning.requests import Requests, batches_of, pages_of, read_back, requests_alone, sum_requests
from s3_log_roller.rolling.leftovers import is_young
from s3_log_roller.rolling.outcome import ScanOutcome
from s3_log_roller.rolling.passes import WAVE_DAYS, WAVE_LOGS
from s3_log_roller.rolling.range_listing import MAX_DAY_BYTES, MAX_DAY_LOGS
from s3_log_roller.rolling.scan import UNSEEN_PAGES, Sighting
from s3_log_roller.rolling.spans import Span, SpanCutter
from s3_log_roller.rolling.tasks import RangeTask, ScanTask
from s3_log_roller.rolling.wave import MAX_ROLLUPS
from s3_log_roller.rolling.wave_packing import PACKED_BYTES
from s3_log_roller.rolling.window import Window
from s3_log_roller.rollup.stored import READ_BYTES
from s3_log_roller.store import PAGE_KEYS

ROUND_TRIP_S: Final = 0.025
STEPS: Final = 8
"""Round trips in a row for a day group alone, and for a wave."""
LIST_PAGE_S: Final = 0.1
LOGS_A_SECOND: Final = 3_000
"""The rate on one vCPU, which Lambda gives at `FULL_CORE_MB` (docs/evidence/scale.md)."""
DAYS_A_SECOND: Final = 1_000
"""Each rollup in a wave takes its share of a second on top."""
FULL_CORE_MB: Final = 1_769


@dataclass(frozen=True, slots=True)
class PlannedDay:
    """A day group, and the rollup that it will get."""

    found: Day
    rollup_bytes: int
    """Its estimated size; 0 where there is nothing to pack."""

    @property
    def group(self) -> DayGroup:
        """Whose it is."""
        return self.found.group


@dataclass(frozen=True, slots=True)
class Course:
    """What a run will do, in sums."""

    requests: Requests = Requests()  # noqa: RUF009 - it is frozen
    tasks: int = 0
    """Messages and invocations on Lambda: ranges of keys, and day groups alone."""
    lambda_s: float = 0.0
    """Billed time of these invocations."""

    def __add__(self, other: Course) -> Course:
        return Course(self.requests + other.requests, self.tasks + other.tasks, self.lambda_s + other.lambda_s)


@dataclass(frozen=True, slots=True)
class Manner:
    """How the run will be made."""

    today: date
    delete: bool
    lambda_memory_mb: int

    def seconds(self, lists: int, logs: int, rollups: int) -> float:
        """Time on Lambda of something that waits for its steps once."""
        core = min(1.0, self.lambda_memory_mb / FULL_CORE_MB)
        work = logs / LOGS_A_SECOND + rollups / DAYS_A_SECOND
        return STEPS * ROUND_TRIP_S + LIST_PAGE_S * max(0, lists - 3) + work / core


def plan_course(found: Inventory, days: Sequence[PlannedDay], manner: Manner) -> Course:
    """The course through everything that an inventory found."""
    by_group = {day.group: day for day in days}
    spans = cut(found.runs, ScanTask(found.bucket, found.prefix, found.window))
    starts = {group: number for number, run in reversed(list(enumerate(found.runs))) if (group := run.group)}
    nested = {run.group for run in found.runs if run.nested}
    course = Course(Requests(list=spans.lists))
    for span in spans.spans:
        for task in span.tasks():
            if isinstance(task, RangeTask):
                start = starts[span.groups[0]] if task.start_after else 0
                planned = [by_group[group] for group in span.groups if group in by_group]
                small = [day for day in planned if _is_small(day.found) and day.group not in nested]
                alone = [day for day in planned if day not in small]
                course += _range(_list_range(found.runs, start, task, alone), small, alone, manner)
            elif task.group in by_group:
                course += _alone(by_group[task.group], manner)
    return course


@dataclass(frozen=True, slots=True)
class Cut:
    """Spans, and the LISTs of the scan that found them."""

    spans: list[Span]
    lists: int


def cut(runs: Sequence[Run], scan: ScanTask) -> Cut:
    """What a producer would make of these keys."""
    cutter, spans = SpanCutter(scan), list[Span]()
    seen = sightings(runs, scan.window)
    while True:
        try:
            spans += cutter.take(next(seen))
        except StopIteration as stop:
            return Cut([*spans, *cutter.end("")], stop.value.requests)


def sightings(runs: Sequence[Run], window: Window) -> Generator[Sighting, None, ScanOutcome]:
    """What a scan sees of these keys, page by page; where a page ends in a day, the rest of that day is skipped."""
    seen: set[DayGroup] = set()
    lists = logs = keys = at = offset = 0
    while True:
        lists += 1
        room = PAGE_KEYS
        first = runs[at] if at < len(runs) else None
        in_window = first is not None and first.group is not None and first.group in window
        is_of_one_day = in_window and first is not None and first.keys - offset >= PAGE_KEYS
        while room and at < len(runs):
            run = runs[at]
            group = run.group if run.group is not None and run.group in window else None
            if group is not None and group not in seen:
                seen.add(group)
                behind = runs[at - 1].last if at else ""
                yield Sighting(group, run.first, behind, logs, keys, nested=run.nested, in_order=True)
            taken = min(room, run.keys - offset)
            keys += taken
            logs += taken if group is not None else 0
            room, offset = room - taken, offset + taken
            if offset == run.keys:
                at, offset = at + 1, 0
        if at == len(runs):
            return ScanOutcome(len(seen), lists)
        logs += UNSEEN_PAGES * PAGE_KEYS if is_of_one_day else 0
        if offset and runs[at].group is not None:
            at, offset = at + 1, 0


def _range(listing: _Listing, small: Sequence[PlannedDay], alone: Sequence[PlannedDay], manner: Manner) -> Course:
    """A range of keys: it is listed, its small days are done in waves, all others alone."""
    course = Course(Requests(list=listing.lists), 1)
    for wave in _waves(small):
        course += _wave(wave, listing, manner)
    return sum((_alone(day, manner) for day in alone), course)


@dataclass(frozen=True, slots=True)
class _Listing:
    lists: int
    last: str
    """The last key shown; empty where the range was listed to the end of the prefix."""
    split: set[DayGroup]
    """Days whose rest was listed beside what follows."""

    def shows_rollups(self, group: DayGroup) -> bool:
        return group not in self.split and (not self.last or self.last > f"{group.rollups_prefix}~")


def _list_range(runs: Sequence[Run], start: int, task: RangeTask, alone: Sequence[PlannedDay]) -> _Listing:
    """The pages of a range, from that run on. The rest of a day that fills a page is listed beside what follows it."""
    lists, at, offset = 0, start, 0
    not_listed = {day.group for day in alone}
    split: set[DayGroup] = set()
    while True:
        lists += 1
        first, room = at, PAGE_KEYS
        while room and at < len(runs):
            taken = min(room, runs[at].keys - offset)
            room, offset = room - taken, offset + taken
            if offset == runs[at].keys:
                at, offset = at + 1, 0
        if at == len(runs):
            return _Listing(lists, "" if not task.end else task.end, split)
        if task.end and runs[at].first > task.end:
            return _Listing(lists, task.end, split)
        ends_with = at if offset else at - 1
        run = runs[ends_with]
        if first == ends_with and run.group is not None:
            if run.group not in not_listed or run.keys > MAX_DAY_LOGS:
                shown = offset or run.keys
                lists += pages_of(max(0, min(run.keys, MAX_DAY_LOGS + 1) - shown))
                split.add(run.group)
            at, offset = ends_with + 1, 0


def _is_small(day: Day) -> bool:
    rollups = [rollup.size for rollup in day.rollups if not rollup.archived]
    return (
        day.logs + day.uncertain <= MAX_DAY_LOGS
        and day.bytes <= MAX_DAY_BYTES
        and day.pieces == day.logs
        and not day.archived
        and not day.problem
        and not any(rollup.place != day.rollups[0].place for rollup in day.rollups)
        and len(day.rollups) <= MAX_ROLLUPS
        and sum(rollups) <= READ_BYTES
    )


def _waves(days: Sequence[PlannedDay]) -> Iterator[list[PlannedDay]]:
    wave: list[PlannedDay] = []
    logs = packed_bytes = 0
    for day in days:
        too_many = logs + day.found.logs > WAVE_LOGS or packed_bytes + day.found.bytes > PACKED_BYTES
        if wave and (too_many or len(wave) == WAVE_DAYS):
            yield wave
            wave, logs, packed_bytes = [], 0, 0
        wave.append(day)
        logs += day.found.logs
        packed_bytes += day.rollup_bytes
    if wave:
        yield wave


def _wave(wave: Sequence[PlannedDay], listing: _Listing, manner: Manner) -> Course:
    found = [day.found for day in wave]
    packed = [day for day in wave if day.found.to_pack]
    lists = _looks([day.found for day in wave if day.found.places > 1 or not listing.shows_rollups(day.group)])
    lists += _looks([day.found for day in packed])
    proven = [
        number for day in found for rollup, number in day.holders if manner.delete or is_young(rollup, manner.today)
    ]
    gets = sum(day.to_pack + len(day.rollups) for day in found)
    gets += sum(day.unread for day in found if day.to_pack + day.uncertain)  # their metadata
    gets += sum(map(proof_gets, packed))
    deleted = sum(proven) + sum(day.found.to_pack for day in packed) if manner.delete else 0
    requests = Requests(lists, gets, len(packed), batches_of(deleted))
    return Course(requests, 0, manner.seconds(lists, sum(day.to_pack for day in found), len(packed)))


def proof_gets(day: PlannedDay) -> int:
    """GETs that read a rollup back: one where it is small."""
    return 1 if day.rollup_bytes <= READ_BYTES else read_back(day.rollup_bytes, day.found.to_pack)


def _looks(days: Sequence[Day]) -> int:
    """LISTs that show the rollups of these days, those of each target prefix together."""
    by_prefix = groupby(sorted(days, key=lambda day: day.group), key=lambda day: day.group.target_prefix)
    groups = [list(of_prefix) for _, of_prefix in by_prefix]
    return sum(of_prefix[0].places * pages_of(sum(len(day.rollups) for day in of_prefix)) for of_prefix in groups)


def _alone(day: PlannedDay, manner: Manner) -> Course:
    requests = requests_alone(day.found, day.rollup_bytes, delete=manner.delete, today=manner.today)
    return Course(requests, 1, manner.seconds(requests.list, day.found.to_pack, 0))


def sum_courses(courses: Sequence[Course]) -> Course:
    """All of them together."""
    return Course(
        sum_requests(one.requests for one in courses),
        sum(one.tasks for one in courses),
        sum(one.lambda_s for one in courses),
    )
