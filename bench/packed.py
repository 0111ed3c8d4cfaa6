"""Buckets full of rollups, packed on all processors: as many logs as take a minute otherwise."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import md5
from itertools import groupby

from bench.buckets import Bucket
from bench.logs import LogSet, generate
from bench.s3_server import S3Server, serving
from s3_log_roller.log_keys import DayGroup, parse_log_key
from s3_log_roller.rollup import Originals, RollupWriter

PREFIX = "example.com/"
BUCKET = "logs-bucket"
LEVEL = 6
MAX_SHARES = 8
"""Each goes through the keys of all days."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A rollup."""

    key: str
    content: bytes
    mtime: int


@dataclass(frozen=True, slots=True)
class Filled:
    """A server with rollups of some logs, one a day."""

    server: S3Server
    rollups: list[str]
    """Their keys, in order."""
    logs: int
    bytes: int
    """Of all rollups."""

    @property
    def days(self) -> list[str]:
        """The days of the rollups."""
        return [key.partition("rollup-")[2][:10] for key in self.rollups]


@contextmanager
def filled(days: int, logs: int) -> Iterator[Filled]:
    """A server with that many rollups of that many logs."""
    bucket = Bucket()
    log_set = LogSet(prefixes=(PREFIX,), days=days, logs=logs)
    for rollup in _pack(log_set):
        # An upload in parts, as large rollups are: their ETag is not an MD5.
        bucket.put(rollup.key, rollup.content, rollup.mtime, etag=f"{md5(rollup.content).hexdigest()}-2")
    with serving() as server:
        server.api.buckets[BUCKET] = bucket
        stored = list(bucket.entries(PREFIX, ""))
        size = sum(len(found.body) for _, found in stored)
        yield Filled(server, [key for key, _ in stored], len(log_set), size)


def _pack(logs: LogSet) -> Iterator[Packed]:
    shares = min(logs.days, MAX_SHARES)
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        for packed in pool.map(_pack_some, [logs] * shares, range(shares), [shares] * shares):
            yield from packed


def _pack_some(logs: LogSet, first: int, step: int) -> list[Packed]:
    """The rollups of every `step`-th day."""
    packed = []
    by_day = groupby(generate(logs), lambda log: log[0][: len(PREFIX) + len("YYYY-MM-DD")])
    for number, (_, of_day) in enumerate(by_day):
        if number % step != first:
            continue
        day = sorted(of_day, key=lambda log: log[0])
        parsed = parse_log_key(day[0][0])
        assert parsed is not None
        originals = Originals(DayGroup(BUCKET, PREFIX, parsed.day))
        for key, content, mtime in day:
            originals.append(key[len(PREFIX) :], content.etag, len(content.body), mtime)
        writer = RollupWriter(originals.group, LEVEL)
        out = [
            writer.add(original, content.body, bytes.fromhex(content.etag))
            for original, (_, content, _) in zip(originals, day, strict=True)
        ]
        data = b"".join([*out, *writer.finish()])
        packed.append(Packed(originals.group.rollup_key(day[0][0][len(PREFIX) :]), data, day[-1][2]))
    return packed
