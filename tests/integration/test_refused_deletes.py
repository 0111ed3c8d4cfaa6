"""A bucket that deletes nothing: rollups are written and proven, and one error stands for all day groups."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pytest
from tests.support import faulty_proxy
from tests.support.fault_table import break_and_mend
from tests.support.faulty_proxy import Exchange, Fault
from tests.support.killing import finish, run, start, wait_until_given_back, waiting
from tests.support.paths import MAIN
from tests.support.real_day import RealDay, roll_many

from s3_log_roller.aws.s3 import S3Bucket, deletes
from s3_log_roller.demo.servers import SeaweedFS
from s3_log_roller.errors import StorageError
from s3_log_roller.rolling.tasks import RangeTask, decode_task
from s3_log_roller.store import DeleteReport

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_sqs import SQSClient

DAYS = 6


@pytest.fixture
def days(s3: S3Client, bucket: str) -> RealDay:
    """Small days of one target prefix."""
    days = RealDay(s3, bucket, "x/")
    days.fill(3, days=DAYS)
    return days


@pytest.fixture
def who_may_not_delete(seaweedfs: SeaweedFS, environment: dict[str, str]) -> dict[str, str]:
    """The environment of somebody who lacks s3:DeleteObject, and nothing else."""
    access_key, secret_key = seaweedfs.credentials("no-delete")
    return environment | {"AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": secret_key}


def roll(environment: dict[str, str], bucket: str) -> tuple[dict[str, Any], str]:
    """The summary and the log of a run that deletes, which ends with exit code 3."""
    command = [sys.executable, str(MAIN), "roll", "--prefixes", f"s3://{bucket}/", "--delete", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 3, done.stderr
    return json.loads(done.stdout), done.stderr


def test_who_may_not_delete_hears_of_it_once(
    days: RealDay, who_may_not_delete: dict[str, str], environment: dict[str, str]
) -> None:
    """One failure, which names the bucket and the permission, and one line of the log; rollups are told as written."""
    summary, log = roll(who_may_not_delete, days.bucket)
    (failure,) = summary["failures"]
    assert failure["what"] == f"s3://{days.bucket}/"
    assert (
        f"S3 refuses to delete in s3://{days.bucket}: 18 originals of 6 day groups were not deleted" in failure["why"]
    )
    assert "allow s3:DeleteObject" in failure["why"]
    assert log.count("AccessDenied") == 1
    assert (summary["rollups"], summary["logs_packed"], summary["originals_deleted"]) == (DAYS, 18, 0)
    days.assert_done(deleted=False)
    run(environment, "roll", "--prefixes", f"s3://{days.bucket}/", "--delete")
    days.assert_done(deleted=True)


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (faulty_proxy.answer(503, "SlowDown"), "^s3:DeleteObject on s3://.* failed after .* SlowDown"),
        (faulty_proxy.delete_nothing_now, "^S3 refuses to delete in s3://.*: 8 originals of 4 day groups .* SlowDown"),
    ],
    ids=["whole calls", "key by key"],
)
def test_a_server_that_never_deletes_is_waited_for_once(
    seaweedfs: SeaweedFS, s3: S3Client, bucket: str, fault: Fault, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not once more for each of the day groups: one delete is put off until patience ends."""
    monkeypatch.setattr(deletes, "PATIENCE_S", 1.0)
    waits = 0
    delete = S3Bucket.delete

    def counted(store: S3Bucket, objects: Iterable[tuple[str, str]], report: DeleteReport, **how: bool) -> DeleteReport:
        nonlocal waits
        try:
            delete(store, objects, report, **how)
        except StorageError:
            waits += 1
            raise
        waits += report.gave_up
        return report

    monkeypatch.setattr(S3Bucket, "delete", counted)
    days = RealDay(s3, bucket, "x/")
    days.fill_many()

    def plan(exchange: Exchange) -> Fault | None:
        return fault if exchange.operation == "DeleteObjects" else None

    error = break_and_mend(seaweedfs, days, plan, work=roll_many)
    assert waits == 1
    assert re.search(words, str(error))
    days.assert_done(deleted=True)


def test_a_worker_that_may_not_delete_leaves_one_dead_letter(
    days: RealDay,
    who_may_not_delete: dict[str, str],
    environment: dict[str, str],
    sqs: SQSClient,
    queue_name: str,
    queue_url: str,
    dead_letter_queue_url: str,
) -> None:
    """The message of all day groups comes again until it is set aside, and no day group gets one of its own."""
    sqs.set_queue_attributes(QueueUrl=queue_url, Attributes={"VisibilityTimeout": "1"})
    run(environment, "producer", "--queue-name", queue_name, "--prefixes", f"s3://{days.bucket}/")
    log, codes = "", []
    while waiting(sqs, queue_url):
        wait_until_given_back(sqs, queue_url)  # a worker that finds nothing for three seconds ends
        code, said = finish(start(who_may_not_delete, "worker", "--queue-name", queue_name, "--delete"))
        codes.append(code)
        log += said
    assert codes[0] == 3
    assert set(codes) <= {3, 0}, "the last one may come when the message has been set aside"
    refusals = re.findall(r"\d+ originals of \d+ day groups", log)
    assert refusals[0] == "18 originals of 6 day groups", "the pass"
    assert set(refusals[1:]) == {"9 originals of 3 day groups"}, "a few of them, with every further receive"
    messages = sqs.receive_message(QueueUrl=dead_letter_queue_url, MaxNumberOfMessages=10)["Messages"]
    (task,) = [decode_task(message["Body"]) for message in messages]
    assert isinstance(task, RangeTask)
    days.assert_done(deleted=False)
    sqs.send_message(QueueUrl=queue_url, MessageBody=messages[0]["Body"])  # as a redrive does
    run(environment, "worker", "--queue-name", queue_name, "--delete")
    days.assert_done(deleted=True)
