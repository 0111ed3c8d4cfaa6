"""A long listing is scanned in ranges beside each other, and they come to what one scan comes to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.logs import log_key
from tests.support.memory_store import MemoryStore
from tests.support.ranges import groups_in_range

from s3_log_roller.errors import StorageError
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rolling import side_by_side
from s3_log_roller.rolling.outcome import ScanOutcome
from s3_log_roller.rolling.scan import no_deadline, scan
from s3_log_roller.rolling.side_by_side import RANGES_AT_ONCE, find_spans
from s3_log_roller.rolling.tasks import RangeTask, ScanTask, decode_task, encode_task
from s3_log_roller.rolling.window import Window
from s3_log_roller.store import Level, Page, Pager

FIRST = date(2022, 7, 1)
SCAN = ScanTask("bucket", "", Window(date(2022, 8, 1)))


class Counting(MemoryStore):
    """Counts LISTs, and how many were under way together."""

    def __init__(self, page_size: int) -> None:
        super().__init__(page_size=page_size)
        self.lists = 0
        self.rounds: list[int] = []

    def next_pages(self, pagers: Sequence[Pager]) -> list[Page | StorageError]:
        self.lists += len(pagers)
        self.rounds.append(len(pagers))
        return super().next_pages(pagers)

    def list_folders(self, prefix: str, start_after: str) -> Level:
        self.lists += 1
        before, self.before = self.before, lambda *_: None
        level = super().list_folders(prefix, start_after)
        self.before = before
        return level


def fill(store: MemoryStore, prefixes: Sequence[str], days: int = 3, logs: int = 4) -> None:
    for prefix in prefixes:
        for day in range(days):
            for number in range(logs):
                store.put(log_key(number * 977, prefix, FIRST + timedelta(day)), b"x")


def groups_of(
    store: MemoryStore, task: ScanTask = SCAN, time_left_s: Callable[[], float] = no_deadline
) -> tuple[list[DayGroup], ScanOutcome]:
    """The day groups that the tasks of a scan come to, each as often as it is in one."""
    found: list[DayGroup] = []
    spans = find_spans(store, task, time_left_s=time_left_s, reserve_s=1)
    while True:
        try:
            span = next(spans)
        except StopIteration as stop:
            return found, stop.value
        for one in span.tasks():
            if isinstance(one, RangeTask):
                found += groups_in_range(store, one)
            else:
                found.append(one.group)


def test_a_long_listing_is_scanned_at_many_places_at_once() -> None:
    """Hardly more LISTs than one after the other, in few rounds, and every day group once; all LISTs are counted."""
    store = Counting(page_size=10)
    fill(store, [f"logs/{chr(0x4E00 + number)}/" for number in range(200)])
    found, outcome = groups_of(store)
    assert len(found) == len(set(found)) == outcome.day_groups == 600
    one_after_the_other = 240
    assert len(store.rounds) < 60
    assert max(store.rounds) == RANGES_AT_ONCE
    assert outcome.requests == store.lists < 1.2 * one_after_the_other


def test_a_listing_of_few_pages_is_not_divided() -> None:
    """It costs what it always did."""
    store = Counting(page_size=10)
    fill(store, [f"site-{number}/" for number in range(10)])
    _, outcome = groups_of(store)
    assert outcome.requests == store.lists <= 12


def test_a_prefix_without_folders_is_listed_page_after_page() -> None:
    """Looking for folders in vain costs a LIST now and then, ever more rarely."""
    store = Counting(page_size=3)
    fill(store, [f"site-{number:03}-" for number in range(100)], days=1, logs=3)
    found, outcome = groups_of(store)
    assert len(found) == len(set(found)) == 100
    assert outcome.requests == store.lists <= 100 + 5


@pytest.mark.parametrize("error", [StorageError("NotImplemented: no delimiter here")])
def test_a_server_that_lists_no_folders_is_scanned_all_the_same(error: StorageError) -> None:
    """Dividing is for speed only."""

    class WithoutFolders(MemoryStore):
        def list_folders(self, prefix: str, start_after: str) -> Level:
            raise error

    store = WithoutFolders(page_size=2)
    fill(store, [f"site-{number:03}/" for number in range(30)], days=1)
    assert len(groups_of(store)[0]) == 30


def test_a_scan_short_of_time_hands_on_what_is_left_of_each_range() -> None:
    """The tasks that go on find exactly the rest, also when they came through a queue."""
    store = Counting(page_size=10)
    fill(store, [f"site-{number:03}/" for number in range(100)])
    times = iter([9.0] * 17)
    found, outcome = groups_of(store, time_left_s=lambda: next(times, 0.0))
    assert len(outcome.rest) > 10
    waiting = list(outcome.rest)
    while waiting:
        task = decode_task(encode_task(waiting.pop()))
        assert isinstance(task, ScanTask)
        more, after = groups_of(store, task, time_left_s=lambda: 0.0)
        found += more
        waiting += after.rest
    assert len(found) == len(set(found)) == 300


PREFIXES = ["", "a/", "a/2022-07-03-0/", "a/2022-07-03-0/x/", "b-", "b/c/", "b/d/", "b/d/e/", "c/07/", "c/08/"]


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(st.tuples(st.sampled_from(PREFIXES), st.integers(0, 40)), st.integers(1, 20), max_size=30),
    st.sampled_from([1, 3, 10]),
    st.sampled_from([1, 2]),
)
@pytest.mark.heavy
def test_wherever_it_is_divided_every_day_group_is_found_once(
    days: dict[tuple[str, int], int], page_size: int, long_pages: int
) -> None:
    """Days of prefixes inside each other's days, of none, of dated folders: as one scan finds them."""
    store = MemoryStore(page_size=page_size)
    for (prefix, day), logs in days.items():
        for number in range(logs):
            store.put(log_key(number * 977, prefix, FIRST + timedelta(day)), b"x")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(side_by_side, "LONG_PAGES", long_pages)
        found, outcome = groups_of(store)
    expected = {DayGroup("bucket", prefix, FIRST + timedelta(day)) for prefix, day in days if day < 31}
    whole = {sighting.group for sighting in scan(store, SCAN)}
    assert whole <= set(found) <= expected
    assert len(found) == len(set(found))
    assert not outcome.rest


