"""Whatever lies where a rollup should be: nothing is deleted on its account, and its day waits for a person.

What a damaged rollup is, byte by byte, is in tests/unit/rollup/test_damage.py; here is what becomes of its day.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Generator, Iterable
from datetime import date
from hashlib import md5
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.forging import flipped, newer, reseal, sections
from tests.support.logs import DAY, PREFIX, log_key
from tests.support.memory_day import (
    TASK,
    a_day,
    assert_exactly_once,
    assert_nothing_lost,
    rollups,
    run,
)
from tests.support.memory_store import MemoryStore, MemoryUpload, no_step
from tests.support.packing import decode_index, pack_day

from s3_log_roller.errors import (
    DamagedRollup,
    NewerFormat,
    RollerError,
)
from s3_log_roller.log_keys import parse_log_key
from s3_log_roller.rolling.fetching import PIECE_BYTES
from s3_log_roller.rollup import Originals, RollupWriter
from s3_log_roller.rollup.stored import MAX_TAIL_BYTES, READ_BYTES, SMALL_BYTES, TAIL_BYTES, read_rollup
from s3_log_roller.store import ByteRange, ListedObject, Page


def other_logs() -> dict[str, bytes]:
    return {log_key(number * 97): b"other %d" % number for number in range(1, 10)}


Damage = Callable[[bytes], bytes]
DAMAGES: dict[str, Damage] = {
    "good data, damaged members section": lambda r: b"".join(
        (sections(r)[0], flipped(sections(r)[1], 0.5), sections(r)[2], sections(r)[3])
    ),
    "good data, damaged blocks section": lambda r: b"".join(
        (*sections(r)[:2], flipped(sections(r)[2], 0.6), sections(r)[3])
    ),
    "good data, damaged footer": lambda r: b"".join((*sections(r)[:3], flipped(sections(r)[3], 0.4))),
    "good data, no index": lambda r: sections(r)[0],
    "good index, damaged data": lambda r: b"".join((flipped(sections(r)[0], 0.5), *sections(r)[1:])),
    "good index, no data": lambda r: b"".join(sections(r)[1:]),
    "good index, data all zeros": lambda r: b"".join((bytes(len(sections(r)[0])), *sections(r)[1:])),
    "good index, another rollup's data": lambda r: b"".join((sections(pack_day(other_logs())[1])[0], *sections(r)[1:])),
    "another sound rollup under its name": lambda r: pack_day(other_logs())[1],
    "a sound rollup of another day under its name": lambda r: pack_day(
        {log_key(1, day=date(2022, 7, 2)): b"x"}, day=date(2022, 7, 2)
    )[1],
    "a sound rollup of another prefix under its name": lambda r: pack_day({log_key(1, "y/"): b"x"}, prefix="y/")[1],
    "empty": lambda r: b"",
    "cut in the middle": lambda r: r[: len(r) // 2],
    "twice": lambda r: r * 2,
    "a byte more": lambda r: r + b"\0",
}


@pytest.mark.parametrize("partly_deleted", [False, True])
@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_rollup_blocks_its_day_until_it_is_moved_away(name: str, partly_deleted: bool) -> None:
    """Nothing is deleted on its account, the error says what to do; that done, the next run converges.

    Originals that were deleted while the rollup was sound are in the file that was moved away, and only there.
    """
    store, bodies = a_day()
    run(store)
    (key,) = rollups(store)
    sound = store.objects[key].body
    store.put(key, DAMAGES[name](sound))
    gone = sorted(bodies)[:4] if partly_deleted else []
    for log in gone:
        del store.objects[log]
    before = set(store.objects)
    with pytest.raises(DamagedRollup) as seen:
        run(store, delete=True)
    assert set(store.objects) == before
    assert f"s3://bucket/{key}" in str(seen.value)
    assert "move it out of this prefix (do not lose it), then run again" in str(seen.value)
    moved_away = store.objects.pop(key)
    run(store, delete=True)
    assert_exactly_once(store, {log: body for log, body in bodies.items() if log not in gone})
    assert not [key for key in store.objects if parse_log_key(key)]
    assert moved_away.body == DAMAGES[name](sound)


@pytest.mark.parametrize("name", sorted(set(DAMAGES) - {"twice", "a byte more"}))
def test_a_rollup_damaged_between_upload_and_reading_back_deletes_nothing(name: str) -> None:
    """Whether the store gives the new ETag or the old one, as with a disk that rots.

    Longer files are no damage here: under an ETag that still fits, the bytes that were uploaded are all there.
    """
    for new_etag in (True, False):
        store, bodies = a_day()

        def spoil(step: str, key: str, store: MemoryStore = store, new_etag: bool = new_etag) -> None:
            if step == "finish":
                etag = None if new_etag else store.objects[key].etag
                store.put(key, DAMAGES[name](store.objects[key].body), etag=etag)

        store.after = spoil
        with pytest.raises(RollerError):
            run(store, delete=True)
        store.after = no_step
        assert set(bodies) < set(store.objects)
        del store.objects[rollups(store)[0]]
        run(store, delete=True)
        assert_exactly_once(store, bodies)


@pytest.mark.parametrize("when", ["before it is read", "between index and data"])
def test_a_rollup_replaced_or_removed_while_it_is_read_is_looked_at_again(when: str) -> None:
    """It goes or becomes another while an older run reads it: nothing is deleted on the old one's account."""
    for replaced in (True, False):
        store, bodies = a_day()
        large = log_key(80_000)
        bodies[large] = Random(1).randbytes(2 * SMALL_BYTES)  # index and data are read one after the other
        store.put(large, bodies[large])
        run(store)
        (key,) = rollups(store)
        reads = {"before it is read": 1, "between index and data": 2}[when]
        seen = 0

        def meddle(
            step: str,
            touched: str,
            store: MemoryStore = store,
            key: str = key,
            reads: int = reads,
            replaced: bool = replaced,
        ) -> None:
            nonlocal seen
            if step == "fetch" and touched == key:
                seen += 1
                if seen == reads:
                    store.before = no_step
                    if replaced:
                        store.put(key, pack_day(other_logs())[1])
                    else:
                        del store.objects[key]

        store.before = meddle
        if replaced:
            with pytest.raises(DamagedRollup):
                run(store, delete=True)
            assert set(bodies) < set(store.objects)
        else:
            run(store, delete=True)
            assert_exactly_once(store, bodies)


