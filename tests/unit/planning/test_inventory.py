from __future__ import annotations

from datetime import date, timedelta

import pytest
from tests.support.logs import log_key
from tests.support.memory_day import put_logs, roll
from tests.support.memory_store import MemoryStore

from s3_log_roller.log_keys import DayGroup
from s3_log_roller.mirrored import MirroredStore
from s3_log_roller.planning.counted_store import CountedStore
from s3_log_roller.planning.course import cut, sightings
from s3_log_roller.planning.inventory import Inventory
from s3_log_roller.planning.stocktaking import take_inventory
from s3_log_roller.rolling.fetching import PIECE_BYTES
from s3_log_roller.rolling.options import RollOptions
from s3_log_roller.rolling.reconcile import reconcile
from s3_log_roller.rolling.scan import scan
from s3_log_roller.rolling.tasks import RollTask, ScanTask
from s3_log_roller.rolling.window import Window

WINDOW = Window(date(2022, 7, 10))
DAY = date(2022, 7, 1)


def figures(found: Inventory) -> list[tuple[str, str, int, int, int, int]]:
    return [
        (day.group.target_prefix, str(day.group.day), day.logs, day.leftovers, day.late, day.archived)
        for day in found.days
    ]


def test_everything_is_counted_once_and_in_its_place() -> None:
    """Logs by day group; archived ones, days that are too young or not asked for, and other objects apart."""
    store = MemoryStore()
    put_logs(store, range(3), "a/", DAY)
    put_logs(store, range(4), "a/", date(2022, 7, 10))
    put_logs(store, range(5), "a/", date(2022, 6, 1))
    put_logs(store, range(2), "a/2022-07-01-0/", DAY)  # its keys lie among those of a/
    store.put("a/about.txt", b"")
    store.put("a/2022-02-30-00-00-00-0123456789ABCDEF", b"")
    store.archive(log_key(1, "a/", DAY))
    found = take_inventory(store, "", Window(date(2022, 7, 10), since=date(2022, 7, 1)))
    assert figures(found) == [("a/", "2022-07-01", 2, 0, 0, 1), ("a/2022-07-01-0/", "2022-07-01", 2, 0, 0, 0)]
    assert (found.young, found.outside, found.others) == (4, 5, 2)
    kept = [log_key(0, "a/", DAY), log_key(2, "a/", DAY)]
    assert found.days[0].bytes == sum(len(store.objects[key].body) for key in kept)
    assert [day.billed_bytes for day in found.days] == [2 * 128 * 1024] * 2


def test_leftovers_and_late_logs_are_told_apart() -> None:
    """By the indexes of the rollups; only those are read."""
    store = MemoryStore()
    put_logs(store, range(10), "a/", DAY)
    roll(store, "a/", DAY, delete=False)
    put_logs(store, range(10, 13), "a/", DAY)
    fetched: list[str] = []
    store.before = lambda step, key: fetched.append(key) if step == "fetch" else None
    found = take_inventory(store, "a/", WINDOW)
    assert figures(found) == [("a/", "2022-07-01", 13, 10, 3, 0)]
    assert {key.rpartition("/")[2][:6] for key in fetched} == {"rollup"}
    assert found.gets == len(fetched) == found.days[0].index_gets


def test_days_that_are_done_are_remembered_for_their_size() -> None:
    """A day whose originals are gone has a rollup that is paid for."""
    store = MemoryStore()
    put_logs(store, range(10), "a/", DAY)
    roll(store, "a/", DAY, delete=True)
    found = take_inventory(store, "", WINDOW)
    assert (found.days, found.gets) == ([], 0)
    assert [len(day.rollups) for day in found.settled] == [1]


@pytest.mark.parametrize("prefix", ["a/2022-07", "a/2022-07-01", "a/2022-07-01-00-00-0"])
def test_a_prefix_that_goes_on_into_the_date(prefix: str) -> None:
    """Its rollups lie elsewhere, and a run takes the whole day: so does the inventory."""
    store = MemoryStore()
    put_logs(store, range(70), "a/", DAY)
    roll(store, "a/", DAY, delete=False)
    put_logs(store, range(70, 75), "a/", DAY)
    assert figures(take_inventory(store, prefix, WINDOW)) == [("a/", "2022-07-01", 75, 70, 5, 0)]


def test_a_damaged_rollup_is_told_and_the_rest_is_planned() -> None:
    """A run would fail on that day alone."""
    store = MemoryStore()
    put_logs(store, range(3), "a/", DAY)
    put_logs(store, range(3), "b/", DAY)
    store.put("a/rollup-2022-07-01-0123abcd.tgz", b"no tarball")
    found = take_inventory(store, "", WINDOW)
    assert figures(found)[1] == ("b/", "2022-07-01", 3, 0, 0, 0)
    assert "a/rollup-2022-07-01-0123abcd.tgz is damaged" in found.days[0].problem


