"""A listed range shows small days whole, and names all the others."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from tests.support.logs import TODAY, log_key
from tests.support.memory_store import MemoryStore

from s3_log_roller.errors import StorageError
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rolling import range_listing
from s3_log_roller.rolling.fetching import PIECE_BYTES
from s3_log_roller.rolling.range_listing import RangeListing, list_range
from s3_log_roller.rolling.tasks import RangeTask
from s3_log_roller.rolling.window import Window
from s3_log_roller.store import Page

FIRST = date(2022, 6, 1)
TASK = RangeTask("bucket", "", Window(TODAY))


def fill(store: MemoryStore, prefix: str, day: int, count: int) -> DayGroup:
    group = DayGroup("bucket", prefix, FIRST + timedelta(day))
    for number in range(count):
        store.put(log_key(number * 7, prefix, group.day), b"x")
    return group


def shown(listing: RangeListing) -> dict[DayGroup, int]:
    return {day.originals.group: len(day.originals) for day in listing.days}


def test_days_longer_than_a_page_are_listed_beside_each_other() -> None:
    """Four days of five pages take eight rounds of requests, not twenty."""
    store = MemoryStore(page_size=10)
    groups = [fill(store, "a/", day, 50) for day in range(4)]
    rounds = 0
    next_pages = store.next_pages

    def count(pagers):  # type: ignore[no-untyped-def]
        nonlocal rounds
        rounds += 1
        return next_pages(pagers)

    store.next_pages = count  # type: ignore[method-assign]
    assert shown(list_range(store, TASK)) == dict.fromkeys(groups, 50)
    assert rounds <= 9


@pytest.mark.parametrize("page_size", [3, 1000])
def test_what_is_not_for_a_pass_goes_alone(page_size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large days, archived and huge originals, control characters, days in others, and listings that no S3 gives."""
    monkeypatch.setattr(range_listing, "MAX_DAY_LOGS", 20)
    store = MemoryStore(page_size=page_size)
    small = [fill(store, "a/", 0, 5), fill(store, "z/", 1, 7)]
    large = fill(store, "b/", 0, 40)
    archived = fill(store, "c/", 0, 2)
    store.archive(log_key(7, "c/", FIRST))
    huge = fill(store, "d/", 0, 2)
    store.put(log_key(9, "d/", FIRST), bytes(PIECE_BYTES + 1))
    odd = fill(store, "e/", 0, 2)
    key = log_key(0, "e/", FIRST)
    store.objects[key] = store.objects[key]._replace(etag="é")
    outer = fill(store, "f/", 0, 30)
    inner = fill(store, f"f/{FIRST}-00-01/", 1, 3)
    store.put(f"f/{FIRST}-00-03-notes.txt", b"x")
    behind_its_logs = fill(store, f"f/{FIRST}-00-03/", 1, 3)
    nul = fill(store, "n\0/", 0, 1)
    control = fill(store, "n\x01/", 0, 1)
    listing = list_range(store, TASK)
    assert list(shown(listing)) == small
    assert shown(listing) == {small[0]: 5, small[1]: 7}
    assert {large, archived, huge, odd, outer, nul, control} <= set(listing.alone)
    # Where the rest of the outer day was skipped, reconcile reports what lies in it.
    assert page_size == 3 or {inner, behind_its_logs} <= set(listing.alone)


