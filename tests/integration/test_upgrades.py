"""The day after an update: what 0.1 left in buckets and queues, on real servers."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.paths import GOLDEN, MAIN

from s3_log_roller.log_keys import parse_rollup_key

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_sqs import SQSClient

LOG = "example.com/2022-07-01-05-15-43-42117B9A70B0F1BA"
ROLLUP = "example.com/rollup-2022-07-01-e87e5ff2.tgz"
OLD_ROLLUP = (GOLDEN / "rollup-0.1-one-log.tgz").read_bytes()
BODY = b"hello\n"

Run = Callable[..., str]


@pytest.fixture
def run(environment: dict[str, str]) -> Run:
    """What `main.py` prints with those arguments; it has to succeed."""

    def run_main(*arguments: str) -> str:
        command = [sys.executable, str(MAIN), *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run_main


@pytest.fixture
def old_bucket(s3: S3Client, bucket: str) -> str:
    """A bucket with a log and the rollup that 0.1 made of it."""
    s3.put_object(Bucket=bucket, Key=LOG, Body=BODY)
    s3.put_object(Bucket=bucket, Key=ROLLUP, Body=OLD_ROLLUP)
    return bucket


def keys_in(s3: S3Client, bucket: str) -> list[str]:
    return [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


def test_rollups_of_0_1_are_read_verified_and_reconciled(
    s3: S3Client, old_bucket: str, run: Run, tmp_path: Path
) -> None:
    """Every command works on them, and a run with --delete deletes what they hold."""
    where = f"s3://{old_bucket}/"
    listed = json.loads(run("ls", where, "--json"))
    assert (listed["members"], listed["original_bytes"]) == (1, len(BODY))
    assert LOG.removeprefix("example.com/") in run("ls", "--members", where)
    run("verify", where, "--complete")
    assert json.loads(run("roll", where, "--json"))["rollups"] == 0
    manifest = tmp_path / "manifest.jsonl"
    done = json.loads(run("roll", where, "--delete", "--json", "--manifest", str(manifest)))
    assert done["originals_deleted"] == 1
    assert json.loads(manifest.read_text())["sha256"] == hashlib.sha256(OLD_ROLLUP).hexdigest()
    run("verify", where, "--manifest", str(manifest))
    assert keys_in(s3, old_bucket) == [ROLLUP]
    assert run("cat", where) == "hello\n"
    assert "hello" in run("grep", "hello", where)
    run("restore", where, "--to", f"s3://{old_bucket}/restored/")
    restored = s3.get_object(Bucket=old_bucket, Key=f"restored/{LOG}")["Body"].read()
    assert restored == BODY


def test_messages_of_0_1_in_the_queue_are_done(
    s3: S3Client, sqs: SQSClient, bucket: str, queue_name: str, queue_url: str, run: Run
) -> None:
    """A scan task finds its days, a roll task rolls its day up, and nothing of them is left in the queue."""
    for prefix in ("scanned/", "rolled/"):
        s3.put_object(Bucket=bucket, Key=f"{prefix}2022-07-01-05-15-43-42117B9A70B0F1BA", Body=BODY)
    for message in (
        '{"task":"scan","bucket":"BUCKET","prefix":"scanned/","v":1,"cutoff":"2022-07-10"}',
        '{"task":"roll","bucket":"BUCKET","target_prefix":"rolled/","day":"2022-07-01","v":1,"cutoff":"2022-07-10"}',
    ):
        sqs.send_message(QueueUrl=queue_url, MessageBody=message.replace("BUCKET", bucket))
    done = json.loads(run("worker", "--queue-name", queue_name, "--delete", "--json"))
    assert (done["rollups"], done["originals_deleted"]) == (2, 2)
    assert sorted(key.target_prefix for key in map(parse_rollup_key, keys_in(s3, bucket)) if key) == [
        "rolled/",
        "scanned/",
    ]
    waiting = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["All"])["Attributes"]
    assert waiting["ApproximateNumberOfMessages"] == waiting["ApproximateNumberOfMessagesNotVisible"] == "0"