def test_leftovers_of_other_bytes_under_the_same_four_digest_bytes_are_kept() -> None:
    """The index takes them for members; the proof does not: not deleted, and the error says to compare them."""
    store, bodies = a_day()
    run(store)
    victim = sorted(bodies)[3]
    etag = store.objects[victim].etag
    forged = md5(bodies[victim]).hexdigest()[:8] + "0" * 24
    store.objects[victim] = store.objects[victim]._replace(etag=forged)
    assert forged != etag
    with pytest.raises(DamagedRollup, match=r"holds other bytes than 1 originals of the same names"):
        run(store, delete=True)
    assert [key for key in store.objects if parse_log_key(key)] == [victim]


def test_odd_leftovers_are_proven_by_reading_them_once_more() -> None:
    """What an index says of an original whose ETag is no MD5 is believed only if the bytes are the same now."""
    for size in (0, 5, PIECE_BYTES + 1):
        store, bodies = a_day(2)
        odd = log_key(80_000)
        bodies[odd] = b"x" * size
        store.put(odd, bodies[odd], etag="0" * 32 + "-2")
        run(store)
        store.objects[odd] = store.objects[odd]._replace(body=b"y" * size)
        if size:
            with pytest.raises(DamagedRollup, match="holds other bytes than 1 originals"):
                run(store, delete=True)
            assert [key for key in store.objects if parse_log_key(key)] == [odd]
        else:
            assert run(store, delete=True).figures.deleted == 3


def test_a_rollup_copied_from_elsewhere_is_refused_by_name() -> None:
    """Sound, and under its own digits, but made of another prefix's or another day's logs."""
    for prefix, day in (("y/", DAY), (PREFIX, date(2022, 7, 2))):
        store, bodies = a_day()
        key, body = pack_day({log_key(97, prefix, day): b"x"}, prefix=prefix, day=day)
        copied = f"{PREFIX}rollup-{DAY}-{key[-12:]}"
        store.put(copied, body)
        with pytest.raises(DamagedRollup, match=f"{copied} is damaged: it was made of other logs, {prefix}{day}"):
            run(store, delete=True)
        assert set(store.objects) == {*bodies, copied}


