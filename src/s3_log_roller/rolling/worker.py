"""Process a queue's tasks: take one, run it, tell what became of it, acknowledge it last."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from dataclasses import replace
from datetime import date
from typing import Final

from s3_log_roller.amounts import count
from s3_log_roller.errors import MalformedTask, RollerError
from s3_log_roller.rolling.figures import Figures
from s3_log_roller.rolling.outcome import PassOutcome, RollOutcome, done_before
from s3_log_roller.rolling.producer import OpenStore, find_tasks
from s3_log_roller.rolling.queue import Delivery, TaskQueue
from s3_log_roller.rolling.runner import Failed, Result, Runner, Unfinished, failure_of
from s3_log_roller.rolling.scan import no_deadline
from s3_log_roller.rolling.sentences import log_outcome
from s3_log_roller.rolling.summary import Summary
from s3_log_roller.rolling.tasks import RangeTask, RollTask, ScanTask, Task, WorkTask, decode_task

logger = logging.getLogger(__name__)

EMPTY_AFTER_SECONDS: Final = 3
"""A queue that gives nothing for so long is taken to be empty."""
IDLE_POLL_SECONDS: Final = 20
BUSY_POLL_SECONDS: Final = 1
"""How long to look for more to do while other tasks run and may end."""


class Worker:
    """One queue, one runner, one summary; holds only as many messages as are being worked on."""

    def __init__(
        self,
        queue: TaskQueue,
        runner: Runner,
        open_store: OpenStore,
        today: Callable[[], date],
        summary: Summary,
        *,
        time_left_s: Callable[[], float] = no_deadline,
        scan_reserve_s: float = 0.0,
    ) -> None:
        """A scan ends early, and sends itself again for the rest, when less than `scan_reserve_s` is left."""
        self._queue = queue
        self._runner = runner
        self._open_store = open_store
        self._today = today
        self._summary = summary
        self._time_left_s = time_left_s
        self._scan_reserve_s = scan_reserve_s
        self._running: dict[Future[Result], tuple[Delivery, WorkTask]] = {}

    def work(self, *, max_tasks: int | None = None, forever: bool = False) -> None:
        """Run tasks until the queue is empty, `max_tasks` were taken, or for ever.

        Raises `QueueError` when the queue itself fails, after what was running is done.
        """
        try:
            try:
                self._take_tasks(max_tasks, forever)
            except Exception:
                while self._running:
                    self._settle_done(timeout_seconds=None)
                raise
        except KeyboardInterrupt as interruption:
            self._runner.interrupt()
            self._summary.tasks_interrupted += len(self._running)
            self._count_done(done_before(interruption))
            for future, (delivery, _) in self._running.items():
                delivery.release()
                if future.done():
                    self._count_done(_done_in(future))
            raise

    def _take_tasks(self, max_tasks: int | None, forever: bool) -> None:
        taken = 0
        while True:
            full = len(self._running) >= self._runner.capacity
            if not full and taken != max_tasks:
                self._summary.idle = not self._running
                delivery = self._queue.receive(self._wait_seconds(forever))
                self._summary.idle = False
                if delivery is not None:
                    taken += 1
                    self._start(delivery)
                    continue
            if self._running:
                more_wanted = not full and taken != max_tasks
                self._settle_done(timeout_seconds=BUSY_POLL_SECONDS if more_wanted else None)
            elif taken == max_tasks or not forever:
                return

    def _wait_seconds(self, forever: bool) -> int:
        if self._running:
            return BUSY_POLL_SECONDS
        return IDLE_POLL_SECONDS if forever else EMPTY_AFTER_SECONDS

    def _start(self, delivery: Delivery) -> None:
        """Begin a task. A scan is run right here: it waits for S3 more than it computes, and it sends to the queue."""
        self._summary.tasks_received += 1
        try:
            task = decode_task(delivery.body)
            self._check_window(task)
            if isinstance(task, ScanTask):
                self._scan(delivery, task)
            else:
                if isinstance(task, RangeTask) and delivery.receives > 1:
                    # What stood in the way of a pass is met by one day group alone, or is the same for all.
                    task = replace(task, groups=0, tries=delivery.receives - 1)
                self._running[self._runner.submit(task)] = delivery, task
        except MalformedTask as error:
            with delivery:
                self._fail(f"message {delivery.message_id}", failure_of(error))
        except BaseException:
            self._summary.tasks_interrupted += 1
            delivery.release()
            raise

    def _check_window(self, task: Task) -> None:
        """A message must never make the worker touch today's logs, whoever sent it."""
        today = self._today()
        if task.window.cutoff > today:
            raise MalformedTask(f"the task's cutoff {task.window.cutoff} is later than today ({today}, UTC)")

    def _scan(self, delivery: Delivery, task: ScanTask) -> None:
        def give_up(what: str, error: RollerError) -> None:
            raise error

        with delivery:
            try:
                tasks = find_tasks(
                    [task],
                    self._open_store,
                    scanned=self._summary.scanned,
                    failed=give_up,
                    time_left_s=self._time_left_s,
                    reserve_s=self._scan_reserve_s,
                )
                self._summary.tasks_sent += self._queue.send(tasks)
                delivery.acknowledge()
            except Exception as error:
                self._fail(f"s3://{task.bucket}/{task.prefix}", failure_of(error))

    def _settle_done(self, timeout_seconds: float | None) -> None:
        done, _ = wait(self._running, timeout_seconds, FIRST_COMPLETED)
        for future in done:
            delivery, task = self._running[future]
            with delivery:
                self._settle(delivery, task, _result_of(future))
            del self._running[future]

    def _settle(self, delivery: Delivery, task: WorkTask, result: Result) -> None:
        """Count what a task did, send what must follow, and only then acknowledge it."""
        match result:
            case Failed():
                self._count_done(result.done)
                self._fail(str(task), result)
            case Unfinished():
                self._count_done(result.done)
                next_max = result.smaller.max_members
                logger.warning("ran_short", extra={"day_group": str(task), "next_max_members": next_max})
                self._send_on([result.smaller], delivery, task)
            case PassOutcome():
                for outcome in result.outcomes:
                    self._account(outcome)
                self._count_done(result.partly)
                self._summary.made_good(str(task))
                self._send_on(_rest_of_pass(task, result), delivery, task, _absence(result.absent))
            case RollOutcome():
                self._account(result)
                if result.remaining and not (result.figures.packed or result.figures.deleted):
                    why = f"{result.remaining} originals remain and this step got no further"
                    self._fail(str(task), Failed(why))
                else:
                    self._send_on(_rest_of_day(task, result), delivery, task)

    def _count_done(self, outcomes: Iterable[RollOutcome]) -> None:
        """Count what was done of tasks that did not come to their end."""
        for outcome in outcomes:
            if outcome.figures != Figures():
                self._summary.rolled(outcome)
                log_outcome(replace(outcome, remaining=0))

    def _account(self, outcome: RollOutcome) -> None:
        self._summary.rolled(outcome)
        if not outcome.remaining or outcome.figures != Figures():
            log_outcome(outcome)

    def _send_on(self, follow_ups: list[Task], delivery: Delivery, task: WorkTask, but: str = "") -> None:
        """Send what must follow a task, and only then acknowledge it; or fail it for that reason."""
        try:
            self._queue.send(follow_ups)
            if but:
                self._fail(str(task), Failed(but))
            else:
                delivery.acknowledge()
        except Exception as error:
            self._fail(str(task), failure_of(error))

    def _fail(self, what: str, failed: Failed) -> None:
        """Record a failure. The message is left to the queue, which gives it out again or sets it aside."""
        extra = {"what": what, "why": failed.why}
        if failed.traceback:
            extra["traceback"] = failed.traceback
        else:
            extra["sentence"] = f"{what}: {failed.why}"
        logger.error("failed", extra=extra)
        self._summary.failed(what, failed.why)


