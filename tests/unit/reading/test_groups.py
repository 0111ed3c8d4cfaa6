"""The days that a command reads are those that were asked for, found with few requests."""

from __future__ import annotations

from datetime import date

import pytest
from tests.support.logs import DAY, PREFIX, log_key
from tests.support.memory_day import put_logs, roll
from tests.support.memory_store import MemoryStore

from s3_log_roller.log_keys import DayGroup
from s3_log_roller.reading.groups import find_groups
from s3_log_roller.reading.selection import Selection
from s3_log_roller.uris import S3Uri


def days_of(store: MemoryStore, source: str) -> list[tuple[DayGroup | None, bool, int]]:
    """Each group with whether it has loose logs and how many rollups."""
    groups = find_groups(lambda bucket: store, [S3Uri("bucket", source)], Selection(), pytest.fail)
    return [(group.day_group, group.has_loose, len(group.rollups)) for group in groups]


@pytest.mark.parametrize("start", ["2022-", "2022-0", "2022-07", "2022-07-", "2022-07-0"])
def test_the_beginning_of_a_date_means_logs_of_that_target_prefix_only(start: str) -> None:
    """Loose and packed ones. Keys of other target prefixes may begin so, too."""
    store = MemoryStore()
    put_logs(store, range(3))
    roll(store)
    late = date(2022, 7, 4)
    put_logs(store, range(3), day=late)
    put_logs(store, range(3), f"{PREFIX}{start}-web/", DAY)
    put_logs(store, range(3), day=date(2021, 12, 31))
    store.put(f"{PREFIX}{start}", b"no log")
    assert days_of(store, f"{PREFIX}{start}") == [
        (DayGroup("bucket", PREFIX, DAY), False, 1),
        (DayGroup("bucket", PREFIX, late), True, 0),
    ]


def test_of_a_days_logs_only_so_many_are_listed_as_it_takes_to_know_of_them() -> None:
    """A page for each day, however many logs it has."""
    store = MemoryStore(page_size=5)
    days = [date(2022, 7, day) for day in (1, 2, 3)]
    for day in days:
        put_logs(store, range(200), day=day)
    listed: list[str] = []
    store.before = lambda step, key: listed.append(step)
    assert days_of(store, PREFIX) == [(DayGroup("bucket", PREFIX, day), True, 0) for day in days]
    assert len(listed) <= 2 * len(days)


def test_archived_logs_are_counted_and_told_of() -> None:
    """The others are read."""
    store = MemoryStore()
    put_logs(store, range(5))
    for number in (1, 3):
        store.archive(log_key(number))
    told: list[str] = []
    source = S3Uri("bucket", f"{PREFIX}{DAY}")
    (group,) = find_groups(lambda bucket: store, [source], Selection(), told.append)
    assert group.loose is not None
    assert [f"{PREFIX}{one.suffix}" for one in group.loose] == [log_key(number) for number in (0, 2, 4)]
    assert told == [f"2 logs of s3://bucket/{PREFIX}{DAY} are in an archive tier: restore them, then run again"]