def test_two_damaged_days_do_not_touch_each_other() -> None:
    """A damaged rollup of one day is nothing to another day of the same prefix."""
    store, bodies = a_day()
    store.put(f"{PREFIX}rollup-2022-07-02-00000000.tgz", b"damaged")
    run(store, delete=True)
    del store.objects[f"{PREFIX}rollup-2022-07-02-00000000.tgz"]
    assert_exactly_once(store, bodies)


def test_a_foreign_giant_of_a_rollups_name_is_refused_without_reading_much_of_it() -> None:
    """Anybody may put terabytes under such a key: a few megabytes of it are read, and the error names it."""

    class Giant(MemoryStore):
        read = 0

        def list_page(
            self, prefix: str, start_after: str = "", *, max_keys: int = 1000, continuation_token: str = ""
        ) -> Page:
            page = super().list_page(prefix, start_after, max_keys=max_keys)
            grown = [entry._replace(size=5 << 40) if "rollup" in entry.key else entry for entry in page.objects]
            return Page(grown, page.truncated)

        def fetch(self, pieces: Iterable[ByteRange]) -> object:  # type: ignore[override]
            for piece in pieces:
                self.read += piece.length
                assert piece.length <= READ_BYTES
                yield bytes(piece.length), b""

    store = Giant()
    store.put(log_key(1), b"x")
    store.put(f"{PREFIX}rollup-{DAY}-00000000.tgz", b"giant")
    tracemalloc.start()
    try:
        with pytest.raises(DamagedRollup, match="does not end with the index of a rollup"):
            run(store, delete=True)
        assert tracemalloc.get_traced_memory()[1] < 5 * MAX_TAIL_BYTES
    finally:
        tracemalloc.stop()
    assert store.read <= MAX_TAIL_BYTES


@pytest.mark.heavy
def test_a_long_index_is_read_whole() -> None:
    """One that does not fit the first guess takes a second request, and holds the same."""
    rng = Random(1)
    store = MemoryStore()
    for number in range(14_000):
        store.put(f"{log_key(number)[:-16]}{rng.getrandbits(64):016X}", b"")
    run(store)
    (key,) = rollups(store)
    body = store.objects[key].body
    assert len(sections(body)[1]) > TAIL_BYTES + len(body) // 16
    outcome = run(store, delete=True)
    assert (outcome.figures.leftovers, outcome.figures.deleted) == (14_000, 14_000)


@pytest.mark.heavy
def test_a_large_rollup_is_read_back_in_pieces_that_are_all_of_it() -> None:
    """Larger than what is fetched at a time: every piece is inside the file, none too large, together all of it."""

    class Noting(MemoryStore):
        pieces: list[ByteRange]

        def fetch(self, pieces: Iterable[ByteRange]) -> Generator[tuple[bytes, bytes], None, None]:
            noted = list(pieces)
            self.pieces += [piece for piece in noted if "rollup" in piece.key]
            yield from super().fetch(noted)

    store = Noting()
    store.pieces = []
    rng = Random(1)
    bodies = {log_key(number): rng.randbytes(900_000) for number in range(12)}
    for key, body in bodies.items():
        store.put(key, body)
    run(store, delete=True)
    assert_exactly_once(store, bodies)
    (key,) = rollups(store)
    size = len(store.objects[key].body)
    assert size > 2 * READ_BYTES
    for piece in store.pieces:
        assert 0 < piece.length <= READ_BYTES
        assert piece.offset + piece.length <= size
    covered = sorted((piece.offset, piece.offset + piece.length) for piece in store.pieces)
    assert covered[0][0] == 0
    assert all(later <= earlier for (_, earlier), (later, _) in pairwise(covered))
    assert max(stop for _, stop in covered) == size


