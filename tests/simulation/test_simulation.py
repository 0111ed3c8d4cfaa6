"""Thousands of schedules of producers and workers, each from a seed; `make prove` plays a million and more.

docs/evidence/reliability.md has the figures. `.venv/bin/python -m proof.simulate --trace SEED` shows one, step by step.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Iterator
from datetime import timedelta
from types import ModuleType

import pytest
from tests.support.logs import DAY
from tests.support.simulation.breaking import BREAKS, packing_what_an_archived_rollup_may_hold, without_a_last_look
from tests.support.simulation.ledger import Broken
from tests.support.simulation.world import CALM, PREFIXES, World, play, traced

from s3_log_roller.rolling import reconcile, wave

KNOWN_CAUSES = {
    "a late log that sorts first",
    "a first log that expired",
    "a listing that was out of date",
}
"""Why a log may be packed twice; see docs/decisions/0006-nothing-is-replaced.md."""


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("first", range(0, 3000, 500))
def test_no_schedule_loses_a_log_or_deletes_one_unproven(first: int) -> None:
    """Whatever fails, comes late or dies: every log is there or in a rollup, and a plain run reaches the end state.

    At every single delete a rollup held the same bytes, and the process that deleted had read all of that rollup.
    """
    outcomes = [play(seed) for seed in range(first, first + 500)]
    assert sum(outcome.deletes for outcome in outcomes) > 1000
    assert sum(outcome.restarts for outcome in outcomes) > 100
    doubled = sum((outcome.doubled for outcome in outcomes), Counter[str]())
    assert set(doubled) <= KNOWN_CAUSES
    assert sum(bool(outcome.doubled) for outcome in outcomes) <= 10


def test_a_seed_is_a_schedule() -> None:
    """The same seed gives the same steps, so a failure can be looked at again."""
    for seed in (3, 1959, 70_000):
        assert traced(seed) == traced(seed)
    assert traced(3) != traced(4)


@pytest.mark.parametrize("broken", BREAKS)
def test_a_broken_program_is_noticed(broken: str) -> None:
    """The simulation can fail: it does so within few schedules, whichever safeguard is taken out."""
    without_it, said = BREAKS[broken]
    with without_it(), pytest.raises(Broken, match=said):
        deque(map(play, range(1000)), maxlen=0)


class LateFirst(World):
    """Two workers on the same day groups, nothing that fails, and logs that come late and sort first."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, odds=CALM)

    def set_up(self) -> None:
        """See `World`."""
        for number in range(5, 17):
            for day in (DAY, DAY + timedelta(1)):
                self.deliver(number, PREFIXES[0], day)
        for _ in range(2):
            self.start_producer()
            self.start_worker(delete=False)
        self.schedule.add("deliverer", self._deliver_first)

    def _deliver_first(self) -> None:
        for number in reversed(range(5)):
            for _ in range(self.rng.randrange(20)):
                self.schedule.pause()
            self.deliver_late(number, PREFIXES[0])


def test_packing_without_a_last_look_is_noticed() -> None:
    """Logs are packed twice in ten times as many schedules: with it, only where both looked before either one wrote."""

    def schedules_with_doubles() -> int:
        return sum(bool(LateFirst(seed).run().doubled) for seed in range(200))

    with_it = schedules_with_doubles()
    with without_a_last_look():
        without_it = schedules_with_doubles()
    assert with_it <= 10
    assert without_it >= 30


@pytest.mark.parametrize("module", [reconcile, wave])
def test_packing_what_an_archived_rollup_may_hold_is_noticed(module: ModuleType) -> None:
    """Without that care logs are packed twice for a reason that no run may have."""
    with packing_what_an_archived_rollup_may_hold(module):
        doubled = sum((play(seed).doubled for seed in range(600)), Counter[str]())
    assert set(doubled) - KNOWN_CAUSES
