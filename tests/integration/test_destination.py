"""Rollups in another bucket, on a real server: with a role of its own, in parts, and interrupted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from random import Random
from typing import TYPE_CHECKING

import pytest
from tests.support.logs import DAY, PREFIX, TODAY, log_key

from s3_log_roller.aws.buckets import Buckets, Connection
from s3_log_roller.aws.s3 import uploads
from s3_log_roller.errors import RollerError
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.mirrored import MirroredStore, place_in
from s3_log_roller.rolling.destination import Destination, open_destination
from s3_log_roller.rolling.options import RollOptions
from s3_log_roller.rolling.outcome import RollOutcome
from s3_log_roller.rolling.roll import roll
from s3_log_roller.rolling.tasks import RollTask
from s3_log_roller.rolling.window import Window
from s3_log_roller.uris import Role, S3Uri

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

pytestmark = pytest.mark.usefixtures("aws_environment")

LOGS_A_PART = uploads.PART_BYTES // 100_000
"""Logs of 100,000 bytes that can't be compressed."""

Keys = Callable[[str], list[str]]


@pytest.fixture
def keys(s3: S3Client) -> Keys:
    """What is in a bucket."""

    def listed(bucket: str) -> list[str]:
        return [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]

    return listed


@pytest.fixture
def archive(s3: S3Client, bucket: str) -> str:
    """An empty bucket beside that of the logs."""
    name = f"{bucket}-archive"
    s3.create_bucket(Bucket=name)
    return name


def fill(s3: S3Client, bucket: str, logs: int) -> None:
    for number in range(logs):
        s3.put_object(Bucket=bucket, Key=log_key(number * 61), Body=Random(number).randbytes(100_000))


@contextmanager
def leases() -> Iterator[Buckets]:
    buckets = Buckets(Connection())
    with ExitStack() as stack:
        stack.callback(buckets.close)
        yield buckets


def run(bucket: str, destination: Destination) -> RollOutcome:
    task = RollTask(DayGroup(bucket, PREFIX, DAY), Window(TODAY))
    with (
        leases() as buckets,
        buckets.lease(bucket, None) as store,
        open_destination(buckets.lease, destination, bucket) as rollups,
    ):
        options = RollOptions(delete=True, destination=destination)
        outcome = roll(store, task, options, today=TODAY, rollups=rollups)
        assert isinstance(outcome, RollOutcome)
        return outcome


@pytest.mark.parametrize("logs", [10, 2 * LOGS_A_PART])
def test_a_day_goes_there_with_one_put_or_in_parts(
    s3: S3Client, bucket: str, archive: str, keys: Keys, logs: int
) -> None:
    """While its logs come out of the other bucket, over other connections."""
    fill(s3, bucket, logs)
    outcome = run(bucket, Destination(S3Uri(archive, "kept/")))
    assert (outcome.figures.packed, outcome.figures.deleted) == (logs, logs)
    assert keys(bucket) == []
    (key,) = keys(archive)
    assert key.startswith(f"kept/{bucket}/{PREFIX}rollup-{DAY}-")
    head = s3.head_object(Bucket=archive, Key=key)
    assert ("-" in head["ETag"]) is (logs > LOGS_A_PART)
    assert head["Metadata"]["rollup-members"] == str(logs)


@pytest.mark.parametrize("role", ["no-put", "no-get", "no-list"])
def test_without_access_there_nothing_is_deleted_here(
    s3: S3Client, bucket: str, archive: str, keys: Keys, role: str
) -> None:
    """The error names the destination and the permission; with it, the same run does it all."""
    fill(s3, bucket, 3)
    uri = S3Uri(archive, "")
    with pytest.raises(RollerError, match=f"on s3://{archive}/{bucket}/{PREFIX}rollup.*need s3:"):
        run(bucket, Destination(uri, Role(f"arn:aws:iam::123456789012:role/{role}")))
    assert len(keys(bucket)) == 3
    outcome = run(bucket, Destination(uri, Role("arn:aws:iam::123456789012:role/no-delete")))
    assert outcome.figures.deleted == 3
    assert keys(bucket) == []
    assert len(keys(archive)) == 1


def test_an_upload_that_ends_half_way_leaves_nothing_there(s3: S3Client, bucket: str, archive: str, keys: Keys) -> None:
    """Some parts have gone there: they are dropped, and the next run does it all."""
    fill(s3, bucket, 2 * LOGS_A_PART)
    task = RollTask(DayGroup(bucket, PREFIX, DAY), Window(TODAY))
    destination = Destination(S3Uri(archive, "kept/"))

    packed: list[int] = []

    def give_up(logs: int, n_bytes: int) -> None:
        packed.append(logs)
        if sum(packed) > LOGS_A_PART:
            raise KeyboardInterrupt

    with leases() as buckets, buckets.lease(bucket, None) as store, buckets.lease(archive, None) as there:
        rollups = MirroredStore(there, place_in(destination.uri, bucket))
        options = RollOptions(delete=True, destination=destination)
        with pytest.raises(KeyboardInterrupt):
            roll(store, task, options, today=TODAY, rollups=rollups, on_progress=give_up)
    assert len(keys(bucket)) == 2 * LOGS_A_PART
    assert keys(archive) == []
    assert not s3.list_multipart_uploads(Bucket=archive).get("Uploads")
    assert run(bucket, destination).figures.deleted == 2 * LOGS_A_PART
