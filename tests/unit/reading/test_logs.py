"""Logs come out in order, each once, wherever they are, and no more is fetched than what holds them."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
import tracemalloc
from collections.abc import Callable, Generator, Iterable
from dataclasses import replace
from datetime import date, timedelta
from hashlib import md5
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.logs import DAY, PREFIX, log_key
from tests.support.memory_day import TASK, put_logs, roll
from tests.support.memory_store import MemoryStore
from tests.support.packing import decode_index, pack_day
from tests.support.tarballs import a_tarball

from s3_log_roller.errors import RollerError, StorageError, UsageError
from s3_log_roller.local_files import LOCAL, LocalFiles
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.reading import doubles
from s3_log_roller.reading import shares as cutting
from s3_log_roller.reading.groups import Group, find_groups
from s3_log_roller.reading.lines import LineReader, Query
from s3_log_roller.reading.listing import list_members
from s3_log_roller.reading.logs import Reader
from s3_log_roller.reading.overlaps import Packed
from s3_log_roller.reading.parallel import batches
from s3_log_roller.reading.patterns import Pattern, Syntax
from s3_log_roller.reading.proofs import find_rollups, prove
from s3_log_roller.reading.selection import Selection
from s3_log_roller.reading.shares import SHARE_BYTES, Share, find_shares
from s3_log_roller.rollup import Originals, RollupWriter, read_footer
from s3_log_roller.rollup.stored import TAIL_BYTES
from s3_log_roller.store import ByteRange, ListedObject, Page, ReadStore, Store
from s3_log_roller.uris import S3Uri


class CountingStore(MemoryStore):
    """Remembers what was fetched."""

    def __init__(self, bucket: str = "bucket", page_size: int = 1000) -> None:
        super().__init__(bucket, page_size)
        self.fetched: list[ByteRange] = []

    def fetch(self, pieces: Iterable[ByteRange]) -> Generator[tuple[bytes, bytes], None, None]:
        def seen() -> Iterable[ByteRange]:
            for piece in pieces:
                self.fetched.append(piece)
                yield piece

        yield from super().fetch(seen())


class Reading:
    """What came out of a store, and what was complained of."""

    def __init__(
        self,
        store: Store,
        *sources: str,
        selection: Selection | None = None,
        split: bool = False,
        packed_only: bool = False,
        prove: bool = False,
    ) -> None:
        self.failures: list[str] = []
        self.logs: list[tuple[str, bytes]] = []
        self.names: list[str] = []

        def stores(bucket: str) -> ReadStore:
            return LocalFiles() if bucket == LOCAL else store

        uris = [S3Uri.parse(source) if "://" in source else source for source in sources or ("s3://bucket/",)]
        groups = find_groups(stores, uris, selection or Selection(), self.failures.append)
        shares = find_shares(stores, groups, self.failures.append, split=split)
        reader = Reader(stores, self.failures.append, packed_only=packed_only, prove=prove)
        body, unfinished = b"", None
        for batch in batches(shares):
            for origin, member, data, last in reader.read(batch):
                if member is not unfinished:
                    body, unfinished = b"", member  # what came of the one before was cut off, and told of
                body += data
                if last:
                    self.logs.append((member.name, body))
                    self.names.append(origin.name(member))
                    body = b""


def expected(bodies: dict[str, bytes]) -> list[tuple[str, bytes]]:
    return [(key.rpartition("/")[2], body) for key, body in sorted(bodies.items())]


def test_a_user_need_not_know_what_is_rolled_up() -> None:
    """Days rolled up, days not, days with late logs, several target prefixes: all in order, each log once."""
    store = MemoryStore(page_size=7)
    bodies = put_logs(store, range(0, 90, 3))
    roll(store)
    bodies |= put_logs(store, range(1, 90, 3))  # late, in between
    roll(store)
    bodies |= put_logs(store, range(2, 90, 3))  # later, not rolled up
    bodies |= put_logs(store, range(5), day=DAY + timedelta(1))
    roll(store, day=DAY + timedelta(1), delete=False)  # rolled up, and still there
    bodies |= put_logs(store, range(5), day=DAY + timedelta(2))
    bodies |= put_logs(store, range(4), prefix="example.com/nested/logs-")
    roll(store, prefix="example.com/nested/logs-")
    store.put("example.com/other.txt", b"no log")
    reading = Reading(store, "s3://bucket/example.com/")
    nested = {key: body for key, body in bodies.items() if "nested" in key}
    assert reading.logs == expected({key: body for key, body in bodies.items() if key not in nested}) + expected(nested)
    assert not reading.failures


@settings(max_examples=40)
@given(
    states=st.lists(st.sampled_from(["first", "second", "loose", "both"]), min_size=1, max_size=40),
    window=st.none() | st.tuples(st.integers(0, 39), st.integers(0, 39)).map(sorted),
    split=st.booleans(),
)
def test_any_mixture_of_a_day_in_any_window(states: list[str], window: list[int] | None, split: bool) -> None:
    """What is in one rollup, in another, loose, or loose and packed, comes once and in order; no more, no less."""
    store = MemoryStore(page_size=6)
    bodies: dict[str, bytes] = {}
    for state in ("first", "second"):
        chosen = [n * 600 for n, other in enumerate(states) if other == state or (state == "first" and other == "both")]
        if chosen:
            bodies |= put_logs(store, chosen)
            roll(store)
    bodies |= put_logs(store, [n * 600 for n, state in enumerate(states) if state in ("loose", "both")])
    selection = Selection()
    if window:
        low, high = (log_key(n * 600)[len(PREFIX) :] for n in window)
        selection = Selection.parse(low[:10] + "T" + low[11:19].replace("-", ":"), None, None)
        selection = selection.narrowed("", high)
        bodies = {key: body for key, body in bodies.items() if low <= key[len(PREFIX) :] <= high}
    if not bodies:
        return
    reading = Reading(store, selection=selection, split=split)
    assert reading.logs == expected(bodies)
    assert not reading.failures


def test_logs_in_two_rollups_of_a_day_come_once() -> None:
    """The roller makes no such rollups; somebody who copies and rolls up again may."""
    store = MemoryStore()
    bodies = put_logs(store, range(6))
    first = roll(store)
    held = store.objects.pop(first)
    bodies |= put_logs(store, range(3, 9))
    roll(store)
    store.objects[first] = held
    assert Reading(store).logs == expected(bodies)


def test_logs_of_one_name_that_differ_are_both_shown() -> None:
    """An original that is not what the rollup holds is never taken for the same."""
    store = MemoryStore()
    put_logs(store, [1, 2])
    roll(store)
    store.put(log_key(2), b"other\n")
    reading = Reading(store)
    assert [name for name, _ in reading.logs] == [log_key(n)[len(PREFIX) :] for n in (1, 2, 2)]
    assert reading.logs[2][1] != reading.logs[1][1]


def plant(store: MemoryStore, bodies: dict[str, bytes], changed: set[str]) -> str:
    """A rollup whose index has the logs' names, sizes and MD5s, and whose tar has other bytes for some; its key."""
    group = DayGroup(store.bucket, PREFIX, DAY)
    originals = Originals(group)
    for key in sorted(bodies):
        originals.append(key[len(PREFIX) :], store.objects[key].etag, len(bodies[key]), 1_656_652_543)
    writer = RollupWriter(group, 1)
    out = []
    for original in originals:
        body = bodies[PREFIX + original.suffix]
        planted = bytes(len(body)) if PREFIX + original.suffix in changed else body
        out.append(writer.add(original, planted, md5(body).digest()))
    key = group.rollup_key(next(iter(originals)).suffix)
    store.put(key, b"".join([*out, *writer.finish()]))
    return key


