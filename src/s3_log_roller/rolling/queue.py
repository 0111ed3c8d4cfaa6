"""The task queue: what producer and worker need of one, and one inside the process.

A queue keeps a task until it is acknowledged. A delivery that is not acknowledged comes again when its time is up; how
often, and when it goes to the dead-letter queue, is the SQS queue's own redrive policy.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable
from types import TracebackType
from typing import Protocol, Self

from s3_log_roller.rolling.tasks import Task, encode_task

logger = logging.getLogger(__name__)


class Delivery(Protocol):
    """A message this process holds, from `receive` until the end of its `with` block, however long that takes."""

    @property
    def body(self) -> str:
        """The message's text."""

    @property
    def message_id(self) -> str:
        """What the queue calls the message."""

    @property
    def receives(self) -> int:
        """How often the queue has given the message out, this time included."""

    def acknowledge(self) -> None:
        """Remove the message from the queue. Raises `QueueError`."""

    def release(self) -> None:
        """Let others have the message at once; never raises."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class TaskQueue(Protocol):
    """What producer and worker need of a queue."""

    def send(self, tasks: Iterable[Task]) -> int:
        """Send the tasks, drawing them from the iterable as it goes, and return how many. Raises `QueueError`."""

    def receive(self, wait_seconds: int) -> Delivery | None:
        """The next message, or None if none came for that long. Raises `QueueError`."""

    def backlog(self) -> int | None:
        """About how many tasks are in the queue, those that workers hold included; None if that can't be told."""


def warn_of_backlog(queue: TaskQueue, name: str) -> None:
    """Say, before a producer sends, that tasks of earlier runs are still there."""
    backlog = queue.backlog()
    if not backlog:
        return
    tasks = "1 task" if backlog == 1 else f"about {backlog:,} tasks"
    sentence = (
        f"The queue {name} still holds {tasks} of earlier runs. Tasks sent twice do no harm, but if every run finds "
        "some, more is sent than workers can do before the next run: start more workers (on Lambda, raise the maximum "
        "concurrency), or let runs look at young days only, with --max-age-days"
    )
    logger.warning("queue_not_empty", extra={"queue": name, "tasks": backlog, "sentence": sentence})


class InProcessQueue:
    """Takes tasks from an iterator when there is nothing else to do, so that finding work and doing it alternate."""

    def __init__(self, source: Iterable[Task] = ()) -> None:
        self._source = iter(source)
        self._sent: deque[Task] = deque()
        self._received = 0

    def send(self, tasks: Iterable[Task]) -> int:
        """See `TaskQueue.send`; these come before what the iterator still holds."""
        before = len(self._sent)
        self._sent.extend(tasks)
        return len(self._sent) - before

    def receive(self, wait_seconds: int) -> InProcessDelivery | None:
        """See `TaskQueue.receive`; never waits, but may scan for the next task."""
        task = self._sent.popleft() if self._sent else next(self._source, None)
        if task is None:
            return None
        self._received += 1
        return InProcessDelivery(encode_task(task), str(self._received))

    def backlog(self) -> int:
        """See `TaskQueue.backlog`; what the iterator still holds is not in the queue yet."""
        return len(self._sent)


class InProcessDelivery:
    """A message of an `InProcessQueue`. Nobody else could receive it, so there is nothing to hold."""

    receives = 1

    def __init__(self, body: str, message_id: str) -> None:
        self.body = body
        self.message_id = message_id

    def acknowledge(self) -> None:
        """See `Delivery.acknowledge`."""

    def release(self) -> None:
        """See `Delivery.release`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...
