"""Packed logs are believed over loose ones only as far as their bytes are the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tests.support.forging import flipped, newer, sections
from tests.support.logs import PREFIX, log_key
from tests.support.memory_day import TASK, put_logs, roll
from tests.support.memory_store import MemoryStore

from s3_log_roller.log_keys import parse_rollup_key
from s3_log_roller.reading.overlaps import Packed, Unlike, compared, find_holders, open_rollups, share_out
from s3_log_roller.reading.tarball import Member, MemberPart
from s3_log_roller.rollup.originals import Originals
from s3_log_roller.store import ListedObject, list_objects


def test_a_log_that_is_missing_is_told_before_anything_behind_it_comes() -> None:
    """Who hears of it reads on from there: what had come already would come twice."""
    store = MemoryStore()
    bodies = put_logs(store, range(4))
    loose = Originals(TASK.group)
    for entry in list_objects(store, TASK.group.logs_prefix):
        loose.append(entry.key[len(PREFIX) :], entry.etag, entry.size, entry.mtime)

    def parts() -> Iterator[MemberPart]:
        for number in (0, 1, 3):
            body = bodies[log_key(number)]
            yield Member(log_key(number)[len(PREFIX) :], len(body), 0), body, True

    came = compared(parts(), loose)
    assert [next(came)[0].name for _ in range(2)] == [log_key(number)[len(PREFIX) :] for number in (0, 1)]
    with pytest.raises(Unlike) as missing:
        next(came)
    assert missing.value.suffix == log_key(2)[len(PREFIX) :]


@pytest.mark.parametrize(
    ("encrypted", "size", "comparable"), [(False, 9, True), (False, 1 << 21, False), (True, 9, False)]
)
def test_what_a_gone_log_is_compared_with(encrypted: bool, size: int, comparable: bool) -> None:
    """The MD5 in its ETag, unless that is none, or the log is too large to be held."""
    store = MemoryStore()
    key = log_key(1)
    store.put(key, bytes(size), etag="1" * 32 + "-2" if encrypted else None)
    (listed,) = list_objects(store, TASK.group.logs_prefix)
    roll(store)
    ((index, loose_too),) = find_holders(lambda bucket: store, TASK.group, "", listed)
    assert [member.suffix for member in index.members()] == [key[len(PREFIX) :]]
    assert (loose_too is not None) is comparable


def rollups_in(store: MemoryStore) -> list[ListedObject]:
    """As a listing shows them that doesn't tell of archive tiers."""
    return [entry._replace(archived=False) for entry in list_objects(store, "") if parse_rollup_key(entry.key)]


def with_damaged_directory(rollup: bytes) -> bytes:
    data, members, directory, end = sections(rollup)
    return data + members + flipped(directory, 0.5) + end


def shared(store: MemoryStore) -> tuple[list[str], dict[str, Packed]]:
    """(the names of the loose logs to be read, the rollups with what is to be read of each) of a day without damage."""
    loose = Originals(TASK.group)
    for entry in list_objects(store, TASK.group.logs_prefix):
        loose.append(entry.key[len(PREFIX) :], entry.etag, entry.size, entry.mtime)
    indexed, _ = open_rollups(lambda bucket: store, "bucket", rollups_in(store), pytest.fail)
    kept, packed = share_out(indexed, loose, pytest.fail)
    return [original.suffix for original in kept or ()], {one.listed.key: one for one in packed}


def suffixes(*numbers: int) -> list[str]:
    return [log_key(number)[len(PREFIX) :] for number in numbers]


@pytest.mark.parametrize(("what", "told"), [("archived", "archive"), ("damaged", "is damaged")])
def test_a_rollup_that_cannot_be_read_is_told_of_and_the_others_are_opened(what: str, told: str) -> None:
    """Also one that nobody knows to be in an archive tier before it is asked for."""
    store = MemoryStore()
    put_logs(store, range(3))
    first = roll(store)
    put_logs(store, range(3, 5))
    second = roll(store)
    if what == "archived":
        store.archive(first)
    else:
        store.put(first, with_damaged_directory(store.objects[first].body))
    failures: list[str] = []
    unordered = sorted(rollups_in(store), key=lambda rollup: rollup.key != first)
    indexed, through = open_rollups(lambda bucket: store, "bucket", unordered, failures.append)
    assert ([index.file.listed.key for index in indexed], through) == ([second], [])
    (failure,) = failures
    assert first in failure
    assert told in failure


def test_a_member_of_another_size_hides_no_log_and_those_behind_it_stand_for_theirs() -> None:
    """The one that differs comes from both places."""
    store = MemoryStore()
    put_logs(store, range(3))
    key = roll(store, delete=False)
    store.put(log_key(0), b"longer than it was" * 10)
    loose, packed = shared(store)
    assert loose == suffixes(0)
    assert [log.suffix for log in packed[key].loose_too or ()] == suffixes(1, 2)
    assert not packed[key].skip


@pytest.mark.parametrize(
    ("encrypted", "size", "comparable"), [(False, 9, True), (False, 1 << 21, False), (True, 9, False)]
)
def test_what_cannot_be_compared_is_read_loose(encrypted: bool, size: int, comparable: bool) -> None:
    """A large log, or one whose ETag is not an MD5; its member is skipped."""
    store = MemoryStore()
    store.put(log_key(1), bytes(size), etag="1" * 32 + "-2" if encrypted else None)
    key = roll(store, delete=False)
    loose, packed = shared(store)
    assert loose == ([] if comparable else suffixes(1))
    assert packed[key].skip == frozenset([] if comparable else suffixes(1))
    assert (packed[key].loose_too is not None) is comparable


def test_a_log_in_two_rollups_is_a_double_in_one_of_them() -> None:
    """Logs of other names are not, though they have the same bytes; one that lies there is compared once."""
    store = MemoryStore()
    for number in range(4):
        store.put(log_key(number), b"the same")
    first = roll(store)
    older = store.objects.pop(first)
    for number in range(2, 6):
        store.put(log_key(number), b"the same")
    roll(store, delete=False)
    store.objects[first] = older
    for number in (2, 4, 5):
        del store.objects[log_key(number)]
    loose, packed = shared(store)
    compared_one, doubled_one = sorted(packed.values(), key=lambda one: len(one.doubles))
    assert not loose
    assert (compared_one.doubles, compared_one.skip) == (frozenset(), frozenset())
    assert [log.suffix for log in compared_one.loose_too or ()] == suffixes(3)
    assert (sorted(doubled_one.doubles), sorted(doubled_one.skip)) == (suffixes(2, 3), suffixes(3))
    assert doubled_one.loose_too is None


@pytest.mark.parametrize("spoil", [newer, with_damaged_directory])
def test_a_log_that_is_gone_is_looked_for_in_every_rollup_of_its_day(spoil: Callable[[bytes], bytes]) -> None:
    """One that is damaged, or of a later version, does not end the search."""
    store = MemoryStore()
    put_logs(store, range(3))
    (listed,) = list_objects(store, log_key(1))
    first = roll(store)
    body = store.objects.pop(first).body
    put_logs(store, range(1, 4))
    second = roll(store)
    store.put(first, body)
    for spoiled, sound in ((first, second), (second, first)):
        before = store.objects[spoiled].body
        store.put(spoiled, spoil(before))
        ((index, _),) = find_holders(lambda bucket: store, TASK.group, "", listed)
        assert index.file.listed.key == sound
        store.put(spoiled, before)
