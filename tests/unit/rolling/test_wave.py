"""Day groups that are rolled up together: what is read, proven and counted for each of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from tests.support.logs import DAY, TODAY, log_key
from tests.support.memory_day import assert_exactly_once, put_logs, rollups
from tests.support.memory_store import MemoryStore, no_step

from s3_log_roller.errors import StorageError
from s3_log_roller.log_keys import DayGroup, parse_log_key
from s3_log_roller.rolling import passes, wave
from s3_log_roller.rolling.fetching import PIECE_BYTES
from s3_log_roller.rolling.leftovers import PROVEN_AGAIN_DAYS
from s3_log_roller.rolling.options import RollOptions
from s3_log_roller.rolling.outcome import PassOutcome
from s3_log_roller.rolling.pace import Pace
from s3_log_roller.rolling.passes import roll_range
from s3_log_roller.rolling.tasks import RangeTask
from s3_log_roller.rolling.window import Window
from s3_log_roller.rollup.originals import Originals
from s3_log_roller.rollup.stored import Index
from s3_log_roller.rollup.verify import Verified
from s3_log_roller.store import ByteRange

TASK = RangeTask("bucket", "", Window(TODAY))
SITES = ("a/", "b/", "c/")
B = DayGroup("bucket", "b/", DAY)


@pytest.fixture
def bodies(store: MemoryStore) -> dict[str, bytes]:
    """One day of four logs in each of three target prefixes."""
    made: dict[str, bytes] = {}
    for site in SITES:
        made |= put_logs(store, range(1, 5), site)
    return made


@pytest.fixture
def store() -> MemoryStore:
    """See `bodies`."""
    return MemoryStore()


def run(store: MemoryStore, *, delete: bool = True, **how: Any) -> PassOutcome:
    return roll_range(store, TASK, RollOptions(delete, 1), today=TODAY, **how)


def alone(outcome: PassOutcome) -> set[DayGroup]:
    return {one.group for one in outcome.outcomes if one.remaining}


def logs_in(store: MemoryStore, prefix: str = "") -> set[str]:
    return {key for key in store.objects if parse_log_key(key) and key.startswith(prefix)}


def published(store: MemoryStore, key: str, *, days_ago: int) -> None:
    """Make that rollup one of so many days ago."""
    moment = datetime(TODAY.year, TODAY.month, TODAY.day, 1, tzinfo=UTC) - timedelta(days_ago)
    store.objects[key] = store.objects[key]._replace(mtime=int(moment.timestamp()))


class AllowsSoMany(Pace):
    """There is time for so many logs at once."""

    def __init__(self, logs: int) -> None:
        super().__init__()
        self._most = logs

    def allowance(self, max_members: int | None) -> int:
        return self._most


def test_a_rollup_that_holds_less_than_was_packed_stops_its_day_group(
    store: MemoryStore, bodies: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However sound it is in itself: nothing of that day counts as packed, and none of its originals is deleted."""

    def one_less(index: Index, originals: Originals, md5s: object, **how: Any) -> Verified:
        return Verified(index.file.listed, originals.head(3) if originals.group == B else originals, "bucket")

    monkeypatch.setattr(wave, "verify_index", one_less)
    outcome = run(store)
    assert alone(outcome) == {B}
    assert logs_in(store) == {key for key in bodies if key.startswith("b/")}
    assert sum(one.figures.packed for one in outcome.outcomes) == 8


def test_a_planted_rollup_of_other_bytes_stops_its_day_group(store: MemoryStore, bodies: dict[str, bytes]) -> None:
    """Its index has the right names and sizes. An older rollup of the day, which is not read, comes before it."""
    run(store, delete=False)
    (first,) = (key for key in rollups(store) if key.startswith("b/"))
    (late,) = put_logs(store, [70_000], "b/")
    run(store, delete=False)
    old, young = sorted(key for key in rollups(store) if key.startswith("b/"))
    published(store, old, days_ago=PROVEN_AGAIN_DAYS + 1)
    published(store, young, days_ago=0)
    victim = log_key(1, "b/") if young == first else late
    store.objects[victim] = store.objects[victim]._replace(etag=store.objects[victim].etag[:8] + "0" * 24)
    assert alone(run(store, delete=False)) == {B}


