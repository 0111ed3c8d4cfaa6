"""A day that does not fit the time is done in steps: windows of the listing, no step without progress."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support.logs import DAY, PREFIX
from tests.support.memory_day import (
    TASK,
    a_day,
    assert_exactly_once,
    assert_nothing_lost,
    run,
)
from tests.support.memory_store import no_step

from s3_log_roller.errors import (
    RollerError,
)
from s3_log_roller.log_keys import DayGroup, parse_log_key
from s3_log_roller.rolling import reconcile as reconcile_module
from s3_log_roller.rolling.outcome import RollOutcome
from s3_log_roller.rolling.pace import Pace


class Windowed(Pace):
    """Under a deadline that leaves time for four originals at a time."""

    def allowance(self, max_members: int | None) -> int:
        return min(4, max_members or 4)


class Late(Windowed):
    """The same, when the time is over."""

    is_short = True


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

    passes: list[RollOutcome] = []
    while not passes or passes[-1].remaining:
        store.before = note
        listed = 0
        passes.append(run(store, delete=delete, pace=Windowed()))
        assert delete is False or listed <= 3
        assert passes[-1].figures.packed or not passes[-1].remaining
        store.before = no_step
        assert_nothing_lost(store, bodies)
    steps = [one.figures.packed for one in passes if one.figures.packed]
    assert steps == [4] * (count // 4) + ([count % 4] if count % 4 else [])
    assert len(passes) == -(-count // 4)
    assert_exactly_once(store, bodies)
    again = run(store, delete=delete, pace=Windowed())
    assert (again.figures.packed, again.remaining) == (0, 0)
    assert again.figures.leftovers == (0 if delete else count)
    assert run(store, delete=True, pace=Windowed()).figures.deleted == (0 if delete else count)
    assert not [key for key in store.objects if parse_log_key(key)]
    assert_exactly_once(store, bodies)


def test_windows_of_keys_that_are_no_logs_are_gone_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bystanders and nested logs fill some windows: they are reported or passed over, the logs behind are found."""
    monkeypatch.setattr(reconcile_module, "MIN_WINDOW_KEYS", 4)
    store, bodies = a_day(3)
    for number in range(13):
        store.put(f"{PREFIX}{DAY}-00-00-00-{number}", b"no log")
        store.put(f"{PREFIX}{DAY}-0{number}/{DAY}-00-00-00-0000000000000001", b"nested")
    found: set[DayGroup] = set()
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

    with pytest.raises(RollerError, match="too many logs to list"):
        run(store, pace=Late())
    assert_exactly_once(store, bodies)


def test_a_giant_day_of_leftovers_gets_done_window_by_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the time is over, what was deleted until then is a step; it is no failure."""
    monkeypatch.setattr(reconcile_module, "MIN_WINDOW_KEYS", 4)
    store, bodies = a_day(11)
    run(store)

    passes = [run(store, delete=True, pace=Late()) for _ in range(3)]
    assert [(one.figures.deleted, one.remaining) for one in passes] == [(4, 1), (4, 1), (3, 0)]
    assert_exactly_once(store, bodies)


def test_a_step_of_one_is_a_step() -> None:
    """The smallest allowance still gets on."""
    store, bodies = a_day(3)
    task = replace(TASK, max_members=1)
    assert [run(store, task, delete=True).remaining for _ in range(3)] == [2, 1, 0]
    assert_exactly_once(store, bodies)


def test_no_time_left_starts_nothing() -> None:
    """Not even an upload; the error says so."""
    store, _ = a_day()
    touched: list[str] = []
    store.before = lambda step, key: touched.append(step)
    with pytest.raises(RollerError, match=r"no time left to start on s3://bucket/example.com/2022-07-01"):
        run(store, delete=True, pace=Pace(lambda: 0.0))
    assert set(touched) == {"list"}