@pytest.mark.parametrize("changed", [{0}, {4}, {8}, {2, 3, 7}, set(range(9))], ids=str)
def test_a_member_stands_for_a_log_only_if_its_bytes_do(changed: set[int]) -> None:
    """A planted rollup hides no log that still lies there: it is read, and the rollup is named."""
    store = CountingStore()
    bodies = put_logs(store, range(9))
    other = put_logs(store, range(20, 23))
    key = plant(store, bodies | other, {log_key(number) for number in changed})
    for number in (20, 21):
        del store.objects[log_key(number)]  # of these the rollup is all there is
    store.fetched.clear()
    reading = Reading(store)
    assert reading.logs == expected(bodies | other)
    (failure,) = reading.failures
    assert f"s3://bucket/{key} does not hold the bytes of s3://bucket/{log_key(min(changed))}" in failure
    assert sum(part.key != key for part in store.fetched) == 10 - min(changed)


@pytest.mark.parametrize("number", range(1, 8))
@pytest.mark.parametrize("packed_only", [False, True])
def test_a_planted_rollup_hides_no_member_of_another_one(number: int, packed_only: bool) -> None:
    """Whichever sorts first, and though no log lies there any more: what differs all comes, and the files are named."""
    store = MemoryStore()
    bodies = put_logs(store, range(9))
    key = plant(store, bodies, {log_key(4)})
    planted = store.objects.pop(key)
    roll(store)
    other = DayGroup(store.bucket, PREFIX, DAY).rollup_keys(min(bodies)[len(PREFIX) :])[number]
    store.objects[other] = planted
    reading = Reading(store, packed_only=packed_only)
    assert [log for log in reading.logs if any(log[1])] == expected(bodies)
    assert len(reading.logs) == 10
    (failure,) = reading.failures
    assert max(key, other) in failure


def test_a_planted_rollup_hides_no_log_of_a_tarball_without_an_index() -> None:
    """Names and sizes are no proof there either."""
    store = MemoryStore()
    bodies = put_logs(store, range(3))
    plant(store, bodies, {log_key(1)})
    store.put(
        f"{PREFIX}rollup-{DAY}-00000000.tgz", a_tarball([(key[len(PREFIX) :], body) for key, body in bodies.items()])
    )
    for key in bodies:
        del store.objects[key]
    reading = Reading(store)
    assert sorted(log for log in reading.logs if any(log[1])) == expected(bodies)
    assert len(reading.logs) == 4
    assert sum("does not hold the bytes of the log of that name" in failure for failure in reading.failures) == 1


