"""The messages of an SQS event as a task queue."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from s3_log_roller.errors import MalformedTask, RollerError
from s3_log_roller.rolling.queue import InProcessDelivery, TaskQueue
from s3_log_roller.rolling.tasks import decode_task

logger = logging.getLogger(__name__)

log_fields: Final[dict[str, str]] = {}
"""Fields that every event of the log gets: the request and the message that are being worked on."""


def add_log_fields(record: logging.LogRecord) -> bool:
    """A logging filter that adds `log_fields` to every record."""
    record.__dict__.update(log_fields)
    return True


class Batch:
    """The messages of an SQS event as a `TaskQueue`. Tasks that are sent go to the real queue.

    Lambda deletes the messages that the function's answer does not name, so an acknowledged message is left out of it.
    """

    def __init__(self, records: list[dict[str, Any]], queue: TaskQueue, has_time: Callable[[], bool]) -> None:
        self._waiting = [BatchDelivery.of(record) for record in reversed(records)]
        self._deliveries = self._waiting[::-1]
        self._has_time = has_time
        self.send = queue.send
        self.backlog = queue.backlog

    def receive(self, wait_seconds: int) -> BatchDelivery | None:
        """See `TaskQueue.receive`. The first message may use all the time; another is begun only with half of it."""
        if not self._waiting or (len(self._waiting) < len(self._deliveries) and not self._has_time()):
            return None
        delivery = self._waiting.pop()
        log_fields["message_id"] = delivery.message_id
        return delivery

    def put_off_rest(self) -> None:
        """Send the tasks that were not begun again, as new messages.

        Otherwise they would come back only after the visibility timeout, and each time would count as a failed attempt.
        """
        while self._waiting:
            delivery = self._waiting.pop()
            try:
                self.send([decode_task(delivery.body)])
            except (MalformedTask, RollerError) as error:
                logger.error("not_put_off", extra={"message_id": delivery.message_id, "why": str(error)})
            else:
                delivery.acknowledge()

    @property
    def unacknowledged(self) -> list[str]:
        """The ids of the messages that the queue must deliver again."""
        return [delivery.message_id for delivery in self._deliveries if not delivery.acknowledged]


class BatchDelivery(InProcessDelivery):
    """A message of a `Batch`."""

    @classmethod
    def of(cls, record: dict[str, Any]) -> BatchDelivery:
        """The message of a record of an SQS event."""
        delivery = cls(record["body"], record["messageId"])
        delivery.receives = int(record.get("attributes", {}).get("ApproximateReceiveCount", "1"))
        return delivery

    acknowledged = False

    def acknowledge(self) -> None:
        """See `Delivery.acknowledge`."""
        self.acknowledged = True
