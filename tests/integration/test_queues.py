"""The queue contract on a real SQS server: every promise the worker builds on."""

from __future__ import annotations

import logging
import time
from datetime import date
from typing import TYPE_CHECKING

import boto3
import pytest

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
    """A long poll, neither an immediate no nor an endless one."""
    queue = SqsQueue(boto3.Session(), queue_name)
    began = time.monotonic()
    assert queue.receive(1) is None
    assert 0.5 < time.monotonic() - began < 10


def test_nobody_else_gets_a_task_while_it_runs(sqs: SQSClient, queue_name: str, queue_url: str) -> None:
    """A task that takes longer than the queue's visibility timeout stays invisible; afterwards it is gone."""
    set_visibility(sqs, queue_url, 3)
    queue, other = SqsQueue(boto3.Session(), queue_name), SqsQueue(boto3.Session(), queue_name)
    queue.send([task(1)])
    with receive(queue) as delivery:
        give_up_at = time.monotonic() + 6
        while time.monotonic() < give_up_at:
            assert other.receive(1) is None
        delivery.acknowledge()
    assert left_in(sqs, queue_url) == 0


def test_a_task_that_was_not_acknowledged_comes_again(sqs: SQSClient, queue_name: str, queue_url: str) -> None:
    """The heartbeat ends with the `with` block; when the time is up, the queue gives the message out again."""
    set_visibility(sqs, queue_url, 3)
    queue = SqsQueue(boto3.Session(), queue_name)
    queue.send([task(1)])
    with receive(queue) as first:
        pass
    with receive(queue, wait_seconds=10) as again:
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
        give_up_at = time.monotonic() + 10
        while not caplog.records and time.monotonic() < give_up_at:
            time.sleep(0.05)
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
    give_up_at = time.monotonic() + 60
    while left_in(sqs, dead_letter_queue_url) < 2 and time.monotonic() < give_up_at:
        Worker(queue, InlineRunner(roll), None, lambda: TODAY, summary).work()  # type: ignore[arg-type]
    assert left_in(sqs, queue_url) == 0
    assert left_in(sqs, dead_letter_queue_url) == 2
    assert summary.day_groups_done == 4
    assert summary.failed_count == 2