@pytest.mark.parametrize("damaged", [False, True])
def test_rollups_that_are_too_large_for_one_request_are_proven(
    store: MemoryStore, bodies: dict[str, bytes], damaged: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In several requests: nothing is deleted on account of one that is not what was packed."""
    monkeypatch.setattr(wave, "READ_BYTES", 100)

    def spoil(step: str, key: str) -> None:
        if step == "finish" and damaged and key.startswith("b/"):
            stored = store.objects[key]
            store.put(key, stored.body[:30] + b"?" + stored.body[31:])

    store.after = spoil
    outcome = run(store)
    assert alone(outcome) == ({B} if damaged else set())
    assert logs_in(store) == ({key for key in bodies if key.startswith("b/")} if damaged else set())
    assert sum(one.figures.rollups for one in outcome.outcomes) == (2 if damaged else 3)


def test_a_rollup_that_just_fits_one_request_is_proven_once(
    store: MemoryStore, bodies: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is neither passed over nor counted twice."""
    run(store, delete=False)
    (key,) = (key for key in rollups(store) if key.startswith("b/"))
    monkeypatch.setattr(wave, "READ_BYTES", len(store.objects[key].body))
    for key in rollups(store):
        del store.objects[key]
    outcome = run(store)
    assert [one.figures.rollups for one in outcome.outcomes] == [1, 1, 1]
    assert logs_in(store) == set()


def test_a_day_of_more_than_one_block_is_whole(store: MemoryStore, bodies: dict[str, bytes]) -> None:
    """The rollup's bytes come piece by piece while its logs are packed."""
    for number in range(5, 9):
        key = log_key(number, "b/")
        bodies[key] = Random(number).randbytes(700_000)
        store.put(key, bodies[key])
    assert not alone(run(store))
    assert_exactly_once(store, bodies)
    assert logs_in(store) == set()


def test_a_day_with_many_rollups_goes_alone(
    store: MemoryStore, bodies: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading them all would cost more than it spares; nothing of it is touched."""
    monkeypatch.setattr(wave, "MAX_ROLLUPS", 2)
    for number in (70_000, 70_001):
        run(store, delete=False)
        put_logs(store, [number], "b/")
    run(store, delete=False)
    put_logs(store, [70_003], "b/")
    before = {key: stored for key, stored in store.objects.items() if key.startswith("b/")}
    assert alone(run(store)) == {B}
    assert before.items() <= store.objects.items()


class ReadingAhead(MemoryStore):
    """Asks for all before it gives the first, as a client with many requests under way does."""

    def fetch_each(self, ranges: Iterable[ByteRange]) -> Generator[tuple[bytes, bytes] | StorageError, None, None]:
        yield from super().fetch_each(list(ranges))


def test_answers_that_come_behind_an_error_are_passed_over() -> None:
    """They are of a day group that stopped; those of the others count."""
    store = ReadingAhead()
    bodies = {key: body for site in SITES for key, body in put_logs(store, range(1, 5), site).items()}

    def refuse(step: str, key: str) -> None:
        if step == "fetch" and key == log_key(2, "b/"):
            raise StorageError("no", code="Network")

    store.before = refuse
    outcome = run(store)
    assert alone(outcome) == {B}
    assert logs_in(store) == {key for key in bodies if key.startswith("b/")}
    store.before = no_step
    assert not alone(run(store))
    assert_exactly_once(store, bodies)


def test_every_log_is_counted_as_it_is_packed(store: MemoryStore, bodies: dict[str, bytes]) -> None:
    """Progress, and what is left of the time, follow from it."""
    counted: Counter[str] = Counter()

    def count(logs: int, n_bytes: int) -> None:
        counted.update(logs=logs, n_bytes=n_bytes)

    run(store, on_progress=count)
    assert counted == {"logs": len(bodies), "n_bytes": sum(map(len, bodies.values()))}


@pytest.mark.parametrize(("bound", "most"), [("WAVE_LOGS", 8), ("WAVE_DAYS", 2), ("pace", 8)])
def test_a_wave_holds_so_much_and_no_day_comes_in_two(
    store: MemoryStore, bodies: dict[str, bytes], bound: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two days, by any of the bounds; then a third one, and every log is asked for once."""
    if bound != "pace":
        monkeypatch.setattr(passes, bound, most)
    steps: list[str] = []

    def note(step: str, key: str) -> None:
        if step == "finish" or (step == "fetch" and parse_log_key(key)):
            steps.append(step)

    store.before = note
    assert not alone(run(store, pace=AllowsSoMany(8 if bound == "pace" else 1000)))
    assert steps == ["fetch"] * 8 + ["finish"] * 2 + ["fetch"] * 4 + ["finish"]
    assert_exactly_once(store, bodies)


def test_each_wave_is_measured(store: MemoryStore, bodies: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """So that under a time limit the next one is as large as the rate seen allows."""
    monkeypatch.setattr(passes, "WAVE_DAYS", 2)
    measured: list[int] = []

    class Measuring(Pace):
        def stopwatch(self) -> Callable[[int], None]:
            return measured.append

    run(store, pace=Measuring())
    assert measured == [8, 4]


def test_a_wave_that_does_not_fit_the_time_is_not_begun(store: MemoryStore, bodies: dict[str, bytes]) -> None:
    """Its day groups go alone, where a step may be smaller than a day."""
    before = dict(store.objects)
    outcome = run(store, pace=AllowsSoMany(3))
    assert alone(outcome) == {DayGroup("bucket", site, DAY) for site in SITES}
    assert store.objects == before


def test_a_range_that_goes_on_leaves_nothing_behind_that_place_to_other_tasks(
    store: MemoryStore, bodies: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What must go alone there is met again by the task for the rest."""
    monkeypatch.setattr(passes, "WAVE_DAYS", 1)
    for site in SITES:
        store.put(log_key(9, site, DAY + timedelta(1)), bytes(PIECE_BYTES + 1))
    made = 0

    def note(step: str, key: str) -> None:
        nonlocal made
        made += step == "finish"

    store.before = note

    class EndsWithTheFirst(Pace):
        def allowance(self, max_members: int | None) -> int:
            return 0 if made else 1000

    outcome = run(store, pace=EndsWithTheFirst())
    assert made == 1
    assert outcome.start_after is not None
    assert outcome.start_after.startswith("b/")
    assert alone(outcome) == {DayGroup("bucket", "a/", DAY + timedelta(1))}
    assert [one.group.target_prefix for one in outcome.outcomes if not one.remaining] == ["a/"]
