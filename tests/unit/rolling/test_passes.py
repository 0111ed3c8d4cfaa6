"""A pass keeps every promise for every single day group, whatever happens to the others."""

from __future__ import annotations

import pickle
import tracemalloc
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.forging import newer
from tests.support.logs import DAY, TODAY, log_key
from tests.support.memory_day import Killed, assert_exactly_once, assert_nothing_lost, put_logs, rollups
from tests.support.memory_store import MemoryStore, no_step

from s3_log_roller.errors import DeleteRefused, NewerFormat, ObjectArchived, RollerError, StorageError
from s3_log_roller.log_keys import DayGroup, parse_log_key
from s3_log_roller.rolling import passes, range_listing, wave_packing
from s3_log_roller.rolling.fetching import PIECE_BYTES
from s3_log_roller.rolling.figures import Figures
from s3_log_roller.rolling.options import RollOptions
from s3_log_roller.rolling.outcome import PassOutcome, done_before
from s3_log_roller.rolling.pace import Pace
from s3_log_roller.rolling.reconcile import reconcile
from s3_log_roller.rolling.roll import roll
from s3_log_roller.rolling.tasks import RangeTask, RollTask
from s3_log_roller.rolling.window import Window
from s3_log_roller.store import DeleteFailure, DeleteReport

TASK = RangeTask("bucket", "", Window(TODAY))
PREFIXES = ("a/", "b/", "b/c-", "z/")


def many_days(
    prefixes: tuple[str, ...] = PREFIXES, days: int = 2, logs: int = 4
) -> tuple[MemoryStore, dict[str, bytes]]:
    """A store with so many days of each prefix, and the bodies of all their logs."""
    store = MemoryStore()
    bodies: dict[str, bytes] = {}
    for prefix in prefixes:
        for number in range(days):
            bodies |= put_logs(store, range(1, logs + 1), prefix, DAY + timedelta(number))
    return store, bodies


def run(store: MemoryStore, task: RangeTask = TASK, *, delete: bool = True, pace: Pace | None = None) -> PassOutcome:
    outcome = roll(store, task, RollOptions(delete, 1), today=TODAY, pace=pace)
    assert isinstance(outcome, PassOutcome)
    return outcome


def finish(store: MemoryStore, outcome: PassOutcome, *, delete: bool = True) -> list[RollerError]:
    """Do what the worker would: run alone what is left, go on where the pass ended. Returns what failed."""
    failures = []
    while True:
        for one in outcome.outcomes:
            if one.remaining:
                try:
                    reconcile(store, TASK.for_group(one.group), RollOptions(delete, 1), today=TODAY)
                except RollerError as error:
                    failures.append(error)
        if outcome.start_after is None:
            return failures
        outcome = run(store, replace(TASK, start_after=outcome.start_after), delete=delete)


def alone(outcome: PassOutcome) -> set[DayGroup]:
    return {one.group for one in outcome.outcomes if one.remaining}


def logs_in(store: MemoryStore) -> list[str]:
    return sorted(key for key in store.objects if parse_log_key(key))


def of_group(group: DayGroup, bodies: dict[str, bytes]) -> set[str]:
    return {key for key in bodies if key.startswith(group.logs_prefix)}


BAD = DayGroup("bucket", "b/", DAY)
GROUPS = [DayGroup("bucket", prefix, DAY + timedelta(number)) for prefix in PREFIXES for number in range(2)]
"""Those of `many_days`, in the order of their keys."""


@pytest.mark.parametrize("delete", [False, True])
def test_a_pass_rolls_up_every_day_group(delete: bool) -> None:
    """One rollup each, all proven; the originals are gone if asked for, and only then; again it is a no-op."""
    store, bodies = many_days()
    outcome = run(store, delete=delete)
    assert not alone(outcome)
    assert outcome.start_after is None
    assert len(outcome.outcomes) == len(rollups(store)) == 8
    assert sum(one.figures.packed for one in outcome.outcomes) == len(bodies)
    assert sum(one.figures.deleted for one in outcome.outcomes) == (len(bodies) if delete else 0)
    assert_exactly_once(store, bodies)
    assert logs_in(store) == ([] if delete else sorted(bodies))
    before = dict(store.objects)
    again = run(store, delete=delete)
    assert store.objects == before
    assert sum(one.figures.packed for one in again.outcomes) == 0


