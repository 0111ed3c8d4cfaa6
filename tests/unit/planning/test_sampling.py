from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from random import Random

import pytest
from tests.support.memory_store import MemoryStore

from s3_log_roller.demo.sample_logs import sample_key
from s3_log_roller.planning.sampling import plus_minus
from s3_log_roller.planning.stocktaking import take_inventory
from s3_log_roller.rolling.window import Window

WINDOW = Window(date(2022, 7, 10))
MIDNIGHT = datetime(2022, 7, 1, tzinfo=UTC)


def evenly(rng: Random) -> datetime:
    return MIDNIGHT + timedelta(seconds=rng.randrange(86_400))


def by_office_hours(rng: Random) -> datetime:
    return MIDNIGHT + timedelta(seconds=min(86_399, max(0, rng.gauss(43_200, 12_000))))


def at_midnight(rng: Random) -> datetime:
    """As keys that are date-partitioned by event time have it."""
    return MIDNIGHT


@pytest.mark.parametrize("when", [evenly, by_office_hours, at_midnight])
def test_a_sample_says_how_far_off_it_may_be(when: object) -> None:
    """With fewer requests than counting, and the truth is within what it says."""
    rng = Random(5)
    store = MemoryStore(page_size=100)
    for _ in range(12_000):
        store.put(sample_key("web/", when(rng), rng), b"x" * rng.randint(500, 1_500))  # type: ignore[operator]
    store.put("web/2022-07-02-00-00-00-0123456789ABCDEF", b"small day")
    counted = take_inventory(store, "", WINDOW)
    sampled = take_inventory(store, "", WINDOW, sampling=Random(1))
    assert sampled.lists < counted.lists / 4
    (truth, one), (estimate, same) = counted.days, sampled.days
    assert (one.logs, same.logs, same.variance) == (1, 1, 0.0)
    off = plus_minus(estimate.variance)
    assert abs(estimate.logs - truth.logs) <= off < truth.logs / 2
    assert estimate.bytes / estimate.logs == pytest.approx(truth.bytes / truth.logs, rel=0.05)


def test_days_of_a_page_are_counted() -> None:
    """There is nothing to estimate, and nothing to be off by."""
    store = MemoryStore()
    rng = Random(5)
    for _ in range(900):
        store.put(sample_key("web/", evenly(rng), rng), b"x")
    sampled = take_inventory(store, "", WINDOW, sampling=Random(1))
    assert [(day.logs, day.variance) for day in sampled.days] == [(900, 0.0)]