def test_folders_deep_inside_each_other_are_scanned_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where none has a neighbour, looking for one ends, and the scan goes on."""
    monkeypatch.setattr(side_by_side, "LONG_PAGES", 1)
    store = MemoryStore(page_size=2)
    fill(store, ["1/2/3/4/5/6/7/8/9/10/"], days=5)
    assert len(groups_of(store)[0]) == 5


def test_folders_that_come_in_no_order_divide_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranges between them would hold day groups twice, or not at all."""

    class Disorderly(MemoryStore):
        def list_folders(self, prefix: str, start_after: str) -> Level:
            level = super().list_folders(prefix, start_after)
            return level._replace(folders=level.folders[::-1])

    monkeypatch.setattr(side_by_side, "LONG_PAGES", 1)
    store = Disorderly(page_size=2)
    fill(store, [f"site-{number}/" for number in range(8)], days=1)
    found, _ = groups_of(store)
    assert [group.target_prefix for group in found] == [f"site-{number}/" for number in range(8)]


def test_a_listing_is_not_divided_inside_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders may lie between its logs: it would be found before one of them, and behind it once more."""
    monkeypatch.setattr(side_by_side, "LONG_PAGES", 1)
    store = MemoryStore(page_size=2)
    dates = ["2022-07-01-00", "2022-07-01-05/2022-06-01-00", "2022-07-01-05/2022-06-02-00"]
    for date_and_hour in [*dates, "2022-07-01-06/2022-06-01-00", "2022-07-01-07"]:
        store.put(f"{date_and_hour}-00-00-0123456789ABCDEF", b"x")
    found, _ = groups_of(store)
    assert len(found) == len(set(found)) == 4
