"""One pass over the day groups in a range of keys: wave after wave of small ones, and the names of all others."""

from __future__ import annotations

import logging
from datetime import date
from itertools import accumulate
from typing import Final

from s3_log_roller.errors import DayChanged, OutOfTime, RollerError, StorageError
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rolling.deleting import FEW
from s3_log_roller.rolling.destination import RollupPlaces
from s3_log_roller.rolling.manifest import NO_MANIFEST, Manifest
from s3_log_roller.rolling.options import RollOptions
from s3_log_roller.rolling.outcome import PassOutcome, RollOutcome, keeping
from s3_log_roller.rolling.pace import Pace
from s3_log_roller.rolling.packing import Tick
from s3_log_roller.rolling.range_listing import SmallDay, list_range
from s3_log_roller.rolling.tasks import RangeTask
from s3_log_roller.rolling.wave import Wave
from s3_log_roller.rolling.wave_day import Day, NotForAPass
from s3_log_roller.store import RollupStore, Store

WAVE_LOGS: Final = 12_000
WAVE_DAYS: Final = 500
"""What is brought to its end state together, at most, if its rollups fit into memory (`wave_packing.PACKED_BYTES`)."""

logger = logging.getLogger(__name__)


def roll_range(
    store: Store,
    task: RangeTask,
    options: RollOptions,
    *,
    today: date,
    rollups: RollupStore | None = None,
    manifest: Manifest = NO_MANIFEST,
    pace: Pace | None = None,
    on_progress: Tick | None = None,
) -> PassOutcome:
    """Bring the small day groups in the task's range to their end states, as many as the time left allows.

    The others, and those that something stands in the way of, come back as outcomes with something remaining: they
    have to be reconciled alone. Where a pass over the range failed before (`task.tries`) only a few go together: if S3
    refuses the same to them, that is the error of the range, and nothing else is tried. Rollups go to `rollups`, by
    default beside the logs.

    Raises a `RollerError` if it would be the same for all; what was done is with the error: `done_before`.
    """
    if task.window.cutoff > today:
        raise StorageError(f"the range {task} is not over yet: today is {today} (UTC); nothing was touched")
    on_progress = on_progress or (lambda logs, n_bytes: None)
    places = RollupPlaces(store, rollups)
    one_pass = _Pass(store, places, task, options, manifest, today, pace or Pace(), on_progress)
    with keeping(one_pass.so_far):
        return one_pass.run()


class _Pass:
    def __init__(
        self,
        store: Store,
        places: RollupPlaces,
        task: RangeTask,
        options: RollOptions,
        manifest: Manifest,
        today: date,
        pace: Pace,
        on_progress: Tick,
    ) -> None:
        self._store = store
        self._places = places
        self._task = task
        self._options = options
        self._manifest = manifest
        self._today = today
        self._pace = pace
        self._on_progress = on_progress
        self._outcomes: list[RollOutcome] = []
        self._absent = 0
        self._under_way: list[Day] = []
        """The day groups of the wave that is being rolled, or that did not come to its end."""

    def so_far(self) -> list[RollOutcome]:
        """What was done, where the pass does not come to its end."""
        return [*self._outcomes, *(day.so_far() for day in self._under_way)]

    def run(self) -> PassOutcome:
        listing = list_range(self._store, self._task)
        if listing.go_on_after is None:
            self._absent = max(0, self._task.groups - len(listing.in_sight))
        days, alone = listing.days, listing.alone
        if self._task.tries:
            days, others = _a_few(days, self._task.tries)
            alone = [*alone, *(day.originals.group for day in others)]
        rolled = 0
        while rolled < len(days) and (count := self._roll(_next_wave(days[rolled:], self._pace))):
            rolled += count
        if rolled == len(days):
            return self._outcome(alone, listing.go_on_after)
        if rolled:
            return self._outcome(alone, days[rolled].originals.group.logs_prefix)
        return self._outcome([*(day.originals.group for day in days), *alone], listing.go_on_after)

    def _outcome(self, alone: list[DayGroup], start_after: str | None) -> PassOutcome:
        """The outcomes, without day groups that going on from `start_after` comes to again."""
        alone = [group for group in alone if start_after is None or group.logs_prefix < start_after]
        self._outcomes += [RollOutcome(group, remaining=1) for group in alone]
        partly = tuple(day.so_far() for day in self._under_way)
        return PassOutcome(tuple(self._outcomes), start_after, partly, self._absent)

    def _roll(self, listed: list[SmallDay]) -> int:
        """Roll a wave of these day groups; how many of them, beginning with the first, came to an end.

        0 if there was no time for it, or something in the way after others were done.
        """
        if self._pace.allowance(None) < sum(len(day.originals) for day in listed):
            return 0
        measure = self._pace.stopwatch()
        wave = Wave(self._store, self._places, listed, self._options, self._manifest, self._today, self._tick)
        self._under_way = wave.days
        try:
            wave.roll()
        except OutOfTime:
            return 0
        except RollerError as error:
            if not self._outcomes:
                raise
            sentence = f"{self._task}: {error}; what is left is tried once more"
            logger.warning(
                "pass_ended_early", extra={"range": str(self._task), "why": str(error), "sentence": sentence}
            )
            return 0
        measure(sum(len(day.originals) for day in wave.days))
        if not self._outcomes and (refusal := _common_refusal(wave.days)) is not None:
            raise refusal
        for day in wave.days:
            if day.error is not None and not isinstance(day.error, NotForAPass):
                logger.debug("goes_alone", extra={"day_group": str(day.group), "why": str(day.error)})
            self._outcomes.append(day.outcome())
        self._under_way = []
        return len(wave.days)

    def _tick(self, logs: int, n_bytes: int) -> None:
        self._on_progress(logs, n_bytes)
        if self._pace.is_short:
            raise OutOfTime(f"the time is nearly over in {self._task}")


def _a_few(days: list[SmallDay], tries: int) -> tuple[list[SmallDay], list[SmallDay]]:
    """A few of the day groups, other ones with every try, and the rest of them."""
    at = min(FEW * (tries - 1) % max(1, len(days)), max(0, len(days) - FEW))
    return days[at : at + FEW], days[:at] + days[at + FEW :]


def _next_wave(days: list[SmallDay], pace: Pace) -> list[SmallDay]:
    """The first of the day groups, as many at a time as the time left allows, and at least one."""
    most_logs = min(WAVE_LOGS, pace.allowance(None))
    logs = accumulate(len(day.originals) for day in days[:WAVE_DAYS])
    return days[: max(1, sum(count <= most_logs for count in logs))]


def _common_refusal(days: list[Day]) -> RollerError | None:
    """The error, where the server refused the same to all of the day groups and nothing was done for any of them."""
    errors = [day.error for day in days]
    codes = {error.code if isinstance(error, StorageError) else "" for error in errors}
    if len(days) < FEW or len(codes) > 1 or not all(codes) or any(day.done.rollups or day.done.deleted for day in days):
        return None
    return None if isinstance(errors[0], DayChanged) else errors[0]
