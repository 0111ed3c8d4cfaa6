"""AWS Lambda: one function in two modes, which the event decides.

A payload of EventBridge Scheduler (`{"prefixes": ["s3://…"], "s3_role": "arn:…", …}`) means producer mode: scan, and
send tasks for the day groups. An SQS event means worker mode: run its tasks, and answer which failed. Anything else is
an error.

Every invocation is a bounded step. What does not fit the time left becomes a message of its own, sent before the one
it came from is acknowledged, so a backlog of any size is processed step by step.
"""

from __future__ import annotations

import functools
import logging
import os
import sys
import time
from collections.abc import Callable
from datetime import date
from typing import Any, Final, Protocol

from s3_log_roller.aws.buckets import Buckets, Connection
from s3_log_roller.aws.sessions import Sessions
from s3_log_roller.aws.sqs import SqsQueue
from s3_log_roller.aws_lambda.batch import add_log_fields, log_fields
from s3_log_roller.aws_lambda.invocation import Invocation, reserve
from s3_log_roller.aws_lambda.metrics import encode_emf, figures_of
from s3_log_roller.aws_lambda.producing import produce
from s3_log_roller.aws_lambda.settings import Settings
from s3_log_roller.aws_lambda.working import work
from s3_log_roller.clock import utc_today
from s3_log_roller.errors import UsageError
from s3_log_roller.log_output import configure_logging
from s3_log_roller.rolling.pace import Pace
from s3_log_roller.rolling.producer import OpenStore
from s3_log_roller.rolling.queue import TaskQueue
from s3_log_roller.rolling.summary import Summary

RESERVE_S: Final = 20.0
"""Enough time to drop an unfinished rollup and to send its task again."""


class Context(Protocol):
    """What is used of Lambda's context object."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        """The milliseconds before the invocation is killed."""


def lambda_handler(event: Any, context: Context) -> dict[str, Any]:
    """Lambda's way in. Raises `RollerError` if nothing of the event could be done."""
    return _function().invoke(event, context)


@functools.cache
def _function() -> Function:
    settings = Settings.from_environment(os.environ)
    configure_logging("json", getattr(logging, settings.log_level))
    for handler in logging.getLogger().handlers:
        handler.addFilter(add_log_fields)
    sessions = Sessions()
    connection = Connection(
        allow_cross_region=settings.allow_cross_region,
        max_in_flight=settings.max_in_flight,
        expected_bucket_owner=settings.expected_bucket_owner,
    )
    queue = SqsQueue(sessions.get(), settings.queue_name)
    return Function(settings, queue, Buckets(connection, sessions, settings.roll_options().stored_as).lease)


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
        """Do what the event asks for, then write the metrics, however it ended."""
        self._context = context
        log_fields.clear()
        log_fields["request_id"] = context.aws_request_id
        limit_s = self._time_left_s()
        if self._pace is None:
            self._pace = Pace(self._time_left_s, reserve_s=reserve(RESERVE_S, limit_s), monotonic=self._monotonic)
        summary = Summary(deleting=self._settings.delete)
        invocation = Invocation(
            self._settings, self._queue, self._open_store, self._today(), self._time_left_s, limit_s, summary
        )
        try:
            return _run(invocation, event, self._pace)
        except Exception as error:
            if not summary.failed_count:
                summary.failed("event", str(error))
            raise
        finally:
            _write_metrics(invocation, context.aws_request_id)

    def _time_left_s(self) -> float:
        return self._context.get_remaining_time_in_millis() / 1000 if self._context else 0.0


def _run(invocation: Invocation, event: Any, pace: Pace) -> dict[str, Any]:
    """Tell the two kinds of event apart; nothing else starts anything."""
    if isinstance(event, dict):
        if "prefixes" in event:
            return produce(invocation, event)
        records = event.get("Records")
        if isinstance(records, list) and records and all(map(_is_sqs_record, records)):
            return work(invocation, records, pace)
    raise UsageError(f"an event must be a payload with 'prefixes' or come from SQS, but this one is {_shape(event)}")


def _write_metrics(invocation: Invocation, request_id: str) -> None:
    figures = figures_of(invocation.summary, invocation.oldest_age_days)
    name = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "s3-log-roller")
    timestamp_ms = time.time_ns() // 1_000_000
    sys.stdout.write(encode_emf(figures, name, timestamp_ms, invocation.schedule, request_id=request_id) + "\n")
    sys.stdout.flush()


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
