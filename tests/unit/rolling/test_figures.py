"""What a run tells of itself: figures of what happened, and progress while it happens."""

from __future__ import annotations

from collections.abc import Iterable

from tests.support.logs import TODAY, log_key
from tests.support.memory_day import (
    TASK,
    a_day,
    rollups,
)
from tests.support.memory_store import MemoryStore

from s3_log_roller.rolling.options import RollOptions
from s3_log_roller.rolling.reconcile import reconcile
from s3_log_roller.store import DeleteReport


def test_the_figures_of_a_run_are_those_of_what_happened() -> None:
    """Bytes in and out, deleted, markers, leftovers, over several looks."""
    store, bodies = a_day()
    markers = 0
    real = store.delete

    def delete(objects: Iterable[tuple[str, str]]) -> DeleteReport:
        nonlocal markers
        report = real(objects)
        markers += 1
        report.markers = 2
        return report

    store.delete = delete  # type: ignore[method-assign]
    ticks: list[tuple[int, int]] = []
    outcome = reconcile(
        store, TASK, RollOptions(True, 1), today=TODAY, on_progress=lambda logs, size: ticks.append((logs, size))
    )
    (key,) = rollups(store)
    assert outcome.figures.bytes_in == sum(map(len, bodies.values())) == sum(size for _, size in ticks)
    assert outcome.figures.bytes_out == len(store.objects[key].body)
    assert (outcome.figures.packed, outcome.figures.deleted, outcome.figures.delete_markers) == (9, 9, 2)
    assert sum(logs for logs, _ in ticks) == 9
    assert (outcome.figures.leftovers, outcome.figures.archived, outcome.remaining) == (0, 0, 0)


def test_progress_is_told_every_hundred_logs_and_every_sixteen_megabytes() -> None:
    """So that a bar moves, and so that time running short is noticed soon."""
    store = MemoryStore()
    for number in range(250):
        store.put(log_key(number), b"x")
    ticks: list[int] = []
    reconcile(store, TASK, RollOptions(False, 1), today=TODAY, on_progress=lambda logs, size: ticks.append(logs))
    assert ticks == [100, 100, 50]
    store = MemoryStore()
    for number in range(5):
        store.put(log_key(number), bytes(8 << 20))
    ticks.clear()
    reconcile(store, TASK, RollOptions(False, 1), today=TODAY, on_progress=lambda logs, size: ticks.append(logs))
    assert ticks == [2, 2, 1]
