"""Work a queue off: take a task, run it, tell what became of it, acknowledge it last."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from dataclasses import dataclass, replace
from datetime import date
from typing import Final, Protocol

from s3_log_roller.errors import MalformedTask, RollerError
from s3_log_roller.rolling.outcome import RollOutcome
from s3_log_roller.rolling.producer import OpenStore, find_tasks
from s3_log_roller.rolling.queue import Delivery, TaskQueue
from s3_log_roller.rolling.scan import no_deadline
from s3_log_roller.rolling.sentences import describe
from s3_log_roller.rolling.summary import Summary
from s3_log_roller.rolling.tasks import RollTask, ScanTask, Task, decode_task

logger = logging.getLogger(__name__)

EMPTY_AFTER_SECONDS: Final = 3
"""A queue that gives nothing for so long is taken to be empty."""
IDLE_POLL_SECONDS: Final = 20
BUSY_POLL_SECONDS: Final = 1
"""How long to look for more to do while other tasks run and may end."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Why a task failed, in plain text that can cross processes."""

    why: str
    traceback: str = ""
    """Only of errors nobody thought of: those are bugs."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """Time ran short and the pass was undone: this smaller step has to be run instead."""

    smaller: RollTask


Result = RollOutcome | Failed | Unfinished
Roll = Callable[[RollTask], RollOutcome]


def attempt(roll: Roll, task: RollTask) -> Result:
    """Run a roll task; whatever goes wrong with it stays its own affair."""
    try:
        return roll(task)
    except Exception as error:
        return failure_of(error)


def failure_of(error: Exception) -> Failed:
    """The failure of a task that raised; anything but a `RollerError` is a bug and keeps its traceback."""
    if isinstance(error, RollerError):
        return Failed(str(error))
    why = f"a bug in the roller, please report it: {type(error).__name__}: {error}"
    return Failed(" ".join(why.split()), "".join(traceback.format_exception(error)))


class Runner(Protocol):
    """Runs roll tasks, up to `capacity` at a time."""

    capacity: int

    def submit(self, task: RollTask) -> Future[Result]:
        """Start a task, or run it."""

    def interrupt(self) -> None:
        """Stop what is running, let it clean up after itself, and wait for that."""


class InlineRunner:
    """Runs each task at once, in this process."""

    capacity = 1

    def __init__(self, roll: Roll) -> None:
        self._roll = roll

    def submit(self, task: RollTask) -> Future[Result]:
        """See `Runner.submit`: the task is over when this returns."""
        future: Future[Result] = Future()
        future.set_result(attempt(self._roll, task))
        return future

    def interrupt(self) -> None:
        """See `Runner.interrupt`: what interrupts this process interrupts the task."""


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
        self._running: dict[Future[Result], tuple[Delivery, RollTask]] = {}

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
        except KeyboardInterrupt:
            self._runner.interrupt()
            for delivery, _ in self._running.values():
                delivery.release()
            raise

    def _take_tasks(self, max_tasks: int | None, forever: bool) -> None:
        taken = 0
        while True:
            full = len(self._running) >= self._runner.capacity
            if not full and taken != max_tasks:
                delivery = self._queue.receive(self._wait_seconds(forever))
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
            if isinstance(task, RollTask):
                self._running[self._runner.submit(task)] = delivery, task
            else:
                self._scan(delivery, task)
        except MalformedTask as error:
            with delivery:
                self._fail(f"message {delivery.message_id}", failure_of(error))
        except BaseException:
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

    def _settle(self, delivery: Delivery, task: RollTask, result: Result) -> None:
        """Account for a task that ran, send what has to follow, and only then acknowledge."""
        if isinstance(result, Failed):
            self._fail(str(task.group), result)
            return
        if isinstance(result, Unfinished):
            logger.warning(
                "ran_short", extra={"day_group": str(task.group), "next_max_members": result.smaller.max_members}
            )
            self._send_on([result.smaller], delivery, task)
            return
        self._summary.rolled(result)
        _log_outcome(result)
        if result.remaining and not (result.figures.packed or result.figures.deleted):
            self._fail(str(task.group), Failed(f"{result.remaining} originals remain and this pass got no further"))
            return
        self._send_on(_follow_ups(task, result), delivery, task)

    def _send_on(self, follow_ups: list[Task], delivery: Delivery, task: RollTask) -> None:
        """Send what has to follow a task, and only then acknowledge it."""
        try:
            self._queue.send(follow_ups)
            delivery.acknowledge()
        except Exception as error:
            self._fail(str(task.group), failure_of(error))

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


def _follow_ups(task: RollTask, outcome: RollOutcome) -> list[Task]:
    """The day groups found among this one's keys, and the task itself if originals are left for another pass."""
    tasks: list[Task] = [task.for_group(group) for group in sorted(outcome.nested) if group.day in task.window]
    if outcome.remaining:
        tasks.append(replace(task, max_members=_grown(task.max_members, outcome.remaining)))
    return tasks


def _grown(max_members: int | None, remaining: int) -> int | None:
    """What fitted may have been far less than would: a step that was made small grows again."""
    return None if max_members is None or 2 * max_members >= remaining else 2 * max_members


def _log_outcome(outcome: RollOutcome) -> None:
    figures = outcome.figures
    fields: dict[str, object] = {
        "bucket": outcome.group.bucket,
        "target_prefix": outcome.group.target_prefix,
        "day": outcome.group.day.isoformat(),
        "members": figures.packed,
        "bytes_in": figures.bytes_in,
        "bytes_out": figures.bytes_out,
    }
    optional = {
        "leftovers": figures.leftovers,
        "deleted": figures.deleted,
        "archived": figures.archived,
        "remaining": outcome.remaining,
    }
    fields |= {name: number for name, number in optional.items() if number}
    if outcome.rollups:
        fields["rollups"] = " ".join(outcome.rollups)
    fields["sentence"] = describe(outcome)
    event = "rolled" if figures.packed else "nothing_new"
    logger.log(logging.WARNING if figures.archived else logging.INFO, event, extra=fields)