def test_a_huge_log_in_two_rollups_comes_twice_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not held to be compared; a count that has it twice says so."""
    monkeypatch.setattr(doubles, "MAX_HELD_BYTES", 100)
    store = MemoryStore()
    store.put(log_key(1), b"huge\n" * 100)
    put_logs(store, [2])
    first = roll(store)
    held = store.objects.pop(first)
    store.put(log_key(1), b"huge\n" * 100)
    put_logs(store, [0, 2])
    roll(store)
    store.objects[first] = held
    reading = Reading(store)
    assert [name[-1] for name, _ in reading.logs] == ["0", "1", "1", "2"]
    (failure,) = reading.failures
    assert "it came twice" in failure


def test_what_is_restored_does_not_depend_on_what_still_lies_there() -> None:
    """Encrypted and large members come out of the rollup like others, with their originals beside it."""
    store = MemoryStore()
    bodies = put_logs(store, range(5))
    store.put(log_key(2), bodies[log_key(2)], etag="ab" * 16, encrypted=True)
    bodies[log_key(3)] = b"x" * (2 << 20)
    store.put(log_key(3), bodies[log_key(3)])
    roll(store, delete=False)
    reading = Reading(store, packed_only=True, prove=True)
    assert reading.logs == expected(bodies)
    assert not reading.failures


def test_members_that_stand_for_logs_cost_no_request_each() -> None:
    """Of a day that was rolled up and not deleted the rollup is read, and its bytes are compared."""
    store = CountingStore()
    bodies = put_logs(store, range(50))
    roll(store, delete=False)
    store.fetched.clear()
    reading = Reading(store)
    assert reading.logs == expected(bodies)
    assert not reading.failures
    assert len(store.fetched) <= 2


def test_a_planted_rollup_is_found_out_by_a_search() -> None:
    """Also if its bytes would not match and its blocks need not be looked at."""
    store = MemoryStore()
    bodies = put_logs(store, range(9))
    plant(store, bodies, set(bodies))
    found: list[bytes] = []
    query = Query(Pattern.parse("record 4", Syntax.FIXED))
    groups = find_groups(lambda bucket: store, [S3Uri("bucket", "")], Selection(), pytest.fail)
    failures: list[str] = []
    reader = Reader(lambda bucket: store, failures.append, may_match=query.may_match)
    for shares in batches(find_shares(lambda bucket: store, groups, failures.append, split=False)):
        LineReader(query, found.append).run(reader.read(shares))
    assert b"".join(found) == bodies[log_key(4)]
    assert len(failures) == 1


def test_encrypted_logs_that_lie_there_are_read_there() -> None:
    """With SSE-KMS no ETag tells whether a member has the log's bytes."""
    store = MemoryStore()
    for number in range(4):
        store.put(log_key(number), b"%d\n" % number, etag=f"{number:032x}", encrypted=True)
    roll(store, delete=False)
    store.put(log_key(2), b"x\n", etag=f"{2:032x}", encrypted=True)
    assert [body for _, body in Reading(store).logs] == [b"0\n", b"1\n", b"x\n", b"3\n"]


def test_logs_whose_members_are_damaged_are_read_where_they_lie() -> None:
    """Damage in a rollup costs nothing as long as the logs are there."""
    store = MemoryStore()
    bodies = put_logs(store, range(0, 86_400, 600))
    key = roll(store, delete=False)
    data = bytearray(store.objects[key].body)
    data[200] ^= 1
    store.put(key, bytes(data))
    reading = Reading(store)
    assert reading.logs == expected(bodies)
    assert reading.failures


def test_a_log_rolled_up_and_deleted_while_it_is_read_is_not_missed() -> None:
    """Found loose when listed, gone when fetched: it comes out of the rollup that was made meanwhile."""
    store = MemoryStore()
    bodies = put_logs(store, range(9))
    armed = True

    def roll_behind_our_back(step: str, key: str) -> None:
        nonlocal armed
        if armed and step == "fetch" and key == log_key(4):
            armed = False
            roll(store)

    store.before = roll_behind_our_back
    reading = Reading(store)
    assert reading.logs == expected(bodies)
    assert not reading.failures
    assert log_key(4) not in store.objects


@pytest.mark.parametrize("sizes", ["the same", "others"])
def test_a_log_that_goes_away_is_not_taken_from_a_planted_rollup(sizes: str) -> None:
    """A rollup is believed only if it holds the bytes that were listed; another one of the day does."""
    store = MemoryStore()
    bodies = put_logs(store, range(9))
    others = bodies if sizes == "the same" else dict.fromkeys(bodies, b"planted")
    planted = store.objects.pop(plant(store, others, set(bodies)))
    names = DayGroup(store.bucket, PREFIX, DAY).rollup_keys(min(bodies)[len(PREFIX) :])
    assert names[1] < names[0]  # the planted one comes first
    armed = True

    def roll_behind_our_back(step: str, key: str) -> None:
        nonlocal armed
        if armed and step == "fetch" and key == log_key(4):
            armed = False
            roll(store)
            store.objects[names[1]] = planted

    store.before = roll_behind_our_back
    reading = Reading(store)
    assert not armed
    assert reading.logs == expected(bodies)


def test_logs_rolled_up_and_deleted_while_they_are_looked_up_are_not_missed() -> None:
    """Seen loose at first, gone when the day is listed: rollups are listed after logs, so one shows the other."""
    store = MemoryStore()
    bodies = put_logs(store, range(9))
    armed = True

    def roll_behind_our_back(step: str, key: str) -> None:
        nonlocal armed
        if armed and step == "list" and key == f"{PREFIX}{DAY}-":
            armed = False
            roll(store)

    store.before = roll_behind_our_back
    reading = Reading(store)
    assert not armed
    assert reading.logs == expected(bodies)


def test_a_huge_log_that_goes_away_halfway_is_told_of() -> None:
    """What came of it is not followed by all of it once more."""
    store = MemoryStore()
    store.put(log_key(1), b"x" * 9_000_000)
    fetches = 0

    def roll_behind_our_back(step: str, key: str) -> None:
        nonlocal fetches
        fetches += step == "fetch"
        if step == "fetch" and fetches == 2:
            roll(store)

    store.before = roll_behind_our_back
    reading = Reading(store)
    assert not reading.logs
    assert log_key(1) in reading.failures[0]


