"""Many days that have rollups are looked at closely together, and nothing else is seen than one by one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import pytest
from tests.support.memory_day import put_logs, roll, rollups
from tests.support.watched_store import Watched

from s3_log_roller.errors import ObjectGone, StorageError
from s3_log_roller.planning import stocktaking
from s3_log_roller.planning.counted_store import CountedStore
from s3_log_roller.planning.inventory import Inventory
from s3_log_roller.planning.stocktaking import take_inventory
from s3_log_roller.rolling.window import Window
from s3_log_roller.store import ByteRange, Page, Pager

WINDOW = Window(date(2022, 7, 20))
DAYS = [date(2022, 7, 1) + timedelta(number) for number in range(9)]


def nine_days(page_size: int = 1000) -> Watched:
    """Nine days of ten logs that are rolled up; to the last four came a late one, and one of their rollups each is
    archived, damaged, empty."""
    store = Watched(page_size)
    for day in DAYS:
        put_logs(store, range(10), "a/", day)
        roll(store, "a/", day, delete=False)
    for day in DAYS[5:]:
        put_logs(store, [600], "a/", day)
    archived, damaged, empty = rollups(store)[-3:]
    store.archive(archived)
    store.objects[damaged] = store.objects[damaged]._replace(body=bytes(len(store.objects[damaged].body)))
    store.objects[empty] = store.objects[empty]._replace(body=b"")
    store.together, store.alone = [], []
    return store


def figures(found: Inventory) -> list[tuple[object, ...]]:
    return [
        (day.group, day.logs, day.leftovers, day.late, day.uncertain, day.unread, day.index_gets, day.problem)
        for day in found.days
    ]


def test_days_that_have_rollups_are_asked_about_at_once() -> None:
    """A page each, the indexes, and the metadata of those that are archived: three rounds, whatever their number."""
    store = nine_days()
    store.archive(rollups(store)[0])
    found = take_inventory(store, "a/", WINDOW)
    assert store.alone == ["list a/"]
    assert store.together == [("list", 9), ("fetch", 8), ("metadata", 2)]
    assert (found.lists, found.gets) == (10, 10)


def test_rollups_in_two_places_are_asked_for_at_once_each_in_its_own() -> None:
    """Nothing is asked of a place that has it not, nor read one by one."""
    store, place = nine_days(), Watched(bucket="archive")
    for key in rollups(store)[1:]:
        place.objects[key] = store.objects.pop(key)
    found = take_inventory(store, "a/", WINDOW, elsewhere=place)
    assert (store.together, store.alone) == ([("list", 9), ("fetch", 1), ("metadata", 0)], ["list a/"])
    assert (place.together, place.alone) == ([("list", 0), ("fetch", 7), ("metadata", 1)], ["list a/"])
    assert [day.unread for day in found.days] == [*6 * [0], 1, 0, 0]


@pytest.mark.parametrize("page_size", [4, 1000])
@pytest.mark.parametrize(
    ("most", "together"),
    [
        ({"AHEAD_DAYS": 4}, [4, 4, 1]),
        ({"AHEAD_KEYS": 25}, [2, 2, 2, 2, 1]),
        ({"AHEAD_KEYS": 20}, [2, 2, 1, 1, 1, 1, 1]),
        ({"AHEAD_BYTES": 1}, [1] * 9),
        ({}, [9]),
    ],
)
def test_the_inventory_is_the_same_however_many_days_are_looked_at_together(
    monkeypatch: pytest.MonkeyPatch, page_size: int, most: dict[str, int], together: list[int]
) -> None:
    """Damaged and archived rollups stay the trouble of their own day, and the requests are counted where they are
    needed."""
    monkeypatch.setattr(CountedStore, "ask_ahead", lambda *_: None)
    one_by_one = take_inventory(nine_days(page_size), "a/", WINDOW)
    monkeypatch.undo()
    for name, value in most.items():
        monkeypatch.setattr(stocktaking, name, value)
    store = nine_days(page_size)
    found = take_inventory(store, "a/", WINDOW)
    assert figures(found) == figures(one_by_one)
    assert [bool(day.problem) for day in found.days] == [*7 * [False], True, True]
    assert [day.unread for day in found.days] == [*6 * [0], 1, 0, 0]
    assert (found.lists, found.gets) == (one_by_one.lists, one_by_one.gets)
    assert [number for kind, number in store.together if kind == "list"] == together


def test_what_fails_beside_others_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """If it fails again, that is the error, as for a page that is asked for alone; here it comes."""
    store = nine_days()
    refused: list[str] = []

    def refuse(prefixes: Sequence[Pager]) -> list[Page | StorageError]:
        refused.extend(pager.prefix for pager in prefixes)
        return [StorageError("refused") for _ in prefixes]

    monkeypatch.setattr(store, "next_pages", refuse)
    assert len(take_inventory(store, "a/", WINDOW).days) == 9
    assert store.alone[1:] == [f"list {prefix}" for prefix in refused]


def test_an_answer_is_handed_out_once() -> None:
    """Whoever asks again hears what is there then."""
    store = nine_days()
    counted = CountedStore(store)
    rollup = next(one for one in store.list_page("a/").objects if one.key.endswith(".tgz"))
    counted.ask_ahead(["a/2022-07-01-"], [rollup])
    assert len(counted.list_page("a/2022-07-01-").objects) == 10
    wanted = ByteRange.part(rollup.key, rollup.etag, range(rollup.size))
    assert [len(body) for body, _ in counted.fetch([wanted])] == [rollup.size]
    store.objects.clear()
    assert counted.list_page("a/2022-07-01-").objects == []
    with pytest.raises(ObjectGone):
        list(counted.fetch([wanted]))
    assert (counted.lists, counted.gets) == (2, 2)


def test_answers_that_nobody_wanted_are_dropped() -> None:
    """Before others are asked ahead; what was listed long ago says nothing of now."""
    store = nine_days()
    counted = CountedStore(store)
    counted.ask_ahead(["a/2022-07-01-"], [])
    counted.ask_ahead(["a/2022-07-02-"], [])
    store.objects.clear()
    assert counted.list_page("a/2022-07-01-").objects == []
    assert len(counted.list_page("a/2022-07-02-").objects) == 10


@pytest.mark.parametrize("further", [{"start_after": "a/2022-07-01-~"}, {"continuation_token": "~"}, {"max_keys": 1}])
def test_only_the_first_page_is_known_beforehand(further: dict[str, Any]) -> None:
    """A later or a shorter one is asked for."""
    store = nine_days()
    counted = CountedStore(store)
    counted.ask_ahead(["a/2022-07-01-"], [])
    store.alone.clear()
    counted.list_page("a/2022-07-01-", **further)
    assert store.alone == ["list a/2022-07-01-"]


def test_what_was_not_asked_for_ahead_is_read_and_counted() -> None:
    """Each body in its place, whether its answer was there or not."""
    store = nine_days()
    counted = CountedStore(store)
    listed = [one for one in store.list_page("a/").objects if one.key.endswith(".tgz")][:3]
    counted.ask_ahead([], listed[:1])
    wanted = [ByteRange.part(one.key, one.etag, range(one.size)) for one in listed]
    assert [body for body, _ in counted.fetch(wanted)] == [store.objects[one.key].body for one in listed]
    assert counted.gets == 3
    assert counted.etag_is_md5(listed[0].key) == store.etag_is_md5(listed[0].key)
    assert counted.gets == 4
