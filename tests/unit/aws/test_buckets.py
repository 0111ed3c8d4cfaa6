"""Open buckets are shared, and do not use up a process's descriptors."""

from __future__ import annotations

import time

import pytest
from bench.buckets import Bucket
from bench.s3_server import serving

from s3_log_roller.aws.buckets import MAX_IDLE, Buckets, Connection
from s3_log_roller.aws.s3 import S3Bucket
from s3_log_roller.aws.s3.signing import Credentials, Signer
from s3_log_roller.aws.s3.transport import Transport
from s3_log_roller.aws.s3.wire import Wire
from s3_log_roller.demo.servers import REGION
from s3_log_roller.store import ByteRange


def test_only_the_bucket_used_last_keeps_its_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others stay open and connect again when they are needed; the oldest of many are closed."""
    opened = []
    with serving() as server:

        def open_bucket(self: Buckets, bucket: str, role: None, owner: None) -> S3Bucket:
            opened.append(bucket)
            stored = server.api.buckets[bucket] = Bucket()
            for number in range(40):
                stored.put(str(number), b"x", 0)
            signer = Signer(server.url.partition("://")[2], REGION, lambda: Credentials("a", "b", None))
            return S3Bucket(bucket, f"/{bucket}/", Transport(Wire(server.url), signer, 20))

        monkeypatch.setattr(Buckets, "_open_bucket", open_bucket)
        buckets = Buckets(Connection())
        names = [f"bucket-{number}" for number in range(MAX_IDLE + 2)]
        etag = "9dd4e461268c8034f5c8564e155c67a6"
        for name in (*names[:5], names[0], *names):
            with buckets.lease(name, None) as store:
                pieces = [ByteRange(str(number), etag, 0, 1, whole=True) for number in range(40)]
                assert [body for body, _ in store.fetch(pieces)] == [b"x"] * 40
                deadline = time.monotonic() + 60
                while server.connections > 2 * 20 and time.monotonic() < deadline:
                    time.sleep(0.001)
                assert server.connections <= 2 * 20
        assert opened == names
        buckets.close()
        while server.connections:
            time.sleep(0.001)


def test_a_bucket_may_be_known_to_be_in_another_region(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is opened for work in that region; all others in the worker's own."""
    opened = []
    monkeypatch.setattr(
        "s3_log_roller.aws.s3.open_bucket",
        lambda session, bucket, *, worker_region, **_: opened.append((bucket, worker_region)),
    )
    buckets = Buckets(Connection(region="us-west-2", bucket_regions={"europe": "eu-west-1"}))
    for name in ("europe", "here"):
        buckets._open_bucket(name, None, None)
    assert opened == [("europe", "eu-west-1"), ("here", "us-west-2")]


def test_the_owner_of_a_task_goes_before_the_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each bucket is opened for the account it has to belong to, once for each."""
    opened = []

    class Store:
        def disconnect(self) -> None: ...

    def open_bucket(session: object, bucket: str, *, expected_bucket_owner: str | None, **_: object) -> Store:
        opened.append((bucket, expected_bucket_owner))
        return Store()

    monkeypatch.setattr("s3_log_roller.aws.s3.open_bucket", open_bucket)
    buckets = Buckets(Connection(region="us-west-2", expected_bucket_owner="111111111111"))
    for owner in (None, "222222222222", None):
        with buckets.lease("logs", None, owner):
            pass
    assert opened == [("logs", "111111111111"), ("logs", "222222222222")]