@pytest.mark.parametrize("page_size", [1, 3, 7, 1000])
@pytest.mark.parametrize("logs", [1, 6, 7, 8, 21])
def test_the_pages_of_a_scan_are_foreseen_exactly(page_size: int, logs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the pages end with: a log, a rollup, or something else; and so are the day groups, in their order."""
    monkeypatch.setattr("s3_log_roller.planning.course.PAGE_KEYS", page_size)
    store = MemoryStore(page_size=page_size)
    for prefix in ("a/", "b/", "c/2022-07-01-0/"):
        for day in (1, 2, 3):
            put_logs(store, range(logs), prefix, date(2022, 7, day))
    for number in range(5):
        store.put(f"a/rollup-2022-07-02-0000000{number}.tgz", b"")
        store.put(f"c/{number}", b"")
    counted = CountedStore(store)
    seen = [(one.group, one.logs, one.keys) for one in scan(counted, ScanTask(store.bucket, "", WINDOW))]
    runs = take_inventory(store, "", WINDOW).runs
    assert [(one.group, one.logs, one.keys) for one in sightings(runs, WINDOW)] == seen
    assert cut(runs, ScanTask(store.bucket, "", WINDOW)).lists == counted.lists


def test_what_is_excluded_is_not_planned() -> None:
    """`plan --exclude` tells of the same day groups that `roll --exclude` works on."""
    store = MemoryStore()
    put_logs(store, range(3), "a/", DAY)
    put_logs(store, range(4), "b/", DAY)
    put_logs(store, range(5), "b/c/", DAY)
    found = take_inventory(store, "", Window(date(2022, 7, 10), exclude=("b/",)))
    assert figures(found) == [("a/", "2022-07-01", 3, 0, 0, 0)]
    assert found.outside == 9


def test_what_an_archived_rollup_may_hold_is_left_alone_in_the_plan_too() -> None:
    """As in a run: such logs are in no figure but their own, late ones are to be packed, and nothing is a problem."""
    store = MemoryStore()
    put_logs(store, range(10), "a/", DAY)
    store.archive(roll(store, "a/", DAY, delete=False))
    put_logs(store, range(86_000, 86_003), "a/", DAY)
    found = take_inventory(store, "a/", WINDOW)
    assert figures(found) == [("a/", "2022-07-01", 3, 0, 3, 0)]
    (day,) = found.days
    assert (day.uncertain, day.to_pack, day.problem) == (10, 3, "")
    assert found.gets == day.index_gets == 2  # a GET that is refused, and a HEAD


def test_rollups_in_a_destination_count_like_those_beside_the_logs() -> None:
    """Days are told apart by what both places hold, as a run would; and its requests are reckoned for both."""
    store, archive = MemoryStore(), MemoryStore("archive")
    place = MirroredStore(archive, "archive/logs/bucket")
    days = [DAY, DAY + timedelta(1), DAY + timedelta(2)]
    for day in days:
        put_logs(store, range(10), "a/", day)
    roll(store, "a/", DAY, delete=False)
    for day in days[:2]:
        put_logs(store, [20], "a/", day)
        task = RollTask(DayGroup("bucket", "a/", day), WINDOW)
        reconcile(store, task, RollOptions(level=1), today=WINDOW.cutoff, rollups=place)
    for prefix in ("a/", "a/2022-07"):
        found = take_inventory(store, prefix, WINDOW, elsewhere=place, with_digests=True)
        assert [(day.logs, day.leftovers, len(day.rollups), day.places) for day in found.days] == [
            (11, 11, 2, 2),
            (11, 11, 1, 2),
            (10, 0, 0, 2),
        ]
        assert [day.index_gets for day in found.days] == [2, 1, 0]
    beside = take_inventory(store, "a/", WINDOW)
    assert [(day.logs, day.leftovers) for day in beside.days] == [(11, 10), (11, 0), (10, 0)]


def test_leftovers_are_counted_with_their_bytes_and_the_rollups_that_hold_them() -> None:
    """What a run does not pack again; and the rollups' real sizes tell how well logs compress."""
    store = MemoryStore()
    put_logs(store, range(10), "a/", DAY)
    store.put(log_key(10, "a/", DAY), bytes(PIECE_BYTES + 1))
    key = roll(store, "a/", DAY, delete=False)
    put_logs(store, range(11, 14), "a/", DAY)
    found = take_inventory(store, "a/", WINDOW)
    (day,) = found.days
    held = [len(store.objects[log_key(number, "a/", DAY)].body) for number in range(11)]
    assert [(rollup.key, count) for rollup, count in day.holders] == [(key, 11)]
    assert (day.leftovers, day.leftover_bytes, day.leftover_pieces) == (11, sum(held), 12)
    (measured,) = found.measured.values()
    assert (measured.logs, measured.packed_bytes) == (11, len(store.objects[key].body))
    assert measured.modelled_bytes > 0


def test_the_inventory_knows_what_it_took_in_both_places() -> None:
    """Each LIST and each GET."""
    steps: list[str] = []
    store, archive = MemoryStore(), MemoryStore("archive")
    place = MirroredStore(archive, "archive/logs/bucket")
    put_logs(store, range(10), "a/", DAY)
    reconcile(
        store, RollTask(DayGroup("bucket", "a/", DAY), WINDOW), RollOptions(level=1), today=WINDOW.cutoff, rollups=place
    )
    for one in (store, archive):
        one.before = lambda step, key: steps.append(step)
    found = take_inventory(store, "a/", WINDOW, elsewhere=place)
    assert (found.lists, found.gets) == (steps.count("list"), steps.count("fetch"))
    assert found.gets == 1


def test_what_lies_in_a_destination_and_is_no_rollup_of_these_days_is_left_out() -> None:
    """Rollups of days that are too young, and anything else."""
    store, archive = MemoryStore(), MemoryStore("archive")
    put_logs(store, range(3), "a/", DAY)
    for key in ("a/rollup-2022-07-10-0123abcd.tgz", "a/notes", log_key(1, "a/", date(2022, 7, 2))):
        archive.put(f"logs/bucket/{key}", b"")
    found = take_inventory(store, "", WINDOW, elsewhere=MirroredStore(archive, "archive/logs/bucket"))
    assert figures(found) == [("a/", "2022-07-01", 3, 0, 0, 0)]
    assert not found.settled


def test_days_behind_one_that_is_done_are_found() -> None:
    """Each of the days in between, too."""
    store = MemoryStore()
    for day in (1, 2, 3):
        put_logs(store, range(3), "a/", date(2022, 7, day))
    for day in (1, 3):
        roll(store, "a/", date(2022, 7, day))
    found = take_inventory(store, "", WINDOW)
    assert [str(day.group.day) for day in found.days] == ["2022-07-02"]
    assert [str(day.group.day) for day in found.settled] == ["2022-07-01", "2022-07-03"]


def test_the_digest_of_a_day_is_that_of_its_logs() -> None:
    """Whether it has rollups or not; a log that is new or differs makes another one. Nobody gets one unasked."""

    def digests(*numbers: int, rolled: bool = False, with_digests: bool = True) -> list[str]:
        store = MemoryStore()
        put_logs(store, range(3), "a/", DAY)
        if rolled:
            roll(store, "a/", DAY, delete=False)
        put_logs(store, numbers, "a/", DAY)
        for number in numbers:
            if number < 3:
                store.put(log_key(number, "a/", DAY), b"changed since")
        return [day.content_digest for day in take_inventory(store, "", WINDOW, with_digests=with_digests).days]

    assert digests() == digests(rolled=True) != [""]
    assert digests(5) == digests(5, rolled=True) != digests()
    assert digests(1) == digests(1, rolled=True) != digests()
    assert digests(with_digests=False) == digests(rolled=True, with_digests=False) == [""]


def test_keys_are_told_in_runs_with_those_that_lie_among_others() -> None:
    """A listing of the range shows a day that lies among the keys of another one only together with that."""
    store = MemoryStore()
    put_logs(store, range(2), "a/", DAY)
    store.put("a/2022-07-01-00-00-00-1/notes", b"")
    put_logs(store, range(3), "a/2022-07-01-00-00-00-2/", DAY)
    put_logs(store, range(3), "b/", DAY)
    runs = take_inventory(store, "", WINDOW).runs
    told = [(run.group.target_prefix if run.group else "", run.keys, run.nested) for run in runs]
    assert told == [
        ("a/", 1, False),
        ("", 1, False),
        ("a/2022-07-01-00-00-00-2/", 3, True),
        ("a/", 1, False),
        ("b/", 3, False),
    ]
    assert [(runs[0].first, runs[0].last), (runs[4].first, runs[4].last)] == [
        (log_key(0, "a/", DAY), log_key(0, "a/", DAY)),
        (log_key(0, "b/", DAY), log_key(2, "b/", DAY)),
    ]
