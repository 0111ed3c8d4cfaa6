"""The requests that a day group alone takes, step by step."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from s3_log_roller.log_keys import DayGroup
from s3_log_roller.planning.inventory import Day
from s3_log_roller.planning.requests import PART_BYTES, Requests, read_back, requests_alone
from s3_log_roller.rollup.stored import READ_BYTES, SMALL_BYTES
from s3_log_roller.store import ListedObject

TODAY = date(2022, 7, 10)
GROUP = DayGroup("logs", "web/", date(2022, 7, 1))
MIB = 1 << 20


def rollup_of(day: int, size: int) -> ListedObject:
    """A rollup that was published on that day of July."""
    mtime = int(datetime(2022, 7, day, tzinfo=UTC).timestamp())
    return ListedObject("web/rollup-2022-07-01-0123abcd.tgz", "e", size, mtime, archived=False)


OLD = rollup_of(2, 3 * READ_BYTES)
LATE = Day(
    GROUP,
    logs=2000,
    pieces=2100,
    leftovers=500,
    leftover_pieces=520,
    archived=700,
    uncertain=400,
    places=2,
    index_gets=3,
)
LATE = replace(LATE, rollups=[OLD], holders=[(OLD, 500)])
NEW = Day(GROUP, logs=1000, pieces=1000)


@pytest.mark.parametrize(
    ("day", "delete", "expected"),
    [
        (NEW, False, Requests(1 + 1 + 1, 1000 + 1, 1, 0)),
        (NEW, True, Requests(1 + 1 + 1, 1000 + 1, 1, 1)),
        (replace(NEW, logs=1001, pieces=1001), True, Requests(2 + 1 + 1, 1001 + 1, 1, 2)),
        (LATE, False, Requests(4 + 2 + 2, 3 + 1580 + 1, 1, 0)),
        (LATE, True, Requests(4 + 2 + 2, 3 + 1580 + 1 + 3, 1, 2 + 1)),
        (replace(LATE, holders=[(rollup_of(9, 3 * READ_BYTES), 500)]), False, Requests(8, 3 + 1580 + 1 + 3, 1, 0)),
        (replace(LATE, rollups=[OLD] * 1001), False, Requests(4 + 2 * 2 + 2 * 2, 3 + 1580 + 1, 1, 0)),
        (replace(LATE, leftovers=2000, leftover_pieces=2100), False, Requests(4 + 2, 3, 0, 0)),
        (replace(LATE, problem="its rollup is damaged"), True, Requests(4 + 2, 3, 0, 0)),
    ],
    ids=["new", "deleted", "a second page", "late", "leftovers", "young", "many rollups", "nothing to pack", "damaged"],
)
def test_a_day_alone_is_listed_packed_proven_and_deleted(day: Day, delete: bool, expected: Requests) -> None:
    """Lists of logs and of rollups, in each place, once more before one is published; a GET for each piece that is
    packed, for the new rollup and for what leftovers are proven by; a delete for each thousand."""
    assert requests_alone(day, SMALL_BYTES, delete=delete, today=TODAY) == expected


@pytest.mark.parametrize(
    ("rollup_bytes", "puts"),
    [(1, 1), (PART_BYTES - 1, 1), (PART_BYTES, 3), (PART_BYTES + 1, 4), (3 * PART_BYTES, 5)],
)
def test_a_large_rollup_goes_up_in_parts(rollup_bytes: int, puts: int) -> None:
    """It is begun and completed, which are requests, too."""
    assert requests_alone(NEW, rollup_bytes, delete=False, today=TODAY).put == puts


@pytest.mark.parametrize(
    ("rollup_bytes", "members", "gets"),
    [
        (SMALL_BYTES, 100_000, 1),
        (SMALL_BYTES + 1, 1000, 1 + 1),
        (10 * MIB, 40_000, 1 + -(-10 * MIB // READ_BYTES)),
        (10 * MIB, 50_000, 1 + 1 + -(-10 * MIB // READ_BYTES)),
        (10 * MIB, 400_000, 1 + -(-6_000_000 // READ_BYTES) + -(-10 * MIB // READ_BYTES)),
        (100 * MIB, 139_000, 1 + -(-100 * MIB // READ_BYTES)),
        (100 * MIB, 140_000, 1 + 1 + -(-100 * MIB // READ_BYTES)),
    ],
)
def test_a_rollup_is_read_back_index_first(rollup_bytes: int, members: int, gets: int) -> None:
    """A small one comes with its index; the index of a large one fits in its tail, or takes requests of its own."""
    assert read_back(rollup_bytes, members) == gets
