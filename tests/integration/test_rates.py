"""A server that grants only so many requests a second: whoever shares it, everything succeeds.

How long it takes is a row of the benchmarks. How often requests are refused hangs on the machine, too, so
tests/unit/aws/s3/test_rates.py counts it on a clock of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from bench.buckets import Bucket
from bench.s3_server import ServerOptions, serving
from tests.support.answers import fill, opened

from s3_log_roller.aws.s3 import S3Bucket
from s3_log_roller.store import ByteRange, NewObject

Pairs = list[tuple[str, str]]
WORKERS = [1, 3, 10]


def run(options: ServerOptions, workers: int, each: int, work: Callable[[S3Bucket, Pairs], object]) -> list[object]:
    """Let each worker do its work on a filled bucket of its own; what came out."""
    # Both ends of each connection are in this process, and libcurl's `select` sees descriptors below 1,024 only.
    in_flight = min(64, 400 // workers)
    with serving(options) as server, ExitStack() as clients, ThreadPoolExecutor(workers) as threads:
        stores = [
            clients.enter_context(opened(server, f"bucket{number}", max_in_flight=in_flight))
            for number in range(workers)
        ]
        buckets = [server.api.buckets[store.bucket] for store in stores]
        pairs = [fill(bucket, each) for bucket in buckets if isinstance(bucket, Bucket)]
        return list(threads.map(work, stores, pairs))


@pytest.mark.parametrize("whole_calls", [0.0, 1.0], ids=["key by key", "whole calls"])
@pytest.mark.parametrize("workers", WORKERS)
def test_deletes(workers: int, whole_calls: float) -> None:
    """3,500 keys a second are granted, answers take 150 ms: every key is deleted."""
    rate, each = 3_500, 21_000 // workers
    options = ServerOptions(delay_ms=150, writes_above=rate, write_burst=rate / 2, whole_calls=whole_calls)

    def delete(store: S3Bucket, pairs: Pairs) -> tuple[int, int]:
        report = store.delete(pairs)
        return report.deleted, len(report.failures)

    assert run(options, workers, each, delete) == [(each, 0)] * workers


@pytest.mark.parametrize("workers", WORKERS)
def test_reads(workers: int) -> None:
    """550 a second, a tenth of S3's rate, so that the server in this process keeps up: every object comes."""
    rate, each = 550, 3_300 // workers

    def fetch(store: S3Bucket, pairs: Pairs) -> int:
        return sum(
            1 for _ in store.fetch(ByteRange(key, etag, 0, len(str(int(key))), whole=True) for key, etag in pairs)
        )

    options = ServerOptions(delay_ms=25, slow_down_above=rate, burst=rate / 10)
    assert run(options, workers, each, fetch) == [each] * workers


@pytest.mark.parametrize("workers", WORKERS)
def test_writes(workers: int) -> None:
    """350 a second: every object is written."""
    rate, each = 350, 2_100 // workers

    def publish(store: S3Bucket, pairs: Pairs) -> int:
        def everything(keys: Iterable[str]) -> list[str]:
            return list(keys)

        answers = store.publish_all({f"new/{key}": NewObject(b"body") for key, _ in pairs}, everything)
        return sum(isinstance(answer, str) for answer in answers.values())

    options = ServerOptions(delay_ms=25, writes_above=rate, write_burst=rate / 10)
    assert run(options, workers, each, publish) == [each] * workers
