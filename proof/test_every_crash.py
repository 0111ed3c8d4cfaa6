"""`kill -9` at every single step, in its three moments, and at random under load."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from tests.support.faulty_proxy import FaultyProxy
from tests.support.killing import (
    MOMENTS,
    crash_and_converge,
    finish,
    killed_at,
    requests_of_a_run,
    run,
    slowed_down,
    start,
    wait_until_given_back,
    waiting,
)
from tests.support.logs import DAY, TODAY, log_key
from tests.support.real_day import RealDay

from s3_log_roller.demo.servers import SeaweedFS
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rolling.tasks import RollTask, encode_task
from s3_log_roller.rolling.window import Window

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_sqs import SQSClient

Figure = Callable[[str], None]

RANDOM_KILLS = int(os.environ.get("ROLLER_RANDOM_KILLS", "200"))
LEAST_KILLS = 7
"""Up to its PUT the task makes 8 requests to S3; behind it, killed or not, it is soon done."""
SEED = int(os.environ.get("ROLLER_SEED", "1"))


@pytest.fixture
def proxies() -> Iterator[ExitStack]:
    """Holds proxies open until the test is over."""
    with ExitStack() as stack:
        yield stack


def fill_in_parts(day: RealDay) -> None:
    """A day large enough for an upload in parts of 8 MiB, and one that is not."""
    day.fill(2, days=2)
    for number in range(5):
        day.put(f"{day.prefix}2022-07-01-23-59-5{number}-{number:016X}", random.Random(number).randbytes(3_500_000))


FILLS: dict[str, Callable[[RealDay], None]] = {
    "one put": lambda day: day.fill(2, days=2),
    "in parts": fill_in_parts,
    "a pass over many day groups": RealDay.fill_many,
}


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("size", FILLS)
@pytest.mark.parametrize("options", [["--delete"], []], ids=["delete", "keep"])
def test_the_whole_crash_table(
    s3: S3Client,
    bucket: str,
    environment: dict[str, str],
    options: list[str],
    size: str,
    figure: Figure,
) -> None:
    """Every request of a run × three moments: nothing missing after the kill, everything once after a plain run."""
    fill = FILLS[size]
    day = RealDay(s3, bucket, "0/")
    fill(day)
    steps = requests_of_a_run(environment, day, *options)
    died = 0
    for at in range(1, steps + 1):
        for number, moment in enumerate(MOMENTS):
            day = RealDay(s3, bucket, f"{at}-{number}/")
            fill(day)
            died += crash_and_converge(environment, day, at, moment, options)
    figure(f"CRASH TABLE: {size}, {options}, {steps} steps, {died} kills")
    assert died >= 3 * (steps - 4)  # requests in flight at once come in any order


@pytest.mark.timeout(3600)
def test_random_kills_under_load(
    seaweedfs: SeaweedFS,
    s3: S3Client,
    sqs: SQSClient,
    bucket: str,
    queue_name: str,
    queue_url: str,
    environment: dict[str, str],
    proxies: ExitStack,
    figure: Figure,
) -> None:
    """Three workers on a queue, one of them killed every few moments, logs coming all the while.

    One day in each four rounds goes up in parts; what the killed leave open is counted, for nobody can abort it.
    After each kill nothing is missing; new producer runs and redelivery between them; in the end all is rolled up once.
    """
    sqs.set_queue_attributes(QueueUrl=queue_url, Attributes={"VisibilityTimeout": "3"})
    rng = random.Random(SEED)
    kills = round_number = 0
    workers: list[subprocess.Popen[str]] = []
    day = RealDay(s3, bucket, "x/")
    produce = ["producer", "--queue-name", queue_name, "--prefixes", f"s3://{bucket}/x/"]
    proxy = proxies.enter_context(FaultyProxy(seaweedfs.port))
    watched = environment | {"AWS_ENDPOINT_URL_S3": proxy.url}
    while kills < RANDOM_KILLS:
        round_number += 1
        # Days of their own: late logs for a day that two workers have at once are the known race of decision 0006.
        day.prefix = f"x/{round_number}/"
        day.fill(15, days=3, seed=round_number)
        if round_number % 4 == 1:
            day.fill_in_parts()
        run(environment, *produce)
        for _ in range(10):
            while len(workers) < 3:
                options = ["--delete"] if rng.random() < 0.7 else []
                workers.append(start(watched, "worker", "--queue-name", queue_name, *options))
            time.sleep(rng.uniform(0.25, 0.9))
            victim = workers.pop(rng.randrange(3))
            if victim.poll() is None:
                victim.send_signal(signal.SIGKILL)
                kills += 1
            finish(victim)
        day.prefix = "x/"
        day.assert_nothing_lost()
        day.assert_nothing_twice()
    for worker in workers:
        finish(worker)
    time.sleep(3.5)
    run(environment, "worker", "--queue-name", queue_name, "--delete")
    run(environment, "roll", "--prefixes", f"s3://{bucket}/x/", "--delete")
    day.assert_exactly_once()
    assert not set(day.keys()) & set(day.bodies)
    begun = sum(exchange.operation == "CreateMultipartUpload" for exchange in proxy.seen)
    assert begun, "nothing went up in parts"
    left_open = len(day.open_uploads())
    assert left_open <= kills
    figure(f"RANDOM KILLS: {kills} kills, {len(day.bodies)} logs, {begun} uploads in parts, {left_open} left open")


def test_the_workers_steps_one_by_one_with_redelivery(
    s3: S3Client,
    sqs: SQSClient,
    bucket: str,
    queue_name: str,
    queue_url: str,
    environment: dict[str, str],
    figure: Figure,
) -> None:
    """One message, killed at every step of its task in turn; SQS gives it out again each time until it is done."""
    sqs.set_queue_attributes(QueueUrl=queue_url, Attributes={"VisibilityTimeout": "3"})
    day = RealDay(s3, bucket, "x/")
    day.fill(3)
    run(environment, "producer", "--queue-name", queue_name, "--prefixes", f"s3://{bucket}/x/")
    work = ["worker", "--queue-name", queue_name, "--delete"]
    for at in range(1, 20):
        died, _ = killed_at(environment, work, at, MOMENTS[at % 3])
        day.assert_nothing_lost()
        if not died:
            break
        time.sleep(3.2)
    else:
        pytest.fail("the message never got done")
    day.assert_done(deleted=True)
    figure(f"ONE MESSAGE, killed at every step in turn: {at - 1} kills")
    assert at - 1 >= LEAST_KILLS


@pytest.mark.timeout(3600)
def test_the_producers_crash_table(
    s3: S3Client,
    sqs: SQSClient,
    bucket: str,
    queue_name: str,
    queue_url: str,
    environment: dict[str, str],
    figure: Figure,
) -> None:
    """Every request of a scan of three pages, and of its sends, × three moments: no log is touched.

    After the next plain producer every day group has its task; after a plain worker every log is in one rollup.
    """
    day = RealDay(s3, bucket, "x/one-page/")
    day.fill(1, days=12)
    day.prefix = "x/two-pages/"
    day.bodies |= {log_key(second, day.prefix): b"" for second in range(1005)}
    day.fill(1, days=12, seed=2)
    day.prefix = "x/"
    there = day.listing()
    prefixes = [f"s3://{bucket}/x/{name}/" for name in ("one-page", "two-pages")]
    produce = ["producer", "--queue-name", queue_name, "--prefixes", *prefixes]
    died, seen = killed_at(environment, produce, 1 << 30, MOMENTS[0], services=("S3", "SQS"))
    assert not died
    calls = [exchange.operation for exchange in seen]
    assert (calls.count("ListObjects"), calls.count("SendMessageBatch")) == (3, 3), calls
    assert waiting(sqs, queue_url) == 24
    sqs.purge_queue(QueueUrl=queue_url)
    kills = 0
    for at in range(1, len(seen) + 1):
        for moment in MOMENTS:
            died, _ = killed_at(environment, produce, at, moment, services=("S3", "SQS"))
            kills += died
            assert day.listing() == there
            sent = waiting(sqs, queue_url)
            assert sent < 24 or at == len(seen)
            run(environment, *produce)
            assert waiting(sqs, queue_url) == sent + 24
            run(environment, "worker", "--queue-name", queue_name, "--count", str(sent + 24))
            day.assert_exactly_once()
            assert waiting(sqs, queue_url) == 0
            for rollup in day.rollups():
                s3.delete_object(Bucket=bucket, Key=rollup)
    figure(f"CRASH TABLE: producer, {len(seen)} steps {calls}, {kills} kills")
    assert kills >= 3 * len(seen) - 1  # it may be over before it can be killed behind the last answer


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("operation", ["", "ChangeMessageVisibility"], ids=["every request", "heartbeats"])
def test_the_workers_crash_table(
    s3: S3Client,
    sqs: SQSClient,
    bucket: str,
    environment: dict[str, str],
    proxies: ExitStack,
    operation: str,
    figure: Figure,
) -> None:
    """Every request of a worker to S3 and to SQS × three moments: SQS gives the task out again, and it gets done.

    Heartbeats come only of tasks that take long, so for them every call to S3 does.
    """
    services = ("SQS",) if operation else ("S3", "SQS")
    settings = slowed_down(environment, 0.4, proxies) if operation else environment

    def prepare(name: str) -> tuple[RealDay, str, list[str]]:
        day = RealDay(s3, bucket, f"{name}/")
        day.fill(2)
        url = sqs.create_queue(QueueName=f"table-{name}", Attributes={"VisibilityTimeout": "3"})["QueueUrl"]
        sqs.send_message(
            QueueUrl=url, MessageBody=encode_task(RollTask(DayGroup(bucket, day.prefix, DAY), Window(TODAY)))
        )
        return day, url, ["worker", "--queue-name", f"table-{name}", "--delete"]

    def row(at: int, number: int) -> tuple[bool, bool]:
        """(whether it was killed, whether the task then came again)"""
        day, url, work = prepare(f"{operation}{at}-{number}")
        died, _ = killed_at(settings, work, at, MOMENTS[number], services=services, operation=operation)
        day.assert_nothing_lost()
        again = waiting(sqs, url) == 1
        wait_until_given_back(sqs, url)
        run(environment, *work)
        day.assert_done(deleted=True)
        assert waiting(sqs, url) == 0
        sqs.delete_queue(QueueUrl=url)
        return died, again

    day, _, work = prepare(f"{operation}0")
    died, seen = killed_at(settings, work, 1 << 30, MOMENTS[0], services=services, operation=operation)
    assert not died
    day.assert_done(deleted=True)
    calls = [exchange.operation for exchange in seen]
    with ThreadPoolExecutor(6) as pool:
        rows = [pool.submit(row, at, number) for at in range(1, len(seen) + 1) for number in range(len(MOMENTS))]
        ended = [done.result() for done in rows]
    kills = sum(died for died, _ in ended)
    again = sum(again for _, again in ended)
    figure(f"CRASH TABLE: worker, {len(seen)} steps {calls}, {kills} kills, {again} tasks given out again")
    assert kills >= 3 * (len(seen) - 2)
    if not operation:
        assert {"ReceiveMessage", "DeleteMessage"} <= set(calls)
        assert again >= 3 * calls.index("DeleteMessage")
