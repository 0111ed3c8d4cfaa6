"""The crash table, with real processes: `kill -9` at a request, then a plain run, on a real S3 and a real SQS server.

A proxy in between kills: before the server sees the n-th request, after it did what was asked and before the answer
arrives, or after the answer. So every state that a crash can leave in the bucket is reached, without any failure point
in the program itself. Every single step is in proof/test_every_crash.py; here is one in some.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support import faulty_proxy
from tests.support.faulty_proxy import Exchange, Fault, FaultyProxy, Link
from tests.support.killing import (
    MOMENTS,
    crash_and_converge,
    finish,
    killed_at,
    requests_of_a_run,
    run,
    start,
    wait_until_given_back,
    waiting,
)
from tests.support.real_day import RealDay
from tests.support.waiting import has_socket

from s3_log_roller.demo.servers import SeaweedFS

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_sqs import SQSClient


@pytest.mark.parametrize("options", [["--delete"], []], ids=["delete", "keep"])
def test_killed_at_a_step_and_run_again_it_converges(
    s3: S3Client, bucket: str, environment: dict[str, str], options: list[str]
) -> None:
    """After the kill no original is missing that is not in a rollup; after one plain run all are in exactly one."""
    day = RealDay(s3, bucket, "0/")
    day.fill(2, days=2)
    steps = requests_of_a_run(environment, day, *options)
    assert steps > 10  # both day groups are rolled up in one pass
    for number, at in enumerate(range(2, steps + 1, 3)):
        day = RealDay(s3, bucket, f"{at}/")
        day.fill(2, days=2)
        crash_and_converge(environment, day, at, MOMENTS[number % 3], options)


@pytest.fixture
def short_queue(sqs: SQSClient, queue_name: str, queue_url: str) -> str:
    """A queue that gives an unacknowledged message out again after 3 seconds."""
    sqs.set_queue_attributes(QueueUrl=queue_url, Attributes={"VisibilityTimeout": "3"})
    return queue_name


@pytest.mark.parametrize("again", ["redelivery", "a new producer run"])
def test_a_killed_workers_tasks_are_done_by_the_next(
    s3: S3Client,
    sqs: SQSClient,
    bucket: str,
    short_queue: str,
    queue_url: str,
    environment: dict[str, str],
    again: str,
) -> None:
    """The message was not acknowledged: SQS gives it out again. Or the queue is lost, and the producer runs again."""
    day = RealDay(s3, bucket, "x/")
    day.fill(3, days=2)
    produce = ["producer", "--queue-name", short_queue, "--prefixes", f"s3://{bucket}/x/"]
    work = ["worker", "--queue-name", short_queue, "--delete"]
    for at, moment in ((8, MOMENTS[0]), (9, MOMENTS[1]), (6, MOMENTS[2])):
        run(environment, *produce)
        died, _ = killed_at(environment, work, at, moment)
        assert died
        day.assert_nothing_lost()
        day.fill(3, days=2, seed=at)
    if again == "redelivery":
        wait_until_given_back(sqs, queue_url)
    else:
        sqs.purge_queue(QueueUrl=queue_url)
        run(environment, *produce)
    run(environment, *work)
    day.assert_exactly_once()
    if again == "redelivery":
        run(environment, *produce)  # for the logs that were delivered after the last producer run
        run(environment, *work)
    day.assert_done(deleted=True)
    waiting = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["All"])["Attributes"]
    assert waiting["ApproximateNumberOfMessages"] == "0"


def test_a_worker_killed_at_its_calls_to_the_queue_costs_nothing(
    seaweedfs: SeaweedFS,
    s3: S3Client,
    sqs: SQSClient,
    bucket: str,
    short_queue: str,
    queue_url: str,
    environment: dict[str, str],
) -> None:
    """Given a task and dead before it knew; dead at a heartbeat; dead before and behind the acknowledgement.

    The heartbeat comes while S3 does not answer.
    """
    day = RealDay(s3, bucket, "x/")
    day.fill(2, days=4)
    run(environment, "producer", "--queue-name", short_queue, "--prefixes", f"s3://{bucket}/x/")
    work = ["worker", "--queue-name", short_queue, "--delete"]
    with FaultyProxy(seaweedfs.port, lambda exchange: faulty_proxy.hang_before_answer) as silent:
        held_up = environment | {"AWS_ENDPOINT_URL_S3": silent.url}
        for operation, moment in (
            ("ChangeMessageVisibility", MOMENTS[1]),
            ("ReceiveMessage", MOMENTS[1]),
            ("DeleteMessage", MOMENTS[0]),
            ("DeleteMessage", MOMENTS[1]),
        ):
            settings = held_up if operation == "ChangeMessageVisibility" else environment
            wait_until_given_back(sqs, queue_url)
            died, _ = killed_at(settings, work, 1, moment, services=("SQS",), operation=operation)
            assert died, f"no {operation} came"
            day.assert_nothing_lost()
    wait_until_given_back(sqs, queue_url)
    run(environment, *work)
    day.assert_done(deleted=True)
    assert waiting(sqs, queue_url) == 0


def test_a_killed_child_process_costs_its_own_task_only(
    seaweedfs: SeaweedFS, s3: S3Client, bucket: str, environment: dict[str, str]
) -> None:
    """With --processes 2, one child killed: exit code 3 and a clear line; the others' days are done."""
    day = RealDay(s3, bucket, "x/")
    day.fill(2, days=6)
    victims: list[int] = []

    def plan(exchange: Exchange) -> Fault | None:
        if exchange.operation == "GetRollup" and not victims:
            victims.append(0)
            return kill_a_child
        return None

    async def kill_a_child(link: Link) -> None:
        peer = link._writer.get_extra_info("peername")[1]
        victims.extend(pid for pid in _descendants(process.pid) if has_socket(pid, peer))
        os.kill(victims[1], signal.SIGKILL)
        link.reset()

    with FaultyProxy(seaweedfs.port, plan) as proxy:
        arguments = ["roll", "--prefixes", f"s3://{bucket}/x/", "--delete", "--processes", "2"]
        process = start(environment | {"AWS_ENDPOINT_URL_S3": proxy.url}, *arguments)
        code, errors = finish(process)
    assert code == 3, errors
    assert errors.count("was killed") == 1, errors
    assert "Traceback" not in errors
    day.assert_nothing_lost()
    run(environment, "roll", "--prefixes", f"s3://{bucket}/x/", "--delete")
    day.assert_done(deleted=True)