def test_excluded_day_groups_are_left_alone() -> None:
    """Though they lie in the pass's range of keys; also those that lie among the logs of another day."""
    store, _ = many_days()
    inside = f"a/{DAY}-archive/"
    put_logs(store, range(1, 5), inside)
    before = dict(store.objects)
    window = Window(TODAY, exclude=("b/c-", f"a/{DAY}-archive/"))
    outcome = run(store, replace(TASK, window=window))
    assert {one.group.target_prefix for one in outcome.outcomes} == {"a/", "b/", "z/"}
    left = {key: stored for key, stored in before.items() if key.startswith(("b/c-", inside))}
    assert len(left) == 12
    assert left.items() <= store.objects.items()
    assert {key for key in store.objects if parse_log_key(key)} == set(left)


def test_a_pass_makes_the_same_rollups_as_reconcile() -> None:
    """Byte for byte, under the same names."""
    store, _ = many_days()
    other, _ = many_days()
    run(store)
    for prefix in PREFIXES:
        for number in range(2):
            task = RollTask(DayGroup("bucket", prefix, DAY + timedelta(number)), TASK.window)
            reconcile(other, task, RollOptions(delete=True, level=1), today=TODAY)
    assert store.objects == other.objects


def test_leftovers_are_not_packed_again_and_are_deleted_after_proof() -> None:
    """A pass without delete, late logs, then one with: two rollups for that day, one for all others."""
    store, bodies = many_days()
    run(store, delete=False)
    bodies |= put_logs(store, [70_000], "b/")
    outcome = run(store)
    assert not alone(outcome)
    assert_exactly_once(store, bodies)
    assert logs_in(store) == []
    assert len(rollups(store)) == 9
    figures = sum((one.figures for one in outcome.outcomes), start=Figures())
    assert (figures.packed, figures.leftovers, figures.leftovers_proven) == (1, len(bodies) - 1, len(bodies) - 1)


def damage(store: MemoryStore, group: DayGroup) -> None:
    key = next(key for key in rollups(store) if key.startswith(group.rollups_prefix))
    stored = store.objects[key]
    moment = int(datetime(TODAY.year, TODAY.month, TODAY.day, tzinfo=UTC).timestamp())
    store.objects[key] = stored._replace(body=stored.body[:40] + b"?" + stored.body[41:], mtime=moment)


def refuse(store: MemoryStore, step: str, error: Callable[[str], Exception], part: str = "b/2022-07-01-") -> None:
    def before(happening: str, key: str) -> None:
        if happening == step and key.startswith(part):
            raise error(key)

    store.before = before


