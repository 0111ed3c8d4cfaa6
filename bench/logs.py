"""The logs of the benchmarks: keys and contents, the same for the same seed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from random import Random
from typing import Final

from s3_log_roller.demo.sample_logs import RECORDS_PER_LOG, sample_log

FIRST_DAY: Final = date(2022, 7, 1)
POOL_LOGS: Final = 20_000
"""Different contents, at most. More logs than that repeat them, too far apart for a compressor to notice."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a log holds, and its ETag (the MD5, without quotes)."""

    body: bytes
    etag: str


@dataclass(frozen=True, slots=True)
class LogSet:
    """Logs to put into a bucket: `logs` on each of `days` days under each of the target prefixes."""

    prefixes: tuple[str, ...] = ("example.com/",)
    days: int = 1
    logs: int = 1_000
    records: int = RECORDS_PER_LOG
    """Records in a log, on average; a record has some 530 bytes."""
    seed: int = 7
    huge_bytes: int = 0
    """Size of one log in the middle of each day; 0: it is like the others."""
    incompressible: bool = False
    """That one is of random bytes."""

    def prefix_days(self) -> Iterator[tuple[str, date]]:
        """Every (target prefix, day)."""
        for prefix in self.prefixes:
            for number in range(self.days):
                yield prefix, FIRST_DAY + timedelta(days=number)

    def __len__(self) -> int:
        return len(self.prefixes) * self.days * self.logs


def mean_kb(logs: LogSet) -> float:
    """The mean size of such logs, in kB, as a thousand of them have it."""
    pool = contents(logs.seed, 1_000, logs.records)
    return sum(len(content.body) for content in pool) / len(pool) / 1e3


@lru_cache(maxsize=4)
def contents(seed: int, count: int, records: int) -> tuple[Content, ...]:
    """That many different contents, in the order of a day's deliveries."""
    rng = Random(seed)
    midnight = datetime.combine(FIRST_DAY, time(), UTC)
    spread = max(1, records * 4 // 7)
    pool = []
    for number in range(count):
        when = midnight + timedelta(seconds=number * 86_400 / count)
        body = sample_log(rng, when, "example.com", rng.randint(max(1, records - spread), records + spread))
        pool.append(Content(body, hashlib.md5(body, usedforsecurity=False).hexdigest()))
    return tuple(pool)


def generate(logs: LogSet) -> Iterator[tuple[str, Content, int]]:
    """(key, content, LastModified in seconds since the epoch) of every log; day by day in key order."""
    pool = contents(logs.seed, min(len(logs), POOL_LOGS), logs.records)
    huge = _huge(pool, logs) if logs.huge_bytes else None
    rng = Random(logs.seed + 1)
    number = 0
    for prefix, day in logs.prefix_days():
        midnight = int(datetime.combine(day, time(), UTC).timestamp())
        seconds = sorted(rng.randrange(86_400) for _ in range(logs.logs))
        for place, second in enumerate(seconds):
            clock = f"{second // 3600:02}-{second // 60 % 60:02}-{second % 60:02}"
            key = f"{prefix}{day}-{clock}-{rng.getrandbits(64):016X}"
            content = huge if huge and place == logs.logs // 2 else pool[number % len(pool)]
            yield key, content, midnight + second
            number += 1


def _huge(pool: tuple[Content, ...], logs: LogSet) -> Content:
    if logs.incompressible:
        rng = Random(logs.seed + 2)
        body = b"".join(rng.randbytes(1 << 20) for _ in range(-(-logs.huge_bytes >> 20)))[: logs.huge_bytes]
    else:
        joined = b"".join(content.body for content in pool)
        body = (joined * (logs.huge_bytes // len(joined) + 1))[: logs.huge_bytes]
    return Content(body, hashlib.md5(body, usedforsecurity=False).hexdigest())