def test_a_log_that_is_simply_gone_is_told_of() -> None:
    """Deleted by somebody else, in no rollup: never silently left out."""
    store = MemoryStore()
    put_logs(store, range(3))
    store.before = lambda step, key: store.objects.pop(log_key(1), None) and None if step == "fetch" else None
    reading = Reading(store)
    assert [failure for failure in reading.failures if log_key(1) in failure and "gone" in failure]


# 100 MB are made of noise, so that packed they are as many.


@pytest.fixture(scope="module")
def large() -> tuple[CountingStore, str, list[str]]:
    """A rollup of 100 MB in a store that counts, its key, and its members' names."""
    rng = random.Random(1)
    group = DayGroup("bucket", PREFIX, DAY)
    originals = Originals(group)
    bodies = {log_key(n)[len(PREFIX) :]: rng.randbytes(50_000) for n in range(0, 86_400, 43)}
    for suffix, body in bodies.items():
        originals.append(suffix, md5(body).hexdigest(), len(body), 1_656_652_543)
    writer = RollupWriter(group, 1)
    out = [writer.add(one, bodies[one.suffix], one.md5 or b"") for one in originals]
    out += writer.finish()
    store = CountingStore()
    key = group.rollup_key(next(iter(originals)).suffix)
    store.put(key, b"".join(out))
    return store, key, list(bodies)


@pytest.mark.heavy
def test_one_member_of_a_100_mb_rollup_costs_two_small_requests(large: tuple[CountingStore, str, list[str]]) -> None:
    """The tail with footer and block table, and the block: together below 1.2 MB."""
    store, key, names = large
    assert len(store.objects[key].body) > 100_000_000
    for name in (names[0], names[1234], names[-1]):
        store.fetched.clear()
        reading = Reading(store, f"s3://bucket/{key}", selection=Selection.parse(None, None, [name]))
        assert [found for found, _ in reading.logs] == [name]
        assert store.fetched[0].length == TAIL_BYTES
        assert len(store.fetched) == 2
        assert sum(piece.length for piece in store.fetched) < 1_200_000
        assert not any(piece.whole for piece in store.fetched)


@pytest.mark.heavy
def test_a_log_is_found_by_the_uri_it_had(large: tuple[CountingStore, str, list[str]]) -> None:
    """Links to a log go on working once it is rolled up; so do the beginnings of its name."""
    store, _, names = large
    store.fetched.clear()
    assert [name for name, _ in Reading(store, f"s3://bucket/{PREFIX}{names[777]}").logs] == [names[777]]
    assert len(store.fetched) == 2
    for begin in (names[777][:19], names[777][:16], names[777][:13]):
        wanted = [name for name in names if name.startswith(begin)]
        assert [name for name, _ in Reading(store, f"s3://bucket/{PREFIX}{begin}").logs] == wanted


@pytest.mark.parametrize("rolled_up", [False, True])
def test_the_beginning_of_a_key_means_all_logs_that_begin_so(rolled_up: bool) -> None:
    """Wherever it ends, be it in the year or in the unique string, and whether they are rolled up or not."""
    store = MemoryStore()
    times = ["2022-07-01-05-15-43", "2022-07-01-05-15-44", "2022-06-11-05-15-43", "2021-10-01-05-15-43"]
    logs = {
        f"{PREFIX}{time}-{unique}": f"{time} {unique}".encode()
        for time in times
        for unique in ("42117B9A70B0F1BA", "4211FB9A70B0F1BA", "A1D0BE3C66F0A11C")
    }
    for key, body in logs.items():
        store.put(key, body)
    for day in {date.fromisoformat(time[:10]) for time in times} if rolled_up else ():
        roll(store, delete=True, day=day)
    assert not rolled_up or not logs.keys() & store.objects.keys()
    for key in logs:
        for chars in range(len(PREFIX), len(key) + 1):
            wanted = {other: body for other, body in logs.items() if other.startswith(key[:chars])}
            assert Reading(store, f"s3://bucket/{key[:chars]}").logs == expected(wanted), key[:chars]


@pytest.mark.parametrize("rolled_up", [False, True])
def test_one_log_costs_two_listings_and_no_more(rolled_up: bool) -> None:
    """One of loose logs called so, then one of rollups of its day; then the log, or the rollup, is read."""
    store = CountingStore()
    bodies = put_logs(store, range(3))
    if rolled_up:
        roll(store)
    listed: list[str] = []
    store.before = lambda step, key: listed.append(key) if step == "list" else None
    store.fetched.clear()
    assert Reading(store, f"s3://bucket/{log_key(1)}").logs == expected({log_key(1): bodies[log_key(1)]})
    assert listed == [log_key(1), f"{PREFIX}rollup-{DAY}-"]
    assert len(store.fetched) == 1


@pytest.mark.heavy
def test_one_hour_costs_its_blocks_alone(large: tuple[CountingStore, str, list[str]]) -> None:
    """A 24th of the rollup and two blocks more at most."""
    store, key, names = large
    store.fetched.clear()
    selection = Selection.parse("2022-07-01T05:00", "2022-07-01T05:59", None)
    reading = Reading(store, "s3://bucket/example.com/", selection=selection)
    assert [name for name, _ in reading.logs] == [name for name in names if name[11:13] == "05"]
    assert sum(piece.length for piece in store.fetched) < len(store.objects[key].body) / 24 + 2_200_000


