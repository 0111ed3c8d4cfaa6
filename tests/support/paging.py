"""`Store.next_pages` for stores that list one page at a time."""

from __future__ import annotations

from collections.abc import Sequence

from s3_log_roller.errors import StorageError
from s3_log_roller.store import Page, Pager, ReadStore


def next_pages(store: ReadStore, pagers: Sequence[Pager]) -> list[Page | StorageError]:
    """The next page of each listing, one after the other, or why it can't be had."""
    return [_next_page(store, pager) for pager in pagers]


def _next_page(store: ReadStore, pager: Pager) -> Page | StorageError:
    try:
        page = store.list_page(pager.prefix, pager.start_after)
        pager.take(page)
    except StorageError as error:
        return error
    return page
