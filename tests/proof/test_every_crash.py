"""`kill -9` at every single step, in its three moments, and at random under load."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.integration.test_crashes import (
    MOMENTS,
    crash_and_converge,
    finish,
    killed_at,
    requests_of_a_run,
    run,
    start,
)
from tests.real_day import RealDay

from s3_log_roller.demo.servers import Ministack, SeaweedFS, isolated_environment

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_sqs import SQSClient

Figure = Callable[[str], None]

RANDOM_KILLS = int(os.environ.get("ROLLER_RANDOM_KILLS", "200"))
SEED = int(os.environ.get("ROLLER_SEED", "1"))


@pytest.fixture
def environment(seaweedfs: SeaweedFS, ministack: Ministack) -> dict[str, str]:
    """A user's environment that leads to both servers."""
    return isolated_environment(seaweedfs, ministack)


def fill_in_parts(day: RealDay) -> None:
    """A day large enough for an upload in parts of 8 MiB, and one that is not."""
    day.fill(2, days=2)
    for number in range(5):
        day.put(f"{day.prefix}2022-07-01-23-59-5{number}-{number:016X}", random.Random(number).randbytes(3_500_000))


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("size", ["one put", "in parts"])
@pytest.mark.parametrize("options", [["--delete"], []], ids=["delete", "keep"])
def test_the_whole_crash_table(
    seaweedfs: SeaweedFS,
    s3: S3Client,
    bucket: str,
    environment: dict[str, str],
    options: list[str],
    size: str,
    figure: Figure,
) -> None:
    """Every request of a run × three moments: nothing missing after the kill, everything once after a plain run."""
    fill = fill_in_parts if size == "in parts" else lambda day: day.fill(2, days=2)
    day = RealDay(s3, bucket, "0/")
    fill(day)
    steps = requests_of_a_run(seaweedfs, environment, day, *options)
    died = 0
    for at in range(1, steps + 1):
        for number, moment in enumerate(MOMENTS):
            day = RealDay(s3, bucket, f"{at}-{number}/")
            fill(day)
            died += crash_and_converge(seaweedfs, environment, day, at, moment, options)
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
    figure: Figure,
) -> None:
    """Three workers on a queue, one of them killed every few moments, logs coming all the while.

    After each kill nothing is missing; new producer runs and redelivery between them; in the end all is rolled up once.
    """
    sqs.set_queue_attributes(QueueUrl=queue_url, Attributes={"VisibilityTimeout": "3"})
    rng = random.Random(SEED)
    kills = round_number = 0
    workers: list[subprocess.Popen[str]] = []
    day = RealDay(s3, bucket, "x/")
    produce = ["producer", "--queue-name", queue_name, "--prefixes", f"s3://{bucket}/x/"]
    while kills < RANDOM_KILLS:
        round_number += 1
        # Days of their own: late logs for a day that two workers have at once are the known race of decision 0006.
        day.prefix = f"x/{round_number}/"
        day.fill(15, days=3, seed=round_number)
        run(environment, *produce)
        for _ in range(10):
            while len(workers) < 3:
                options = ["--delete"] if rng.random() < 0.7 else []
                workers.append(start(environment, "worker", "--queue-name", queue_name, *options))
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
    figure(f"RANDOM KILLS: {kills} kills, {len(day.bodies)} logs, {len(day.open_uploads())} uploads left open")


def test_the_workers_steps_one_by_one_with_redelivery(
    seaweedfs: SeaweedFS,
    s3: S3Client,
    sqs: SQSClient,
    bucket: str,
    queue_name: str,
    queue_url: str,
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    """One message, killed at every step of its task in turn; SQS gives it out again each time until it is done."""
    sqs.set_queue_attributes(QueueUrl=queue_url, Attributes={"VisibilityTimeout": "3"})
    day = RealDay(s3, bucket, "x/")
    day.fill(3)
    run(environment, "producer", "--queue-name", queue_name, "--prefixes", f"s3://{bucket}/x/")
    work = ["worker", "--queue-name", queue_name, "--delete"]
    for at in range(1, 20):
        died, _ = killed_at(seaweedfs, environment, work, at, MOMENTS[at % 3])
        day.assert_nothing_lost()
        if not died:
            break
        time.sleep(3.2)
    else:
        pytest.fail("the message never got done")
    day.assert_done(deleted=True)
