"""The built zip under AWS's own runtime emulator, against a real S3 server and a real queue."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from tests.support.emulator import emulated
from tests.support.sample_bucket import members, put_logs

from s3_log_roller.demo.servers import SeaweedFS


def receive(sqs: Any, queue_url: str, most: int = 10) -> list[dict[str, Any]]:
    """Messages as the event source mapping hands them over, already taken off the queue."""
    answer = sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=most)
    records = []
    for message in answer.get("Messages", []):
        sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
        records.append({"messageId": message["MessageId"], "body": message["Body"], "eventSource": "aws:sqs"})
    return records


def events_in(log: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.splitlines() if line.startswith("{")]


def test_producer_and_worker_invocations_roll_the_logs_up(
    s3: Any,
    sqs: Any,
    bucket: str,
    queue_url: str,
    runtime: Path,
    unpacked: Path,
    tmp_path: Path,
    function_environment: dict[str, str],
) -> None:
    """The zip has all it needs; both modes work with no /tmp; one bad message fails alone; logs are JSON lines."""
    keys = put_logs(s3, bucket, "a/", days=3, logs=20)
    environment = function_environment | {"ROLLUP_QUEUE_NAME": queue_url, "ROLLUP_DELETE": "true"}
    with emulated(runtime, unpacked, tmp_path, environment) as function:
        answer = function.invoke({"secret": "contents"})
        assert answer["errorType"] == "UsageError"
        assert "keys secret" in answer["errorMessage"]

        answer = function.invoke({"prefixes": [f"s3://{bucket}/a/"]})
        assert answer == {"prefixes_scanned": 1, "day_groups_found": 3, "tasks_sent": 1, "failures": []}

        records = [*receive(sqs, queue_url), {"messageId": "bad", "body": "{}", "eventSource": "aws:sqs"}]
        assert len(records) == 2
        assert function.invoke({"Records": records}) == {"batchItemFailures": [{"itemIdentifier": "bad"}]}
        log = function.log()
    assert sorted(members(s3, bucket, "a/")) == sorted(keys)
    assert s3.list_objects_v2(Bucket=bucket, Prefix="a/2")["KeyCount"] == 0

    events = events_in(log)
    rolled = [event for event in events if event.get("event") == "rolled"]
    assert {event["day"] for event in rolled} == {str(date.fromisoformat(key[2:12])) for key in keys}
    assert all(event["request_id"] and event["message_id"] and event["members"] == 20 for event in rolled)
    assert [event["Failures"] for event in events if "_aws" in event] == [1, 0, 1]
    assert "contents" not in log


@pytest.mark.slow
def test_a_day_that_needs_many_times_the_time_limit_is_worked_off(
    s3: Any,
    sqs: Any,
    bucket: str,
    queue_url: str,
    runtime: Path,
    unpacked: Path,
    tmp_path: Path,
    function_environment: dict[str, str],
) -> None:
    """With a limit of 2 seconds, enforced by the emulator, each invocation ends in time; nothing is lost or twice."""
    keys = put_logs(s3, bucket, "a/", days=1, logs=2_500)
    environment = function_environment | {"ROLLUP_QUEUE_NAME": queue_url, "ROLLUP_DELETE": "true"}
    # One request at a time makes S3 slow enough.
    environment |= {"ROLLUP_MAX_IN_FLIGHT": "1"}
    invocations = 0
    with emulated(runtime, unpacked, tmp_path, environment, timeout_seconds=2) as function:
        function.invoke({"prefixes": [f"s3://{bucket}/a/"]})
        while records := receive(sqs, queue_url):
            invocations += 1
            assert invocations < 50
            assert function.invoke({"Records": records}) == {"batchItemFailures": []}
        log = function.log()
    assert invocations >= 4
    assert "Task timed out" not in log
    assert sorted(members(s3, bucket, "a/")) == sorted(keys)
    assert s3.list_objects_v2(Bucket=bucket, Prefix="a/2")["KeyCount"] == 0


def test_a_role_of_another_account_is_assumed_and_others_are_refused(
    s3: Any,
    sqs: Any,
    bucket: str,
    queue_url: str,
    runtime: Path,
    unpacked: Path,
    tmp_path: Path,
    function_environment: dict[str, str],
) -> None:
    """The payload's role does the work where it is allowed; a role that is not in the settings is never asked for."""
    keys = put_logs(s3, bucket, "a/", days=1, logs=5)
    role = SeaweedFS.role_arn("no-delete")
    environment = function_environment | {"ROLLUP_QUEUE_NAME": queue_url, "ROLLUP_ALLOWED_ROLES": role}
    with emulated(runtime, unpacked, tmp_path, environment) as function:
        answer = function.invoke({"prefixes": [f"s3://{bucket}/a/"], "s3_role": SeaweedFS.role_arn("roller")})
        assert answer["errorType"] == "UsageError"
        assert "ROLLUP_ALLOWED_ROLES" in answer["errorMessage"]
        assert function.invoke({"prefixes": [f"s3://{bucket}/a/"], "s3_role": role})["tasks_sent"] == 1
        assert function.invoke({"Records": receive(sqs, queue_url)}) == {"batchItemFailures": []}
    assert sorted(members(s3, bucket, "a/")) == sorted(keys)
