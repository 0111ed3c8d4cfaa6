"""The requests that a run will make, by kind, and the time that it takes on AWS Lambda.

This follows the order of steps in `rolling.reconcile`; tests hold it to what a counting server saw. A HeadBucket for
each bucket and process is left out, and so are attempts that are made again after a fault.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Final

from s3_log_roller.planning.inventory import KEYS_A_PAGE, Day
from s3_log_roller.rolling.leftovers import is_young
from s3_log_roller.rollup.index import TAIL_BYTES
from s3_log_roller.rollup.stored import MAX_TAIL_BYTES, READ_BYTES, SMALL_BYTES

PART_BYTES: Final = 5 << 20
"""Of an upload in parts, as `aws.s3.bucket` cuts them; what is smaller goes up in one PUT."""
INDEX_BYTES_A_MEMBER: Final = 15

ROUND_TRIP_S: Final = 0.025
STEPS: Final = 8
"""Round trips in a row for a day group, however few logs it has."""
LIST_PAGE_S: Final = 0.1
LOGS_A_SECOND: Final = 3_000
"""On one vCPU, which Lambda gives at `FULL_CORE_MB` (docs/evidence/scale.md)."""
FULL_CORE_MB: Final = 1_769
MESSAGES: Final = 3
"""SQS calls for a task: sent, received, deleted."""


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests to S3. `put` has every request that writes, those of multipart uploads among them; `delete` has calls
    of DeleteObjects, each for up to 1,000 keys."""

    list: int = 0
    get: int = 0
    put: int = 0
    delete: int = 0

    def __add__(self, other: Requests) -> Requests:
        return Requests(self.list + other.list, self.get + other.get, self.put + other.put, self.delete + other.delete)


def sum_requests(parts: Iterable[Requests]) -> Requests:
    """All of them together."""
    return sum(parts, Requests())


def day_requests(day: Day, rollup_bytes: int, *, delete: bool, today: date) -> Requests:
    """What rolling up that day will take, if its new rollup has `rollup_bytes`."""
    lists = _pages(day.logs + day.archived) + _pages(len(day.rollups))
    gets = day.index_gets
    if day.problem:
        return Requests(lists, gets)
    puts = deletes = 0
    if day.to_pack:
        lists += _pages(len(day.rollups))  # the last look before a rollup is published
        gets += day.pieces - day.leftover_pieces
        gets += _tail_gets(rollup_bytes, day.to_pack) + _block_gets(rollup_bytes)
        puts += 1 if rollup_bytes < PART_BYTES else 2 + -(-rollup_bytes // PART_BYTES)
        deletes += _batches(day.to_pack) if delete else 0
    for rollup, leftovers in day.holders:
        if delete or is_young(rollup, today):
            gets += _block_gets(rollup.size)
        deletes += _batches(leftovers) if delete else 0
    return Requests(lists, gets, puts, deletes)


def lambda_seconds(day: Day, requests: Requests, memory_mb: int) -> float:
    """Billed time of the invocation that rolls up that day."""
    share_of_core = min(1.0, memory_mb / FULL_CORE_MB)
    waiting = STEPS * ROUND_TRIP_S + LIST_PAGE_S * max(0, requests.list - 3)
    return waiting + day.to_pack / (LOGS_A_SECOND * share_of_core)


def _tail_gets(rollup_bytes: int, members: int) -> int:
    """GETs for the end of a rollup with its index, or for all of a small one."""
    tail_bytes = min(TAIL_BYTES + rollup_bytes // 16, MAX_TAIL_BYTES)
    index_bytes = INDEX_BYTES_A_MEMBER * members
    return 1 if rollup_bytes <= SMALL_BYTES or index_bytes < tail_bytes else 1 + -(-index_bytes // READ_BYTES)


def _block_gets(rollup_bytes: int) -> int:
    """GETs for the rest of it."""
    return 0 if rollup_bytes <= SMALL_BYTES else -(-rollup_bytes // READ_BYTES)


def _pages(keys: int) -> int:
    return max(1, -(-keys // KEYS_A_PAGE))


def _batches(keys: int) -> int:
    return -(-keys // KEYS_A_PAGE)
