"""Real servers for tests: one of each for the whole run, a bucket and queues for each test."""

from __future__ import annotations

import itertools
import json
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from tests.support.moto import Moto

from s3_log_roller.demo.servers import REGION, LocalServer, Ministack, SeaweedFS, isolated_environment

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_sqs import SQSClient

VISIBILITY_SECONDS = 30
MAX_RECEIVES = 3
"""A message received this often goes to the dead-letter queue."""

BUCKETS_AHEAD = 4


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    """The S3 server (and STS)."""
    with SeaweedFS(tmp_path_factory.mktemp("seaweedfs")) as server:
        yield server


@pytest.fixture(scope="session")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ministack]:
    """The SQS server."""
    with Ministack(tmp_path_factory.mktemp("ministack")) as server:
        yield server


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    """One more S3 server."""
    with Moto(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture
def environment(seaweedfs: SeaweedFS, ministack: Ministack) -> dict[str, str]:
    """A user's environment that leads to both servers."""
    return isolated_environment(seaweedfs, ministack)


@pytest.fixture
def aws_environment(seaweedfs: SeaweedFS, ministack: Ministack, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process's own environment leads to both servers, as their administrator."""
    for server in (ministack, seaweedfs):
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)


def client(server: LocalServer, service: str, **changes: Any) -> Any:
    """A client of the server's administrator; `changes` are other arguments for `boto3.client`."""
    settings: dict[str, Any] = {
        "endpoint_url": server.endpoint,
        "region_name": REGION,
        "aws_access_key_id": server.access_key,
        "aws_secret_access_key": server.secret_key,
        "config": Config(retries={"total_max_attempts": 1}, read_timeout=120, max_pool_connections=20),
    }
    return boto3.client(service, **(settings | changes))  # type: ignore[call-overload]


def session_for(server: LocalServer, **changes: Any) -> boto3.Session:
    """A session with the server's administrator's keys; `changes` are other arguments for it."""
    keys: dict[str, Any] = {
        "aws_access_key_id": server.access_key,
        "aws_secret_access_key": server.secret_key,
        "region_name": REGION,
    }
    return boto3.Session(**(keys | changes))


@pytest.fixture(scope="session")
def s3(seaweedfs: SeaweedFS) -> S3Client:
    """The administrator's S3 client."""
    made: S3Client = client(seaweedfs, "s3")
    return made


@pytest.fixture(scope="session")
def s3_as(seaweedfs: SeaweedFS) -> Callable[[str], S3Client]:
    """The S3 client of the identity with one of `SeaweedFS.POLICIES`."""

    def client_as(policy: str) -> S3Client:
        access_key, secret_key = seaweedfs.credentials(policy)
        made: S3Client = client(seaweedfs, "s3", aws_access_key_id=access_key, aws_secret_access_key=secret_key)
        return made

    return client_as


@pytest.fixture(scope="session")
def buckets(s3: S3Client) -> Iterator[Iterator[str]]:
    """Endlessly many empty buckets. The first object with a body takes 0.2 s, so some are kept ready ahead."""

    def make(name: str) -> str:
        s3.create_bucket(Bucket=name)
        s3.put_object(Bucket=name, Key="x", Body=b"x")
        s3.delete_object(Bucket=name, Key="x")
        return name

    names = (f"logs-{number:04}" for number in itertools.count(1))
    with ThreadPoolExecutor(BUCKETS_AHEAD) as pool:
        ready: deque[Future[str]] = deque(pool.submit(make, next(names)) for _ in range(BUCKETS_AHEAD))

        def take() -> Iterator[str]:
            while True:
                ready.append(pool.submit(make, next(names)))
                yield ready.popleft().result()

        yield take()


@pytest.fixture
def bucket(s3: S3Client, buckets: Iterator[str]) -> Iterator[str]:
    """An empty bucket of the test's own."""
    name = next(buckets)
    yield name
    s3.delete_bucket(Bucket=name)  # SeaweedFS deletes what is in it, too


@pytest.fixture(scope="session")
def any_key_s3(ministack: Ministack) -> S3Client:
    """ministack's S3: ignores signatures and permissions, but keeps any key, and S3's order, and knows its region."""
    made: S3Client = client(ministack, "s3")
    return made


_bucket_numbers = itertools.count(1)


@pytest.fixture
def any_key_bucket(any_key_s3: S3Client) -> str:
    """An empty bucket of the test's own for `any_key_s3`."""
    name = f"any-key-{next(_bucket_numbers)}"
    any_key_s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    return name


@pytest.fixture(scope="session")
def sqs(ministack: Ministack) -> SQSClient:
    """The SQS client."""
    made: SQSClient = client(ministack, "sqs")
    return made


_queue_numbers = itertools.count(1)


@pytest.fixture
def queue_name(sqs: SQSClient) -> Iterator[str]:
    """An empty queue of the test's own, without a dead-letter queue."""
    name = f"roller-{next(_queue_numbers)}"
    url = sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": str(VISIBILITY_SECONDS)})["QueueUrl"]
    yield name
    sqs.delete_queue(QueueUrl=url)


@pytest.fixture
def queue_url(sqs: SQSClient, queue_name: str) -> str:
    """The URL of `queue_name`."""
    return sqs.get_queue_url(QueueName=queue_name)["QueueUrl"]


@pytest.fixture
def dead_letter_queue_url(sqs: SQSClient, queue_name: str, queue_url: str) -> Iterator[str]:
    """The URL of a dead-letter queue; `queue_name` sends messages there after `MAX_RECEIVES` receives."""
    url = sqs.create_queue(QueueName=f"{queue_name}-dead-letters")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": MAX_RECEIVES})
    sqs.set_queue_attributes(QueueUrl=queue_url, Attributes={"RedrivePolicy": redrive})
    yield url
    sqs.delete_queue(QueueUrl=url)
