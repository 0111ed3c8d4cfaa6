"""AWS Lambda: one function in two modes, which the event decides.

A payload of EventBridge Scheduler (`{"prefixes": ["s3://…"], "s3_role": "arn:…", …}`) is producer mode: scan, send a
task per day group. An SQS event is worker mode: run its tasks, answer which failed. Anything else is an error.

Every invocation is a bounded step. What does not fit the time left becomes a message of its own, sent before the one
it came from is acknowledged, so a backlog of any size is worked off step by step.
"""

from __future__ import annotations

import functools
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import date
from typing import Any, Final, Protocol

from s3_log_roller.aws.buckets import Buckets, Connection
from s3_log_roller.aws.sessions import Sessions
from s3_log_roller.aws.sqs import SqsQueue
from s3_log_roller.aws_lambda.batch import Batch, add_log_fields, log_fields
from s3_log_roller.aws_lambda.metrics import encode_emf, figures_of
from s3_log_roller.aws_lambda.payload import parse_payload
from s3_log_roller.aws_lambda.settings import Settings
from s3_log_roller.clock import utc_today
from s3_log_roller.errors import OutOfTime, RollerError, UsageError
from s3_log_roller.log_output import configure_logging
from s3_log_roller.rolling.options import RollOptions
from s3_log_roller.rolling.pace import Pace
from s3_log_roller.rolling.producer import SCANS_AT_ONCE, OpenStore, find_tasks
from s3_log_roller.rolling.queue import TaskQueue
from s3_log_roller.rolling.reconcile import reconcile
from s3_log_roller.rolling.summary import Summary, to_json
from s3_log_roller.rolling.tasks import RollTask, ScanTask, Task
from s3_log_roller.rolling.worker import Result, Unfinished, Worker, failure_of

RESERVE_S: Final = 20.0
"""For dropping an unfinished rollup and sending its task again."""
SCAN_RESERVE_S: Final = 60.0
"""For sending what a scan found: 10,000 day groups may be waiting, 1,000 requests."""
RESERVE_SHARE: Final = 0.2
"""Of a short time limit no more than this is kept in reserve, twice."""
FEW_MEMBERS: Final = 100
"""Where time ran short before this many were packed, nothing was counted."""

logger = logging.getLogger(__name__)


class Context(Protocol):
    """What is used of Lambda's context object."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        """The milliseconds before the invocation is killed."""


class ProducerFailed(RollerError):
    """Some prefixes could not be scanned; the others were."""


def lambda_handler(event: Any, context: Context) -> dict[str, Any]:
    """Lambda's way in. Raises `RollerError` where nothing of the event, or not all of a payload, could be done."""
    return _function().invoke(event, context)


@functools.cache
def _function() -> Function:
    settings = Settings.from_environment(os.environ)
    configure_logging("json", getattr(logging, settings.log_level))
    for handler in logging.getLogger().handlers:
        handler.addFilter(add_log_fields)
    sessions = Sessions()
    connection = Connection(allow_cross_region=settings.allow_cross_region, max_in_flight=settings.max_in_flight)
    queue = SqsQueue(sessions.get(), settings.queue_name)
    return Function(settings, queue, Buckets(connection, sessions).lease)


