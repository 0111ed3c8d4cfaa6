"""Find the work: from prefixes to tasks."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from typing import Final

from s3_log_roller.errors import RollerError
from s3_log_roller.rolling.outcome import ScanOutcome
from s3_log_roller.rolling.scan import no_deadline
from s3_log_roller.rolling.side_by_side import find_spans
from s3_log_roller.rolling.spans import Span, interleave
from s3_log_roller.rolling.tasks import ScanTask, Task
from s3_log_roller.store import Store
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

    def spans_of(task: ScanTask) -> Generator[Span, None, None]:
        try:
            with open_store(task.bucket, task.role, task.owner) as store:
                outcome = yield from find_spans(store, task, time_left_s=time_left_s, reserve_s=reserve_s)
        except RollerError as error:
            failed(f"s3://{task.bucket}/{task.prefix}", error)
            return
        unfinished.extend(outcome.rest)
        scanned(outcome)

    for span in interleave(_take_turns(map(spans_of, scans))):
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
