"""Reconcile against rollups, listings and stores that are not as they should be: the damage table one level up.

What a damaged rollup is, byte by byte, is in test_rollup_damage.py; here is what becomes of its day.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Generator, Iterable
from dataclasses import replace
from datetime import date
from hashlib import md5
from itertools import pairwise
from random import Random

import pytest
from deflate import crc32
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.memory_store import MemoryStore, MemoryUpload, no_step
from tests.unit.rolling.test_reconcile import (
    DAY,
    PREFIX,
    TASK,
    TODAY,
    a_day,
    assert_exactly_once,
    assert_nothing_lost,
    log_key,
    rollups,
    run,
)
from tests.unit.rollup import test_damage as damage

from s3_log_roller.errors import (
    CredentialsError,
    DamagedRollup,
    DeleteRefused,
    ObjectGone,
    RollerError,
    StorageError,
)
from s3_log_roller.log_keys import DayGroup, parse_log_key
from s3_log_roller.rolling import reconcile as reconcile_module
from s3_log_roller.rolling.pace import Pace
from s3_log_roller.rolling.reconcile import MAX_LOOKS, PIECE_BYTES, reconcile
from s3_log_roller.rollup import FOOTER_BYTES, TAIL_BYTES, Originals, RollupWriter, decode_blocks, read_footer
from s3_log_roller.rollup.index import encode_blocks, encode_section
from s3_log_roller.rollup.verify import _MAX_FIRST_TAIL_BYTES, READ_BYTES, read_index, verify
from s3_log_roller.store import DeleteFailure, DeleteReport, ListedObject, Page, Piece


def pack(bodies: dict[str, bytes], *, day: date = DAY, prefix: str = PREFIX) -> tuple[str, bytes]:
    """(key, content) of a sound rollup of those logs."""
    group = DayGroup("bucket", prefix, day)
    originals = Originals(group)
    for key, body in sorted(bodies.items()):
        originals.append(key.removeprefix(prefix), md5(body).hexdigest(), len(body), 1_656_652_543)
    writer = RollupWriter(group, originals.content_digest(), 1)
    out = [writer.add(one, bodies[prefix + one.suffix], md5(bodies[prefix + one.suffix]).digest()) for one in originals]
    return group.rollup_key(min(bodies).removeprefix(prefix)), b"".join([*out, *writer.finish()])


def sections(rollup: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """Data, members section, blocks section, footer."""
    footer = read_footer(rollup, len(rollup))
    cuts = [0, footer.members_start, footer.blocks_start, footer.footer_start, len(rollup)]
    data, members, blocks, end = (rollup[start:stop] for start, stop in pairwise(cuts))
    return data, members, blocks, end


def flipped(data: bytes, place: float) -> bytes:
    at = int(place * (len(data) - 1))
    return data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]


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
    "good data, damaged footer": lambda r: r[:-FOOTER_BYTES] + flipped(r[-FOOTER_BYTES:], 0.4),
    "good data, no index": lambda r: sections(r)[0],
    "good index, damaged data": lambda r: b"".join((flipped(sections(r)[0], 0.5), *sections(r)[1:])),
    "good index, no data": lambda r: b"".join(sections(r)[1:]),
    "good index, data all zeros": lambda r: b"".join((bytes(len(sections(r)[0])), *sections(r)[1:])),
    "good index, another rollup's data": lambda r: b"".join((sections(pack(other_logs())[1])[0], *sections(r)[1:])),
    "another sound rollup under its name": lambda r: pack(other_logs())[1],
    "a sound rollup of another day under its name": lambda r: pack(
        {log_key(1, day=date(2022, 7, 2)): b"x"}, day=date(2022, 7, 2)
    )[1],
    "a sound rollup of another prefix under its name": lambda r: pack({log_key(1, "y/"): b"x"}, prefix="y/")[1],
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


@pytest.mark.parametrize("when", ["before it is read", "between index and data", "before its leftovers are deleted"])
def test_a_rollup_replaced_or_removed_while_it_is_read_is_looked_at_again(when: str) -> None:
    """It goes or becomes another while an older run reads it: nothing is deleted on the old one's account."""
    for replaced in (True, False):
        store, bodies = a_day()
        run(store)
        (key,) = rollups(store)
        reads = {"before it is read": 1, "between index and data": 3, "before its leftovers are deleted": 2}[when]
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
                        store.put(key, pack(other_logs())[1])
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
            assert run(store, delete=True).deleted == 3