@settings(max_examples=60)
@given(st.data())
def test_whatever_a_second_rollup_of_the_day_is_nothing_is_lost(data: st.DataObject) -> None:
    """Any file of a rollup's name beside a day's originals: error or success, and every log is still somewhere."""
    store, bodies = a_day(5)
    held = dict(sorted(bodies.items())[: data.draw(st.integers(1, 5))])
    key, body = pack_day(held)
    start = data.draw(st.integers(0, len(body)))
    stop = data.draw(st.integers(start, min(len(body), start + 60)))
    store.put(key, body[:start] + data.draw(st.binary(max_size=60)) + body[stop:])
    changed = store.objects[key].body != body
    try:
        run(store, delete=True)
    except DamagedRollup:
        assert changed
        assert set(held) <= set(store.objects)
        del store.objects[key]
        assert_nothing_lost(store, bodies)
        run(store, delete=True)
    else:
        assert not changed
    assert_exactly_once(store, bodies)


def test_a_forged_index_with_right_checksums_deletes_nothing() -> None:
    """Somebody who can write into the prefix makes a sound file that says it holds the originals, and does not."""
    store, bodies = a_day(5)
    lies = {key: body[::-1] if body[::-1] != body else body + b"" for key, body in bodies.items()}
    assert lies != bodies
    honest_key, honest = pack_day(bodies)
    _, other = pack_day(lies)
    blocks = list(decode_index(other)[1].blocks)
    store.put(honest_key, reseal(honest, data=sections(other)[0], blocks=blocks))
    rollup = ListedObject(honest_key, store.objects[honest_key].etag, len(store.objects[honest_key].body), 0, False)
    assert len(list(read_rollup(store, TASK.group, rollup).members())) == 5
    with pytest.raises(DamagedRollup, match="other content"):
        run(store, delete=True)
    assert set(bodies) < set(store.objects)


def test_a_name_that_does_not_follow_from_the_first_member_is_refused() -> None:
    """Every member is right and every checksum, but the name is another rollup's."""
    store, bodies = a_day(5)
    _, body = pack_day(bodies)
    key = f"{PREFIX}rollup-{DAY}-00000000.tgz"
    store.put(key, body)
    with pytest.raises(DamagedRollup, match=f"{key} is damaged: its name does not follow from its first member"):
        run(store, delete=True)
    assert set(store.objects) == {*bodies, key}


def test_a_rollup_read_back_with_other_bytes_of_a_log_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its ETag is not an MD5, so the index cannot tell; what was downloaded does, and nothing is deleted."""
    store, bodies = a_day()
    odd = sorted(bodies)[3]
    rng = Random(1)
    bodies[odd] = rng.randbytes(40)
    store.put(odd, bodies[odd], etag=f"{'0' * 32}-2")
    originals = Originals(TASK.group)
    for key in sorted(bodies):
        stored = store.objects[key]
        originals.append(key.removeprefix(PREFIX), stored.etag, len(stored.body), stored.mtime)

    class Swapping(MemoryUpload):
        def finish(self, last_look: Callable[[], object] = lambda: None) -> str:
            true_bytes = sum(map(len, self._parts))
            self._parts = []
            while sum(map(len, self._parts)) != true_bytes:
                writer = RollupWriter(TASK.group, 1)
                other = {**bodies, odd: rng.randbytes(len(bodies[odd]))}
                wanted = [(one, other[PREFIX + one.suffix]) for one in originals]
                self._parts = [writer.add(one, body, md5(body).digest()) for one, body in wanted] + [*writer.finish()]
            return super().finish(last_look)

    monkeypatch.setattr(store, "upload", lambda key, expected_bytes, metadata: Swapping(store, key))
    with pytest.raises(DamagedRollup, match="read back with 8 of 9 members right"):
        run(store, delete=True)
    assert set(bodies) <= set(store.objects)


@pytest.mark.parametrize("delete", [False, True])
def test_the_day_of_a_newer_rollup_is_left_alone(delete: bool) -> None:
    """Nothing is packed beside it and nothing deleted; it is not called damaged, and nobody is told to move it away."""
    store, bodies = a_day()
    run(store)
    (key,) = rollups(store)
    store.put(key, newer(store.objects[key].body))
    late = log_key(80_000)
    store.put(late, b"late\n")
    before = dict(store.objects)
    with pytest.raises(NewerFormat, match=f"s3://bucket/{key} was written in .*: update it; its day was left alone"):
        run(store, delete=delete)
    assert store.objects == before
    assert set(bodies) < set(before)
