"""With a destination every promise holds there: rollups are listed, written, read back and looked for in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from tests.support.logs import DAY, PREFIX, TODAY
from tests.support.memory_day import TASK, Killed, a_day, assert_exactly_once, assert_nothing_lost, put_logs, rollups
from tests.support.memory_store import MemoryStore, no_step

from s3_log_roller.errors import DamagedRollup, StorageError
from s3_log_roller.log_keys import DayGroup, parse_log_key
from s3_log_roller.mirrored import MirroredStore
from s3_log_roller.rolling.destination import Destination, open_destination
from s3_log_roller.rolling.options import RollOptions
from s3_log_roller.rolling.outcome import PassOutcome, RollOutcome
from s3_log_roller.rolling.reconcile import reconcile
from s3_log_roller.rolling.roll import roll
from s3_log_roller.rolling.tasks import RangeTask
from s3_log_roller.rolling.window import Window
from s3_log_roller.store import NO_METADATA, Store
from s3_log_roller.uris import Role, S3Uri

FOLDER = "logs/bucket/"
THERE = Destination(S3Uri("archive", "logs/"))


class Archive(MemoryStore):
    """The destination's bucket."""

    def __init__(self) -> None:
        super().__init__("archive")
        self.place = MirroredStore(self, "archive/logs/bucket")


def run(store: MemoryStore, archive: Archive, *, delete: bool = False) -> RollOutcome:
    options = RollOptions(delete, 1, destination=THERE)
    outcome = roll(store, TASK, options, today=TODAY, rollups=archive.place)
    assert isinstance(outcome, RollOutcome)
    return outcome


def run_in_pass(store: MemoryStore, archive: Archive, *, delete: bool = False) -> RollOutcome:
    """A pass over the bucket, and alone what it leaves; the outcome of `DAY`."""
    options = RollOptions(delete, 1, destination=THERE)
    task = RangeTask("bucket", "", Window(TODAY))
    passed = roll(store, task, options, today=TODAY, rollups=archive.place)
    assert isinstance(passed, PassOutcome)
    for one in passed.outcomes:
        if one.remaining:
            return reconcile(store, task.for_group(one.group), options, today=TODAY, rollups=archive.place)
    return next(iter(passed.outcomes), RollOutcome(TASK.group))


Run = Callable[..., RollOutcome]
EACH_WAY = pytest.mark.parametrize("roll_up", [run, run_in_pass])


def held(archive: Archive, store: MemoryStore | None = None) -> MemoryStore:
    """The rollups of the destination, and of the logs' bucket, under the keys of that bucket; with its logs."""
    both = MemoryStore()
    both.objects = {key.removeprefix(FOLDER): stored for key, stored in archive.objects.items()}
    both.objects |= store.objects if store else {}
    return both


@EACH_WAY
@pytest.mark.parametrize("delete", [False, True])
def test_rollups_go_to_the_destination_and_nowhere_else(roll_up: Run, delete: bool) -> None:
    """Below the name of the logs' bucket; running again is a no-op; the outcome names the rollup by its URI."""
    store, bodies = a_day()
    archive = Archive()
    outcome = roll_up(store, archive, delete=delete)
    (key,) = archive.objects
    assert key.startswith(f"{FOLDER}{PREFIX}rollup-{DAY}-")
    assert outcome.rollups == (f"s3://archive/{key}",)
    assert archive.objects[key].metadata
    assert set(store.objects) == (set() if delete else set(bodies))
    assert_exactly_once(held(archive), bodies)
    before = dict(store.objects), dict(archive.objects)
    again = roll_up(store, archive, delete=False) if not delete else None
    assert (store.objects, archive.objects) == before
    assert again is None or (again.figures.packed, again.figures.leftovers) == (0, 9)


@EACH_WAY
def test_the_bytes_are_those_of_a_rollup_beside_the_logs(roll_up: Run) -> None:
    """And so is the name."""
    beside, _ = a_day()
    reconcile(beside, TASK, RollOptions(level=1), today=TODAY)
    store, _ = a_day()
    archive = Archive()
    roll_up(store, archive)
    (key,) = rollups(beside)
    assert archive.objects[FOLDER + key].body == beside.objects[key].body


