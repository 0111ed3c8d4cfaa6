"""Packed logs are believed over loose ones only as far as their bytes are the same."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.logs import PREFIX, log_key
from tests.support.memory_day import TASK, put_logs, roll
from tests.support.memory_store import MemoryStore

from s3_log_roller.reading.overlaps import Unlike, compared, find_holders
from s3_log_roller.reading.tarball import Member, MemberPart
from s3_log_roller.rollup.originals import Originals
from s3_log_roller.store import list_objects


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
