"""Reconcile against stores that do not list as S3 does, and days that change while they are rolled up."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support.logs import DAY, PREFIX, log_key
from tests.support.memory_day import (
    a_day,
    assert_nothing_lost,
    run,
)
from tests.support.memory_store import MemoryStore

from s3_log_roller.errors import (
    ObjectGone,
    StorageError,
)
from s3_log_roller.rolling.reconcile import MAX_LOOKS
from s3_log_roller.store import ListedObject, Page


class Endless(MemoryStore):
    """Says that more follows, whatever it lists."""

    def list_page(
        self, prefix: str, start_after: str = "", *, max_keys: int = 1000, continuation_token: str = ""
    ) -> Page:
        return replace(super().list_page(prefix, start_after, max_keys=max_keys), truncated=True)


class Deaf(MemoryStore):
    """Lists from the beginning, whatever it is asked for."""

    def list_page(
        self, prefix: str, start_after: str = "", *, max_keys: int = 1000, continuation_token: str = ""
    ) -> Page:
        return replace(super().list_page(prefix), truncated=True)


@pytest.mark.parametrize("kind", [Endless, Deaf])
def test_a_listing_that_never_ends_is_an_error(kind: type[MemoryStore]) -> None:
    """Of the originals as well as of the rollups; nothing is packed from it."""
    for key in (log_key(1), f"{PREFIX}rollup-{DAY}-readme.tgz"):
        store = kind()
        store.put(key, b"x")
        with pytest.raises(StorageError, match=r"more follows|is not one that S3 gives"):
            run(store, delete=True)
        assert list(store.objects) == [key]


class LateListing(MemoryStore):
    """A server that shows a damaged entry: an ETag that no object has, sizes below zero, the same key twice."""

    entry = ListedObject(log_key(1), "", 1, 0, archived=False)
    times = 1

    def list_page(
        self, prefix: str, start_after: str = "", *, max_keys: int = 1000, continuation_token: str = ""
    ) -> Page:
        return Page([self.entry] * self.times if prefix.endswith(f"{DAY}-") and "rollup" not in prefix else [], False)


@pytest.mark.parametrize(
    ("changes", "times"), [({"etag": ""}, 1), ({"size": -1}, 1), ({"etag": "é"}, 1), ({"etag": "0" * 32}, 2)]
)
def test_entries_that_cannot_be_are_an_error(changes: dict[str, object], times: int) -> None:
    """Not packed, not guessed at: the bucket is named."""
    store = LateListing()
    store.entry = store.entry._replace(**changes)  # type: ignore[arg-type]
    store.times = times
    with pytest.raises(StorageError, match=r"the listing of s3://bucket/example.com/ is not one that S3 gives"):
        run(store, delete=True)


def test_a_day_that_keeps_changing_is_looked_at_so_often_and_no_more() -> None:
    """`MAX_LOOKS` times, then an error."""
    store, bodies = a_day()
    looks = 0

    def vanish(step: str, key: str) -> None:
        nonlocal looks
        if step == "fetch":
            looks += 1
            raise ObjectGone("gone")

    store.before = vanish
    with pytest.raises(StorageError, match=f"changed {MAX_LOOKS} times"):
        run(store)
    assert looks == MAX_LOOKS
    assert_nothing_lost(store, bodies)
