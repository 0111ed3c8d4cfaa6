"""The queue contract on a real SQS server: every promise the worker builds on."""

from __future__ import annotations

import logging
import threading
import time
from datetime import date
from types import SimpleNamespace
from typing import TYPE_CHECKING

import boto3
import pytest
from tests.support.servers import VISIBILITY_SECONDS
from tests.support.waiting import wait_for

from s3_log_roller.aws.sqs import SqsDelivery, SqsQueue
from s3_log_roller.errors import QueueError, StorageError
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rolling.figures import Figures
from s3_log_roller.rolling.outcome import RollOutcome
from s3_log_roller.rolling.runner import InlineRunner
from s3_log_roller.rolling.summary import Summary
from s3_log_roller.rolling.tasks import RollTask, decode_task
from s3_log_roller.rolling.window import Window
from s3_log_roller.rolling.worker import Worker

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient

pytestmark = pytest.mark.usefixtures("aws_environment")

TODAY = date(2022, 7, 3)


def task(number: int) -> RollTask:
    return RollTask(DayGroup("logs", f"{number}/", date(2022, 7, 1)), Window(TODAY))


def set_visibility(sqs: SQSClient, url: str, seconds: int) -> None:
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": str(seconds)})


def left_in(sqs: SQSClient, url: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)  # type: ignore[arg-type]
    return sum(map(int, answer["Attributes"].values()))


def receive(queue: SqsQueue, wait_seconds: int = 2) -> SqsDelivery:
    delivery = queue.receive(wait_seconds)
    assert delivery is not None
    return delivery


def test_tasks_arrive_as_they_were_sent(sqs: SQSClient, queue_name: str, queue_url: str) -> None:
    """More than two batches go in, each comes out once, and acknowledging empties the queue."""
    queue = SqsQueue(boto3.Session(), queue_name)
    sent = [task(number) for number in range(23)]
    assert queue.send(iter(sent)) == 23
    received = []
    for _ in sent:
        with receive(queue) as delivery:
            received.append(decode_task(delivery.body))
            delivery.acknowledge()
    assert sorted(received, key=lambda task: str(task)) == sorted(sent, key=lambda task: str(task))
    assert left_in(sqs, queue_url) == 0


def test_a_queue_url_is_fine_too(queue_name: str, queue_url: str) -> None:
    """What the console shows can be pasted."""
    assert SqsQueue(boto3.Session(), queue_url).send([task(1)]) == 1
    with receive(SqsQueue(boto3.Session(), queue_name)) as delivery:
        assert decode_task(delivery.body) == task(1)


def test_an_empty_queue_is_waited_for(queue_name: str) -> None:
    """A long poll: not an immediate no, and it ends by itself."""
    queue = SqsQueue(boto3.Session(), queue_name)
    began = time.monotonic()
    assert queue.receive(1) is None
    assert time.monotonic() - began > 0.5


class Hasty(threading.Event):
    """Waits for a hundredth of the time."""

    def wait(self, timeout: float | None = None) -> bool:
        return super().wait(None if timeout is None else timeout / 100)


def test_nobody_else_gets_a_task_while_it_runs(
    sqs: SQSClient, queue_name: str, queue_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that takes longer than its message is invisible stays so by its heartbeats; afterwards it is gone."""
    monkeypatch.setattr("s3_log_roller.aws.sqs.threading", SimpleNamespace(Event=Hasty, Thread=threading.Thread))
    queue, other = SqsQueue(boto3.Session(), queue_name), SqsQueue(boto3.Session(), queue_name)
    kept: list[int] = []
    keep = queue.change_visibility

    def note(receipt: str, seconds: int) -> None:
        keep(receipt, seconds)
        kept.append(seconds)

    monkeypatch.setattr(queue, "change_visibility", note)
    queue.send([task(1)])
    with receive(queue) as delivery:
        sqs.change_message_visibility(QueueUrl=queue_url, ReceiptHandle=delivery._receipt, VisibilityTimeout=1)
        before = len(kept)
        wait_for(lambda: len(kept) >= before + 2, every=0.02)  # the first of them may have begun before
        time.sleep(1.1)
        assert other.receive(1) is None
        delivery.acknowledge()
    assert set(kept) == {VISIBILITY_SECONDS}
    assert left_in(sqs, queue_url) == 0


def test_a_task_that_was_not_acknowledged_comes_again(sqs: SQSClient, queue_name: str, queue_url: str) -> None:
    """The heartbeat ends with the `with` block; when the time is up, the queue gives the message out again."""
    set_visibility(sqs, queue_url, 3)
    queue = SqsQueue(boto3.Session(), queue_name)
    queue.send([task(1)])
    with receive(queue) as first:
        pass
    with receive(queue, wait_seconds=20) as again:
        assert again.message_id == first.message_id


def test_a_released_task_is_there_at_once(queue_name: str) -> None:
    """An interrupted worker does not keep others waiting for the visibility timeout."""
    queue = SqsQueue(boto3.Session(), queue_name)
    queue.send([task(1)])
    receive(queue).release()
    with receive(queue) as again:
        assert decode_task(again.body) == task(1)


def test_a_failing_heartbeat_is_logged_and_not_fatal(
    sqs: SQSClient, queue_name: str, queue_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The task goes on; at worst another worker runs it, too, which does no harm."""
    set_visibility(sqs, queue_url, 3)
    queue = SqsQueue(boto3.Session(), queue_name)
    queue.send([task(1)])
    with receive(queue) as delivery, caplog.at_level(logging.WARNING):
        delivery._receipt = "no receipt"
        wait_for(lambda: bool(caplog.records), every=0.05)
    assert caplog.records[0].getMessage() == "heartbeat_failed"
    assert "sqs:ChangeMessageVisibility" in caplog.records[0].why  # type: ignore[attr-defined]


def test_a_missing_queue_is_named() -> None:
    """One line: the call, the queue, the region, what to check."""
    with pytest.raises(QueueError) as caught:
        SqsQueue(boto3.Session(), "nowhere")
    assert str(caught.value) == (
        "sqs:GetQueueUrl: there is no queue nowhere in us-west-2 for these credentials; "
        "check the name, --region and --profile, or create it"
    )


def test_a_bad_task_ends_in_the_dead_letter_queue_alone(
    sqs: SQSClient, queue_name: str, queue_url: str, dead_letter_queue_url: str
) -> None:
    """A malformed message and a task that fails are set aside by the queue's redrive policy; the others are done."""
    set_visibility(sqs, queue_url, 3)
    queue = SqsQueue(boto3.Session(), queue_name)
    sqs.send_message(QueueUrl=queue_url, MessageBody="no task")
    queue.send([task(number) for number in range(5)])

    def roll(roll_task: RollTask) -> RollOutcome:
        if roll_task == task(2):
            raise StorageError("s3:GetObject was refused")
        return RollOutcome(roll_task.group, Figures(packed=1))

    summary = Summary()
    while left_in(sqs, dead_letter_queue_url) < 2:
        Worker(queue, InlineRunner(roll), None, lambda: TODAY, summary).work()  # type: ignore[arg-type]
    assert left_in(sqs, queue_url) == 0
    assert left_in(sqs, dead_letter_queue_url) == 2
    assert summary.day_groups_done == 4
    assert summary.failed_count == 2
