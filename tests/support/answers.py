"""The S3 client before a server in this process whose answers a test changes as it likes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from bench.buckets import Bucket
from bench.s3_api import Call
from bench.s3_server import S3Server, serving
from tests.support.odd_api import OddApi, Quirk

from s3_log_roller.aws.s3 import S3Bucket
from s3_log_roller.aws.s3.signing import OWNER_HEADER, Credentials, Signer
from s3_log_roller.aws.s3.transport import Transport
from s3_log_roller.aws.s3.wire import Wire
from s3_log_roller.demo.servers import REGION

Change = Callable[[Call, bytes], bytes | None]


class Intruder:
    """Changes some of the server's answers; notes all calls."""

    def __init__(self) -> None:
        self.change: Change | None = None
        self.calls: list[Call] = []

    def __call__(self, call: Call, answer: bytes) -> bytes | None:
        self.calls.append(call)
        return answer if self.change is None else self.change(call, answer)


@contextmanager
def a_bucket(
    max_attempts: int = 3, max_in_flight: int = 8, quirk: Quirk | None = None, owner: str = "", **changes: Any
) -> Iterator[tuple[S3Bucket, Bucket, Intruder]]:
    """The client, the bucket as the server holds it, and what stands between them."""
    intruder = Intruder()
    with serving(intercept=intruder) as server:
        if quirk is not None:
            server.api = OddApi(quirk)
        stored = server.api.buckets["bucket"] = Bucket()
        with closing(_client(server, max_attempts, max_in_flight, owner, changes)) as client:
            yield client, stored, intruder
        while server.connections:
            time.sleep(0.001)


def _client(server: S3Server, max_attempts: int, max_in_flight: int, owner: str, changes: dict[str, Any]) -> S3Bucket:
    always = ((OWNER_HEADER, owner),) if owner else ()
    signer = Signer(server.url.partition("://")[2], REGION, lambda: Credentials("a", "b", None), always=always)
    wire = Wire(server.url, max_attempts=max_attempts)
    return S3Bucket("bucket", "/bucket/", Transport(wire, signer, max_in_flight, jitter=lambda: 0.01), **changes)


@contextmanager
def opened(
    server: S3Server, bucket: str = "bucket", max_attempts: int = 8, max_in_flight: int = 64
) -> Iterator[S3Bucket]:
    """An empty bucket of a server, through the client as it is used."""
    server.api.buckets[bucket] = Bucket()
    signer = Signer(server.url.partition("://")[2], REGION, lambda: Credentials("a", "b", None))
    wire = Wire(server.url, max_attempts=max_attempts)
    with closing(S3Bucket(bucket, f"/{bucket}/", Transport(wire, signer, max_in_flight))) as client:
        yield client


def fill(stored: Bucket, count: int) -> list[tuple[str, str]]:
    """(key, ETag) of so many objects."""
    return [(f"{number:05}", stored.put(f"{number:05}", b"%d" % number, 0).etag) for number in range(count)]


def body_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


def with_body(body: bytes, status: bytes = b"200 OK", headers: bytes = b"") -> bytes:
    # Never shorter than the answer it stands for: the server in these tests would cut the connection behind it.
    body = body.ljust(4096)
    return b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (status, headers, len(body), body)


def is_delete(call: Call) -> bool:
    return call.method == "POST" and "delete" in call.query


def first_only(wanted: Callable[[Call], bool], change: Change) -> Change:
    """The change at the first call of a kind only."""
    left = [1]

    def apply(call: Call, answer: bytes) -> bytes | None:
        if wanted(call) and left:
            left.clear()
            return change(call, answer)
        return answer

    return apply
