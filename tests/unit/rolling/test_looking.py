"""The rollups of many day groups are found in one listing of each target prefix."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from tests.support.memory_store import MemoryStore

from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rolling.looking import find_rollups

FIRST = date(2022, 6, 20)


def filled(page_size: int, days: int = 20) -> tuple[MemoryStore, dict[DayGroup, list[str]]]:
    """Two rollups of each day under two target prefixes, and what lies among them; the rollups by day group."""
    store = MemoryStore(page_size=page_size)
    rollups: dict[DayGroup, list[str]] = {}
    for prefix in ("a/", "b/"):
        for number in range(days):
            day = FIRST + timedelta(number)
            store.put(f"{prefix}{day}-05-15-43-42117B9A70B0F1BA", b"log")
            store.put(f"{prefix}rollup-{day}-readme.txt", b"no rollup")
            rollups[DayGroup("bucket", prefix, day)] = [f"{prefix}rollup-{day}-{n}0000000.tgz" for n in (1, 2)]
    for key in [key for keys in rollups.values() for key in keys]:
        store.put(key, b"rollup")
    return store, rollups


@pytest.mark.parametrize("page_size", [1, 2, 7, 1000])
@pytest.mark.parametrize("numbers", [[0], [3, 4, 5], [5, 12, 19]])
def test_every_rollup_is_found_however_many_pages_they_take(page_size: int, numbers: list[int]) -> None:
    """One that is missed would have its logs packed once more."""
    store, rollups = filled(page_size)
    wanted = [DayGroup("bucket", prefix, FIRST + timedelta(n)) for prefix in ("b/", "a/") for n in numbers]
    found = find_rollups(store, wanted)
    assert {
        group: [entry.key for entry in entries] for group, entries in found.items() if isinstance(entries, list)
    } == {group: rollups[group] for group in wanted}


def test_a_look_at_some_days_lists_none_of_the_others() -> None:
    """Of twenty days with three objects each, three days are nine objects, and one more page may tell that they end."""
    store, rollups = filled(page_size=1)
    listed = 0

    def count(step: str, key: str) -> None:
        nonlocal listed
        listed += step == "list"

    store.before = count
    find_rollups(store, list(rollups)[3:6])
    assert listed <= 3 * 3 + 1
