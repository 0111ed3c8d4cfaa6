"""The rollups of many day groups at once: neighbouring days of a target prefix share their listing."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from s3_log_roller.errors import StorageError
from s3_log_roller.log_keys import DayGroup, parse_rollup_key
from s3_log_roller.store import ListedObject, Pager, RollupStore

Found = list[ListedObject] | StorageError


def find_rollups(store: RollupStore, groups: Iterable[DayGroup]) -> dict[DayGroup, Found]:
    """The rollups of each day group in key order, or why they can't be listed."""
    found: dict[DayGroup, Found] = {}
    looks = []
    for _, neighbours in groupby(sorted(groups), key=lambda group: group.target_prefix):
        look = _Look(store, list(neighbours))
        found |= look.found
        looks.append(look)
    while pending := [look for look in looks if not look.pager.ended]:
        for look, page in zip(pending, store.next_pages([look.pager for look in pending]), strict=True):
            if isinstance(page, StorageError):
                found |= dict.fromkeys(look.found, page)
                look.pager.ended = True
            else:
                look.take(page.objects)
    return found


class _Look:
    """The rollups of some days of one target prefix."""

    def __init__(self, store: RollupStore, groups: list[DayGroup]) -> None:
        first, last = groups[0].rollups_prefix, groups[-1].rollups_prefix
        common = next(
            (at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first)
        )
        self.found: dict[DayGroup, list[ListedObject]] = {group: [] for group in groups}
        self._bucket = groups[0].bucket
        self._last = last[:-1] + "~"
        """Behind everything that begins with the last day, whatever a server thinks of `-` and `/`."""
        start_after = first.removesuffix("-") if common < len(first) else ""
        self.pager = Pager(store.bucket, first[:common], start_after)

    def take(self, objects: list[ListedObject]) -> None:
        """Take a page of the listing; what lies behind the last day is not listed."""
        for entry in objects:
            if entry.key > self._last:
                self.pager.ended = True
            key = parse_rollup_key(entry.key)
            if key is not None:
                of_day = self.found.get(DayGroup(self._bucket, key.target_prefix, key.day))
                if of_day is not None:
                    of_day.append(entry)