TROUBLES: dict[str, Callable[[MemoryStore], None]] = {
    "its logs may not be read": lambda store: refuse(
        store, "fetch", lambda key: StorageError("no", code="AccessDenied")
    ),
    "its rollup may not be written": lambda store: refuse(
        store, "finish", lambda key: StorageError("no", code="AccessDenied"), "b/rollup-2022-07-01"
    ),
    "its rollup cannot be read back": lambda store: refuse(
        store, "fetch", lambda key: StorageError("no", code="Network"), "b/rollup-2022-07-01"
    ),
    "its rollups cannot be listed": lambda store: refuse(
        store, "list", lambda key: StorageError("no", code="Network"), "b/rollup-2022-07-01"
    ),
    "its logs may not be deleted": lambda store: store.undeletable.update(
        key for key in store.objects if key.startswith("b/2022-07-01-")
    ),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_bad_day_group_goes_alone_and_the_others_are_done(trouble: str) -> None:
    """It fails by name when it is reconciled; when the trouble is over it is done like the others."""
    store, bodies = many_days(days=1)
    TROUBLES[trouble](store)
    outcome = run(store)
    assert alone(outcome) == {BAD}
    assert set(logs_in(store)) <= of_group(BAD, bodies)
    assert_nothing_lost(store, bodies)
    finish(store, outcome)
    store.before = no_step
    store.undeletable.clear()
    assert finish(store, run(store)) == []
    assert_exactly_once(store, bodies)
    assert logs_in(store) == []


@pytest.mark.parametrize("cold", [{1}, {4}, {2, 3}, {1, 2, 3, 4}])
def test_archived_originals_are_left_out_and_asked_for_once(cold: set[int], caplog: pytest.LogCaptureFixture) -> None:
    """They list like any other; the rest of their day group is rolled up in the pass, under its first log's name."""
    store, bodies = many_days(days=1)
    cold_keys = {log_key(number, "b/") for number in cold}
    asked: list[str] = []

    def before(step: str, key: str) -> None:
        if step == "fetch" and key in cold_keys:
            asked.append(key)
            raise ObjectArchived("cold", key=key)

    store.before = before
    outcome = run(store)
    assert not alone(outcome)
    assert sorted(asked) == sorted(cold_keys) == logs_in(store)
    assert sum(one.figures.archived for one in outcome.outcomes) == len(cold)
    assert_exactly_once(store, {key: body for key, body in bodies.items() if key not in cold_keys})
    (told,) = [vars(record) for record in caplog.records if record.message == "archived_originals_skipped"]
    assert told["first"] == min(cold_keys)
    names = {key for one in outcome.outcomes for key in one.rollups}
    assert names == set(rollups(store))
    store.before = no_step
    assert finish(store, run(store)) == []
    assert_exactly_once(store, bodies)


@pytest.mark.parametrize("delete", [False, True])
def test_a_damaged_rollup_stops_its_day_group_alone(delete: bool) -> None:
    """The error names the rollup; nothing is deleted on its account."""
    store, bodies = many_days()
    run(store, delete=False)
    damage(store, BAD)
    outcome = run(store, delete=delete)
    assert alone(outcome) == {BAD}
    assert set(logs_in(store)) == (of_group(BAD, bodies) if delete else set(bodies))
    (error,) = finish(store, outcome, delete=delete)
    assert str(error).startswith(f"s3://bucket/{BAD.rollups_prefix}")
    assert of_group(BAD, bodies) <= set(store.objects)


def test_every_rollup_damaged_on_its_way_deletes_nothing() -> None:
    """All are read back, and all are found out."""
    store, bodies = many_days()

    def spoil(step: str, key: str) -> None:
        if step == "finish":
            stored = store.objects[key]
            store.put(key, stored.body[:30] + b"?" + stored.body[31:])

    store.after = spoil
    outcome = run(store)
    assert len(alone(outcome)) == 8
    assert logs_in(store) == sorted(bodies)
    assert not any(one.figures.rollups for one in outcome.outcomes)


def test_a_refusal_that_meets_all_of_the_first_wave_is_one_error() -> None:
    """Not five hundred tasks that fail in the same way."""
    store, bodies = many_days()
    refuse(store, "fetch", lambda key: StorageError("s3:GetObject was refused", code="AccessDenied"), "")
    with pytest.raises(StorageError, match="was refused"):
        run(store)
    assert logs_in(store) == sorted(bodies)


def test_refusals_for_two_reasons_stop_each_day_group_alone() -> None:
    """Neither of the two is what all of the range meets."""
    store, bodies = many_days()

    def refuse_fetch(step: str, key: str) -> None:
        if step == "fetch":
            raise StorageError("no", code="AccessDenied" if key.startswith("a/") else "InternalError")

    store.before = refuse_fetch
    assert alone(run(store)) == set(GROUPS)
    assert logs_in(store) == sorted(bodies)


def test_deletes_that_are_refused_to_all_are_one_error_of_the_range(caplog: pytest.LogCaptureFixture) -> None:
    """The role may not delete: no day group is tried alone, what was written is kept and told, and no log is gone."""
    store, bodies = many_days()
    store.undeletable.update(bodies)
    with pytest.raises(DeleteRefused) as refused:
        run(store)
    assert str(refused.value) == (
        f"S3 refuses to delete in s3://bucket: 32 originals of 8 day groups were not deleted (the first is "
        f"{log_key(1, 'a/')}: AccessDenied: Access Denied); what was packed is safe in verified rollups: allow "
        "s3:DeleteObject (with an ETag it needs s3:GetObject, too), then run again"
    )
    done = sum((one.figures for one in done_before(refused.value)), start=Figures())
    assert (done.rollups, done.packed, done.deleted) == (8, 32, 0)
    assert logs_in(store) == sorted(bodies)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    store.undeletable.clear()
    assert not alone(run(store))
    assert_exactly_once(store, bodies)
    assert logs_in(store) == []


@pytest.mark.parametrize(
    ("deletable", "one_error"),
    [((), True), (("a/2022-07-01-00-00-01",), True), (("a/",), False), (("a/", "b/c"), False)],
)
def test_deletes_that_are_refused_to_some_stop_those_alone(deletable: tuple[str, ...], one_error: bool) -> None:
    """A log or two that could be deleted make no difference; where whole day groups could, the others go alone."""
    store, bodies = many_days()
    store.undeletable.update(key for key in bodies if not key.startswith(deletable or ("-",)))
    refused = {key for key in bodies if key in store.undeletable}
    if one_error:
        with pytest.raises(DeleteRefused, match=f"{len(refused)} originals of 8 day groups"):
            run(store)
    else:
        assert alone(run(store)) == {group for group in GROUPS if of_group(group, bodies) & refused}
    assert set(logs_in(store)) == refused


def test_deletes_that_fail_for_different_reasons_stop_each_day_group_alone() -> None:
    """It isn't the bucket that something is wrong with: reconcile says of each what it is."""
    store, bodies = many_days()
    store.undeletable.update(key for key in bodies if not key.startswith("z/"))

    def replace_log(step: str, key: str) -> None:
        if step == "delete" and key.startswith("z/"):
            store.put(key, b"replaced")

    store.before = replace_log
    assert alone(run(store)) == set(GROUPS)


def test_a_server_that_stops_deleting_is_one_error_whatever_was_deleted_before() -> None:
    """It kept asking to wait, and trying each day group alone would take that long once more for each."""
    store, _ = many_days()
    delete = store.delete

    def give_up(
        objects: Iterable[tuple[str, str]], report: DeleteReport | None = None, *, versions: bool = False
    ) -> DeleteReport:
        report = report or DeleteReport()
        pairs = list(objects)
        delete(pairs[:20], report)
        report.failures += [DeleteFailure(pairs[20][0], "SlowDown: wait")]
        report.failures += [DeleteFailure(key, "not asked for: SlowDown: wait") for key, _ in pairs[21:]]
        report.gave_up = True
        return report

    store.delete = give_up  # type: ignore[method-assign]
    with pytest.raises(
        DeleteRefused, match=r"12 originals of 3 day groups were not deleted .*SlowDown: wait.* run again$"
    ) as refused:
        run(store)
    assert sum(one.figures.deleted for one in done_before(refused.value)) == 20
    assert len(logs_in(store)) == 12


def test_deletes_that_are_refused_to_a_later_wave_end_the_pass_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """The waves before are done; the range that goes on behind them is refused as a whole."""
    monkeypatch.setattr(passes, "WAVE_DAYS", 4)
    store, bodies = many_days()
    store.undeletable.update(key for key in bodies if key >= "b/c")
    outcome = run(store)
    assert not alone(outcome)
    assert outcome.start_after is not None
    assert sum(one.figures.packed for one in outcome.partly) == 16
    with pytest.raises(DeleteRefused, match="16 originals of 4 day groups"):
        run(store, TASK.rest(outcome.start_after))
    assert len(logs_in(store)) == 16


def test_a_range_that_comes_again_is_tried_on_a_few_day_groups() -> None:
    """They are done in a pass, all others have to go alone; with every try it is other ones."""
    tried = []
    for tries in (1, 2, 3, 4):
        store, bodies = many_days()
        outcome = run(store, replace(TASK, tries=tries))
        done = [one.group for one in outcome.outcomes if not one.remaining]
        tried.append([GROUPS.index(group) for group in done])
        assert alone(outcome) == set(GROUPS) - set(done)
        assert finish(store, outcome) == []
        assert_exactly_once(store, bodies)
        assert logs_in(store) == []
    assert tried == [[0, 1, 2], [3, 4, 5], [5, 6, 7], [1, 2, 3]]


@pytest.mark.parametrize("tries", [1, 2, 3, 4])
def test_a_range_of_few_day_groups_comes_again_as_a_whole(tries: int) -> None:
    """There are no others to go alone."""
    store, bodies = many_days(("a/",))
    assert not alone(run(store, replace(TASK, tries=tries)))
    assert_exactly_once(store, bodies)


@pytest.mark.parametrize("what", ["fetch", "delete"])
def test_a_range_that_comes_again_and_is_refused_again_fails_as_a_whole(what: str) -> None:
    """Not as five hundred messages, each with all its receives and a dead letter of its own."""
    store, bodies = many_days()
    if what == "delete":
        store.undeletable.update(bodies)
    else:
        refuse(store, "fetch", lambda key: StorageError("no", code="AccessDenied"), "")
    for tries in range(1, 5):
        with pytest.raises(RollerError):
            run(store, replace(TASK, tries=tries))
    assert logs_in(store) == sorted(bodies)


@pytest.mark.parametrize("days", [0, 1, 2])
def test_a_range_of_a_day_group_or_two_comes_again_and_goes_alone_if_refused(days: int) -> None:
    """Each is named by its own error then, as there are no five hundred of them."""
    store, bodies = many_days(("a/",), days=days)
    store.undeletable.update(bodies)
    assert len(alone(run(store, replace(TASK, tries=2)))) == days


@pytest.mark.parametrize("delete", [False, True])
def test_killed_anywhere_and_run_again_nothing_is_lost_and_nothing_is_twice(delete: bool) -> None:
    """The crash table: killed before and behind every single step of a pass over many day groups."""
    steps = 0

    def count(step: str, key: str) -> None:
        nonlocal steps
        steps += 1

    store, _ = many_days(days=1, logs=2)
    store.before = store.after = count
    run(store, delete=delete)
    assert steps > 40
    for fatal in range(1, steps + 1):
        store, bodies = many_days(days=1, logs=2)
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
        assert finish(store, run(store, delete=delete), delete=delete) == []
        assert_exactly_once(store, bodies)
        assert logs_in(store) == ([] if delete else sorted(bodies))


@settings(max_examples=80, deadline=None)
@given(data=st.data())
@pytest.mark.heavy
def test_two_passes_at_once_lose_nothing_and_pack_nothing_twice(data: st.DataObject) -> None:
    """A second pass, or a reconcile of one day group, runs in whole at any step of the first one."""
    first_deletes, second_deletes = data.draw(st.booleans()), data.draw(st.booleans())
    at = data.draw(st.integers(1, 60))
    only_one = data.draw(st.booleans())
    store, bodies = many_days(days=1, logs=2)
    seen = 0

    def intrude(step: str, key: str) -> None:
        nonlocal seen
        seen += 1
        if seen == at:
            if only_one:
                options = RollOptions(second_deletes, 1)
                reconcile(store, TASK.for_group(BAD), options, today=TODAY)
            else:
                finish(store, run(store, delete=second_deletes), delete=second_deletes)

    store.before = intrude
    finish(store, run(store, delete=first_deletes), delete=first_deletes)
    assert_exactly_once(store, bodies)
    store.before = no_step
    finish(store, run(store))
    assert_exactly_once(store, bodies)
    assert logs_in(store) == []


def test_a_rollup_that_appears_before_publishing_is_seen_by_the_last_look() -> None:
    """Another worker packed other logs of one of the day groups meanwhile: that one is looked at again, alone."""
    store, bodies = many_days(days=1)
    lists = 0

    def intrude(step: str, key: str) -> None:
        nonlocal lists
        if step == "fetch" and not lists:
            lists += 1
            reconcile(store, TASK.for_group(BAD), RollOptions(delete=False, level=1), today=TODAY)

    store.before = intrude
    outcome = run(store)
    assert alone(outcome) == {BAD}
    finish(store, outcome)
    assert_exactly_once(store, bodies)


def test_what_is_not_small_goes_alone() -> None:
    """A huge original among small days streams as before; the small ones are done in the pass."""
    store, bodies = many_days(days=1)
    huge = log_key(9, "b/")
    bodies[huge] = Random(1).randbytes(PIECE_BYTES + 5)
    store.put(huge, bodies[huge])
    outcome = run(store)
    assert alone(outcome) == {BAD}
    assert finish(store, outcome) == []
    assert_exactly_once(store, bodies)


def test_today_is_refused_whatever_the_task_says() -> None:
    """A range that holds today's logs touches nothing."""
    store, _ = many_days()
    before = dict(store.objects)
    with pytest.raises(StorageError, match="is not over yet"):
        run(store, replace(TASK, window=Window(TODAY + timedelta(1))))
    assert store.objects == before


def test_days_outside_the_window_are_left_alone() -> None:
    """Only those of the task's window are packed and deleted."""
    store, bodies = many_days(days=3)
    run(store, replace(TASK, window=Window(DAY + timedelta(2), DAY + timedelta(1))))
    assert set(logs_in(store)) == {key for key in bodies if f"{DAY + timedelta(1)}-" not in key}


def test_waves_are_bounded_and_all_are_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """However much lies in a range, so many logs at a time are in memory, and no more."""
    monkeypatch.setattr(passes, "WAVE_LOGS", 9)
    monkeypatch.setattr(range_listing, "MAX_DAYS", 3)
    store, bodies = many_days()
    held = most = 0

    def watch(step: str, key: str) -> None:
        nonlocal held, most
        held = held + 1 if step == "fetch" and parse_log_key(key) else 0 if step == "finish" else held
        most = max(most, held)

    store.before = watch
    assert finish(store, run(store)) == []
    assert most <= 9
    assert_exactly_once(store, bodies)
    assert logs_in(store) == []


@pytest.mark.parametrize(
    ("compresses", "bytes_a_day", "packed_bytes", "at_a_time"),
    [(True, 3_000, 10_000, 8), (False, 3_000, 10_000, 2), (False, 1_500_000, 4_000_000, 2), (False, 3_000, 1, 1)],
)
def test_a_wave_ends_where_its_rollups_fill_the_memory(
    monkeypatch: pytest.MonkeyPatch, compresses: bool, bytes_a_day: int, packed_bytes: int, at_a_time: int
) -> None:
    """What counts is what the rollups take, so logs that compress, as logs do, share a wave however large they are.

    One day is always packed.
    """
    monkeypatch.setattr(wave_packing, "PACKED_BYTES", packed_bytes)
    store = MemoryStore()
    noise = Random(4)
    make = bytes if compresses else noise.randbytes
    bodies = {log_key(1, f"{number}/"): make(bytes_a_day) for number in range(8)}
    for key, body in bodies.items():
        store.put(key, body)
    held: list[int] = [0]
    store.before = lambda step, key: held.append(held[-1] + 1 if step == "fetch" and parse_log_key(key) else 0)
    outcome = run(store)
    assert not alone(outcome)
    assert finish(store, outcome) == []
    assert max(held) == at_a_time
    assert_exactly_once(store, bodies)
    assert logs_in(store) == []


@pytest.mark.parametrize("left_s", [0.0, 19.0, 20.01, 20.05])
def test_without_time_for_a_wave_its_day_groups_go_alone(left_s: float) -> None:
    """Nothing is begun that cannot be ended, and no message makes a copy of itself for ever."""
    store, bodies = many_days()
    outcome = run(store, pace=Pace(lambda: left_s))
    assert outcome.start_after is None or any(not one.remaining for one in outcome.outcomes)
    assert_nothing_lost(store, bodies)
    assert finish(store, outcome) == []
    assert_exactly_once(store, bodies)


def test_when_time_runs_out_between_waves_the_range_goes_on_behind_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done is told, what is left is a range of its own."""
    monkeypatch.setattr(passes, "WAVE_LOGS", 8)
    store, bodies = many_days()
    left = iter([1000.0] * 9)
    outcome = run(store, pace=Pace(lambda: next(left, 0.0)))
    done = [one for one in outcome.outcomes if not one.remaining]
    assert done
    assert outcome.start_after
    assert finish(store, outcome) == []
    assert_exactly_once(store, bodies)


def test_when_time_runs_out_while_packing_nothing_is_published() -> None:
    """The wave is dropped as a whole: no rollup, every original still there."""
    store, bodies = many_days(logs=30)
    fetched: list[str] = []
    store.before = lambda step, key: fetched.append(key) if step == "fetch" else None
    outcome = run(store, pace=Pace(lambda: 0.0 if fetched else 1000.0))
    assert rollups(store) == []
    assert logs_in(store) == sorted(bodies)
    assert len(alone(outcome)) == 8


@pytest.mark.heavy
def test_one_huge_range_of_incompressible_logs_takes_bounded_memory() -> None:
    """Forty days of 2 MiB each, that no compression makes smaller: 24 MiB at a time, and what the writer needs."""
    store = MemoryStore()
    noise = Random(2)
    for number in range(40):
        store.put(log_key(1, f"{number:02}/"), noise.randbytes(PIECE_BYTES))
    tracemalloc.start()
    try:
        before = sum(len(stored.body) for stored in store.objects.values())
        outcome = run(store)
        after = sum(len(stored.body) for stored in store.objects.values())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert not alone(outcome)
    # The store holds the rollups already, and a wave's originals are not deleted yet.
    assert peak < after + 2 * wave_packing.PACKED_BYTES, (peak, before, after)


def test_an_original_replaced_while_it_is_read_sends_its_day_group_alone() -> None:
    """It is looked at again; nothing is deleted that was not packed."""
    store, bodies = many_days(days=1)
    key = log_key(2, "b/")

    def replace_it(step: str, touched: str) -> None:
        if step == "fetch" and touched == key:
            store.before = no_step
            bodies[key] = b"another\n"
            store.put(key, bodies[key])

    store.before = replace_it
    outcome = run(store)
    assert alone(outcome) == {BAD}
    assert finish(store, outcome) == []
    assert_exactly_once(store, bodies)


def test_encrypted_originals_are_proven_by_what_was_downloaded() -> None:
    """Their ETags are not MD5s: the digest of the download counts, as it does for a day group alone."""
    store = MemoryStore()
    bodies = {log_key(number, prefix): b"%d" % number for prefix in "ab" for number in range(3)}
    for number, (key, body) in enumerate(sorted(bodies.items())):
        store.put(key, body, etag=f"{number:032x}", encrypted=True)
    assert not alone(run(store, delete=False))
    assert_exactly_once(store, bodies)
    outcome = run(store)  # leftovers of this kind are read once more, which reconcile does
    assert len(alone(outcome)) == 2
    assert finish(store, outcome) == []
    assert logs_in(store) == []


def test_outcomes_cross_processes() -> None:
    """A pass may run in a child process: what comes of it is plain data."""
    store, _ = many_days(days=1)
    outcome = run(store)
    assert pickle.loads(pickle.dumps(outcome)) == outcome


def test_a_newer_rollup_stops_its_own_day_only() -> None:
    """The others of the pass are done; that day is left alone with an error, whatever runs it."""
    store, bodies = many_days()
    run(store, delete=False)
    key = next(key for key in rollups(store) if key.startswith(BAD.rollups_prefix))
    store.put(key, newer(store.objects[key].body))
    outcome = run(store)
    assert alone(outcome) == {BAD}
    assert [type(error) for error in finish(store, outcome)] == [NewerFormat]
    assert set(logs_in(store)) == of_group(BAD, bodies)


def test_days_longer_than_a_page_are_rolled_up_in_the_pass() -> None:
    """Their rollups are not in the listing of the range, and are looked for before anything is fetched."""
    store, bodies = many_days(logs=12)
    store.page_size = 5
    run(store, delete=False)
    assert_exactly_once(store, bodies)
    bodies |= put_logs(store, [70_000], "b/")
    outcome = run(store)
    assert not alone(outcome)
    assert_exactly_once(store, bodies)
    assert logs_in(store) == []


def test_a_day_whose_rollups_cannot_be_looked_for_is_not_even_fetched() -> None:
    """Nobody knows what they hold; the others are done."""
    store, bodies = many_days(days=1, logs=12)
    store.page_size = 5
    steps: list[tuple[str, str]] = []

    def before(step: str, key: str) -> None:
        steps.append((step, key))
        if step == "list" and key.startswith(BAD.rollups_prefix):
            raise StorageError("no", code="Network")

    store.before = before
    outcome = run(store)
    assert alone(outcome) == {BAD}
    assert set(logs_in(store)) == of_group(BAD, bodies)
    assert not [key for step, key in steps if step == "fetch" and key in of_group(BAD, bodies)]
