"""Neighbouring day groups go into one task; nothing falls between two of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.logs import log_key
from tests.support.memory_store import MemoryStore
from tests.support.ranges import groups_in_range

from s3_log_roller.errors import StorageError
from s3_log_roller.log_keys import DayGroup, parse_log_key
from s3_log_roller.rolling import scan, spans
from s3_log_roller.rolling.range_listing import list_range
from s3_log_roller.rolling.scan import Sighting
from s3_log_roller.rolling.side_by_side import find_spans
from s3_log_roller.rolling.spans import Span, SpanCutter, interleave
from s3_log_roller.rolling.tasks import RangeTask, RollTask, ScanTask, decode_task, encode_task
from s3_log_roller.rolling.window import Window
from s3_log_roller.store import Page, Pager

CUTOFF = date(2022, 8, 1)
SCAN = ScanTask("bucket", "", Window(CUTOFF))
FIRST = date(2022, 7, 1)


def span_of(group: DayGroup) -> Span:
    return Span(SCAN, "", Sighting(group, "", "", 0, 0, nested=False, in_order=True), [group])


def cut(store: MemoryStore) -> list[Span]:
    return list(find_spans(store, SCAN))


@pytest.fixture
def small_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "SPAN_GROUPS", 3)
    monkeypatch.setattr(spans, "SPAN_LOGS", 20)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 300)), max_size=400, unique=True))
def test_interleaving_keeps_every_span_and_separates_neighbours(pairs: list[tuple[str, int]]) -> None:
    """Nothing is lost or repeated."""
    groups = [DayGroup("b", prefix, date(2022, 1, 1) + timedelta(days=n)) for prefix, n in sorted(pairs)]
    mixed = [span.groups[0] for span in interleave(map(span_of, groups))]
    assert sorted(mixed) == sorted(groups)


def test_interleaving_alternates_target_prefixes() -> None:
    """Three prefixes of three days each come out in turn."""
    days = [date(2022, 1, d) for d in (1, 2, 3)]
    groups = [DayGroup("b", prefix, day) for prefix in "abc" for day in days]
    assert [span.groups[0].target_prefix for span in interleave(map(span_of, groups))] == list("abcabcabc")


PREFIXES = ["", "a/", "a/2022-07-03-0/", "b-", "b/c/"]


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(st.tuples(st.sampled_from(PREFIXES), st.integers(0, 40)), st.integers(1, 30), max_size=20),
    st.sampled_from([3, 10, 1000]),
)
@pytest.mark.heavy
def test_the_spans_of_a_scan_hold_every_day_group_once_and_whole(
    days: dict[tuple[str, int], int], page_size: int
) -> None:
    """Each range, listed on its own, shows its day groups with all their logs, or sends them alone, and no others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spans, "SPAN_GROUPS", 5)
        patch.setattr(spans, "SPAN_LOGS", 40)
        patch.setattr(spans, "PAGE_KEYS", 7)
        store = MemoryStore(page_size=page_size)
        logs: dict[DayGroup, int] = {}
        for (prefix, day_number), count in days.items():
            day = FIRST + timedelta(day_number)
            for number in range(count):
                store.put(log_key(number * 977, prefix, day), b"x")
            if day < CUTOFF:
                logs[DayGroup("bucket", prefix, day)] = count
        store.put("a/2022-07-02-notes.txt", b"")
        store.put("a/rollup-2022-07-02-00000000.tgz", b"")
        seen: list[DayGroup] = []
        for span in cut(store):
            for task in span.tasks():
                if isinstance(task, RollTask):
                    seen.append(task.group)
                    continue
                listing = list_range(store, task)
                assert listing.go_on_after is None
                assert set(groups_in_range(store, task)) == {
                    *(listed.originals.group for listed in listing.days),
                    *listing.alone,
                }
                for listed in listing.days:
                    assert len(listed.originals) == logs[listed.originals.group]
                seen += [*(listed.originals.group for listed in listing.days), *listing.alone]
        assert sorted(seen) == sorted(logs)


@pytest.mark.usefixtures("small_spans")
def test_a_range_shows_the_rollups_behind_its_logs_or_says_that_it_does_not() -> None:
    """Days of one prefix end before its rollups; the last range of a prefix holds them."""
    store = MemoryStore()
    for number in range(5):
        store.put(log_key(1, "a/", FIRST + timedelta(number)), b"x")
    store.put("a/rollup-2022-07-05-00000000.tgz", b"r")
    first, last = (list_range(store, task) for span in cut(store) for task in span.tasks())  # type: ignore[arg-type]
    assert [listed.rollups for listed in first.days] == [None] * 3
    assert [[one.key for one in listed.rollups or []] for listed in last.days] == [
        [],
        ["a/rollup-2022-07-05-00000000.tgz"],
    ]


def test_in_a_bucket_that_lists_in_no_order_day_groups_go_one_by_one() -> None:
    """No range of keys is known to hold them."""

    cutter = SpanCutter(SCAN)
    for number in range(4):
        group = DayGroup("bucket", "a/", FIRST + timedelta(number))
        seen = Sighting(group, f"k{number}", f"j{number}", number, number, nested=False, in_order=number < 2)
        assert not list(cutter.take(seen))
    (span,) = cutter.end("")
    assert [type(task) for task in span.tasks()] == [RollTask] * 4


def test_what_was_found_before_a_scan_failed_is_not_dropped() -> None:
    """The day groups seen until then become tasks, then the error comes."""
    store = MemoryStore(page_size=2)
    for number in range(4):
        store.put(log_key(1, "a/", FIRST + timedelta(number)), b"x")
    lists = iter([None, StorageError("no")])

    def fail_later(step: str, key: str) -> None:
        if (error := next(lists)) is not None:
            raise error

    store.before = fail_later
    spans = find_spans(store, SCAN)
    assert [type(task) for task in next(spans).tasks()] == [RollTask] * 2
    with pytest.raises(StorageError):
        next(spans)


