"""A log bucket that somebody else registered anew is neither read nor written: S3 is asked to refuse it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from tests.support.faulty_proxy import Exchange, Fault, FaultyProxy, answer
from tests.support.sample_bucket import members, put_logs

from s3_log_roller.demo.servers import SeaweedFS

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

OWNER, STRANGER = "111111111111", "222222222222"


def refuse_unless_expected(exchange: Exchange) -> Fault | None:
    """S3's answer where the expected owner is not the owner; no server that runs here gives it."""
    expected = re.search(rb"\r\nx-amz-expected-bucket-owner: *(\d+)", exchange.head, re.IGNORECASE)
    return None if expected and expected[1].decode() == OWNER else answer(403, "AccessDenied")


@pytest.fixture
def owned(seaweedfs: SeaweedFS, monkeypatch: pytest.MonkeyPatch, aws_environment: None) -> Iterator[FaultyProxy]:
    """A way to the server on which requests that expect another owner, or none, are refused."""
    with FaultyProxy(seaweedfs.port, refuse_unless_expected) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.url)
        yield proxy


def roll(*arguments: str) -> int:
    from s3_log_roller.cli.main import run_command

    return run_command(["roll", *arguments, "--quiet"])


def test_every_request_says_whose_the_bucket_has_to_be(s3: S3Client, bucket: str, owned: FaultyProxy) -> None:
    """Looking for the bucket, listing, reading, writing and deleting: not one request gets through without it."""
    keys = put_logs(s3, bucket, "a/", days=2, logs=5)
    assert roll("--prefixes", f"s3://{bucket}/a/", "--delete", "--expected-bucket-owner", OWNER) == 0
    assert sorted(members(s3, bucket, "a/")) == sorted(keys)
    done = {exchange.operation for exchange in owned.seen}
    assert {"HeadBucket", "ListObjects", "GetObject", "PutRollup", "GetRollup", "DeleteObjects"} <= done


@pytest.mark.parametrize("arguments", [[], ["--expected-bucket-owner", STRANGER]])
def test_a_bucket_of_somebody_else_is_not_touched(
    arguments: list[str], s3: S3Client, bucket: str, owned: FaultyProxy, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first request is refused, and nothing is read, written or deleted."""
    keys = put_logs(s3, bucket, "a/", days=1, logs=3)
    assert roll("--prefixes", f"s3://{bucket}/a/", "--delete", *arguments) == 1
    assert {entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]} == keys
    assert {exchange.operation for exchange in owned.seen} == {"HeadBucket", "ListObjects"}