@pytest.mark.heavy
def test_a_large_rollup_is_cut_into_shares(large: tuple[CountingStore, str, list[str]]) -> None:
    """For several processes: no member twice or missing, hardly a block fetched twice."""
    store, key, names = large
    store.fetched.clear()
    reading = Reading(store, split=True)
    assert [name for name, _ in reading.logs] == names
    size = len(store.objects[key].body)
    assert sum(piece.length for piece in store.fetched) < size + (size // SHARE_BYTES + 2) * (TAIL_BYTES + 4096)


@pytest.mark.heavy
def test_a_rollup_is_read_in_bounded_memory(large: tuple[CountingStore, str, list[str]]) -> None:
    """100 MB pass through a few blocks' worth."""
    store, _, _ = large
    stores = {"bucket": store}.__getitem__
    groups = find_groups(stores, [S3Uri("bucket", "")], Selection(), pytest.fail)
    shares = find_shares(stores, groups, pytest.fail, split=False)
    tracemalloc.start()
    size = sum(len(data) for batch in batches(shares) for _, _, data, _ in Reader(stores, pytest.fail).read(batch))
    assert size > 100_000_000
    assert tracemalloc.get_traced_memory()[1] < 24 << 20
    tracemalloc.stop()


def test_a_small_rollup_costs_one_request() -> None:
    """Read whole, or searched whole: there is nothing to be saved by looking at its tail first."""
    store = CountingStore()
    put_logs(store, range(50))
    roll(store)
    store.fetched.clear()
    Reading(store)
    assert len(store.fetched) == 1


@pytest.mark.heavy
def test_a_damaged_block_costs_its_own_members_only(large: tuple[CountingStore, str, list[str]]) -> None:
    """The rollup is named, everything before and behind comes out."""
    store, key, names = large
    body = bytearray(store.objects[key].body)
    body[50_000_000] ^= 1
    damaged = CountingStore()
    damaged.put(key, bytes(body))
    reading = Reading(damaged)
    found = [name for name, _ in reading.logs]
    assert len(names) - 25 < len(found) < len(names)
    assert (found[0], found[-1]) == (names[0], names[-1])
    (failure,) = reading.failures
    assert f"s3://bucket/{key} is damaged" in failure


def test_a_rollup_of_several_blocks_is_cut_between_members(monkeypatch: pytest.MonkeyPatch) -> None:
    """No member is in two shares or in none, whatever its unique string is."""
    monkeypatch.setattr(cutting, "SHARE_BYTES", 1)
    store = MemoryStore()
    uniques = ["0" * 16, "0" * 15 + "1", "80" * 8, "F" + "0" * 15, "F" * 16]
    keys = [f"{PREFIX}{DAY}-00-00-00-{unique}" for unique in uniques]
    bodies = {key: key.encode() * 12_000 for key in keys}  # two do not fit in a block
    key, rollup = pack_day(bodies)
    store.put(key, rollup)
    groups = list(find_groups(lambda bucket: store, [S3Uri("bucket", "")], Selection(), pytest.fail))
    found = list(find_shares(lambda bucket: store, groups, pytest.fail, split=True))
    reader = Reader(lambda bucket: store, pytest.fail)
    read = [[member.name for _, member, _, last in reader.read([share]) if last] for share in found]
    assert read == [[key[len(PREFIX) :]] for key in keys]


def shares_of(store: MemoryStore, prefix: str = "", failed: Callable[[str], None] = pytest.fail) -> list[Share]:
    groups = list(find_groups(lambda bucket: store, [S3Uri("bucket", prefix)], Selection(), failed))
    return list(find_shares(lambda bucket: store, groups, failed, split=True))


def test_many_loose_logs_are_several_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many in each, and every one of them in one."""
    monkeypatch.setattr(cutting, "SHARE_LOGS", 2)
    for count in (1, 2, 4, 5):
        store = MemoryStore()
        bodies = put_logs(store, range(count))
        found = [[log.key for log in share.loose] for share in shares_of(store)]
        assert [key for keys in found for key in keys] == sorted(bodies)
        assert all(len(keys) == 2 for keys in found[:-1])


def test_a_large_tarball_without_an_index_is_one_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to cut it by."""
    monkeypatch.setattr(cutting, "SHARE_BYTES", 1)
    store = MemoryStore()
    store.put("all.tgz", a_tarball([(log_key(number)[len(PREFIX) :], b"x") for number in range(3)]))
    (share,) = shares_of(store, "all.tgz")
    assert [one.listed.key for one in share.packed] == ["all.tgz"]


def test_a_large_rollup_whose_index_is_damaged_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the days behind it are read."""
    monkeypatch.setattr(cutting, "SHARE_BYTES", 1)
    store = MemoryStore()
    put_logs(store, range(3))
    key = roll(store)
    bodies = put_logs(store, range(3), day=DAY + timedelta(1))
    body = bytearray(store.objects[key].body)
    body[-40] ^= 1
    store.put(key, bytes(body))
    told: list[str] = []
    assert [[log.key for log in share.loose] for share in shares_of(store, "", told.append)] == [sorted(bodies)]
    assert len(told) == 1
    assert told[0].startswith(f"s3://bucket/{key} is damaged: ")


def test_what_is_left_behind_damage_is_read_once_and_in_order() -> None:
    """Loose logs from there on, and beside them those that are packed, too, and are no longer taken from there."""
    store = MemoryStore()
    both = Originals(TASK.group)
    put_logs(store, range(4))
    listed = {entry.key: entry for entry in store.list_page(PREFIX).objects}
    logs = [listed[log_key(number)] for number in range(4)]
    for log in (logs[0], logs[2]):
        both.append(log.key[len(PREFIX) :], log.etag, log.size, log.mtime)
    packed = Packed(ListedObject("rollup", "e", 1, 0, archived=False), loose_too=both)
    share = Share("bucket", "", TASK.group, Selection(), packed=(packed,), loose=(logs[1], logs[3]))
    suffixes = [log.key[len(PREFIX) :] for log in logs]
    for first in range(4):
        left = share.with_loose_from(suffixes[first])
        assert [log.key for log in left.loose] == [log.key for log in logs[first:]]
        assert left.packed[0].skip == frozenset(suffixes[number] for number in (0, 2) if number >= first)
        assert left.selection.low == suffixes[first]


@pytest.mark.parametrize("damaged", [0, 1, 2])
def test_a_damaged_block_of_several_is_told_and_the_members_of_the_others_come(damaged: int) -> None:
    """The rollup is named once; what is in the blocks before and behind is all there."""
    store = MemoryStore()
    bodies = {log_key(number): bytes([number]) * 600_000 for number in range(3)}  # two do not fit in a block
    key, rollup = pack_day(bodies)
    blocks = decode_index(rollup)[1].blocks
    assert len(blocks) == 3
    data = bytearray(rollup)
    data[blocks[damaged].offset + blocks[damaged].length // 2] ^= 1
    store.put(key, bytes(data))
    reading = Reading(store)
    del bodies[log_key(damaged)]
    assert reading.logs == expected(bodies)
    (failure,) = reading.failures
    assert failure.startswith(f"s3://bucket/{key} is damaged: ")


@pytest.mark.parametrize("cut", [0, 1, 100, 5_000, -1, -200])
def test_a_truncated_rollup_fails_and_the_others_are_read(cut: int) -> None:
    """Wherever it is cut off."""
    store = MemoryStore()
    put_logs(store, range(0, 86_400, 60))
    key = roll(store)
    good = put_logs(store, range(3), day=DAY + timedelta(1))
    roll(store, day=DAY + timedelta(1))
    store.put(key, store.objects[key].body[:cut])
    reading = Reading(store)
    assert reading.logs[-3:] == expected(good)
    assert any(key in failure for failure in reading.failures) or not cut


def test_damage_in_a_list_of_members_drops_nothing() -> None:
    """With two rollups of a day the lists are compared; where one is damaged its members come all the same."""
    store = MemoryStore()
    bodies = put_logs(store, range(0, 90, 2))
    key = roll(store)
    bodies |= put_logs(store, range(1, 90, 2))
    roll(store)
    data = bytearray(store.objects[key].body)
    data[read_footer(bytes(data), len(data)).data_bytes + 30] ^= 1
    store.put(key, bytes(data))
    reading = Reading(store)
    assert reading.logs == expected(bodies)
    assert [failure for failure in reading.failures if f"s3://bucket/{key} is damaged" in failure]


def test_an_archived_rollup_is_told_of() -> None:
    """It cannot be read without a restore; the rest is read."""
    store = MemoryStore()
    put_logs(store, range(3))
    key = roll(store)
    store.archive(key)
    good = put_logs(store, range(3), day=DAY + timedelta(1))
    reading = Reading(store)
    assert reading.logs == expected(good)
    assert key in reading.failures[0]
    assert "archive" in reading.failures[0]


def test_a_tarball_without_an_index_is_read_through() -> None:
    """By whatever program; logs that are loose or in other rollups as well come once, others of the window only."""
    store = MemoryStore()
    bodies = put_logs(store, range(4))
    packed = {log_key(n): f"record {n}\n".encode() * (n % 7 + 1) for n in range(2, 6)}
    store.put(
        f"{PREFIX}rollup-{DAY}-0badcafe.tgz", a_tarball((f"./{k.rpartition('/')[2]}", v) for k, v in packed.items())
    )
    reading = Reading(store)
    assert sorted((name.removeprefix("./"), body) for name, body in reading.logs) == expected(bodies | packed)
    assert ["it is cut off, or another program made it" in failure for failure in reading.failures] == [True]
    only = Reading(store, selection=Selection.parse("2022-07-01T00:00:05", None, None))
    assert [name for name, _ in only.logs] == ["./" + log_key(5)[len(PREFIX) :]]


def test_a_tarball_in_no_order_repeats_no_log() -> None:
    """Those that lie loose, too, come once, whatever comes between them."""
    store = MemoryStore()
    bodies = put_logs(store, range(4))
    packed = {log_key(n)[len(PREFIX) :]: f"record {n}\n".encode() * (n % 7 + 1) for n in (5, 2, 4, 3)}
    store.put(f"{PREFIX}rollup-{DAY}-0badcafe.tgz", a_tarball(packed.items()))
    more = {f"{PREFIX}{name}": body for name, body in packed.items()}
    assert sorted(Reading(store).logs) == expected(bodies | more)


@pytest.mark.parametrize("links", [10, 11, 25])
def test_of_a_tarballs_links_ten_are_named_and_the_others_counted(links: int) -> None:
    """There may be millions; the logs among them come."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for number in range(links):
            info = tarfile.TarInfo(f"link-{number}")
            info.type, info.linkname = tarfile.SYMTYPE, "elsewhere"
            tar.addfile(info)
        info = tarfile.TarInfo("a.log")
        info.size = 2
        tar.addfile(info, io.BytesIO(b"1\n"))
    store = MemoryStore()
    store.put("backup/all.tgz", out.getvalue())
    reading = Reading(store, "s3://bucket/backup/all.tgz")
    assert [body for _, body in reading.logs] == [b"1\n"]
    assert reading.names == ["s3://bucket/backup/all.tgz:a.log"]
    named = [failure for failure in reading.failures if "'link-" in failure]
    more = [f"s3://bucket/backup/all.tgz: {links - 10} more are links, devices and the like, not logs: left out"]
    assert [reading.failures[len(named) :], len(named)] == [more if links > 10 else [], 10]


def test_a_search_passes_over_blocks_only_where_no_log_lies_there_too() -> None:
    """Members that stand for a loose log are compared with it, whether they can match or not."""
    store = MemoryStore()
    bodies = put_logs(store, range(3))
    roll(store, delete=False)

    def found() -> list[bytes]:
        groups = find_groups(lambda bucket: store, [S3Uri("bucket", "")], Selection(), pytest.fail)
        shares = find_shares(lambda bucket: store, groups, pytest.fail, split=False)
        reader = Reader(lambda bucket: store, pytest.fail, may_match=lambda tar: False)
        return [data for _, _, data, _ in reader.read(shares)]

    assert found() == list(bodies.values())
    for key in bodies:
        del store.objects[key]
    assert not found()


def test_a_log_of_many_pieces_comes_whole_between_those_of_other_rollups() -> None:
    """Two rollups of a day are read side by side, and what is loose with them."""
    store = MemoryStore()
    bodies = {log_key(number): bytes([number]) * size for number, size in ((1, 2_500_000), (3, 9), (5, 1_200_000))}
    key, rollup = pack_day(bodies)
    bodies |= put_logs(store, (0, 2, 4, 6))
    roll(store)
    store.put(key, rollup)
    bodies |= put_logs(store, (7,))
    reading = Reading(store)
    assert reading.logs == expected(bodies)
    assert not reading.failures


def test_a_tarball_of_any_name_is_read_where_it_is_named(tmp_path: Path) -> None:
    """In a bucket by its whole key, or on this machine; logs of other names are selected by their mtime."""
    data = a_tarball([("a.log", b"1\n"), ("b.log", b"2\n")])
    store = MemoryStore()
    store.put("backup/all.tgz", data)
    (tmp_path / "all.tgz").write_bytes(data)
    for source in ("s3://bucket/backup/all.tgz", str(tmp_path / "all.tgz")):
        assert [body for _, body in Reading(store, source).logs] == [b"1\n", b"2\n"]
        assert len(Reading(store, source, selection=Selection.parse("2022-07-01T05", "2022-07-01T05", None)).logs) == 2
        assert len(Reading(store, source, selection=Selection.parse(None, None, ["b.log"])).logs) == 1
        assert not Reading(store, source, selection=Selection.parse("2022-07-02", None, None)).logs


@pytest.mark.heavy
def test_local_files_are_read_like_rollups_in_a_bucket(
    tmp_path: Path, large: tuple[CountingStore, str, list[str]]
) -> None:
    """Under whatever name."""
    store, key, names = large
    path = tmp_path / "copy.tgz"
    path.write_bytes(store.objects[key].body)
    assert [name for name, _ in Reading(store, str(path)).logs] == names
    reading = Reading(store, str(path), selection=Selection.parse(None, None, [names[5]]))
    assert reading.names == [f"{path}:{names[5]}"]
    missing = Reading(store, str(tmp_path / "absent.tgz"), "/dev/null")
    assert ["No such file" in failure or "not a file" in failure for failure in missing.failures] == [True, True]


def test_nothing_there_is_an_error() -> None:
    """A prefix that was mistyped does not look like an empty day."""
    store = MemoryStore()
    put_logs(store, range(3))
    with pytest.raises(StorageError, match=r"s3://bucket/exmaple\.com/$"):
        Reading(store, "s3://bucket/exmaple.com/")
    with pytest.raises(StorageError, match="or none of this time"):
        Reading(store, selection=Selection.parse("2023-01-01", None, None))


@pytest.mark.heavy
def test_huge_logs_stream() -> None:
    """Loose or packed, a log of many blocks comes in pieces, and what is around it comes, too."""
    store = CountingStore()
    bodies = {log_key(n): random.Random(n).randbytes(size) for n, size in enumerate([10, 9_000_000, 0, 4_194_304, 5])}
    for key, body in bodies.items():
        store.put(key, body)
    assert Reading(store).logs == expected(bodies)
    key = roll(store)
    assert Reading(store).logs == expected(bodies)
    assert Reading(store, split=True).logs == expected(bodies)
    for number in range(5):
        name = log_key(number)[len(PREFIX) :]
        assert Reading(store, f"s3://bucket/{key}", selection=Selection.parse(None, None, [name])).logs == [
            (name, bodies[log_key(number)])
        ]


@pytest.mark.parametrize(
    ("since", "until", "low", "high"),
    [
        ("2022-07-01", "2022-07-02", "2022-07-01", "2022-07-02:"),
        ("2022-07-01T05", "2022-07-01T05:15", "2022-07-01-05", "2022-07-01-05-15:"),
        ("2022-07-01 05:15:43", "2022-07-01T05:15:43Z", "2022-07-01-05-15-43", "2022-07-01-05-15-43:"),
    ],
)
def test_times_include_what_they_name(since: str, until: str, low: str, high: str) -> None:
    """`--until` a day, hour, minute or second takes all of it."""
    selection = Selection.parse(since, until, None)
    assert (selection.low, selection.high) == (low, high)


@pytest.mark.parametrize(
    "text", ["yesterday", "2022-02-30", "2022-07-01T24", "2022-07-01T05:60", "2022-7-1", "20220701"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    """With the text, and an example of what is one."""
    with pytest.raises(UsageError, match="write 2022-07-01"):
        Selection.parse(text, None, None)
    with pytest.raises(UsageError, match="later"):
        Selection.parse("2022-07-02", "2022-07-01", None)


def lying_index(**changes: Any) -> bytes:
    """A rollup whose footer says something else, its checksum made right."""
    store = MemoryStore()
    put_logs(store, range(9))
    data = store.objects[roll(store)].body
    footer = read_footer(data, len(data))
    if "section" in changes:
        number = changes.pop("section")
        sections = list(footer.sections)
        sections[number] = sections[number]._replace(**changes)
        changes = {"sections": tuple(sections)}
    return data[: footer.start] + replace(footer, **changes).encode()


@pytest.mark.parametrize(
    "changes",
    [
        {"members": 2**60},
        {"blocks": 2**31},
        {"blocks": 40},
        {"tar_bytes": 2**50},
        {"data_bytes": 1},
        {"section": 1, "offset": 2**40},
        {"section": 1, "length": 2**40},
        {"original_bytes": 2**45},
        {"members": 0},
    ],
)
def test_an_index_that_lies_is_found_out_in_bounded_memory(changes: dict[str, int]) -> None:
    """Sizes and offsets beyond the file, billions of members: an error that names the rollup, next to no memory."""
    store = MemoryStore()
    key = f"{PREFIX}rollup-{DAY}-0badcafe.tgz"
    store.put(key, lying_index(**changes))
    tracemalloc.start()
    reading = Reading(store, prove=True)
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()
    assert any(key in failure and "damaged" in failure for failure in reading.failures)


def test_a_table_of_more_blocks_than_there_can_be_is_not_decoded() -> None:
    """It would be a hundred times as large in memory as in the file."""
    store = MemoryStore()
    store.put(f"{PREFIX}rollup-{DAY}-0badcafe.tgz", lying_index(blocks=10))
    assert "claims 10 blocks" in Reading(store).failures[0]


@settings(max_examples=150)
@given(at=st.integers(0, 10_000), value=st.integers(1, 255), prove=st.booleans())
@pytest.mark.heavy
def test_a_flipped_byte_never_passes_unseen(at: int, value: int, prove: bool) -> None:
    """Anywhere in the file: what comes out is right, and what does not is told of; proving finds the index's, too."""
    store = MemoryStore()
    bodies = put_logs(store, range(0, 86_400, 3600))
    key = roll(store)
    data = bytearray(store.objects[key].body)
    data[at % len(data)] ^= value
    store.put(key, bytes(data))
    try:
        reading = Reading(store, prove=prove)
    except RollerError:
        return
    right = expected(bodies)
    assert all(log in right for log in reading.logs)
    assert reading.failures or reading.logs == right


def test_gzip_of_everything_else_is_refused() -> None:
    """A log that was merely compressed is no rollup."""
    store = MemoryStore()
    store.put(f"{PREFIX}rollup-{DAY}-0badcafe.tgz", gzip.compress(b"just text\n" * 100))
    assert "not a tarball" in Reading(store).failures[1]


def test_local_files_can_be_listed_as_they_are(tmp_path: Path) -> None:
    """A file that changes while it is read is said to have changed."""
    path = tmp_path / "x.tgz"
    path.write_bytes(b"12345")
    files = LocalFiles()
    listed = files.find(str(path))
    assert listed == ListedObject(str(path), listed.etag, 5, int(path.stat().st_mtime), archived=False)
    path.write_bytes(b"123456")
    with pytest.raises(StorageError, match="changed"):
        list(files.fetch([ByteRange(str(path), listed.etag, 0, 5, whole=False)]))


def test_small_rollups_are_verified_and_listed_with_one_request_each() -> None:
    """No listing of logs for each, if the first listing showed that there are none."""
    store = CountingStore()
    for number in range(5):
        put_logs(store, range(9), day=DAY + timedelta(number))
        roll(store, day=DAY + timedelta(number))
    listings: list[str] = []
    store.before = lambda step, key: listings.append(key) if step == "list" else None

    def groups() -> list[Group]:
        return list(find_groups(lambda bucket: store, [S3Uri("bucket", PREFIX)], Selection(), pytest.fail))

    store.fetched.clear()
    proofs = list(prove(lambda bucket: store, tuple(find_rollups(groups()))))
    assert [(proof.verdict, proof.members) for proof in proofs] == [("ok", 9)] * 5
    assert (len(store.fetched), listings) == (5, [PREFIX])
    store.fetched.clear()
    assert len(list(list_members(lambda bucket: store, groups(), pytest.fail))) == 45
    assert (len(store.fetched), listings) == (5, [PREFIX] * 2)


def test_an_archived_rollup_that_was_restored_is_read() -> None:
    """It may list as archived all the same: the answer to a request decides. One that was not is named."""
    store = MemoryStore()
    bodies = put_logs(store, range(3))
    key = roll(store)
    listed = store.list_page
    store.list_page = lambda *a, **k: Page(  # type: ignore[method-assign]
        [entry._replace(archived=True) for entry in listed(*a, **k).objects], truncated=False
    )
    reading = Reading(store)
    assert (reading.logs, reading.failures) == (expected(bodies), [])
    store.archive(key)
    reading = Reading(store)
    assert not reading.logs
    assert any(key in failure for failure in reading.failures)