@pytest.mark.parametrize("prefix", ["", "\x01"])
def test_a_range_of_any_length_takes_bounded_memory(prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends with so many days, and says where it goes on; nothing is seen twice or missed."""
    monkeypatch.setattr(range_listing, "MAX_DAYS", 3)
    store = MemoryStore()
    groups = [fill(store, f"{number:02}{prefix}/", 0, 2) for number in range(10)]
    seen: list[DayGroup] = []
    task = TASK
    while True:
        listing = list_range(store, task)
        found = [*shown(listing), *listing.alone]
        assert len(found) <= 3
        seen += found
        if listing.go_on_after is None:
            break
        task = RangeTask("bucket", "", TASK.window, start_after=listing.go_on_after)
    assert seen == groups


def test_a_day_whose_rest_cannot_be_listed_goes_alone() -> None:
    """The others are shown."""
    store = MemoryStore(page_size=5)
    long = fill(store, "a/", 0, 30)
    short = fill(store, "b/", 0, 3)

    def fail(step: str, prefix: str) -> None:
        if step == "list" and prefix == long.logs_prefix:
            raise StorageError("no")

    store.before = fail
    listing = list_range(store, TASK)
    assert (list(shown(listing)), listing.alone) == ([short], [long])


def test_a_range_that_cannot_be_listed_is_an_error() -> None:
    """Nothing is known of its day groups then."""
    store = MemoryStore()

    def fail(step: str, prefix: str) -> None:
        raise StorageError("no")

    store.before = fail
    with pytest.raises(StorageError):
        list_range(store, TASK)


class OtherOrder(MemoryStore):
    """Lists `a/…` before `a-…`, as SeaweedFS does."""

    def list_page(
        self, prefix: str, start_after: str = "", *, max_keys: int = 1000, continuation_token: str = ""
    ) -> Page:
        every = super().list_page(prefix).objects
        keys = sorted(every, key=lambda entry: entry.key.replace("/", "\1"))
        behind = [entry for entry in keys if entry.key.replace("/", "\1") > start_after.replace("/", "\1")]
        return Page(behind[:max_keys], len(behind) > max_keys)


def test_in_a_listing_that_is_in_no_order_every_day_group_goes_alone() -> None:
    """What lies behind a key is not all that is greater, so no day can be taken for whole."""
    store = OtherOrder()
    groups = {fill(store, prefix, day, 3) for prefix in ("a-", "a/", "b/") for day in (0, 1)}
    listing = list_range(store, TASK)
    assert shown(listing) == {}
    assert set(listing.alone) == groups


def test_a_range_ends_with_its_last_key_in_whatever_order() -> None:
    """That key is one of it; what lies behind it is not, and is no end where keys come in no order."""
    for store in (MemoryStore(), OtherOrder()):
        first, second, outside, last = (fill(store, prefix, 0, 1) for prefix in ("a-", "a/", "b/", "b-"))
        listing = list_range(store, replace(TASK, end=log_key(0, "b-", FIRST)))
        assert {*shown(listing), *listing.alone} == {first, second, last}
        assert outside not in listing.in_sight


@pytest.mark.parametrize("page_size", [1, 3])
def test_nothing_behind_the_end_of_a_range_is_listed(page_size: int) -> None:
    """But for the page on which it ends: otherwise each range would list all of the bucket behind it."""
    store = MemoryStore(page_size=page_size)
    groups = [fill(store, f"{letter}/", 0, 2) for letter in "abcdefgh"]
    list_page, listed = store.list_page, 0

    def count(prefix: str, start_after: str = "", **more: Any) -> Page:
        nonlocal listed
        listed += 1
        return list_page(prefix, start_after, **more)

    store.list_page = count  # type: ignore[method-assign]
    assert shown(list_range(store, replace(TASK, end="b/~"))) == dict.fromkeys(groups[:2], 2)
    assert listed <= {1: 7, 3: 2}[page_size]


def test_rollups_of_days_outside_the_window_are_not_in_sight() -> None:
    """Nobody asked for them."""
    store = MemoryStore()
    store.put(f"a/rollup-{FIRST}-00000000.tgz", b"r")
    store.put(f"a/rollup-{TODAY}-00000000.tgz", b"r")
    assert list_range(store, TASK).in_sight == {DayGroup("bucket", "a/", FIRST)}


def test_days_inside_the_rest_of_a_long_day_go_alone() -> None:
    """Its rest is listed apart from all others, so what lies in it is seen nowhere else; it may be no log at all."""
    store = MemoryStore(page_size=5)
    long = fill(store, "a/", 0, 7)
    inside = DayGroup("bucket", f"a/{FIRST}-05/", FIRST)
    store.put(log_key(1, inside.target_prefix, inside.day), b"x")
    store.put(log_key(1, f"a/{FIRST}-05/young/", TODAY), b"x")
    store.put(f"a/{FIRST}-06-notes.txt", b"x")
    store.put(log_key(8 * 3600, "a/", FIRST), b"x")
    behind = fill(store, "b/", 0, 2)
    listing = list_range(store, TASK)
    assert shown(listing) == {long: 8, behind: 2}
    assert listing.alone == [inside]


@pytest.mark.parametrize("page_size", range(1, 12))
@pytest.mark.parametrize("copies", [".gz", f"/{FIRST}-00-00-00-{1:016X}"])
def test_pages_of_a_long_day_may_end_with_what_is_not_one_of_its_logs(page_size: int, copies: str) -> None:
    """Such as a copy beside each log, or days inside: the rest of the day is listed once, and apart."""
    store = MemoryStore(page_size=page_size)
    group = fill(store, "a/", 0, 12)
    for key in list(store.objects):
        store.put(key + copies, b"x")
    behind = fill(store, "b/", 0, 2)
    listing = list_range(store, TASK)
    assert shown(listing) == {group: 12, behind: 2}
    assert len(listing.alone) == (12 if copies.startswith("/") else 0)


@pytest.mark.parametrize("most", [{"MAX_LOGS": 24}, {"MAX_DAYS": 6}])
@pytest.mark.parametrize(("borders", "days"), [((), 6), (("5/",), 3)])
def test_a_range_with_many_logs_goes_on_behind_the_first_part_that_is_full(
    monkeypatch: pytest.MonkeyPatch, borders: tuple[str, ...], days: int, most: dict[str, int]
) -> None:
    """Its parts share the memory there is; what was listed behind one that is full is listed again."""
    for figure, value in most.items():
        monkeypatch.setattr(range_listing, figure, value)
    store = MemoryStore()
    groups = [fill(store, f"{number}/", 0, 4) for number in range(7)]
    listing = list_range(store, replace(TASK, borders=borders))
    assert shown(listing) == dict.fromkeys(groups[:days], 4)
    assert listing.go_on_after == groups[days].logs_prefix
