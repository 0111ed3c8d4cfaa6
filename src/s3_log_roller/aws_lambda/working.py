"""Worker mode: run the tasks of an SQS event and answer which of them failed."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace
from typing import Any, Final

from s3_log_roller.aws_lambda.batch import Batch
from s3_log_roller.aws_lambda.invocation import Invocation
from s3_log_roller.aws_lambda.manifest import LoggedManifest
from s3_log_roller.errors import OutOfTime
from s3_log_roller.rolling.destination import open_destination
from s3_log_roller.rolling.outcome import PassOutcome, done_before
from s3_log_roller.rolling.pace import Pace
from s3_log_roller.rolling.roll import roll
from s3_log_roller.rolling.runner import Result, Unfinished, failure_of
from s3_log_roller.rolling.tasks import RollTask, WorkTask
from s3_log_roller.rolling.worker import Worker

FEW_MEMBERS: Final = 100
"""The step to halve if time ran short before any log was packed."""


def work(invocation: Invocation, records: list[dict[str, Any]], pace: Pace) -> dict[str, Any]:
    """Run the tasks, and answer with the ids of the messages that must come again."""
    batch = Batch(records, invocation.queue, lambda: invocation.time_left_s() >= invocation.limit_s / 2)
    worker = Worker(
        batch,
        PacedRunner(invocation, pace),
        invocation.lease,
        lambda: invocation.today,
        invocation.summary,
        time_left_s=invocation.time_left_s,
        scan_reserve_s=invocation.scan_reserve_s,
    )
    worker.work()
    batch.put_off_rest()
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in batch.unacknowledged]}


class PacedRunner:
    """Runs one task at a time, as far as the invocation's time allows."""

    capacity = 1

    def __init__(self, invocation: Invocation, pace: Pace) -> None:
        self._invocation = invocation
        self._pace = pace

    def submit(self, task: WorkTask) -> Future[Result]:
        """See `Runner.submit`: the task is over when this returns."""
        future: Future[Result] = Future()
        try:
            future.set_result(self._roll(task))
        except Exception as error:
            if isinstance(task, RollTask):
                self._invocation.unrolled.add(task.group.day)
            future.set_result(failure_of(error))
        return future

    def interrupt(self) -> None:
        """See `Runner.interrupt`: nothing runs beside the invocation itself."""

    def _roll(self, task: WorkTask) -> Result:
        invocation, packed = self._invocation, 0

        def count(logs: int, size: int) -> None:
            nonlocal packed
            packed += logs

        try:
            options = invocation.settings.roll_options()
            with (
                invocation.lease(task.bucket, task.role, task.owner) as store,
                open_destination(invocation.open_store, options.destination, task.bucket) as rollups,
            ):
                outcome = roll(
                    store,
                    task,
                    options,
                    today=invocation.today,
                    rollups=rollups,
                    manifest=LoggedManifest(),
                    pace=self._pace,
                    on_progress=count,
                )
        except OutOfTime as error:
            if not isinstance(task, RollTask):
                raise
            invocation.unrolled.add(task.group.day)
            return Unfinished(smaller_step(task, packed, error), done_before(error))
        for one in outcome.outcomes if isinstance(outcome, PassOutcome) else [outcome]:
            if one.figures.packed or one.remaining:
                invocation.unrolled.add(one.group.day)
        return outcome


def smaller_step(task: RollTask, packed: int, error: OutOfTime) -> RollTask:
    """The task to send again after time ran short with so many logs packed: half of them will fit.

    Raises `OutOfTime` if no smaller step exists, so that the task ends in the dead-letter queue and not in a circle.
    """
    members = max(1, (packed or task.max_members or FEW_MEMBERS) // 2)
    if task.max_members is not None and members >= task.max_members:
        raise OutOfTime(
            f"{task.group} does not fit the function's time limit even in steps of {task.max_members}: raise the "
            "function's timeout or memory, or roll this day with the command line"
        ) from error
    return replace(task, max_members=members)
