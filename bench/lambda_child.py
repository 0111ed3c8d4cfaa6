"""The Lambda function's handler over a queue in memory, one message an invocation. A process of its own."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from typing import Any

from s3_log_roller.aws.buckets import Buckets, Connection
from s3_log_roller.aws_lambda.handler import Function
from s3_log_roller.aws_lambda.settings import Settings
from s3_log_roller.log_output import configure_logging
from s3_log_roller.rolling.scan import scan
from s3_log_roller.rolling.tasks import RangeTask, ScanTask, Task, decode_task, encode_task

TIME_LIMIT_MS = 900_000


class Queue:
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.bodies: list[str] = []

    def send(self, tasks: Iterable[Task]) -> int:
        """See `TaskQueue.send`."""
        bodies = [encode_task(task) for task in tasks]
        self.bodies += bodies
        return len(bodies)

    def receive(self, wait_seconds: int) -> None:
        """See `TaskQueue.receive`; an event brings the messages."""

    def backlog(self) -> int | None:
        """See `TaskQueue.backlog`."""
        return None


class Context:
    """What the handler uses of Lambda's."""

    aws_request_id = "benchmark"

    def get_remaining_time_in_millis(self) -> int:
        """Always the same: no step is short of time."""
        return TIME_LIMIT_MS


def main(where: str, batch: str, alone: str) -> None:
    """Produce, work off all messages, and print the times of the invocations as JSON.

    With `alone` each day group is a message of its own.
    """
    log = StringIO()
    with redirect_stdout(log), redirect_stderr(log):
        configure_logging("json")
        queue = Queue()
        function = Function(Settings("benchmark", delete=True), queue, Buckets(Connection()).lease)
        figures: dict[str, Any] = {"producer": _timed(function, {"prefixes": [where]}), "workers": []}
        if alone == "alone":
            queue.bodies = [body for task in queue.bodies for body in _alone(decode_task(task))]
        figures["messages"] = 0
        while messages := queue.bodies[: int(batch)]:
            del queue.bodies[: int(batch)]
            figures["messages"] += len(messages)
            records = [
                {"eventSource": "aws:sqs", "messageId": str(number), "body": body, "attributes": {}}
                for number, body in enumerate(messages)
            ]
            figures["workers"].append(_timed(function, {"Records": records}))
    figures["log_bytes"] = len(log.getvalue().encode())
    print(json.dumps(figures))


def _timed(function: Function, event: dict[str, Any]) -> dict[str, float]:
    wall_s, cpu_s = time.monotonic(), time.process_time()
    answer = function.invoke(event, Context())
    if answer.get("batchItemFailures"):
        sys.exit(f"{len(answer['batchItemFailures'])} messages failed")
    return {"wall_s": time.monotonic() - wall_s, "cpu_s": time.process_time() - cpu_s}


def _alone(task: Task) -> list[str]:
    if not isinstance(task, RangeTask):
        return [encode_task(task)]
    whole = ScanTask(task.bucket, task.prefix, task.window, start_after=task.start_after, end=task.end)
    with Buckets(Connection()).lease(task.bucket, None, None) as store:
        return [encode_task(task.for_group(one.group)) for one in scan(store, whole)]


if __name__ == "__main__":
    main(*sys.argv[1:])