class Function:
    """What stays from one invocation to the next: settings, connections and the pace measured so far."""

    def __init__(
        self,
        settings: Settings,
        queue: TaskQueue,
        open_store: OpenStore,
        today: Callable[[], date] = utc_today,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._queue = queue
        self._open_store = open_store
        self._today = today
        self._monotonic = monotonic
        self._pace: Pace | None = None
        self._context: Context | None = None

    def invoke(self, event: Any, context: Context) -> dict[str, Any]:
        """Do what the event asks for, then tell the figures, however it ended."""
        self._context = context
        log_fields.clear()
        log_fields["request_id"] = context.aws_request_id
        if self._pace is None:
            reserve_s = _reserve(RESERVE_S, self._time_left_s())
            self._pace = Pace(self._time_left_s, reserve_s=reserve_s, monotonic=self._monotonic)
        invocation = _Invocation(
            self._settings, self._queue, self._open_store, self._today(), self._time_left_s, self._pace
        )
        try:
            answer = invocation.run(event)
        except Exception as error:
            if not invocation.summary.failed_count:
                invocation.summary.failed("event", str(error))
            raise
        finally:
            figures = figures_of(invocation.summary, invocation.oldest_age_days)
            name = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "s3-log-roller")
            line = encode_emf(figures, name, time.time_ns() // 1_000_000, request_id=context.aws_request_id)
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
        return answer

    def _time_left_s(self) -> float:
        return self._context.get_remaining_time_in_millis() / 1000 if self._context else 0.0


class _Invocation:
    """One event: its figures, and the steps it is made of. Also the `Runner` of its roll tasks."""

    capacity = 1

    def __init__(
        self,
        settings: Settings,
        queue: TaskQueue,
        open_store: OpenStore,
        today: date,
        time_left_s: Callable[[], float],
        pace: Pace,
    ) -> None:
        self._settings = settings
        self._queue = queue
        self._open = open_store
        self._today = today
        self._time_left_s = time_left_s
        self._pace = pace
        self._limit_s = time_left_s()
        self._scan_reserve_s = _reserve(SCAN_RESERVE_S, self._limit_s)
        self._unrolled: set[date] = set()
        self.summary = Summary(deleting=settings.delete)

    @property
    def oldest_age_days(self) -> int | None:
        """See `figures_of`."""
        return (self._today - min(self._unrolled)).days if self._unrolled else None

    def run(self, event: Any) -> dict[str, Any]:
        """Tell the two kinds of event apart; nothing else starts anything."""
        if isinstance(event, dict):
            if "prefixes" in event:
                return self._produce(event)
            records = event.get("Records")
            if isinstance(records, list) and records and all(map(_is_sqs_record, records)):
                return self._work(records)
        raise UsageError(
            f"an event is a schedule's payload with 'prefixes' or an SQS event; this one is {_shape(event)}"
        )

    # Producer mode

    def _produce(self, payload: dict[str, Any]) -> dict[str, Any]:
        scans = parse_payload(payload, self._settings, self._today)
        self.summary.tasks_sent = self._queue.send(self._find_tasks(scans))
        figures = to_json(self.summary)
        answer = {name: figures[name] for name in ("prefixes_scanned", "day_groups_found", "tasks_sent", "failures")}
        logger.info("produced", extra=answer)
        if self.summary.failed_count:
            why = "; ".join(f"{what}: {why}" for what, why in self.summary.failures.items())
            raise ProducerFailed(f"{self.summary.failed_count} of {len(scans)} prefixes could not be scanned: {why}")
        return answer

    def _find_tasks(self, scans: list[ScanTask]) -> Iterator[Task]:
        """The tasks for these scans; a scan there is no time to begin is a task itself."""
        for start in range(0, len(scans), SCANS_AT_ONCE):
            some = scans[start : start + SCANS_AT_ONCE]
            if start and self._time_left_s() < self._scan_reserve_s:
                yield from some
                continue
            yield from find_tasks(
                some,
                self._lease,
                scanned=self.summary.scanned,
                failed=self._scan_failed,
                time_left_s=self._time_left_s,
                reserve_s=self._scan_reserve_s,
            )

    def _scan_failed(self, prefix: str, error: RollerError) -> None:
        logger.error("scan_failed", extra={"prefix": prefix, "why": str(error)})
        self.summary.scan_failed(prefix, error)

    # Worker mode

    def _work(self, records: list[dict[str, Any]]) -> dict[str, Any]:
        batch = Batch(records, self._queue, lambda: self._time_left_s() >= self._limit_s / 2)
        worker = Worker(
            batch,
            self,
            self._lease,
            lambda: self._today,
            self.summary,
            time_left_s=self._time_left_s,
            scan_reserve_s=self._scan_reserve_s,
        )
        worker.work()
        batch.put_off_rest()
        return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in batch.unacknowledged]}

    def submit(self, task: RollTask) -> Future[Result]:
        """See `Runner.submit`: the task is over when this returns."""
        future: Future[Result] = Future()
        try:
            future.set_result(self._roll(task))
        except Exception as error:
            self._unrolled.add(task.group.day)
            future.set_result(failure_of(error))
        return future

    def interrupt(self) -> None:
        """See `Runner.interrupt`: nothing runs beside the invocation itself."""

    def _roll(self, task: RollTask) -> Result:
        packed = 0

        def count(logs: int, size: int) -> None:
            nonlocal packed
            packed += logs

        try:
            with self._lease(task.group.bucket, task.role) as store:
                outcome = reconcile(
                    store,
                    task,
                    RollOptions(self._settings.delete, self._settings.level),
                    today=self._today,
                    pace=self._pace,
                    on_progress=count,
                )
        except OutOfTime as error:
            self._unrolled.add(task.group.day)
            return Unfinished(smaller_step(task, packed, error))
        if outcome.figures.packed or outcome.remaining:
            self._unrolled.add(task.group.day)
        return outcome

    def _lease(self, bucket: str, role: Any) -> Any:
        self._settings.check_role(role)
        return self._open(bucket, role)


def _reserve(seconds: float, limit_s: float) -> float:
    """So many seconds, or less where the time limit is short."""
    return min(seconds, limit_s * RESERVE_SHARE)


def smaller_step(task: RollTask, packed: int, error: OutOfTime) -> RollTask:
    """The task to send again after it ran short with so many logs packed: half of that fits with certainty.

    Raises `OutOfTime` where there is nothing smaller, so that it ends in the dead-letter queue and not in a circle.
    """
    members = max(1, (packed or task.max_members or FEW_MEMBERS) // 2)
    if task.max_members is not None and members >= task.max_members:
        raise OutOfTime(
            f"{task.group} does not fit the function's time limit even in steps of {task.max_members}: raise the "
            "function's timeout or memory, or roll this day with the command line"
        ) from error
    return RollTask(task.group, task.window, task.role, members)


def _is_sqs_record(record: object) -> bool:
    return (
        isinstance(record, dict)
        and record.get("eventSource") == "aws:sqs"
        and isinstance(record.get("body"), str)
        and isinstance(record.get("messageId"), str)
    )


def _shape(event: object) -> str:
    """What an event is, without any of its contents."""
    if isinstance(event, dict):
        keys = ", ".join(sorted(map(str, event))) or "none"
        return f"an object with the keys {keys}"
    return f"a {type(event).__name__}"