def test_late_logs_of_a_ranges_last_day_still_belong_to_it(small_spans: None) -> None:
    """The range ends where the day does, not at the last log that the scan saw."""
    store = MemoryStore()
    for number in range(6):
        store.put(log_key(1, "a/", FIRST + timedelta(number)), b"x")
    first, _ = cut(store)
    late = log_key(80_000, "a/", FIRST + timedelta(2))
    store.put(late, b"late")
    (task,) = first.tasks()
    assert isinstance(task, RangeTask)
    listed = list_range(store, task).days[-1].originals
    assert [f"a/{one.suffix}" for one in listed][-1] == late
    assert parse_log_key(late) is not None


def test_a_long_span_is_listed_in_parts_beside_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scan saw where day groups begin: ten pages take one round of requests, and show all of them."""
    monkeypatch.setattr(spans, "PAGE_KEYS", 11)
    store = MemoryStore(page_size=20)
    for number in range(20):
        for second in range(5):
            store.put(log_key(second, f"{number:02}/", FIRST), b"x")
        for rollup in range(5):
            store.put(f"{number:02}/rollup-2022-06-0{rollup + 1}-00000000.tgz", b"r")
    (span,) = cut(store)
    (task,) = span.tasks()
    assert isinstance(task, RangeTask)
    assert len(task.borders) == 18  # where the last part ends, no scan has seen how much is in it
    assert decode_task(encode_task(task)) == task
    rounds = 0
    next_pages = store.next_pages

    def count(pagers):  # type: ignore[no-untyped-def]
        nonlocal rounds
        rounds += 1
        return next_pages(pagers)

    store.next_pages = count  # type: ignore[method-assign]
    listing = list_range(store, task)
    assert [day.originals.group.target_prefix for day in listing.days] == [f"{number:02}/" for number in range(20)]
    assert all(len(day.originals) == 5 and day.rollups == [] for day in listing.days)
    assert rounds <= 2


def test_days_that_fill_a_page_count_as_more_than_was_seen_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few of them share a span, and many of days that a page shows whole, whatever lies behind them on the page."""
    monkeypatch.setattr(scan, "UNSEEN_PAGES", 4)
    monkeypatch.setattr(spans, "SPAN_LOGS", 100)
    large, small = MemoryStore(page_size=10), MemoryStore(page_size=10)
    for day in range(8):
        for number in range(30):
            large.put(log_key(number, "a/", FIRST + timedelta(day)), b"x")
        for number in range(3):
            small.put(log_key(number, f"{day}/", FIRST), b"x")
        for number in range(15):
            small.put(f"{day}/rollup-2022-06-{number + 1:02}-00000000.tgz", b"r")
    assert [len(span.groups) for span in cut(large)] == [2, 2, 2, 2]
    assert [len(span.groups) for span in cut(small)] == [8]


@pytest.mark.parametrize(("logs_a_day", "most_rounds"), [(1, 2), (5, 2), (25, 4), (33, 4), (50, 4), (60, 8), (90, 9)])
def test_dividing_a_span_costs_few_pages(monkeypatch: pytest.MonkeyPatch, logs_a_day: int, most_rounds: int) -> None:
    """Its parts fill their pages: a quarter more of them than one listing has, and mostly a few rounds.

    A day that a page ends in is larger than the scan knows, so parts of such days are longer than they should be.
    """
    monkeypatch.setattr(spans, "PAGE_KEYS", 100)
    store = MemoryStore(page_size=100)
    for day in range(min(1_000 // logs_a_day, 500)):
        for number in range(logs_a_day):
            store.put(log_key(number, f"{day:03}/", FIRST), b"x")
    (span,) = cut(store)
    (task,) = span.tasks()
    assert isinstance(task, RangeTask)
    rounds: list[int] = []
    next_pages = store.next_pages

    def count(pagers: Sequence[Pager]) -> list[Page | StorageError]:
        rounds.append(len(pagers))
        return next_pages(pagers)

    store.next_pages = count  # type: ignore[method-assign]
    assert len(list_range(store, task).days) == len(span.groups)
    assert sum(rounds) <= 1.25 * (len(store.objects) // 100 + 1) + 1
    assert len(rounds) <= most_rounds


def test_the_borders_of_a_span_do_not_outgrow_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys of 900 characters: some borders are left out, and the message stays far below its limit."""
    monkeypatch.setattr(spans, "PAGE_KEYS", 2)
    store = MemoryStore()
    for number in range(50):
        store.put(log_key(1, f"{'é' * 400}{number:02}/", FIRST), b"x")
    ((task,),) = (span.tasks() for span in cut(store))
    assert isinstance(task, RangeTask)
    assert len(encode_task(task)) < 10_000
    assert len(list_range(store, task).days) == 50


@pytest.mark.parametrize(("most", "groups"), [({"SPAN_KEYS": 50}, 5), ({"SPAN_LOGS": 16}, 4)])
def test_every_span_is_as_long_as_the_first(monkeypatch: pytest.MonkeyPatch, most: dict[str, int], groups: int) -> None:
    """In logs, and in keys with the rollups, wherever in a long listing it begins."""
    for figure, value in most.items():
        monkeypatch.setattr(spans, figure, value)
    store = MemoryStore()
    for number in range(4 * groups):
        for log in range(4):
            store.put(log_key(log, f"{number:02}/", FIRST), b"x")
        for day in range(6):
            store.put(f"{number:02}/rollup-2022-06-{day + 1:02}-00000000.tgz", b"r")
    assert [len(span.groups) for span in cut(store)] == [groups] * 4
