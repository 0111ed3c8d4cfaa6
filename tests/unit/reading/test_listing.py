"""Rollups and their members in lists: what is wanted, and what cannot be read is named."""

from __future__ import annotations

from random import Random

import pytest
from tests.support.logs import PREFIX, log_key
from tests.support.memory_day import put_logs, roll
from tests.support.memory_store import MemoryStore
from tests.support.tarballs import a_tarball

from s3_log_roller.errors import StorageError
from s3_log_roller.reading.groups import Group
from s3_log_roller.reading.listing import list_members, list_rollups, read_checksums
from s3_log_roller.reading.selection import Selection
from s3_log_roller.rollup import read_footer
from s3_log_roller.store import CHECKSUM


def test_an_empty_rollup_is_told_of_and_one_that_cannot_be_read_is_not_called_empty() -> None:
    """Each has its line all the same."""
    store = MemoryStore()
    put_logs(store, range(1, 5))
    good = roll(store)
    empty = good.replace("rollup-2022-07-01", "rollup-2022-07-02")
    gone = good.replace("rollup-2022-07-01", "rollup-2022-07-03")
    store.put(empty, b"")
    store.put(gone, b"x")
    rollups = [one for one in store.list_page(PREFIX).objects if "rollup" in one.key]
    del store.objects[gone]
    told: list[str] = []
    group = Group("bucket", "", None, Selection(), rollups=rollups)
    listed = list(list_rollups(lambda bucket: store, [group], told.append))
    assert [one.members for one in listed] == [4, None, None]
    assert [f"s3://bucket/{empty} is damaged: it is empty" in message for message in told] == [True, False]


def test_the_wanted_members_of_a_tarball_without_an_index_are_listed_once() -> None:
    """Also one that is read in several pieces; no others."""
    store = MemoryStore()
    wanted, other = (log_key(number)[len(PREFIX) :] for number in (5, 4))
    store.put("all.tgz", a_tarball([(other, b"x"), (wanted, bytes(3 << 20))]))
    selection = Selection.parse("2022-07-01T00:00:05", None, None)
    group = Group("bucket", "", None, selection, rollups=store.list_page("").objects)
    members = [member.name for _, member in list_members(lambda bucket: store, [group], pytest.fail)]
    assert members == [wanted]


@pytest.mark.parametrize(("since", "until", "wanted"), [(2, None, [2, 3]), (None, 1, [0, 1]), (1, 2, [1, 2])])
def test_the_wanted_members_of_a_rollup_are_listed(since: int | None, until: int | None, wanted: list[int]) -> None:
    """By its index; no others."""
    store = MemoryStore()
    put_logs(store, range(4))
    roll(store)
    low, high = (None if second is None else f"2022-07-01T00:00:0{second}" for second in (since, until))
    group = Group("bucket", "", None, Selection.parse(low, high, None), rollups=store.list_page(PREFIX).objects)
    members = [member.name for _, member in list_members(lambda bucket: store, [group], pytest.fail)]
    assert members == [log_key(number)[len(PREFIX) :] for number in wanted]


def test_rollups_whose_index_is_damaged_are_named_in_every_list() -> None:
    """The footer, or what stands before it."""
    for in_footer, lists_rollups in ((True, True), (True, False), (False, False)):
        store = MemoryStore()
        put_logs(store, range(4))
        key = roll(store)
        body = bytearray(store.objects[key].body)
        body[-40 if in_footer else read_footer(bytes(body), len(body)).start - 20] ^= 1
        store.put(key, bytes(body))
        group = Group("bucket", "", None, Selection(), rollups=store.list_page(PREFIX).objects)
        told: list[str] = []
        stores = {"bucket": store}.__getitem__
        listed = (list_rollups if lists_rollups else list_members)(stores, [group], told.append)
        assert len(list(listed)) == lists_rollups
        assert len(told) == 1
        assert told[0].startswith(f"s3://bucket/{key} is damaged: ")


def test_each_place_is_asked_for_the_checksums_of_its_own_rollups() -> None:
    """Where rollups went elsewhere."""
    here, there = MemoryStore(), MemoryStore("there")
    for store in (here, there):
        store.put("a.tgz", b"a", metadata={f"{CHECKSUM}sha256": store.bucket})
    rollups = [store.list_page("").objects[0]._replace(place=place) for store, place in ((here, ""), (there, "there"))]
    stores = {"bucket": here, "there": there}
    found = read_checksums(stores.__getitem__, [Group("bucket", "", None, Selection(), rollups=rollups)], pytest.fail)
    assert found == {"s3://bucket/a.tgz": {"sha256": "bucket"}, "s3://there/a.tgz": {"sha256": "there"}}


def test_a_tarball_that_cannot_be_read_to_its_end_is_named_in_the_list_of_members() -> None:
    """Else it would look as if there were no more."""
    store = MemoryStore()
    name = log_key(1)[len(PREFIX) :]
    store.put("all.tgz", a_tarball([(name, Random(1).randbytes(600_000))]))
    asked: list[str] = []

    def fail_behind_the_first(step: str, key: str) -> None:
        asked.append(key)
        if step == "fetch" and len(asked) > 1:
            raise StorageError("s3:GetObject failed")

    group = Group("bucket", "", None, Selection(), rollups=store.list_page("").objects)
    store.before = fail_behind_the_first
    told: list[str] = []
    assert not list(list_members(lambda bucket: store, [group], told.append))
    assert told == ["s3:GetObject failed"]


def test_the_checksums_that_the_server_keeps_are_told_by_rollup() -> None:
    """Those alone, not what else is kept with it; one that cannot be had does not hide the others."""
    store = MemoryStore()
    store.put("a.tgz", b"a", metadata={f"{CHECKSUM}sha256": "abc=", "members": "1"})
    store.put("b.tgz", b"b")
    store.put("c.tgz", b"c", metadata={f"{CHECKSUM}crc64nvme": "def="})
    group = Group("bucket", "", None, Selection(), rollups=store.list_page("").objects)
    del store.objects["b.tgz"]
    told: list[str] = []
    found = read_checksums(lambda bucket: store, [group], told.append)
    assert found == {"s3://bucket/a.tgz": {"sha256": "abc="}, "s3://bucket/c.tgz": {"crc64nvme": "def="}}
    assert told == ["b.tgz is gone"]
