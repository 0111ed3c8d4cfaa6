"""Nothing that a run says of rollups goes beyond what it saw; damage is told of for as long as it lasts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.logs import DAY, TODAY, log_key
from tests.support.memory_day import TASK, Killed, a_day, put_logs, roll, run
from tests.support.memory_day import rollups as rollups_in
from tests.support.memory_store import MemoryStore, no_step

from s3_log_roller.errors import DamagedRollup, StorageError
from s3_log_roller.log_keys import parse_log_key
from s3_log_roller.rolling import range_listing, reconcile
from s3_log_roller.rolling.leftovers import PROVEN_AGAIN_DAYS, Leftovers
from s3_log_roller.rolling.options import RollOptions
from s3_log_roller.rolling.pace import Pace
from s3_log_roller.rolling.passes import roll_range
from s3_log_roller.rolling.tasks import RangeTask
from s3_log_roller.rollup.verify import Verified


def publish(store: MemoryStore, *, days_ago: int, damaged: bool = False) -> str:
    """Make the only rollup one that was published so many days ago, perhaps with a flipped bit in its data."""
    (key,) = rollups_in(store)
    stored = store.objects[key]
    body = stored.body
    if damaged:
        body = body[:40] + bytes([body[40] ^ 1]) + body[41:]
    moment = datetime(TODAY.year, TODAY.month, TODAY.day, 1, tzinfo=UTC) - timedelta(days_ago)
    store.put(key, body, mtime=int(moment.timestamp()))
    return key


@pytest.mark.parametrize("days_ago", range(PROVEN_AGAIN_DAYS + 1))
def test_damage_of_a_young_rollup_is_told_by_every_plain_run(days_ago: int) -> None:
    """Not only by the run that made the rollup: redeliveries and the runs of the next days fail, too."""
    store, _ = a_day()
    run(store)
    key = publish(store, days_ago=days_ago, damaged=True)
    for _ in range(3):
        with pytest.raises(DamagedRollup, match=key):
            run(store)


def test_a_young_rollup_is_proven_and_an_old_one_is_not_called_proven() -> None:
    """The figures tell what was read back in this run, and nothing else."""
    store, bodies = a_day()
    run(store)
    publish(store, days_ago=1)
    young = run(store).figures
    publish(store, days_ago=PROVEN_AGAIN_DAYS + 1)
    old = run(store).figures
    assert (young.leftovers, young.leftovers_proven) == (len(bodies), len(bodies))
    assert (old.leftovers, old.leftovers_proven) == (len(bodies), 0)


def test_a_rollup_is_proven_once_however_many_windows_its_day_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a giant day takes under a deadline must not grow with its windows."""
    store, _ = a_day(8, page_size=2)
    run(store)
    publish(store, days_ago=0)
    proofs: list[str] = []
    prove = Leftovers.prove

    def note(leftovers: Leftovers, *how: Any) -> Verified:
        proofs.append(leftovers.rollup.key)
        return prove(leftovers, *how)

    class FourAtATime(Pace):
        def allowance(self, max_members: int | None) -> int:
            return 4

    monkeypatch.setattr(reconcile, "MIN_WINDOW_KEYS", 2)
    monkeypatch.setattr(Leftovers, "prove", note)
    run(store, pace=FourAtATime())
    assert proofs == rollups_in(store)


def test_a_rollup_that_was_published_and_not_read_back_is_proven_by_the_next_run() -> None:
    """The process was killed in between, and what it had published is damaged: nothing calls it right."""
    store, bodies = a_day()

    def die(step: str, key: str) -> None:
        if step == "finish":
            raise Killed

    store.after = die
    with pytest.raises(Killed):
        run(store)
    store.after = no_step
    publish(store, days_ago=0, damaged=True)
    with pytest.raises(DamagedRollup):
        run(store)
    assert set(bodies) < set(store.objects)


def test_a_planted_rollup_of_other_bytes_does_not_hide_logs() -> None:
    """It has the right names, sizes and digest starts in its index: whoever reads it back sees that it lies."""
    store, bodies = a_day()
    run(store)
    publish(store, days_ago=0)
    victim = sorted(bodies)[3]
    stored = store.objects[victim]
    store.objects[victim] = stored._replace(etag=stored.etag[:8] + "0" * 24)
    with pytest.raises(DamagedRollup, match="other bytes than 1 originals"):
        run(store)


def test_where_time_is_short_a_young_rollup_is_left_unproven_and_said_to_be() -> None:
    """Proving must not take the time that the rest of the day needs."""
    store, bodies = a_day()
    run(store)
    publish(store, days_ago=0)
    figures = run(store, pace=Pace(lambda: 20.01)).figures
    assert (figures.leftovers, figures.leftovers_proven) == (len(bodies), 0)


def test_a_day_that_was_found_and_is_not_there_is_an_error() -> None:
    """A scan saw logs of it: neither logs nor rollups now means that something is wrong, not that all is done."""
    with pytest.raises(StorageError, match="neither logs nor rollups, although a scan found logs"):
        run(MemoryStore())


@pytest.mark.parametrize(("kept", "absent"), [("logs", 0), ("rollups", 0), ("nothing", 1)])
def test_a_pass_tells_of_day_groups_that_were_found_and_are_gone(kept: str, absent: int) -> None:
    """The range says how many the scan found; one that left nothing behind is not passed over in silence."""
    store = MemoryStore()
    for prefix in ("a/", "b/", "c/"):
        put_logs(store, range(3), prefix)
    if kept == "rollups":
        roll(store, "b/", DAY)
    if kept == "nothing":
        for key in [key for key in store.objects if key.startswith("b/")]:
            del store.objects[key]
    outcome = roll_range(store, RangeTask("bucket", "", TASK.window, groups=3), RollOptions(True, 1), today=TODAY)
    assert outcome.absent == absent
    assert len(outcome.outcomes) == (3 if kept == "logs" else 2)
    assert not any(one.remaining for one in outcome.outcomes)


def test_a_pass_that_goes_on_elsewhere_misses_no_day_group_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it didn't see may lie behind the place where the range goes on."""
    monkeypatch.setattr(range_listing, "MAX_DAYS", 1)
    store = MemoryStore()
    for prefix in ("a/", "b/", "c/"):
        put_logs(store, range(3), prefix)
    outcome = roll_range(store, RangeTask("bucket", "", TASK.window, groups=3), RollOptions(True, 1), today=TODAY)
    assert outcome.start_after is not None
    assert outcome.absent == 0


def test_a_day_whose_logs_another_worker_deleted_is_done() -> None:
    """That one left a rollup: there is nothing wrong, and nothing to do."""
    store, _ = a_day()
    run(store, delete=True)
    assert not any(map(parse_log_key, store.objects))
    assert run(store).figures.leftovers == 0


def test_a_day_of_nothing_but_archived_logs_is_no_error() -> None:
    """They are there, and counted."""
    store = MemoryStore()
    store.put(log_key(1), b"x")
    store.archive(log_key(1))
    assert run(store).figures.archived == 1
