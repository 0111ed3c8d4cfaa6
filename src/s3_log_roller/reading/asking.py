"""Days with loose logs: what is asked about each of them is asked for at once, a few days at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import Final

from s3_log_roller.ahead import AskedAhead
from s3_log_roller.errors import RollerError
from s3_log_roller.log_keys import DayGroup, parse_rollup_key
from s3_log_roller.reading.groups import Group, Stores, loose_prefix
from s3_log_roller.rollup.stored import tail_range
from s3_log_roller.store import Page

MOST_GROUPS: Final = 32
"""Groups that are asked about together: a page of each is held, and the ends of its rollups."""


def by_few(groups: Iterable[Group]) -> Iterator[list[Group]]:
    """The groups in their order, one at first, so that work starts soon, then more at a time."""
    source = iter(groups)
    size = 1
    while few := list(islice(source, size)):
        yield few
        size = min(MOST_GROUPS, 2 * size)


class _Asked(dict[str, AskedAhead]):
    """`Stores` that can be asked ahead."""

    def __init__(self, stores: Stores) -> None:
        super().__init__()
        self._stores = stores

    def __missing__(self, bucket: str) -> AskedAhead:
        self[bucket] = AskedAhead(self._stores(bucket))
        return self[bucket]

    __call__ = dict.__getitem__


def ask_for_originals(stores: Stores, days: Iterable[DayGroup]) -> Stores:
    """The stores, with the first page of each of these days' originals at hand."""
    store = _Asked(stores)
    prefixes: dict[str, dict[str, None]] = {}
    for day in days:
        prefixes.setdefault(day.bucket, {})[day.logs_prefix] = None
    with suppress(RollerError):
        for bucket, of_bucket in prefixes.items():
            store(bucket).ask_for_pages(list(of_bucket))
    return store


def ask_ahead(stores: Stores, groups: Iterable[Group]) -> Stores:
    """The stores, with answers at hand to what `find_shares` asks about those of the groups that have loose logs.

    As there, rollups are listed behind the loose logs of their day. What can't be had is asked for again, and told of
    then.
    """
    mixed = [(group, group.day_group) for group in groups if group.has_loose and group.loose is None]
    if len(mixed) < 2:
        return stores
    store = _Asked(stores)
    with suppress(RollerError):
        listed = []
        for bucket in {group.bucket: None for group, _ in mixed}:
            days = [(group, day) for group, day in mixed if group.bucket == bucket and day is not None]
            prefixes = [loose_prefix(day, group.selection) for group, day in days]
            pages = store(bucket).ask_for_pages(prefixes)
            # Behind a first page that is not all, rollups would be listed too early.
            listed += [one for one, prefix in zip(days, prefixes, strict=True) if _is_all(pages.get(prefix))]
        places = [(place, day) for group, day in listed for place in (group.bucket, group.elsewhere) if place]
        for place in {place: None for place, _ in places}:
            _ask_for_rollups(store(place), [day for other, day in places if other == place])
    return store


def _is_all(page: Page | None) -> bool:
    return page is not None and not page.truncated and bool(page.objects)


def _ask_for_rollups(store: AskedAhead, days: list[DayGroup]) -> None:
    pages = store.ask_for_pages([day.rollups_prefix for day in days])
    found = [entry for page in pages.values() for entry in page.objects if parse_rollup_key(entry.key)]
    store.ask_for_ranges([tail_range(rollup) for rollup in found if rollup.size and not rollup.archived])