def test_a_rollup_copied_from_elsewhere_is_refused_by_name() -> None:
    """Sound, and under its own digits, but made of another prefix's or another day's logs."""
    for prefix, day in (("y/", DAY), (PREFIX, date(2022, 7, 2))):
        store, bodies = a_day()
        key, body = pack({log_key(97, prefix, day): b"x"}, prefix=prefix, day=day)
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


class Endless(MemoryStore):
    """Says that more follows, whatever it lists."""

    def list_page(self, prefix: str, start_after: str = "", max_keys: int = 1000) -> Page:
        return replace(super().list_page(prefix, start_after, max_keys), truncated=True)


class Deaf(MemoryStore):
    """Lists from the beginning, whatever it is asked for."""

    def list_page(self, prefix: str, start_after: str = "", max_keys: int = 1000) -> Page:
        return replace(super().list_page(prefix), truncated=True)


@pytest.mark.parametrize("kind", [Endless, Deaf])
def test_a_listing_that_never_ends_is_an_error(kind: type[MemoryStore]) -> None:
    """Of the originals as well as of the rollups; nothing is packed from it."""
    for key in (log_key(1), f"{PREFIX}rollup-{DAY}-readme.tgz"):
        store = kind()
        store.put(key, b"x")
        with pytest.raises(StorageError, match=r"more follows|does not list as S3 does"):
            run(store, delete=True)
        assert list(store.objects) == [key]


def test_a_foreign_giant_of_a_rollups_name_is_refused_without_reading_much_of_it() -> None:
    """Anybody may put terabytes under such a key: a few megabytes of it are read, and the error names it."""

    class Giant(MemoryStore):
        read = 0

        def list_page(self, prefix: str, start_after: str = "", max_keys: int = 1000) -> Page:
            page = super().list_page(prefix, start_after, max_keys)
            grown = [entry._replace(size=5 << 40) if "rollup" in entry.key else entry for entry in page.objects]
            return Page(grown, page.truncated)

        def fetch(self, pieces: Iterable[Piece]) -> object:  # type: ignore[override]
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
        assert tracemalloc.get_traced_memory()[1] < 5 * _MAX_FIRST_TAIL_BYTES
    finally:
        tracemalloc.stop()
    assert store.read <= _MAX_FIRST_TAIL_BYTES


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
    assert (outcome.leftovers, outcome.deleted) == (14_000, 14_000)


def test_a_large_rollup_is_read_back_in_pieces_that_are_all_of_it() -> None:
    """Larger than what is fetched at a time: every piece is inside the file, none too large, together all of it."""

    class Noting(MemoryStore):
        pieces: list[Piece]

        def fetch(self, pieces: Iterable[Piece]) -> Generator[tuple[bytes, bytes], None, None]:
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


class Stubborn(MemoryUpload):
    def abort(self) -> None:
        super().abort()
        raise CredentialsError("expired")


