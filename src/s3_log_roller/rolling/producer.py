"""Find the work: from prefixes to tasks."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import islice
from typing import Final

from s3_log_roller.errors import RollerError
from s3_log_roller.rolling.outcome import ScanOutcome
from s3_log_roller.rolling.scan import no_deadline, scan
from s3_log_roller.rolling.spans import Span, cut_spans, interleave
from s3_log_roller.rolling.tasks import RangeTask, RollTask, ScanTask, Task
from s3_log_roller.store import ReadStore, Store
from s3_log_roller.uris import Role

logger = logging.getLogger(__name__)

OpenStore = Callable[[str, Role | None, str | None], AbstractContextManager[Store]]
"""Opens a bucket with a role for the length of a `with` block."""

SCANS_AT_ONCE: Final = 16
"""Prefixes scanned in turns, so that their spans mix."""


def find_tasks(
    scans: Sequence[ScanTask],
    open_store: OpenStore,
    *,
    scanned: Callable[[ScanOutcome], None],
    failed: Callable[[str, RollerError], None],
    time_left_s: Callable[[], float] = no_deadline,
    reserve_s: float = 0.0,
) -> Iterator[Task]:
    """Yield the tasks for the day groups as the scans find them, and where time ran short a scan task to go on with.

    `scanned` and `failed` learn what became of each; after a
    failed one the others go on, unless `failed` raises.
    """
    unfinished: list[ScanTask] = []

    def find_spans(task: ScanTask) -> Generator[Span, None, None]:
        try:
            with open_store(task.bucket, task.role, task.owner) as store:
                sightings = scan(store, task, time_left_s=time_left_s, reserve_s=reserve_s)
                outcome = yield from cut_spans(sightings, task)
        except RollerError as error:
            failed(f"s3://{task.bucket}/{task.prefix}", error)
            return
        if outcome.start_after is not None:
            unfinished.append(replace(task, start_after=outcome.start_after))
        scanned(outcome)

    for span in interleave(_take_turns(map(find_spans, scans))):
        yield from span.tasks()
    yield from unfinished


def _take_turns(sources: Iterator[Iterator[Span]]) -> Iterator[Span]:
    """One span from each source in turn, with only some of the sources begun."""
    begun = deque(islice(sources, SCANS_AT_ONCE))
    while begun:
        source = begun.popleft()
        span = next(source, None)
        if span is None:
            begun.extend(islice(sources, 1))
        else:
            begun.append(source)
            yield span


def tasks_in_range(store: ReadStore, task: RangeTask) -> Iterator[RollTask]:
    """A roll task for every day group in the range."""
    whole = ScanTask(task.bucket, task.prefix, task.window, task.role, task.start_after, task.owner)
    for sighting in scan(store, whole):
        behind_the_end = bool(task.end) and sighting.key > task.end
        if behind_the_end and sighting.in_order:
            return
        if not behind_the_end:
            yield task.for_group(sighting.group)
