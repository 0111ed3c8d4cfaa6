"""Requests to S3 by kind, and how many each step of a run makes.

The steps are those of `rolling.reconcile`, for a day group alone; what many of them share is in `planning.course`.
Tests hold the sums to what a counting server saw. A HeadBucket for each bucket and process is left out, and so are
attempts that are made again after a fault.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Final

from s3_log_roller.planning.inventory import Day
from s3_log_roller.rolling.leftovers import is_young
from s3_log_roller.rollup.stored import READ_BYTES, SMALL_BYTES, index_bytes
from s3_log_roller.store import PAGE_KEYS

PART_BYTES: Final = 5 << 20
"""How large `aws.s3` makes the parts of an upload; what is smaller goes up in one PUT."""
INDEX_BYTES_A_MEMBER: Final = 15


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


def pages_of(keys: int) -> int:
    """LISTs that show so many keys; one shows that there are none."""
    return max(1, -(-keys // PAGE_KEYS))


def batches_of(keys: int) -> int:
    """Calls of DeleteObjects for so many keys."""
    return -(-keys // PAGE_KEYS)


def requests_alone(day: Day, rollup_bytes: int, *, delete: bool, today: date) -> Requests:
    """What it takes to reconcile that day by itself, if its new rollup has `rollup_bytes`."""
    lists = pages_of(day.logs + day.uncertain + day.archived) + day.places * pages_of(len(day.rollups))
    gets = day.index_gets
    if day.problem:
        return Requests(lists, gets)
    puts = deletes = 0
    if day.to_pack:
        lists += day.places * pages_of(len(day.rollups))  # the last look before a rollup is published
        gets += day.pieces - day.leftover_pieces + read_back(rollup_bytes, day.to_pack)
        puts += 1 if rollup_bytes < PART_BYTES else 2 + -(-rollup_bytes // PART_BYTES)
        deletes += batches_of(day.to_pack) if delete else 0
    for rollup, leftovers in day.holders:
        if delete or is_young(rollup, today):
            gets += _block_gets(rollup.size)
        deletes += batches_of(leftovers) if delete else 0
    return Requests(lists, gets, puts, deletes)


def read_back(rollup_bytes: int, members: int) -> int:
    """GETs that read a whole rollup, its index first."""
    likely_bytes = INDEX_BYTES_A_MEMBER * members
    fits = rollup_bytes <= SMALL_BYTES or likely_bytes < index_bytes(rollup_bytes)
    return (1 if fits else 1 + -(-likely_bytes // READ_BYTES)) + _block_gets(rollup_bytes)


def _block_gets(rollup_bytes: int) -> int:
    """GETs for what is not at hand when the index was read."""
    return 0 if rollup_bytes <= SMALL_BYTES else -(-rollup_bytes // READ_BYTES)