def test_an_abort_that_fails_does_not_hide_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever aborting runs into, expired credentials included, the first error is the one that is told."""
    store, bodies = a_day()
    monkeypatch.setattr(store, "upload", lambda key, expected: Stubborn(store, key))
    store.before = lambda step, key: (
        (_ for _ in ()).throw(StorageError("the disk is full")) if step == "finish" else None
    )
    with pytest.raises(StorageError, match="the disk is full"):
        run(store, delete=True)
    assert set(store.objects) == set(bodies)


def test_an_upload_is_aborted_whatever_ends_it() -> None:
    """Errors, time running out, and the interrupt of a user alike."""
    for step in ("fetch", "write", "finish"):
        for error in (KeyboardInterrupt(), StorageError("x"), RuntimeError("x")):
            store, bodies = a_day()

            def fail(at: str, key: str, step: str = step, error: BaseException = error) -> None:
                if at == step:
                    raise error

            store.before = fail
            with pytest.raises(type(error)):
                run(store, delete=True)
            assert store.open_uploads == 0
            assert set(store.objects) == set(bodies)


def test_every_refused_delete_is_counted_and_some_are_named() -> None:
    """Five of them in the error, all of them in its number."""
    store, bodies = a_day(12)
    store.undeletable = set(sorted(bodies)[:7])
    with pytest.raises(DeleteRefused, match=r"^7 originals .*; and 2 more, see the log\); they are safe") as seen:
        run(store, delete=True)
    assert sum(key in str(seen.value) for key in bodies) == 5
    store, bodies = a_day(12)
    store.undeletable = set(sorted(bodies)[:5])
    with pytest.raises(DeleteRefused) as few:
        run(store, delete=True)
    assert "more" not in str(few.value)


def test_the_figures_of_a_run_are_those_of_what_happened() -> None:
    """Bytes in and out, deleted, markers, leftovers, over several looks."""
    store, bodies = a_day()
    markers = 0
    real = store.delete

    def delete(objects: Iterable[tuple[str, str]]) -> DeleteReport:
        nonlocal markers
        report = real(objects)
        markers += 1
        report.markers = 2
        return report

    store.delete = delete  # type: ignore[method-assign]
    ticks: list[tuple[int, int]] = []
    outcome = reconcile(
        store, TASK, delete=True, today=TODAY, level=1, on_progress=lambda logs, size: ticks.append((logs, size))
    )
    (key,) = rollups(store)
    assert outcome.bytes_in == sum(map(len, bodies.values())) == sum(size for _, size in ticks)
    assert outcome.bytes_out == len(store.objects[key].body)
    assert (outcome.packed, outcome.deleted, outcome.delete_markers) == (9, 9, 2)
    assert sum(logs for logs, _ in ticks) == 9
    assert (outcome.leftovers, outcome.archived, outcome.remaining) == (0, 0, 0)


def test_progress_is_told_every_hundred_logs_and_every_sixteen_megabytes() -> None:
    """So that a bar moves, and so that time running short is noticed soon."""
    store = MemoryStore()
    for number in range(250):
        store.put(log_key(number), b"x")
    ticks: list[int] = []
    reconcile(store, TASK, delete=False, today=TODAY, level=1, on_progress=lambda logs, size: ticks.append(logs))
    assert ticks == [100, 100, 50]
    store = MemoryStore()
    for number in range(5):
        store.put(log_key(number), bytes(8 << 20))
    ticks.clear()
    reconcile(store, TASK, delete=False, today=TODAY, level=1, on_progress=lambda logs, size: ticks.append(logs))
    assert ticks == [2, 2, 1]


def test_no_time_left_starts_nothing() -> None:
    """Not even an upload; the error says so."""
    store, _ = a_day()
    touched: list[str] = []
    store.before = lambda step, key: touched.append(step)
    with pytest.raises(RollerError, match=r"no time left to start on s3://bucket/example.com/2022-07-01"):
        run(store, delete=True, pace=Pace(lambda: 0.0))
    assert set(touched) == {"list"}


class Windowed(Pace):
    """Under a deadline that leaves time for four originals at a time."""

    def allowance(self, max_members: int | None) -> int:
        return min(4, max_members or 4)


class Late(Windowed):
    """The same, when the time is over."""

    is_short = True  # type: ignore[assignment]


@pytest.mark.parametrize("delete", [False, True])
@pytest.mark.parametrize("count", [3, 4, 5, 8, 11])
def test_a_giant_day_is_listed_one_window_after_another(
    monkeypatch: pytest.MonkeyPatch, delete: bool, count: int
) -> None:
    """A pass lists no more than it could pack, so a day that takes longer to list than there is time gets done, too."""
    monkeypatch.setattr(reconcile_module, "MIN_WINDOW_KEYS", 4)
    store, bodies = a_day(count, page_size=2)
    listed = 0

    def note(step: str, key: str) -> None:
        nonlocal listed
        listed += step == "list" and "rollup" not in key

    passes = []
    while not passes or passes[-1].remaining:
        store.before = note
        listed = 0
        passes.append(run(store, delete=delete, pace=Windowed()))
        assert delete is False or listed <= 3
        assert passes[-1].packed or not passes[-1].remaining
        store.before = no_step
        assert_nothing_lost(store, bodies)
    assert [one.packed for one in passes if one.packed] == [4] * (count // 4) + ([count % 4] if count % 4 else [])
    assert len(passes) == -(-count // 4)
    assert_exactly_once(store, bodies)
    again = run(store, delete=delete, pace=Windowed())
    assert (again.packed, again.remaining) == (0, 0)
    assert again.leftovers == (0 if delete else count)
    assert run(store, delete=True, pace=Windowed()).deleted == (0 if delete else count)
    assert not [key for key in store.objects if parse_log_key(key)]
    assert_exactly_once(store, bodies)


def test_windows_of_keys_that_are_no_logs_are_gone_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bystanders and nested logs fill some windows: they are reported or passed over, the logs behind are found."""
    monkeypatch.setattr(reconcile_module, "MIN_WINDOW_KEYS", 4)
    store, bodies = a_day(3)
    for number in range(13):
        store.put(f"{PREFIX}{DAY}-00-00-00-{number}", b"no log")
        store.put(f"{PREFIX}{DAY}-0{number}/{DAY}-00-00-00-0000000000000001", b"nested")
    found = set()
    for _ in range(9):
        outcome = run(store, delete=True, pace=Windowed())
        found |= outcome.nested
        if not outcome.remaining:
            break
    assert len(found) == 13
    assert_exactly_once(store, bodies)


