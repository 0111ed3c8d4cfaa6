"""Verify proves each member of a rollup in a store, or says what is wrong with the rollup."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from hashlib import md5

import pytest
from tests.support.logs import DAY, PREFIX, log_key
from tests.support.memory_day import (
    TASK,
)
from tests.support.memory_store import MemoryStore
from tests.support.packing import pack_day

from s3_log_roller.errors import (
    DamagedRollup,
)
from s3_log_roller.rollup import Originals, read_footer
from s3_log_roller.rollup.verify import verify
from s3_log_roller.store import ListedObject


def test_verify_takes_every_member_on_its_own() -> None:
    """Of some originals in a rollup exactly those come back whose name, size and MD5 are a member's."""
    bodies = {log_key(number * 3): b"body %d" % number for number in range(20)}
    key, body = pack_day(bodies)
    store = MemoryStore()
    store.put(key, body)
    rollup = ListedObject(key, store.objects[key].etag, len(body), 0, archived=False)
    group = TASK.group
    changed_at = {4: "md5", 7: "size", 11: "name"}
    originals = Originals(group)
    expected = []
    for number, (log, content) in enumerate(sorted(bodies.items())):
        etag, size, name = md5(content).hexdigest(), len(content), log
        match changed_at.get(number):
            case "md5":
                etag = "0" * 32
            case "size":
                size += 1
            case "name":
                name = log_key(number * 3 + 1)
            case _:
                expected.append(log.removeprefix(PREFIX))
        originals.append(name.removeprefix(PREFIX), etag, size, 0)
    late = Originals(group)
    late.append(log_key(86_000).removeprefix(PREFIX), "0" * 32, 1, 0)
    early = Originals(group)
    early.append(f"{DAY}-00-00-00-0000000000000000", "0" * 32, 1, 0)
    assert [one.suffix for one in verify(store, group, rollup, originals, {}).originals] == expected
    assert len(verify(store, group, rollup, late, {}).originals) == 0
    assert len(verify(store, group, rollup, early, {}).originals) == 0
    suffix = expected[0]
    wrong = {suffix: bytes(16)}
    assert [one.suffix for one in verify(store, group, rollup, originals, wrong).originals] == expected[1:]


@pytest.mark.parametrize(("prefix", "day"), [("y/", DAY), (PREFIX, date(2022, 7, 2))])
def test_a_rollup_made_of_other_logs_is_refused(prefix: str, day: date) -> None:
    """However right its name is for what it holds: this day group's members it does not hold."""
    _, body = pack_day({log_key(1, prefix, day=day): b"x"}, prefix=prefix, day=day)
    store = MemoryStore()
    key = TASK.group.rollup_key(log_key(1, prefix, day=day).removeprefix(prefix))
    store.put(key, body)
    rollup = ListedObject(key, store.objects[key].etag, len(body), 0, archived=False)
    with pytest.raises(DamagedRollup, match=f"it was made of other logs, {prefix}{day}"):
        verify(store, TASK.group, rollup, Originals(TASK.group), {})


def test_verify_is_not_done_before_the_content_digest_is_proven() -> None:
    """Every member is as the index says, and the name follows from the first, yet the digest is another's."""
    key, body = pack_day({log_key(number * 97): b"log %d" % number for number in range(9)})
    footer = replace(read_footer(body, len(body)), content_digest=bytes(32))
    store = MemoryStore()
    store.put(key, body[: footer.start] + footer.encode())
    rollup = ListedObject(key, store.objects[key].etag, len(body), 0, archived=False)
    with pytest.raises(DamagedRollup, match="do not have the content digest in the footer"):
        verify(store, TASK.group, rollup, Originals(TASK.group), {})
