"""Thousands of schedules of producers and workers, each from a seed; `make prove` plays a million and more.

docs/evidence/reliability.md has the figures. `.venv/bin/python -m proof.simulate --trace SEED` shows one, step by step.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from types import ModuleType
from typing import Any

import pytest
from tests.support.simulation.ledger import Broken
from tests.support.simulation.server import Connection
from tests.support.simulation.world import World, play, traced

from s3_log_roller.rolling import reconcile, wave
from s3_log_roller.rolling.wave import Wave
from s3_log_roller.rolling.wave_day import Day
from s3_log_roller.rollup.verify import Verified
from s3_log_roller.store import ListedObject, list_objects

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


def play_until_broken(most: int = 1000) -> None:
    """Play schedules until a promise is broken, which is raised."""
    for seed in range(most):
        play(seed)


def test_deleting_without_reading_back_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulation can fail: a verify that believes the upload, of a day group that goes alone."""

    def believe(store: Any, group: Any, rollup: Any, originals: Any, md5s: Any, **how: Any) -> Verified:
        return Verified(rollup, originals)

    monkeypatch.setattr(reconcile, "verify", believe)
    with pytest.raises(Broken, match="has not read"):
        play_until_broken()


def test_a_pass_that_deletes_without_reading_back_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for day groups that go together."""

    def believe(wave: Wave, published: list[tuple[Day, ListedObject]]) -> None:
        for day, rollup in published:
            wave._take_proof(day, Verified(rollup, day.loose))

    monkeypatch.setattr(Wave, "_read_back", believe)
    with pytest.raises(Broken, match="has not read"):
        play_until_broken()


@pytest.mark.parametrize("module", [reconcile, wave])
def test_deleting_what_no_rollup_holds_is_noticed(monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> None:
    """A delete that takes the whole day with it: logs that this rollup does not hold are lost."""

    def delete(store: Connection, proven: list[Verified], *rest: object) -> list[None]:
        found = [list_objects(store, verified.originals.group.logs_prefix) for verified in proven]
        store.delete([(entry.key, entry.etag) for entry in chain.from_iterable(found)])
        return [None for _ in proven]

    monkeypatch.setattr(module, "delete_verified", delete)
    with pytest.raises(Broken, match="was deleted"):
        play_until_broken()


def test_publishing_over_another_rollup_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server for which `If-None-Match` means nothing: a rollup that somebody relied on is gone."""

    class Careless(dict[str, Any]):
        def __contains__(self, key: object) -> bool:
            return False

    def world(seed: int) -> World:
        made = World(seed)
        made.bucket.objects = Careless()
        return made

    monkeypatch.setattr(play.__module__ + ".World", world)
    with pytest.raises(Broken):
        play_until_broken(3000)


def test_packing_without_a_last_look_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it more logs are packed twice."""

    def doubled_logs() -> int:
        return sum((play(seed).doubled for seed in range(600)), Counter[str]()).total()

    with_it = doubled_logs()
    monkeypatch.setattr(reconcile._Reconciler, "_look_for_others", lambda self, rollups: None)
    monkeypatch.setattr(Wave, "_look_for_others", lambda self, by_key, keys: list(keys))
    assert doubled_logs() > 1.5 * with_it


def test_packing_what_an_archived_rollup_may_hold_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without that care logs are packed twice for a reason that no run may have."""
    monkeypatch.setattr(reconcile, "without_uncertain", lambda originals, outlines: originals)
    doubled = sum((play(seed).doubled for seed in range(600)), Counter[str]())
    assert set(doubled) - KNOWN_CAUSES