def test_a_giant_day_that_cannot_be_looked_through_in_time_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is deleted every pass goes through all that was done before: there is an end to that."""
    monkeypatch.setattr(reconcile_module, "MIN_WINDOW_KEYS", 4)
    store, bodies = a_day(9)
    run(store)

    with pytest.raises(RollerError, match="more logs than can be looked through"):
        run(store, pace=Late())
    assert_exactly_once(store, bodies)


def test_a_giant_day_of_leftovers_gets_done_window_by_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the time is over, what was deleted until then is a step; it is no failure."""
    monkeypatch.setattr(reconcile_module, "MIN_WINDOW_KEYS", 4)
    store, bodies = a_day(11)
    run(store)

    passes = [run(store, delete=True, pace=Late()) for _ in range(3)]
    assert [(one.deleted, one.remaining) for one in passes] == [(4, 1), (4, 1), (3, 0)]
    assert_exactly_once(store, bodies)


def test_a_step_of_one_is_a_step() -> None:
    """The smallest allowance still gets on."""
    store, bodies = a_day(3)
    task = replace(TASK, max_members=1)
    assert [run(store, task, delete=True).remaining for _ in range(3)] == [2, 1, 0]
    assert_exactly_once(store, bodies)


def test_a_day_that_keeps_changing_is_looked_at_so_often_and_no_more() -> None:
    """`MAX_LOOKS` times, then an error."""
    store, bodies = a_day()
    looks = 0

    def vanish(step: str, key: str) -> None:
        nonlocal looks
        if step == "fetch":
            looks += 1
            raise ObjectGone("gone")

    store.before = vanish
    with pytest.raises(StorageError, match=f"changed {MAX_LOOKS} times"):
        run(store)
    assert looks == MAX_LOOKS
    assert_nothing_lost(store, bodies)


class LateListing(MemoryStore):
    """A server that shows a damaged entry: an ETag that no object has, sizes below zero, the same key twice."""

    entry = ListedObject(log_key(1), "", 1, 0, archived=False)
    times = 1

    def list_page(self, prefix: str, start_after: str = "", max_keys: int = 1000) -> Page:
        return Page([self.entry] * self.times if prefix.endswith(f"{DAY}-") and "rollup" not in prefix else [], False)


@pytest.mark.parametrize(
    ("changes", "times"), [({"etag": ""}, 1), ({"size": -1}, 1), ({"etag": "é"}, 1), ({"etag": "0" * 32}, 2)]
)
def test_entries_that_cannot_be_are_an_error(changes: dict[str, object], times: int) -> None:
    """Not packed, not guessed at: the bucket is named."""
    store = LateListing()
    store.entry = store.entry._replace(**changes)  # type: ignore[arg-type]
    store.times = times
    with pytest.raises(StorageError, match="s3://bucket does not list as S3 does"):
        run(store, delete=True)


def test_verify_takes_every_member_on_its_own() -> None:
    """Of some originals in a rollup exactly those come back whose name, size and MD5 are a member's."""
    bodies = {log_key(number * 3): b"body %d" % number for number in range(20)}
    key, body = pack(bodies)
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


@settings(max_examples=60)
@given(st.data())
def test_whatever_a_second_rollup_of_the_day_is_nothing_is_lost(data: st.DataObject) -> None:
    """Any file of a rollup's name beside a day's originals: error or success, and every log is still somewhere."""
    store, bodies = a_day(5)
    held = dict(sorted(bodies.items())[: data.draw(st.integers(1, 5))])
    key, body = pack(held)
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
    honest_key, honest = pack(bodies)
    _, other = pack(lies)
    _, members, _, _ = sections(honest)
    data, _, _, _ = sections(other)
    footer = read_footer(honest, len(honest))
    other_footer = read_footer(other, len(other))
    table = decode_blocks(other_footer, other[other_footer.blocks_start : other_footer.footer_start])
    payload = encode_blocks(list(table.blocks), PREFIX, DAY)
    section = encode_section(payload)
    forged_footer = replace(
        footer,
        members_start=len(data),
        blocks_start=len(data) + len(members),
        footer_start=len(data) + len(members) + len(section),
        tar_bytes=other_footer.tar_bytes,
        blocks_crc32=crc32(payload),
    )
    store.put(honest_key, data + members + section + forged_footer.encode())
    rollup = ListedObject(honest_key, store.objects[honest_key].etag, len(store.objects[honest_key].body), 0, False)
    assert len(list(read_index(store, TASK.group, rollup).members())) == 5
    with pytest.raises(DamagedRollup, match="other content"):
        run(store, delete=True)
    assert set(bodies) < set(store.objects)