def _descendants(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    if not children.exists():
        pytest.skip("needs /proc")
    found = [int(child) for child in children.read_text().split()]
    return found + [grandchild for child in found for grandchild in _descendants(child)]


def test_a_producer_killed_at_any_step_is_made_good_by_the_next(
    s3: S3Client,
    sqs: SQSClient,
    bucket: str,
    queue_name: str,
    queue_url: str,
    environment: dict[str, str],
) -> None:
    """Killed at its listing or among its sends: touches no log, and a second run sends all; doubled tasks are one."""
    day = RealDay(s3, bucket, "x/")
    day.fill(1, days=25)
    produce = ["producer", "--queue-name", queue_name, "--prefixes", f"s3://{bucket}/x/"]
    for operation, moment in (
        ("HeadBucket", MOMENTS[0]),
        ("ListObjects", MOMENTS[1]),
        ("GetQueueUrl", MOMENTS[1]),
        ("SendMessageBatch", MOMENTS[1]),
    ):
        assert killed_at(environment, produce, 1, moment, services=("S3", "SQS"), operation=operation)[0], operation
    day.assert_untouched()
    sent = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["ApproximateNumberOfMessages"])["Attributes"]
    assert sent["ApproximateNumberOfMessages"] == "1"  # the days are neighbours
    run(environment, *produce)
    run(environment, "worker", "--queue-name", queue_name, "--delete")
    day.assert_done(deleted=True)
