"""Reconcile keeps what DESIGN's "What must hold" promises, whatever fails and wherever."""

from __future__ import annotations

import io
import tarfile
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from dataclasses import replace
from datetime import UTC, date, datetime
from hashlib import md5, sha256
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.logs import DAY, PREFIX, log_key
from tests.support.memory_day import (
    TASK,
    Killed,
    a_day,
    assert_exactly_once,
    assert_nothing_lost,
    members,
    rollups,
    run,
)
from tests.support.memory_store import MemoryStore, MemoryUpload, no_step

from s3_log_roller.errors import DamagedRollup, DeleteRefused, ObjectArchived, OutOfTime, RollerError, StorageError
from s3_log_roller.log_keys import DayGroup, parse_log_key
from s3_log_roller.rolling import reconcile as reconcile_module
from s3_log_roller.rolling.day_listing import list_originals
from s3_log_roller.rolling.fetching import PIECE_BYTES
from s3_log_roller.rolling.options import RollOptions
from s3_log_roller.rolling.pace import Pace
from s3_log_roller.rolling.reconcile import MAX_LOOKS, reconcile
from s3_log_roller.rolling.window import Window
from s3_log_roller.store import ByteRange, Metadata, no_metadata


@pytest.mark.parametrize("page_size", [1000, 2])
def test_a_day_becomes_one_rollup_named_by_its_first_member(page_size: int) -> None:
    """One tarball of exactly the originals in key order; its name holds the start of the SHA-256 of the first key."""
    store, bodies = a_day(page_size=page_size)
    outcome = run(store)
    name = f"{PREFIX}rollup-{DAY}-{sha256(min(bodies).encode()).hexdigest()[:8]}.tgz"
    assert outcome.rollups == (name,) == tuple(rollups(store))
    assert list(members(store)) == sorted(bodies.items())
    assert outcome.figures.packed == len(bodies)
    assert set(bodies) < set(store.objects)


def test_workers_that_take_on_more_or_fewer_logs_want_the_same_name() -> None:
    """So one of them publishes and the other looks again: no log gets into two rollups."""
    store, bodies = a_day()
    done: list[str] = []

    def race(step: str, key: str) -> None:
        if step == "finish" and not done:
            done.append(key)
            run(store, replace(TASK, max_members=4))

    store.before = race
    outcome = run(store)
    assert_exactly_once(store, bodies)
    assert [len(names) for names in (done, outcome.rollups, rollups(store))] == [1, 1, 2]
    assert done[0] in store.objects
    assert outcome.figures.packed == len(bodies) - 4


def test_a_name_that_another_rollup_of_the_day_has_is_not_wanted() -> None:
    """The next digits of the same hash make the name then, as they do where two keys' first 32 bits are equal."""
    store, bodies = a_day(1)
    run(store)
    (first,) = rollups(store)
    (key,) = bodies
    store.put(key, b"other bytes")
    names = TASK.group.rollup_keys(key.removeprefix(PREFIX))
    assert run(store).rollups == names[1:2]
    assert run(store, delete=True).figures.deleted == 1
    assert rollups(store) == [first, names[1]] == list(names[:2])
    assert list(members(store)) == [(key, bodies[key]), (key, b"other bytes")]


def test_a_day_whose_names_are_all_taken_is_an_error() -> None:
    """It takes eight rollups of another log under the same key; nobody waits for it to change by itself."""
    store, bodies = a_day()
    key = min(bodies)
    for number in range(8):
        store.put(key, b"other %d" % number)
        run(store)
    store.put(key, b"once more")
    with pytest.raises(StorageError, match=f"every name for a rollup that begins with {key} is taken"):
        run(store)


def test_without_delete_every_run_after_the_first_changes_nothing() -> None:
    """The same day rolled again is a no-op, not another copy."""
    store, _ = a_day()
    run(store)
    before = dict(store.objects)
    again = run(store)
    assert store.objects == before
    assert (again.figures.packed, again.figures.leftovers, again.rollups) == (0, 9, ())


def test_with_delete_no_original_is_left_and_all_are_in_the_rollup() -> None:
    """The end state when deleting: the rollup alone."""
    store, bodies = a_day()
    outcome = run(store, delete=True)
    assert list(store.objects) == rollups(store)
    assert_exactly_once(store, bodies)
    assert outcome.figures.deleted == 9