@EACH_WAY
@pytest.mark.parametrize("delete", [False, True])
def test_rollups_beside_the_logs_count(roll_up: Run, delete: bool) -> None:
    """A day that was rolled up before there was a destination: nothing is packed twice, late logs go there."""
    store, bodies = a_day()
    reconcile(store, TASK, RollOptions(level=1), today=TODAY)
    archive = Archive()
    assert roll_up(store, archive).figures.packed == 0
    assert not archive.objects
    late = put_logs(store, [3, 86_000])
    outcome = roll_up(store, archive, delete=delete)
    assert outcome.figures.packed == 2
    assert outcome.figures.leftovers == 9
    assert outcome.figures.deleted == (11 if delete else 0)
    assert len(archive.objects) == 1
    assert_exactly_once(held(archive, store), bodies | late)
    logs = {key for key in store.objects if parse_log_key(key)}
    assert logs == (set() if delete else set(bodies | late))
    after = roll_up(store, archive, delete=True)
    assert (after.figures.packed, after.figures.deleted) == (0, 0 if delete else 11)
    assert_exactly_once(held(archive, store), bodies | late)


def test_a_pass_reads_rollups_of_each_place_there() -> None:
    """One day group was rolled up before there was a destination, and one since: neither has to go alone."""
    store, archive = MemoryStore(), Archive()
    task, options = RangeTask("bucket", "", Window(TODAY)), RollOptions(level=1, destination=THERE)
    bodies = put_logs(store, range(4), "a/")
    reconcile(store, task.for_group(DayGroup("bucket", "a/", DAY)), RollOptions(level=1), today=TODAY)
    bodies |= put_logs(store, range(4), "b/")
    leftovers = 0
    for number in (0, 80_000):
        bodies |= put_logs(store, [number], "b/")
        passed = roll(store, task, options, today=TODAY, rollups=archive.place)
        assert isinstance(passed, PassOutcome)
        assert not any(one.remaining for one in passed.outcomes)
        leftovers += sum(one.figures.leftovers for one in passed.outcomes)
    assert leftovers == 4 + 8
    assert (len(rollups(store)), len(archive.objects)) == (1, 2)
    assert_exactly_once(held(archive, store), bodies)


@EACH_WAY
def test_a_name_that_is_taken_beside_the_logs_is_not_used_there(roll_up: Run) -> None:
    """So that no two rollups of a day have one name, wherever they are."""
    store, bodies = a_day(1)
    (key,) = bodies
    reconcile(store, TASK, RollOptions(level=1), today=TODAY)
    store.put(key, b"other bytes")
    archive = Archive()
    roll_up(store, archive)
    names = TASK.group.rollup_keys(key.removeprefix(PREFIX))
    assert (rollups(store), list(archive.objects)) == ([names[0]], [FOLDER + names[1]])


@EACH_WAY
def test_nothing_is_deleted_that_is_not_proven_there(roll_up: Run) -> None:
    """A rollup that comes damaged into the destination: every original stays."""
    store, bodies = a_day()
    archive = Archive()
    put = archive.put

    def damage(key: str, body: bytes, **more: object) -> None:
        put(key, body[:200] + bytes([body[200] ^ 1]) + body[201:], **more)  # type: ignore[arg-type]

    archive.put = damage  # type: ignore[method-assign]
    with pytest.raises(DamagedRollup, match=f"s3://archive/{FOLDER}{PREFIX}rollup"):
        roll_up(store, archive, delete=True)
    assert set(bodies) <= set(store.objects)


@EACH_WAY
@pytest.mark.parametrize("step", ["list", "fetch", "finish"])
def test_without_access_to_the_destination_nothing_happens(roll_up: Run, step: str) -> None:
    """Whatever is refused there: the error says so, and the logs stay."""
    store, bodies = a_day()
    archive = Archive()

    def refuse(what: str, key: str) -> None:
        if what == step:
            raise StorageError(f"no {step} there")

    archive.before = refuse
    with pytest.raises(StorageError, match=f"no {step} there"):
        roll_up(store, archive, delete=True)
    assert_nothing_lost(store, bodies)
    archive.before = no_step
    roll_up(store, archive, delete=True)
    assert_exactly_once(held(archive), bodies)


@EACH_WAY
def test_killed_after_any_step_in_either_bucket_it_converges(roll_up: Run) -> None:
    """Nothing lost, nothing twice, after a run that was killed at every single step of the way."""
    for dies_at in range(1000):
        store, bodies = a_day(4)
        put_early = put_logs(store, [5])
        reconcile(store, TASK, RollOptions(level=1), today=TODAY)  # from before there was a destination
        bodies |= put_early | put_logs(store, [7, 9])
        archive = Archive()
        steps = 0

        def die(what: str, key: str, dies_at: int = dies_at) -> None:
            nonlocal steps
            steps += 1
            if steps == dies_at + 1:
                raise Killed

        store.before = store.after = archive.before = archive.after = die
        try:
            roll_up(store, archive, delete=True)
            finished = True
        except Killed:
            finished = False
        store.before = store.after = archive.before = archive.after = no_step
        assert_nothing_lost(held(archive, store), bodies)
        roll_up(store, archive, delete=True)
        assert_exactly_once(held(archive, store), bodies)
        assert not [key for key in store.objects if parse_log_key(key)]
        if finished:
            assert dies_at > 20
            return
    pytest.fail("it has no end")


