"""A day group on a real S3 server, and what has to hold of it whatever happened; for tests that break things."""

from __future__ import annotations

import io
import tarfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import date
from random import Random
from typing import TYPE_CHECKING

import boto3
from tests.support.logs import DAY, TODAY, log_key

from s3_log_roller.aws.s3 import S3Bucket, open_bucket
from s3_log_roller.demo.servers import REGION
from s3_log_roller.log_keys import DayGroup, parse_log_key, parse_rollup_key
from s3_log_roller.rolling.options import RollOptions
from s3_log_roller.rolling.outcome import RollOutcome
from s3_log_roller.rolling.passes import roll_range
from s3_log_roller.rolling.reconcile import reconcile
from s3_log_roller.rolling.tasks import RangeTask, RollTask
from s3_log_roller.rolling.window import Window

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


def reconcile_day(store: S3Bucket, bucket: str, prefix: str, *, delete: bool) -> RollOutcome:
    """One plain run over one day group."""
    task = RollTask(DayGroup(bucket, prefix, DAY), Window(TODAY))
    return reconcile(store, task, RollOptions(delete, 1), today=TODAY)


def roll_many(store: S3Bucket, bucket: str, prefix: str, *, delete: bool) -> None:
    """A pass over all day groups under the prefix, and alone what it leaves: what a worker does."""
    task = RangeTask(bucket, prefix, Window(TODAY))
    options = RollOptions(delete, 1)
    outcome = roll_range(store, task, options, today=TODAY)
    assert outcome.start_after is None
    for one in outcome.outcomes:
        if one.remaining:
            reconcile(store, task.for_group(one.group), options, today=TODAY)


@contextmanager
def opened(url: str, access_key: str, secret_key: str, bucket: str) -> Iterator[S3Bucket]:
    """The program's own S3 client, on that endpoint."""
    session = boto3.Session(aws_access_key_id=access_key, aws_secret_access_key=secret_key, region_name=REGION)
    with closing(open_bucket(session, bucket, endpoint_url=url)) as store:
        yield store


@dataclass
class RealDay:
    """The logs that were put under a prefix, and the administrator's own view of what is there now."""

    s3: S3Client
    bucket: str
    prefix: str
    bodies: dict[str, bytes] = field(default_factory=dict)

    def fill(self, count: int, *, days: int = 1, log_bytes: int = 2000, seed: int = 1) -> None:
        """Put so many logs on each day; what is in them does not compress."""
        rng = Random(seed)
        for number in range(days):
            day = date(2022, 7, 1 + number)
            for second in sorted(rng.sample(range(86_400), count)):
                self.bodies[log_key(second, self.prefix, day)] = rng.randbytes(rng.randint(0, log_bytes))
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda item: self.put(*item), list(self.bodies.items())))

    def fill_many(self, *, days: int = 2) -> None:
        """Put two logs on each of some days of two target prefixes: one pass takes them all."""
        for name in ("a/", "b-"):
            part = RealDay(self.s3, self.bucket, self.prefix + name)
            part.fill(2, days=days)
            self.bodies |= part.bodies

    def fill_in_parts(self, number: int = 6) -> None:
        """Put logs on the day 2022-07-`number` whose rollup is too large for one PUT: it goes up in three parts.

        One of them is too large for a pass, so that it is reconcile that packs the day, while it uploads it.
        """
        rng = Random(number)
        for second, size in enumerate((3_200_000, 4_400_000, 3_200_000)):
            self.put(log_key(second, self.prefix, date(2022, 7, number)), rng.randbytes(size))

    def put(self, key: str, body: bytes) -> None:
        """Deliver a log."""
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)
        self.bodies[key] = body

    def listing(self) -> list[tuple[str, str]]:
        """(key, ETag) of everything under the prefix."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix)
        return [(entry["Key"], entry["ETag"]) for page in pages for entry in page.get("Contents", [])]

    def keys(self) -> list[str]:
        """Everything under the prefix."""
        return [key for key, _ in self.listing()]

    def body(self, key: str) -> bytes:
        return self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def rollups(self) -> list[str]:
        return [key for key in self.keys() if parse_rollup_key(key)]

    def members(self) -> list[tuple[str, bytes]]:
        """(key, body) of every member of every rollup, read by an ordinary tool."""
        found = []
        for key in self.rollups():
            with tarfile.open(fileobj=io.BytesIO(self.body(key))) as tar:
                for member in tar:
                    file = tar.extractfile(member)
                    assert file is not None
                    found.append((key[: key.rindex("/") + 1] + member.name, file.read()))
        return found

    def assert_nothing_lost(self) -> None:
        """Every log is there as it was, or byte for byte in a rollup that an ordinary tool reads."""
        there = set(self.keys())
        held = dict(self.members())
        for key, body in self.bodies.items():
            assert held.get(key) == body or (key in there and self.body(key) == body), key

    def assert_untouched(self) -> None:
        """Every original is still there as it was delivered."""
        assert {key: self.body(key) for key in self.keys() if parse_log_key(key)} == self.bodies

    def assert_nothing_twice(self) -> None:
        """No log is in two rollups."""
        _assert_once(self.members())

    def assert_exactly_once(self) -> None:
        """Every log is in exactly one rollup, byte for byte, and nothing else is."""
        held = self.members()
        _assert_once(held)
        assert dict(held) == self.bodies

    def assert_done(self, *, deleted: bool) -> None:
        """The end state: as above, with or without the originals, and no upload left open."""
        self.assert_exactly_once()
        left = sorted(key for key in self.keys() if parse_log_key(key))
        assert left == ([] if deleted else sorted(self.bodies))
        assert self.open_uploads() == []

    def open_uploads(self) -> list[str]:
        """Uploads in parts that were neither completed nor aborted."""
        uploads = self.s3.list_multipart_uploads(Bucket=self.bucket, Prefix=self.prefix).get("Uploads", [])
        return [upload["Key"] for upload in uploads]


def _assert_once(members: list[tuple[str, bytes]]) -> None:
    assert [key for key, times in Counter(key for key, _ in members).items() if times > 1] == []