def test_leftovers_are_deleted_and_not_packed_again() -> None:
    """A run without delete, then one with: the same single rollup, no originals."""
    store, bodies = a_day()
    run(store)
    outcome = run(store, delete=True)
    assert (outcome.figures.packed, outcome.figures.deleted, outcome.figures.leftovers) == (0, 9, 9)
    assert list(store.objects) == rollups(store)
    assert_exactly_once(store, bodies)


def test_late_logs_become_a_second_rollup() -> None:
    """The first rollup is never rewritten; the second holds the late logs only."""
    store, bodies = a_day()
    run(store)
    (first,) = rollups(store)
    untouched = store.objects[first]
    late = log_key(86_000)
    bodies[late] = b"late\n"
    store.put(late, b"late\n")
    outcome = run(store, delete=True)
    assert outcome.figures.packed == 1
    assert store.objects[first] == untouched
    assert len(rollups(store)) == 2
    assert_exactly_once(store, bodies)


def test_an_original_is_deleted_only_if_the_rollup_read_back_holds_it() -> None:
    """Whatever damages the rollup between upload and reading back, no original is deleted and the task fails."""
    store, bodies = a_day()

    def damage(step: str, key: str) -> None:
        if step == "finish":
            stored = store.objects[key]
            middle = len(stored.body) // 3
            flipped = bytes([stored.body[middle] ^ 1])
            store.objects[key] = stored._replace(body=stored.body[:middle] + flipped + stored.body[middle + 1 :])

    store.after = damage
    with pytest.raises(DamagedRollup):
        run(store, delete=True)
    assert set(bodies) < set(store.objects)


def test_a_good_rollup_of_other_bytes_deletes_nothing() -> None:
    """A rollup whose members have the right names and sizes but other bytes is no reason to delete an original."""
    store, bodies = a_day()
    other, _ = a_day()
    for key, body in bodies.items():
        other.put(key, body[::-1], etag=store.objects[key].etag, encrypted=True)
    run(other)
    (key,) = rollups(other)
    store.objects[key] = other.objects[key]
    with pytest.raises(RollerError):
        run(store, delete=True)
    assert set(bodies) < set(store.objects)


def test_a_refused_delete_fails_the_task_with_the_key_and_the_reason() -> None:
    """One key that cannot be deleted is named; the others are gone, and nothing is packed twice afterwards."""
    store, bodies = a_day()
    stubborn = sorted(bodies)[4]
    store.undeletable.add(stubborn)
    with pytest.raises(DeleteRefused, match=r"AccessDenied") as refused:
        run(store, delete=True)
    assert stubborn in str(refused.value)
    assert [key for key in store.objects if parse_log_key(key)] == [stubborn]
    store.undeletable.clear()
    run(store, delete=True)
    assert_exactly_once(store, bodies)


def test_what_is_no_log_of_the_day_is_never_touched() -> None:
    """Neighbours in the same range of keys are not fetched, packed or deleted; those that are logs are reported."""
    store, bodies = a_day()
    nested = f"{PREFIX}{DAY}-0/{DAY}-00-00-00-0000000000000001"
    bystanders = [
        f"{PREFIX}{DAY}-05-15-43-42117B9A70B0F1BA.gz",
        f"{PREFIX}{DAY}-notes.txt",
        f"{PREFIX}{DAY}-24-00-00-0000000000000000",
        f"{PREFIX}rollup-{DAY}-readme.tgz",
        nested,
    ]
    for key in bystanders:
        store.put(key, b"not a log of this day group")
    touched: list[str] = []
    store.before = lambda step, key: touched.append(key) if step != "list" else None
    outcome = run(store, delete=True)
    assert not set(touched) & set(bystanders)
    assert set(bystanders) <= set(store.objects)
    assert outcome.nested == {DayGroup("bucket", f"{PREFIX}{DAY}-0/", DAY)}
    assert_exactly_once(store, bodies)


def test_today_is_refused_whatever_the_task_says() -> None:
    """A task for today touches nothing."""
    store, _ = a_day()
    before = dict(store.objects)
    with pytest.raises(StorageError, match="not over"):
        reconcile(store, replace(TASK, window=Window(date(2022, 7, 2))), RollOptions(True, 1), today=DAY)
    assert store.objects == before


def test_archived_originals_are_skipped_and_counted() -> None:
    """One is shown archived by the listing, one only by the fetch: both stay, the others are rolled up."""
    store, bodies = a_day()
    cold, cool = sorted(bodies)[2:4]
    store.archive(cold)

    def refuse(step: str, key: str) -> None:
        if step == "fetch" and key == cool:
            store.archive(cool)

    store.before = refuse
    outcome = run(store, delete=True)
    assert outcome.figures.archived == 2
    assert {key for key in store.objects if parse_log_key(key)} == {cold, cool}
    assert_nothing_lost(store, bodies)