def _result_of(future: Future[Result]) -> Result:
    try:
        return future.result()
    except BrokenExecutor:
        return Failed("the process that ran it was killed (out of memory?); the task can be run again")


def _absence(absent: int) -> str:
    if not absent:
        return ""
    return (
        f"{count(absent, 'day group')} that a scan found here {'is' if absent == 1 else 'are'} gone, with neither logs "
        "nor rollups in sight: another run rolled them up meanwhile, or they expired or were moved away before; run "
        "again, and verify --complete names days that are missing"
    )


def _done_in(future: Future[Result]) -> tuple[RollOutcome, ...]:
    """What was done by a task that ended, in whatever way, after the run was interrupted."""
    error = future.exception()
    if error is not None:
        return done_before(error)
    result = future.result()
    if isinstance(result, PassOutcome):
        return result.outcomes + result.partly
    return (result,) if isinstance(result, RollOutcome) else result.done


def _rest_of_day(task: WorkTask, outcome: RollOutcome) -> list[Task]:
    """The day groups found among this one's keys, and the task itself if originals are left for another step."""
    tasks: list[Task] = [task.for_group(group) for group in sorted(outcome.nested) if group in task.window]
    if outcome.remaining and isinstance(task, RollTask):
        tasks.append(replace(task, max_members=_grown(task.max_members, outcome.remaining)))
    return tasks


def _rest_of_pass(task: WorkTask, result: PassOutcome) -> list[Task]:
    """The tasks for day groups that must be reconciled alone, and for the rest of the range."""
    tasks: list[Task] = [task.for_group(outcome.group) for outcome in result.outcomes if outcome.remaining]
    if result.start_after is not None and isinstance(task, RangeTask):
        tasks.append(task.rest(result.start_after))
    return tasks


def _grown(max_members: int | None, remaining: int) -> int | None:
    """What fitted may have been far less than would: a step that was made small grows again."""
    return None if max_members is None or 2 * max_members >= remaining else 2 * max_members