def test_a_name_that_does_not_follow_from_the_first_member_is_refused() -> None:
    """Every member is right and every checksum, but the name is another rollup's."""
    store, bodies = a_day(5)
    _, body = pack(bodies)
    key = f"{PREFIX}rollup-{DAY}-00000000.tgz"
    store.put(key, body)
    with pytest.raises(DamagedRollup, match=f"{key} is damaged: its name does not follow from its first member"):
        run(store, delete=True)
    assert set(store.objects) == {*bodies, key}


@pytest.mark.parametrize("prefix", ["a\0b/", "a/b\0"])
def test_a_target_prefix_that_no_tarball_can_hold_is_refused_before_anything_is_written(prefix: str) -> None:
    """Not packed into a rollup that the next run would call damaged."""
    store = MemoryStore()
    store.put(log_key(1, prefix), b"x")
    before = dict(store.objects)
    with pytest.raises(StorageError, match="NUL in its target prefix"):
        run(store, replace(TASK, group=DayGroup("bucket", prefix, DAY)), delete=True)
    assert store.objects == before


@pytest.mark.parametrize(("place", "reason"), [(4, "does not begin as"), (-8, "gzip checksum"), (-1, "gzip checksum")])
def test_blocks_that_other_tools_would_read_otherwise_are_refused(place: int, reason: str) -> None:
    """A gzip header or trailer that is not the writer's own, under an index that fits it."""
    rollup = damage.pack(damage.ENTRIES)
    footer = read_footer(rollup, len(rollup))
    data = bytearray(rollup[: footer.members_start])
    data[place] ^= 1
    (block,) = decode_blocks(footer, rollup[footer.blocks_start : footer.footer_start]).blocks
    forged = damage.reseal(rollup, bytes(data), [block._replace(crc32=crc32(bytes(data)))])
    with pytest.raises(DamagedRollup, match=reason):
        damage.check(forged)


def test_refusals_of_keys_never_asked_for_still_fail_the_task() -> None:
    """An answer that names a failure is a failure, whatever else it says."""
    store, bodies = a_day(3)
    real = store.delete

    def delete(objects: Iterable[tuple[str, str]]) -> DeleteReport:
        report = real(objects)
        report.failures.append(DeleteFailure("another", "AccessDenied"))
        return report

    store.delete = delete  # type: ignore[method-assign]
    with pytest.raises(DeleteRefused, match="another"):
        run(store, delete=True)
    assert_exactly_once(store, bodies)


@pytest.mark.parametrize(("prefix", "day"), [("y/", DAY), (PREFIX, date(2022, 7, 2))])
def test_a_rollup_made_of_other_logs_is_refused(prefix: str, day: date) -> None:
    """However right its name is for what it holds: this day group's members it does not hold."""
    _, body = pack({log_key(1, prefix, day=day): b"x"}, prefix=prefix, day=day)
    store = MemoryStore()
    key = TASK.group.rollup_key(log_key(1, prefix, day=day).removeprefix(prefix))
    store.put(key, body)
    rollup = ListedObject(key, store.objects[key].etag, len(body), 0, archived=False)
    with pytest.raises(DamagedRollup, match=f"it was made of other logs, {prefix}{day}"):
        verify(store, TASK.group, rollup, Originals(TASK.group), {})


def test_verify_is_not_done_before_the_content_digest_is_proven() -> None:
    """Every member is as the index says, and the name follows from the first, yet the digest is another's."""
    key, body = pack(other_logs())
    footer = replace(read_footer(body, len(body)), content_digest=bytes(32))
    store = MemoryStore()
    store.put(key, body[: footer.footer_start] + footer.encode())
    rollup = ListedObject(key, store.objects[key].etag, len(body), 0, archived=False)
    with pytest.raises(DamagedRollup, match="do not have the content digest in the footer"):
        verify(store, TASK.group, rollup, Originals(TASK.group), {})


def test_a_rollup_read_back_with_other_bytes_of_a_log_is_no_success() -> None:
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
                writer = RollupWriter(TASK.group, originals.content_digest(), 1)
                other = {**bodies, odd: rng.randbytes(len(bodies[odd]))}
                wanted = [(one, other[PREFIX + one.suffix]) for one in originals]
                self._parts = [writer.add(one, body, md5(body).digest()) for one, body in wanted] + [*writer.finish()]
            return super().finish(last_look)

    store.upload = lambda key, expected_bytes: Swapping(store, key)  # type: ignore[method-assign]
    with pytest.raises(DamagedRollup, match="read back with 8 of 9 members right"):
        run(store, delete=True)
    assert set(bodies) <= set(store.objects)