def test_however_many_are_archived_and_not_listed_so_each_is_asked_for_once(caplog: pytest.LogCaptureFixture) -> None:
    """Intelligent-Tiering tells only when asked for the object: all are found in one go, and told of in one line."""
    store, bodies = a_day(3 + 2 * MAX_LOOKS)
    cold = sorted(bodies)[3:]
    asked: Counter[str] = Counter()

    def refuse(step: str, key: str) -> None:
        if step == "fetch":
            asked[key] += 1
            if key in cold:
                raise ObjectArchived("archived", key=key)

    store.before = refuse
    outcome = run(store, delete=True)
    assert (outcome.figures.packed, outcome.figures.archived) == (3, len(cold))
    assert {key for key in store.objects if parse_log_key(key)} == set(cold)
    assert {asked[key] for key in cold} == {1}
    assert sum(asked[key] for key in sorted(bodies)[:3]) <= 6
    (told,) = [vars(record) for record in caplog.records if record.message == "archived_originals_skipped"]
    assert (told["archived"], told["first"]) == (len(cold), min(cold))
    assert told["sentence"] == (
        f"{TASK.group}: {len(cold)} archived original{'s' * (len(cold) > 1)} skipped, which can't be read without a "
        f"restore (the first is {min(cold)})"
    )


