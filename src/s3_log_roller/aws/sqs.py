"""Task queues in Amazon SQS."""

from __future__ import annotations

import logging
import random
import re
import threading
import time
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from s3_log_roller.aws.errors import error_code, translate_error
from s3_log_roller.aws.patience import patient
from s3_log_roller.errors import QueueError, UsageError
from s3_log_roller.rolling.tasks import Task, encode_task

if TYPE_CHECKING:
    import boto3
    from types_boto3_sqs.client import SQSClient
    from types_boto3_sqs.literals import QueueAttributeNameType
    from types_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

logger = logging.getLogger(__name__)

BATCH: Final = 10
"""Messages in a SendMessageBatch, at most."""
SENDS_AT_ONCE: Final = 4
"""Calls under way while further tasks are looked for: a scan need not wait for each answer."""
SEND_ATTEMPTS: Final = 6
MAX_POLL_SECONDS: Final = 20
MIN_VISIBILITY_SECONDS: Final = 3
"""A shorter visibility timeout of the queue's is read as this: the heartbeat must fit in several times."""

_URL: Final = re.compile(r"https?://[^/]+/.+")
_URL_REGION: Final = re.compile(r"https://(?:sqs\.([a-z0-9-]+)\.amazonaws|([a-z0-9-]+)\.queue\.amazonaws)\.com")
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,80}")


class SqsQueue:
    """A standard SQS queue, given by its name or its URL."""

    def __init__(self, session: boto3.Session, name_or_url: str, timeout_s: float | None = None) -> None:
        """A server that does not answer is given up after `timeout_s`."""
        self.name = name_or_url.rstrip("/").rpartition("/")[2]
        self._is_url = bool(_URL.fullmatch(name_or_url))
        if self.name.endswith(".fifo"):
            raise UsageError(f"{self.name} is a FIFO queue: the roller needs a standard queue")
        if not self._is_url and not _NAME.fullmatch(name_or_url):
            raise UsageError(
                f"{name_or_url!r} is not the name of a queue (1 to 80 letters, digits, - and _), and not its URL"
            )
        in_url = _URL_REGION.match(name_or_url)
        self.region: str | None = (in_url[1] or in_url[2]) if in_url else session.region_name
        self._timeout_s = timeout_s
        self._client = self._make_client(session)
        self._polling = self._make_client(session, MAX_POLL_SECONDS)
        """For the call that the server holds back until there is a message."""
        self._url = name_or_url if self._is_url else self._find_url()
        self._visibility_seconds: int | None = None

    def _make_client(self, session: boto3.Session, poll_s: int = 0) -> SQSClient:
        from botocore.exceptions import BotoCoreError

        config = patient(self._timeout_s, poll_s=poll_s)
        try:
            return session.client("sqs", region_name=self.region, config=config)
        except (BotoCoreError, ValueError) as error:
            raise translate_error(error, "connecting", f"queue {self.name}", None, QueueError) from error

    def _find_url(self) -> str:
        with self._calling("sqs:GetQueueUrl"):
            return self._client.get_queue_url(QueueName=self.name)["QueueUrl"]

    def send(self, tasks: Iterable[Task]) -> int:
        """See `TaskQueue.send`. When it raises, an unknown number has been sent: sending again does no harm."""
        bodies = map(encode_task, tasks)
        sent = 0
        under_way: deque[Future[int]] = deque()
        # Leaving the `with` block waits for all calls, so nothing is acknowledged before what follows it was sent.
        with ThreadPoolExecutor(SENDS_AT_ONCE) as threads:
            while batch := list(islice(bodies, BATCH)):
                if len(under_way) == SENDS_AT_ONCE:
                    sent += under_way.popleft().result()
                under_way.append(threads.submit(self._send_batch, batch))
        return sent + sum(call.result() for call in under_way)

    def _send_batch(self, bodies: list[str]) -> int:
        entries: list[SendMessageBatchRequestEntryTypeDef] = [
            {"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies)
        ]
        for attempt in range(SEND_ATTEMPTS):
            with self._calling("sqs:SendMessage"):
                answer = self._client.send_message_batch(QueueUrl=self._url, Entries=entries)
            failed = answer.get("Failed", [])
            # An entry the answer is silent about was not sent either.
            done = {entry["Id"] for entry in answer.get("Successful", [])}
            entries = [entry for entry in entries if entry["Id"] not in done]
            if not entries:
                return len(bodies)
            reasons = sorted({f"{entry['Code']}: {entry.get('Message', '')}" for entry in failed}) or [
                "no reason given"
            ]
            if any(entry["SenderFault"] for entry in failed):
                break
            time.sleep(random.uniform(0, min(10.0, 0.1 * 2**attempt)))  # noqa: S311 jitter need not be secret
        raise QueueError(
            f"sqs:SendMessage on queue {self.name}: {len(entries)} of {len(bodies)} messages were not taken "
            f"({'; '.join(reasons)}); run again, tasks sent twice do no harm"
        )

    def receive(self, wait_seconds: int) -> SqsDelivery | None:
        """See `TaskQueue.receive`. From here on a heartbeat keeps the message invisible to others."""
        visibility_seconds = self._visibility()
        with self._calling("sqs:ReceiveMessage"):
            answer = self._polling.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=1,
                WaitTimeSeconds=min(wait_seconds, MAX_POLL_SECONDS),
                VisibilityTimeout=visibility_seconds,
                MessageSystemAttributeNames=["ApproximateReceiveCount"],
            )
        for message in answer.get("Messages", []):
            return SqsDelivery(
                self,
                message["Body"],
                message["MessageId"],
                message["ReceiptHandle"],
                visibility_seconds,
                receives=int(message.get("Attributes", {}).get("ApproximateReceiveCount", "1")),
            )
        return None

    def backlog(self) -> int | None:
        """See `TaskQueue.backlog`. A producer may lack sqs:GetQueueAttributes, and can do without."""
        names: list[QueueAttributeNameType] = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        try:
            with self._calling("sqs:GetQueueAttributes"):
                answer = self._client.get_queue_attributes(QueueUrl=self._url, AttributeNames=names)
            return sum(int(answer["Attributes"][name]) for name in names)
        except (QueueError, KeyError) as error:
            logger.debug("backlog_unknown", extra={"queue": self.name, "why": str(error)})
            return None

    def delete_message(self, receipt: str) -> None:
        """Take a received message off the queue."""
        with self._calling("sqs:DeleteMessage"):
            self._client.delete_message(QueueUrl=self._url, ReceiptHandle=receipt)

    def change_visibility(self, receipt: str, seconds: int) -> None:
        """Keep a received message from others for that long from now."""
        with self._calling("sqs:ChangeMessageVisibility"):
            self._client.change_message_visibility(QueueUrl=self._url, ReceiptHandle=receipt, VisibilityTimeout=seconds)

    def _visibility(self) -> int:
        if self._visibility_seconds is None:
            with self._calling("sqs:GetQueueAttributes"):
                answer = self._client.get_queue_attributes(QueueUrl=self._url, AttributeNames=["VisibilityTimeout"])
            self._visibility_seconds = max(MIN_VISIBILITY_SECONDS, int(answer["Attributes"]["VisibilityTimeout"]))
        return self._visibility_seconds

    def _calling(self, call: str) -> _Calling:
        return _Calling(call, self.name, self.region, self._timeout_s)


