"""Producer mode: scan a payload's prefixes and send tasks for the day groups."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from s3_log_roller.aws.sqs import BATCH
from s3_log_roller.aws_lambda.invocation import Invocation
from s3_log_roller.aws_lambda.payload import parse_payload
from s3_log_roller.errors import QueueError, RollerError
from s3_log_roller.rolling.producer import SCANS_AT_ONCE, find_tasks
from s3_log_roller.rolling.queue import warn_of_backlog
from s3_log_roller.rolling.summary import to_json
from s3_log_roller.rolling.tasks import ScanTask, Task

logger = logging.getLogger(__name__)


class ProducerFailed(RollerError):
    """No task was sent, because prefixes could not be scanned."""


def produce(invocation: Invocation, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Scan and send, and answer with the figures.

    Raises only if no task was sent. Lambda or a person may run a failed invocation again, and once tasks are in the
    queue that would send them all again; the metric `ScanFailures` tells of prefixes that failed beside others.
    """
    summary = invocation.summary
    request = parse_payload(payload, invocation.settings, invocation.today)
    warn_of_backlog(invocation.queue, invocation.settings.queue_name)
    scans_sent = _send(invocation, _find_tasks(invocation, request.scans))
    if summary.day_groups_found or not scans_sent:
        invocation.schedule = request.schedule
    figures = to_json(summary)
    answer = {name: figures[name] for name in ("prefixes_scanned", "day_groups_found", "tasks_sent", "failures")}
    logger.info("produced", extra=answer)
    if summary.failed_count and not summary.tasks_sent:
        why = "; ".join(f"{what}: {why}" for what, why in summary.failures.items())
        raise ProducerFailed(f"{summary.failed_count} of {len(request.scans)} prefixes could not be scanned: {why}")
    return answer


def _send(invocation: Invocation, tasks: Iterator[Task]) -> int:
    """Send the tasks as they are found; returns how many scan tasks were among them.

    Raises `QueueError` only if the queue took none.
    """
    summary, scans_sent = invocation.summary, 0
    try:
        while batch := list(islice(tasks, BATCH)):
            summary.tasks_sent += invocation.queue.send(batch)
            scans_sent += sum(isinstance(task, ScanTask) for task in batch)
    except QueueError as error:
        if not summary.tasks_sent:
            raise
        _scan_failed(invocation, f"queue {invocation.settings.queue_name}", error)
    return scans_sent


def _find_tasks(invocation: Invocation, scans: list[ScanTask]) -> Iterator[Task]:
    """The tasks that these scans find; a scan that there is no time to begin is sent as a task itself."""
    for start in range(0, len(scans), SCANS_AT_ONCE):
        some = scans[start : start + SCANS_AT_ONCE]
        if start and invocation.time_left_s() < invocation.scan_reserve_s:
            yield from some
            continue
        yield from find_tasks(
            some,
            invocation.lease,
            scanned=invocation.summary.scanned,
            failed=lambda prefix, error: _scan_failed(invocation, prefix, error),
            time_left_s=invocation.time_left_s,
            reserve_s=invocation.scan_reserve_s,
        )


def _scan_failed(invocation: Invocation, what: str, error: RollerError) -> None:
    logger.error("scan_failed", extra={"prefix": what, "why": str(error)})
    invocation.summary.scan_failed(what, error)
