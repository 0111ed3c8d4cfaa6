"""A server that grants only so much a second: whoever shares it, nobody keeps hammering it.

On a clock of the clients' own, so it is the same on any machine. tests/integration/test_rates.py has a real one.
"""

from __future__ import annotations

from collections.abc import Collection

import pytest
from bench.buckets import Bucket
from bench.s3_server import ServerOptions
from tests.support.answers import fill
from tests.support.own_time import World, clients_of

from s3_log_roller.aws.s3 import S3Bucket
from s3_log_roller.store import ByteRange, NewObject

RATE_ALLOWS_S = 6
"""What is to be done takes so long at the rate that is granted."""
SHARED = pytest.mark.parametrize(("workers", "most_refused"), [(1, 0.1), (3, 0.5), (10, 1.25), (30, 2.5)])
"""So many clients, and how often each of their requests is refused, on average."""


def fill_each(world: World, count: int) -> dict[str, list[tuple[str, str]]]:
    """Put so many objects into the bucket of each client; the pairs of key and ETag by bucket."""
    buckets = world.server.api.buckets
    return {name: fill(bucket, count) for name, bucket in buckets.items() if isinstance(bucket, Bucket)}


def assert_patient(world: World, most_refused: float) -> None:
    """The server did not refuse more requests than that, and all were done in not much more than the time it takes."""
    assert world.server.api.requests["SlowDown"] < most_refused
    assert world.passed_s < 1.6 * RATE_ALLOWS_S


@SHARED
def test_reads(workers: int, most_refused: float) -> None:
    """550 a second, answers after 25 ms: every object comes."""
    rate, each = 550, 550 * RATE_ALLOWS_S // workers
    with clients_of(ServerOptions(delay_ms=25, slow_down_above=rate, burst=rate / 10), workers) as world:
        pairs = fill_each(world, each)

        def fetch(store: S3Bucket) -> int:
            wanted = (ByteRange(key, etag, 0, len(str(int(key))), whole=True) for key, etag in pairs[store.bucket])
            return sum(1 for _ in store.fetch(wanted))

        assert world.run(fetch) == [each] * workers
        assert_patient(world, most_refused * workers * each)


@SHARED
def test_writes(workers: int, most_refused: float) -> None:
    """350 a second, answers after 25 ms: every object is written."""
    rate, each = 350, 350 * RATE_ALLOWS_S // workers
    with clients_of(ServerOptions(delay_ms=25, writes_above=rate, write_burst=rate / 10), workers) as world:

        def publish(store: S3Bucket) -> int:
            def everything(keys: Collection[str]) -> Collection[str]:
                return list(keys)

            answers = store.publish_all({f"new/{key}": NewObject(b"body") for key in range(each)}, everything)
            return sum(isinstance(answer, str) for answer in answers.values())

        assert world.run(publish) == [each] * workers
        assert_patient(world, most_refused * workers * each)


@pytest.mark.parametrize("whole_calls", [0.0, 1.0], ids=["key by key", "whole calls"])
@pytest.mark.parametrize(("workers", "most_calls"), [(1, 200), (3, 500), (10, 1_200), (30, 3_000)])
def test_deletes(workers: int, most_calls: int, whole_calls: float) -> None:
    """3,500 keys a second, answers after 150 ms: every key is deleted, with so many calls at most."""
    rate, each = 3_500, 3_500 * RATE_ALLOWS_S // workers
    options = ServerOptions(delay_ms=150, writes_above=rate, write_burst=rate / 2, whole_calls=whole_calls)
    with clients_of(options, workers) as world:
        pairs = fill_each(world, each)

        def delete(store: S3Bucket) -> tuple[int, int]:
            report = store.delete(pairs[store.bucket])
            return report.deleted, len(report.failures)

        assert world.run(delete) == [(each, 0)] * workers
        requests = world.server.api.requests
        assert_patient(world, most_calls)
        assert requests["DeleteObjects"] + requests["SlowDown"] < most_calls