def test_what_is_archived_is_asked_for_in_vain_twenty_times_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where leaving it out did not help."""
    store, bodies = a_day()
    store.before = refusing(store, min(bodies))
    monkeypatch.setattr(
        reconcile_module, "list_originals", lambda *at, unreadable, **how: list_originals(*at, unreadable=set(), **how)
    )
    with pytest.raises(StorageError, match=f"changed {MAX_LOOKS} times"):
        run(store, delete=True)
    assert set(store.objects) == set(bodies)


def refusing(store: MemoryStore, cold: str) -> Callable[[str, str], None]:
    """To be called before each step: that original is archived, which its listing does not tell."""

    def refuse(step: str, key: str) -> None:
        if step == "fetch" and key == cold:
            raise ObjectArchived("archived", key=key)

    return refuse


def test_a_rollup_that_appears_while_publishing_is_tried_again_is_seen() -> None:
    """The last look is repeated before every attempt, so a storm of 503s gives no second rollup of the same logs."""
    store, bodies = a_day()
    late = log_key(86_000)
    plain_upload = store.upload

    class Stormy(MemoryUpload):
        def finish(self, last_look: Callable[[], object] = lambda: None) -> str:
            last_look()
            # The first attempt is refused; meanwhile a log comes late, and another worker is done with the day.
            store.put(late, b"late")
            run(store, delete=True)
            return super().finish(last_look)

    def upload(key: str, expected_bytes: int, metadata: Callable[[], Metadata] = no_metadata) -> MemoryUpload:
        store.upload = plain_upload  # type: ignore[method-assign]
        store.open_uploads += 1
        return Stormy(store, key)

    store.upload = upload  # type: ignore[method-assign]
    outcome = run(store, delete=True)
    assert outcome.figures.packed == 0
    assert_exactly_once(store, {**bodies, late: b"late"})
    assert store.open_uploads == 0


def test_an_original_that_vanishes_makes_it_look_again() -> None:
    """A key deleted or replaced between list and fetch is no failure; what is there then is rolled up."""
    store, bodies = a_day()
    first, second = sorted(bodies)[:2]

    def vanish(step: str, key: str) -> None:
        if step == "fetch" and key == first:
            store.before = no_step
            del store.objects[first], bodies[first]
            bodies[second] = b"replaced"
            store.put(second, b"replaced")

    store.before = vanish
    assert run(store, delete=True).figures.packed == 8
    assert_exactly_once(store, bodies)
    assert store.open_uploads == 0


def test_another_worker_that_finishes_first_is_noticed_before_publishing() -> None:
    """A rollup of the day that appears during packing makes it look again: nothing is packed twice."""
    store, bodies = a_day()

    def overtake(step: str, key: str) -> None:
        if step == "fetch":
            store.before = no_step
            run(store)
            bodies[log_key(86_300)] = b"late"
            store.put(log_key(86_300), b"late")

    store.before = overtake
    outcome = run(store, delete=True)
    assert outcome.figures.packed == 1
    assert_exactly_once(store, bodies)
    assert store.open_uploads == 0


@pytest.mark.parametrize("delete", [False, True])
def test_killed_after_any_step_and_run_again_it_converges(delete: bool) -> None:
    """The crash table: die before and after every single step; then a plain run reaches the end state."""
    store, bodies = a_day(5)
    steps = 0

    def count(step: str, key: str) -> None:
        nonlocal steps
        steps += 1

    store.before = store.after = count
    run(store, delete=delete)
    assert steps > 20

    for fatal in range(1, steps + 1):
        store, bodies = a_day(5)
        seen = 0

        def die(step: str, key: str, fatal: int = fatal) -> None:
            nonlocal seen
            seen += 1
            if seen == fatal:
                raise Killed

        store.before = store.after = die
        with pytest.raises(Killed):
            run(store, delete=delete)
        assert_nothing_lost(store, bodies)
        store.before = store.after = no_step
        run(store, delete=delete)
        assert_exactly_once(store, bodies)
        left = [key for key in store.objects if parse_log_key(key)]
        assert left == ([] if delete else sorted(bodies))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_two_workers_at_once_lose_nothing_and_pack_nothing_twice(data: st.DataObject) -> None:
    """A second worker, deleting or not, runs in whole at any step of the first one: the end state is the same."""
    first_deletes = data.draw(st.booleans())
    second_deletes = data.draw(st.booleans())
    at = data.draw(st.integers(1, 40))
    store, bodies = a_day(4)
    seen = 0

    def intrude(step: str, key: str) -> None:
        nonlocal seen
        seen += 1
        if seen == at:
            run(store, delete=second_deletes)

    store.before = intrude
    run(store, delete=first_deletes)
    assert_exactly_once(store, bodies)
    run(store, delete=True)
    assert_exactly_once(store, bodies)
    assert not [key for key in store.objects if parse_log_key(key)]


def test_zero_byte_and_huge_logs_are_packed() -> None:
    """An empty log is a member; one larger than a fetched piece streams through in several."""
    store, bodies = a_day(3)
    for number, body in ((1, b""), (2, b"x" * (2 * PIECE_BYTES + 7))):
        bodies[log_key(number)] = body
        store.put(log_key(number), body)
    run(store, delete=True)
    assert_exactly_once(store, bodies)


def test_etags_that_are_no_md5_are_verified_by_the_digest_taken_on_download() -> None:
    """Multipart and SSE-KMS originals are rolled up, deleted, and as leftovers recognised by their ETags."""
    store, bodies = a_day(3)
    store.put(log_key(5), b"multipart", etag="0123456789abcdef0123456789abcdef-2")
    store.put(log_key(6), b"kms", etag="f" * 32, encrypted=True)
    store.put(log_key(7), b"k" * (PIECE_BYTES + 1), etag="e" * 32, encrypted=True)
    bodies |= {log_key(5): b"multipart", log_key(6): b"kms", log_key(7): b"k" * (PIECE_BYTES + 1)}
    again = MemoryStore()
    again.objects = dict(store.objects)
    run(store)
    assert run(store).figures.leftovers == 6
    assert run(store, delete=True).figures.deleted == 6
    assert_exactly_once(store, bodies)
    assert run(again, delete=True).figures.deleted == 6
    assert_exactly_once(again, bodies)


def test_a_huge_log_that_comes_damaged_is_not_packed() -> None:
    """Bytes that do not fit the ETag end the task before anything is published, in pieces as well as whole."""
    for size in (5, PIECE_BYTES + 5):
        store, bodies = a_day(3)
        key = log_key(1)
        bodies[key] = b"x" * size
        store.put(key, bodies[key])
        store.objects[key] = store.objects[key]._replace(body=b"y" + bodies[key][1:])
        with pytest.raises(StorageError):
            run(store, delete=True)
        assert rollups(store) == []
        assert set(bodies) == set(store.objects)
        assert store.open_uploads == 0


@pytest.mark.parametrize("prefix", ["", "logs-", "a//b c/é+%#&'\"/", "123456789012/us-west-2/b/2022/07/01/", "x" * 900])
def test_any_target_prefix_works(prefix: str) -> None:
    """Empty, slashless, odd and very long target prefixes: members have the base names, and all converges."""
    store = MemoryStore()
    bodies = {log_key(n, prefix): b"record %d" % n for n in range(3)}
    for key, body in bodies.items():
        store.put(key, body)
    task = replace(TASK, group=DayGroup("bucket", prefix, DAY))
    run(store, task)
    assert run(store, task, delete=True).figures.deleted == 3
    assert_exactly_once(store, bodies)


@pytest.mark.parametrize("where", ["footer", "index", "data", "truncated", "foreign"])
def test_a_damaged_rollup_is_one_clear_error_and_its_day_is_left_as_it_is(where: str) -> None:
    """The error names the rollup and what to do; no original is deleted on its account."""
    store, bodies = a_day()
    run(store)
    (key,) = rollups(store)
    body = bytearray(store.objects[key].body)
    if where == "truncated":
        body = body[:-10]
    elif where == "foreign":
        body = bytearray(b"not a rollup")
    else:
        body[{"footer": -20, "index": -200, "data": 40}[where]] ^= 0xFF
    store.put(key, bytes(body))
    with pytest.raises(DamagedRollup, match=key):
        run(store, delete=True)
    assert set(bodies) < set(store.objects)


def test_a_day_that_does_not_fit_the_time_is_done_in_steps() -> None:
    """Each step ends with a whole, verified rollup; the task says how many originals are left for the next one."""
    store, bodies = a_day(9)
    task = replace(TASK, max_members=4)
    outcomes = [run(store, task, delete=True) for _ in range(3)]
    assert [outcome.figures.packed for outcome in outcomes] == [4, 4, 1]
    assert [outcome.remaining for outcome in outcomes] == [5, 1, 0]
    assert_exactly_once(store, bodies)


def test_when_time_runs_out_the_upload_is_dropped_and_nothing_is_lost() -> None:
    """A step that turns out too large aborts: no rollup, no orphaned upload, every original still there."""
    store, bodies = a_day(9)
    left = iter([100.0, 100.0])  # when the window and when the step are measured out
    with pytest.raises(OutOfTime, match="needs a smaller step"):
        run(store, delete=True, pace=Pace(lambda: next(left, 0.0)))
    assert rollups(store) == []
    assert store.open_uploads == 0
    assert_nothing_lost(store, bodies)


def test_the_members_carry_the_originals_times() -> None:
    """A member's mtime is the original's LastModified."""
    store = MemoryStore()
    moment = int(datetime(2022, 7, 1, 6, 30, tzinfo=UTC).timestamp())
    store.put(log_key(1), b"x", mtime=moment)
    run(store)
    with tarfile.open(fileobj=io.BytesIO(store.objects[rollups(store)[0]].body)) as tar:
        assert [member.mtime for member in tar] == [moment]


def test_the_same_logs_make_the_same_bytes() -> None:
    """Two stores with the same day hold equal rollups afterwards."""
    one, _ = a_day()
    two, _ = a_day()
    run(one)
    run(two)
    (key,) = rollups(one)
    assert md5(one.objects[key].body).digest() == md5(two.objects[key].body).digest()


def test_loose_logs_are_packed_before_leftovers_are_deleted() -> None:
    """If time runs out or the process dies, what was done is what nobody else has."""
    store, bodies = a_day()
    run(store)
    late = log_key(86_000)
    bodies[late] = b"late\n"
    store.put(late, b"late\n")
    steps: list[str] = []
    store.before = lambda step, key: steps.append(step) if step in {"finish", "delete"} else None
    run(store, delete=True)
    assert steps == ["finish", *["delete"] * len(bodies)]


def test_a_fetch_that_is_broken_off_is_ended_at_once() -> None:
    """Its requests do not go on in the background while the error is dealt with, however long somebody holds that."""

    class Watched(MemoryStore):
        under_way = 0

        def fetch(self, pieces: Iterable[ByteRange]) -> Generator[tuple[bytes, bytes], None, None]:
            self.under_way += 1
            try:
                yield from super().fetch(pieces)
            finally:
                self.under_way -= 1

    store = Watched()
    for number in range(4):
        store.put(log_key(number), Random(number).randbytes(1_500_000))
    upload = store.upload

    def failing(key: str, expected_bytes: int, metadata: Callable[[], Metadata] = no_metadata) -> MemoryUpload:
        made = upload(key, expected_bytes, metadata)

        def write(data: bytes) -> None:
            raise StorageError("the disk is full")

        made.write = write  # type: ignore[method-assign]
        return made

    store.upload = failing  # type: ignore[method-assign]
    with pytest.raises(StorageError, match="the disk is full") as held:
        run(store)
    assert held.value.__traceback__ is not None
    assert store.under_way == 0
