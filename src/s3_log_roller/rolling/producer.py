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
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rolling.outcome import ScanOutcome
from s3_log_roller.rolling.scan import interleave, no_deadline, scan
from s3_log_roller.rolling.tasks import RollTask, ScanTask, Task
from s3_log_roller.store import Store
from s3_log_roller.uris import Role

logger = logging.getLogger(__name__)

OpenStore = Callable[[str, Role | None], AbstractContextManager[Store]]
"""Opens a bucket with a role for the length of a `with` block."""

SCANS_AT_ONCE: Final = 16
"""Prefixes scanned in turns, so that their day groups mix."""


def find_tasks(
    scans: Sequence[ScanTask],
    open_store: OpenStore,
    *,
    scanned: Callable[[ScanOutcome], None],
    failed: Callable[[str, RollerError], None],
    time_left_s: Callable[[], float] = no_deadline,
    reserve_s: float = 0.0,
) -> Iterator[Task]:
    """Yield a roll task per day group as the scans find them, and where time ran short a scan task to go on with.

    All scans ask for the same window with the same role. `scanned` and `failed` learn what became of each; after a
    failed one the others go on, unless `failed` raises.
    """
    unfinished: list[ScanTask] = []

    def find_groups(task: ScanTask) -> Generator[DayGroup, None, None]:
        try:
            with open_store(task.bucket, task.role) as store:
                outcome = yield from scan(store, task, time_left_s=time_left_s, reserve_s=reserve_s)
        except RollerError as error:
            failed(f"s3://{task.bucket}/{task.prefix}", error)
            return
        if outcome.start_after is not None:
            unfinished.append(replace(task, start_after=outcome.start_after))
        scanned(outcome)

    for group in interleave(_take_turns(map(find_groups, scans))):
        yield RollTask(group, scans[0].window, scans[0].role)
    yield from unfinished


def _take_turns(sources: Iterator[Iterator[DayGroup]]) -> Iterator[DayGroup]:
    """One day group from each source in turn, with only some of the sources begun."""
    begun = deque(islice(sources, SCANS_AT_ONCE))
    while begun:
        source = begun.popleft()
        group = next(source, None)
        if group is None:
            begun.extend(islice(sources, 1))
        else:
            begun.append(source)
            yield group