@EACH_WAY
@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_rollup_that_appears_meanwhile_in_either_place_is_seen(roll_up: Run, elsewhere: bool) -> None:
    """The last look is at both: a worker of before the destination may still be at work."""
    store, bodies = a_day()
    archive = Archive()
    appeared: list[str] = []

    def another(what: str, key: str) -> None:
        if what == "fetch" and parse_log_key(key) and not appeared:
            appeared.append(key)
            options = RollOptions(level=1, destination=THERE if elsewhere else None)
            roll(
                store, replace(TASK, max_members=4), options, today=TODAY, rollups=archive.place if elsewhere else None
            )

    store.before = another
    roll_up(store, archive, delete=True)
    assert appeared
    assert_exactly_once(held(archive, store), bodies)


@EACH_WAY
def test_archived_rollups_there_hold_up_nothing(roll_up: Run) -> None:
    """Their metadata is read there."""
    store, bodies = a_day()
    archive = Archive()
    roll_up(store, archive, delete=True)
    (key,) = archive.objects
    archive.archive(key)
    late = put_logs(store, [86_000])
    store.put(min(bodies), bodies[min(bodies)])
    outcome = roll_up(store, archive, delete=True)
    assert (outcome.figures.packed, outcome.figures.uncertain) == (1, 1)
    archive.objects[key] = archive.objects[key]._replace(archived=False, metadata=NO_METADATA)
    roll_up(store, archive, delete=True)
    assert_exactly_once(held(archive), bodies | late)


def test_two_buckets_with_equal_target_prefixes_do_not_meet() -> None:
    """Even where their first logs have the same key."""
    archive = MemoryStore("archive")
    for bucket in ("one", "two"):
        store = MemoryStore(bucket)
        put_logs(store, range(5))
        task = replace(TASK, group=DayGroup(bucket, PREFIX, DAY))
        place = MirroredStore(archive, f"archive/logs/{bucket}")
        assert (
            reconcile(store, task, RollOptions(delete=True, level=1), today=TODAY, rollups=place).figures.deleted == 5
        )
    one, two = archive.objects
    assert one.replace("/one/", "/two/") == two


def test_rollups_inside_of_the_scanned_prefix_are_no_logs() -> None:
    """The destination may be the bucket of the logs itself: what lies there is never rolled up or deleted again."""
    store, _ = a_day()
    place = MirroredStore(store, "bucket/example.com/kept/bucket")
    task = RangeTask("bucket", "", Window(TODAY))
    options = RollOptions(delete=True, level=1, destination=Destination(S3Uri("bucket", "example.com/kept/")))
    packed = []
    for _ in range(2):
        outcome = roll(store, task, options, today=TODAY, rollups=place)
        assert isinstance(outcome, PassOutcome)
        packed.append(sum(one.figures.packed for one in outcome.outcomes))
        (key,) = store.objects
        assert key.startswith(f"example.com/kept/bucket/{PREFIX}rollup-")
    assert packed == [9, 0]


def test_the_destination_is_opened_with_its_own_role_and_owner() -> None:
    """Not with those of the task; an owner that nobody named is anybody, whoever must own the logs' buckets."""
    opened: list[tuple[str, Role | None, str | None]] = []

    @contextmanager
    def lease(bucket: str, role: Role | None, owner: str | None) -> Iterator[Store]:
        opened.append((bucket, role, owner))
        yield MemoryStore(bucket)

    role = Role("arn:aws:iam::123456789012:role/archive")
    with open_destination(lease, Destination(S3Uri("archive", "a"), role, "123456789012"), "logs") as place:
        assert place is not None
        assert place.bucket == "archive/a/logs"
    with (
        open_destination(lease, Destination(S3Uri("archive", "")), "logs"),
        open_destination(lease, None, "logs") as none,
    ):
        assert none is None
    assert opened == [("archive", role, "123456789012"), ("archive", None, "")]


def test_options_and_place_must_agree() -> None:
    """Nobody forgets to open the destination that was asked for."""
    store, _ = a_day()
    with pytest.raises(ValueError, match="place for rollups"):
        roll(store, TASK, RollOptions(destination=THERE), today=TODAY)