class _Calling:
    """Translates what boto3 raises inside the `with` block."""

    def __init__(self, call: str, queue: str, region: str | None, timeout_s: float | None) -> None:
        self._call = call
        self._queue = queue
        self._region = region
        self._timeout_s = timeout_s

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        if not isinstance(error, BotoCoreError | ClientError | FileNotFoundError | PermissionError):
            return
        if error_code(error) in {"NonExistentQueue", "QueueDoesNotExist"}:
            raise QueueError(
                f"{self._call}: there is no queue {self._queue} in {self._region} for these credentials; check "
                "the name, --region and --profile, or create it"
            ) from error
        queue = f"queue {self._queue}"
        raise translate_error(error, self._call, queue, self._region, QueueError, timeout_s=self._timeout_s) from error


class SqsDelivery:
    """A message received from SQS, with a thread that keeps it invisible to other workers."""

    def __init__(
        self, queue: SqsQueue, body: str, message_id: str, receipt: str, visibility_seconds: int, *, receives: int = 1
    ) -> None:
        self.body = body
        self.receives = receives
        self.message_id = message_id
        self._queue = queue
        self._receipt = receipt
        self._visibility_seconds = visibility_seconds
        self._ended = threading.Event()
        self._heartbeat = threading.Thread(target=self._beat, name=f"heartbeat-{message_id}", daemon=True)
        self._heartbeat.start()

    def acknowledge(self) -> None:
        """See `Delivery.acknowledge`."""
        self._stop_heartbeat()
        self._queue.delete_message(self._receipt)

    def release(self) -> None:
        """See `Delivery.release`."""
        self._stop_heartbeat()
        self._extend(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop_heartbeat()

    def _stop_heartbeat(self) -> None:
        """Returns when no heartbeat can reach the queue any more."""
        self._ended.set()
        self._heartbeat.join()

    def _beat(self) -> None:
        while not self._ended.wait(max(1.0, self._visibility_seconds / 3)):
            self._extend(self._visibility_seconds)

    def _extend(self, seconds: int) -> None:
        """Not fatal when it fails: at worst another worker runs the same task, which does no harm."""
        try:
            self._queue.change_visibility(self._receipt, seconds)
        except Exception as error:
            sentence = f"SQS may hand out a running task again, because its message could not be kept back: {error}"
            logger.warning(
                "heartbeat_failed", extra={"message_id": self.message_id, "why": str(error), "sentence": sentence}
            )
