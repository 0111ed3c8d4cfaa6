"""docs/evidence/scale.md rests on proof/simulate_scale.py: what that models is held to the program itself."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import replace
from hashlib import md5

import pytest
from proof import simulate_scale as simulation
from proof.simulate_scale import Container, Group, Result, World
from tests.support.logs import log_key
from tests.support.memory_day import (
    rollups,
    run,
)
from tests.support.memory_store import MemoryStore

from s3_log_roller.rollup import read_footer
from s3_log_roller.store import ByteRange, Page

LOGS = 14_000
MEASURED_MILLION_MIB = 143
"""Peak of a command-line run over one day group of a million logs."""


class Counting(MemoryStore):
    """Counts the requests of each kind."""

    def __init__(self) -> None:
        super().__init__()
        self.lists = self.gets = 0

    def list_page(
        self, prefix: str, start_after: str = "", *, max_keys: int = 1000, continuation_token: str = ""
    ) -> Page:
        self.lists += 1
        return super().list_page(prefix, start_after, max_keys=max_keys)

    def fetch(self, pieces: Iterable[ByteRange]) -> Generator[tuple[bytes, bytes], None, None]:
        listed = list(pieces)
        self.gets += len(listed)
        yield from super().fetch(listed)


@pytest.fixture(scope="module")
def rolled() -> tuple[Counting, bytes]:
    """A day group that was rolled up and is still listed, and its rollup."""
    store = Counting()
    for number in range(LOGS):
        body = b"log %d" % number
        store.put(f"{log_key(number * 6)[:-16]}{md5(body).hexdigest()[:16].upper()}", body)
    run(store)
    (key,) = rollups(store)
    return store, store.objects[key].body


def test_a_days_end_is_that_of_the_programs_rules() -> None:
    """All logs are packed, each is fetched once, and no more tasks run than there are day groups."""
    world = World(logs_per_day=3e6, groups=3, concurrency=20)
    result = simulation.simulate(world)
    assert (result.done_logs, result.stuck_groups, result.peak_busy) == (3_000_000, 0, 3)
    assert result.cost(world)["GET"] == pytest.approx(1.2, rel=0.01)


def test_no_more_runs_at_once_than_there_are_day_groups_or_places() -> None:
    """The accounts have different numbers of day groups; the sum is what runs."""
    for groups, concurrency, most in ((10, 1000, 10), (100, 7, 21)):
        world = World(logs_per_day=groups * 1e5, groups=groups, concurrency=concurrency)
        assert simulation.simulate(world).peak_busy == most


def test_slow_spells_are_worked_off_in_smaller_steps() -> None:
    """What ran short is sent again with fewer logs and grows again: everything gets done."""
    result = simulation.simulate(World(logs_per_day=3e7, groups=3, slow_share=0.3))
    assert result.smaller_steps > 0
    assert (round(result.done_logs, -3), result.stuck_groups) == (30_000_000, 0)


def test_without_deleting_a_giant_day_group_gets_stuck() -> None:
    """What earlier steps packed is listed before the rest: ten million do not fit, with deleting they do."""
    giant = World(logs_per_day=1e7, groups=1, accounts=1, spread=0.0)
    assert simulation.simulate(giant).stuck_groups == 0
    kept = simulation.simulate(replace(giant, deleting=False))
    assert kept.stuck_groups == 1
    assert kept.smaller_steps > 0
    assert 0 < kept.done_logs < 10_000_000


@pytest.mark.heavy
def test_the_requests_for_a_day_that_is_still_listed_are_those_of_reconcile(rolled: tuple[Counting, bytes]) -> None:
    """The second run over the same logs: so many LISTs and GETs, counted on both sides."""
    store, rollup = rolled
    store.lists = store.gets = 0
    run(store)
    data_bytes = read_footer(rollup, len(rollup)).data_bytes
    modelled, _ = simulation.rerun(World(log_bytes=1, ratio=data_bytes / LOGS), LOGS)
    assert (modelled.lists, modelled.gets) == (store.lists, store.gets)


@pytest.mark.heavy
def test_the_index_is_as_large_as_assumed(rolled: tuple[Counting, bytes]) -> None:
    """Of a whole day with random names, per member."""
    _, rollup = rolled
    footer = read_footer(rollup, len(rollup))
    per_member = (len(rollup) - footer.data_bytes) / LOGS
    assert 0.8 * simulation.INDEX_BYTES < per_member <= simulation.INDEX_BYTES


def test_the_memory_assumed_is_not_below_what_was_measured() -> None:
    """A million logs at once, as on the command line."""
    modelled = simulation.memory_mib(World(), 1_000_000, 1_000_000, 1_000_000, 0)
    assert MEASURED_MILLION_MIB <= modelled < 1.15 * MEASURED_MILLION_MIB


def test_what_memory_cannot_hold_ends_in_the_dead_letter_queue() -> None:
    """Killed five times, and no more."""
    world = World(memory_mib=90)
    total, group = Result(), Group(10_000_000)
    ends = [simulation.invoke(world, group, Container(world), total) for _ in range(5)]
    assert ends == ["failed"] * 4 + ["stuck"]
    assert (total.killed, total.why) == (5, {"memory"})
