"""The days that a command reads are those that were asked for, found with few requests."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from tests.support.logs import DAY, PREFIX, log_key
from tests.support.memory_day import put_logs, roll
from tests.support.memory_store import MemoryStore

from s3_log_roller.errors import RollerError, StorageError
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.reading.groups import NothingThere, find_groups
from s3_log_roller.reading.selection import Selection
from s3_log_roller.store import ReadStore
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


@pytest.mark.parametrize("start", ["2", "20", "202", "2022"])
def test_the_beginning_of_a_year_may_be_that_of_a_target_prefix(start: str) -> None:
    """Both are meant; rollups that only lie in the folder where those of such logs would be are not."""
    store = MemoryStore()
    put_logs(store, range(3))
    roll(store)
    deeper = f"{PREFIX}{start}/"
    put_logs(store, range(3), deeper)
    put_logs(store, range(3), f"{PREFIX}rollup-{start}")
    assert days_of(store, f"{PREFIX}{start}") == sorted(
        [(DayGroup("bucket", PREFIX, DAY), False, 1), (DayGroup("bucket", deeper, DAY), True, 0)]
    )


@pytest.mark.parametrize("code", ["AccessDenied", "SlowDown"])
def test_who_may_list_a_target_prefix_that_ends_in_digits_need_not_list_others(code: str) -> None:
    """`logs2` is its own beginning, and may be that of logs of `logs`, whose rollups not everybody may list."""
    store = MemoryStore()
    put_logs(store, range(3), "logs2")
    roll(store, "logs2")

    def refuse(step: str, key: str) -> None:
        if step == "list" and not key.startswith("logs2"):
            raise StorageError("refused", code=code)

    store.before = refuse
    if code == "AccessDenied":
        assert days_of(store, "logs2") == [(DayGroup("bucket", "logs2", DAY), False, 1)]
    else:
        with pytest.raises(StorageError, match="refused"):
            days_of(store, "logs2")


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


def test_what_lies_among_the_logs_of_a_day_hides_none_of_them() -> None:
    """Logs of another target prefix, other objects, and logs of other hours."""
    store = MemoryStore()
    put_logs(store, range(3))
    put_logs(store, range(3), f"{PREFIX}{DAY}-00-00-00-0/")
    store.put(f"{PREFIX}{DAY}-00-00-00-notes", b"no log")
    store.put(f"{PREFIX}{DAY}-00-00-00-0000000000000000-notes", b"no log")
    wanted = Selection(f"{DAY}-00-00-01", f"{DAY}-00-00-03")
    (group,) = find_groups(lambda bucket: store, [S3Uri("bucket", f"{PREFIX}{DAY}")], wanted, pytest.fail)
    assert [f"{PREFIX}{one.suffix}" for one in group.loose or ()] == [log_key(1), log_key(2)]


def test_a_log_of_a_day_that_is_not_asked_for_is_not_there() -> None:
    """Nor is the rollup of that day."""
    store = MemoryStore()
    put_logs(store, range(3))
    roll(store)
    later = Selection("2022-07-02")
    with pytest.raises(NothingThere):
        list(find_groups(lambda bucket: store, [S3Uri("bucket", log_key(1))], later, pytest.fail))


def test_a_rollup_or_a_tarball_is_what_has_that_very_key() -> None:
    """A rollup is of its day; of a tarball nobody knows the day; one with more behind its name is another one."""
    store = MemoryStore()
    put_logs(store, range(3))
    key = roll(store)
    assert days_of(store, key) == [(DayGroup("bucket", PREFIX, DAY), False, 1)]
    store.put("july.tgz", b"")
    store.put("june.tgz.tgz", b"")
    assert days_of(store, "july.tgz") == [(None, False, 1)]
    with pytest.raises(NothingThere):
        days_of(store, "june.tgz")


@pytest.mark.parametrize("source", [PREFIX, f"{PREFIX}2022-0", f"{PREFIX}{DAY}"])
def test_restored_logs_lie_below_the_last_folder_named(source: str) -> None:
    """Not below the beginning of a name."""
    store = MemoryStore()
    put_logs(store, range(3))
    roll(store)
    (group,) = find_groups(lambda bucket: store, [S3Uri("bucket", source)], Selection(), pytest.fail)
    assert group.root == PREFIX


def test_logs_that_stray_to_where_rollups_go_are_not_of_this_bucket() -> None:
    """Their days would seem to have logs."""
    stores = {"bucket": MemoryStore(), "": MemoryStore("there")}
    put_logs(stores["bucket"], range(3))
    put_logs(stores[""], range(3), day=date(2022, 7, 4))
    put_logs(stores[""], range(3), day=date(2022, 7, 5))
    roll(stores[""], day=date(2022, 7, 5))
    found = find_groups(
        lambda place: stores.get(place, stores[""]),
        [S3Uri("bucket", PREFIX)],
        Selection(),
        pytest.fail,
        S3Uri("there", ""),
    )
    days = [(str(group.day_group.day), group.has_loose, len(group.rollups)) for group in found if group.day_group]
    assert days == [("2022-07-01", True, 0), ("2022-07-05", False, 1)]


def test_a_place_that_cannot_be_read_is_told_of_and_the_others_are_read(tmp_path: Path) -> None:
    """The only one is an error; where the others hold nothing, nobody says that there is nothing in any."""
    store = MemoryStore()
    put_logs(store, range(3))
    log = tmp_path / log_key(1)[len(PREFIX) :]
    log.write_bytes(b"x")
    told: list[str] = []

    def stores(bucket: str) -> ReadStore:
        if bucket != "bucket":
            raise StorageError(f"there is no bucket {bucket}")
        return store

    def found(*sources: S3Uri | str) -> list[tuple[str, bool]]:
        return [(group.bucket, group.has_loose) for group in find_groups(stores, sources, Selection(), told.append)]

    assert found(S3Uri("gone", ""), S3Uri("bucket", ""), str(log)) == [("bucket", True), ("", True)]
    assert told == ["there is no bucket gone"]
    assert found(S3Uri("gone", ""), S3Uri("bucket", "elsewhere/")) == []
    with pytest.raises(RollerError, match="no bucket gone"):
        found(S3Uri("gone", ""))
