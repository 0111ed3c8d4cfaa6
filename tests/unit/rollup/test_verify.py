"""Verify proves each member of a rollup in a store, or says what is wrong with the rollup."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import replace
from datetime import date
from hashlib import md5, sha256
from random import Random

import pytest
from tests.support.logs import DAY, PREFIX, log_key
from tests.support.memory_day import (
    TASK,
)
from tests.support.memory_store import MemoryStore
from tests.support.packing import decode_index, pack_day

from s3_log_roller.errors import (
    DamagedRollup,
)
from s3_log_roller.rollup import Originals, read_footer, stored
from s3_log_roller.rollup import verify as verification
from s3_log_roller.rollup.verify import verify
from s3_log_roller.store import ByteRange, ListedObject


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


@pytest.fixture(scope="module")
def large() -> tuple[str, bytes]:
    """(key, content) of a rollup of four blocks, one log across two of them, and three chunks."""
    bodies = {log_key(number): b"record %d\n" % number for number in range(9000)}
    bodies[log_key(9000)] = Random(1).randbytes(1_500_000)
    bodies[log_key(9001)] = Random(2).randbytes(900_000)
    return pack_day(bodies)


def test_a_truncated_rollup_never_passes(large: tuple[str, bytes]) -> None:
    """Cut off at every border there is, a byte beside each, and at many places between."""
    key, content = large
    footer, directory, _ = decode_index(content)
    borders = [block.offset for block in directory.blocks] + [directory.blocks.stop, footer.data_bytes]
    borders += [chunk.offset + chunk.length for chunk in directory.chunks] + [footer.start]
    assert len(directory.blocks) > 4
    assert len(directory.chunks) == 3
    near = {border + step for border in borders for step in (-1, 0, 1)}
    for length in sorted(near | set(range(0, len(content), len(content) // 150)) | {len(content) - 1}):
        store = MemoryStore()
        store.put(key, content[:length])
        rollup = ListedObject(key, store.objects[key].etag, length, 0, archived=False)
        with pytest.raises(DamagedRollup, match="is damaged"):
            verify(store, TASK.group, rollup, Originals(TASK.group), {})


def test_a_verified_rollup_is_read_once(large: tuple[str, bytes]) -> None:
    """The header and trailer of its gzip member come with its blocks: no request of their own."""
    key, content = large
    store = MemoryStore()
    store.put(key, content)
    requests: list[ByteRange] = []
    real = store.fetch

    def fetch(pieces: Iterable[ByteRange]) -> Generator[tuple[bytes, bytes], None, None]:
        wanted = list(pieces)
        requests.extend(wanted)
        return real(wanted)

    store.fetch = fetch  # type: ignore[method-assign]
    rollup = ListedObject(key, store.objects[key].etag, len(content), 0, archived=False)
    verify(store, TASK.group, rollup, Originals(TASK.group), {})
    assert len(requests) == 2  # the tail with all of the index, and the data
    assert sum(wanted.length for wanted in requests) < len(content) + 300_000


def test_the_sha256_is_that_of_the_whole_file(large: tuple[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """However many requests it is read with; it costs none more while the index is at hand."""
    key, content = large
    store = MemoryStore()
    store.put(key, content)
    rollup = ListedObject(key, store.objects[key].etag, len(content), 0, archived=False)
    fetched: list[str] = []
    store.before = lambda step, key: fetched.append(step) if step == "fetch" else None
    requests = []
    for read_bytes in (stored.READ_BYTES, 300_000):
        for module in (stored, verification):
            monkeypatch.setattr(module, "READ_BYTES", read_bytes)
        for with_sha256 in (True, False):
            fetched.clear()
            verified = verify(store, TASK.group, rollup, Originals(TASK.group), {}, with_sha256=with_sha256)
            assert verified.sha256 == (sha256(content).digest() if with_sha256 else b"")
            requests.append(len(fetched))
    assert requests[0] == requests[1] < requests[2] == requests[3]
    footer = read_footer(content, len(content))
    assert (verified.bucket, verified.members) == (store.bucket, footer.members)
    assert verified.content_digest == footer.content_digest
