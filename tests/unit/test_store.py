"""The port's own code: going through a listing to its end, and cutting objects into ranges."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.memory_store import MemoryStore

from s3_log_roller.errors import StorageError
from s3_log_roller.store import (
    MAX_ODD_PAGES,
    ByteRange,
    ListedObject,
    Page,
    Pager,
    list_objects,
    list_pages,
    split_range,
    whole_or_split,
)


def page(*keys: str, truncated: bool = True, token: str = "") -> Page:
    return Page([ListedObject(key, "e", 1, 1, archived=False) for key in keys], truncated, token)


class Scripted(MemoryStore):
    """Answers with the pages given, whatever it is asked for, and remembers what that was."""

    def __init__(self, pages: Iterable[Page]) -> None:
        super().__init__()
        self.pages = iter(pages)
        self.asked: list[tuple[str, str]] = []

    def list_page(
        self, prefix: str, start_after: str = "", *, max_keys: int = 1000, continuation_token: str = ""
    ) -> Page:
        self.asked.append((start_after, continuation_token))
        return next(self.pages)


def keys(store: MemoryStore, prefix: str = "", start_after: str = "") -> list[str]:
    return [entry.key for entry in list_objects(store, prefix, start_after)]


@given(st.sets(st.text("ab/-ü", min_size=1, max_size=5), max_size=30), st.integers(1, 7), st.text("ab/-", max_size=3))
def test_a_listing_has_every_key_once_whatever_the_pages(names: set[str], page_size: int, start_after: str) -> None:
    """In S3's order, from behind `start_after`."""
    store = MemoryStore(page_size=page_size)
    for name in names:
        store.put(name, b"x")
    assert keys(store, "", start_after) == sorted((n for n in names if n > start_after), key=str.encode)


@pytest.mark.parametrize(
    "pages",
    [
        pytest.param([page("a", "b")], id="one page"),
        pytest.param([page("a", "b"), page("c", "d")], id="two pages in turn"),
        pytest.param([page("c"), page("b"), page("a")], id="backwards and round"),
        pytest.param([page(token="t")], id="an empty page with the same token"),
        pytest.param([page(token="t"), page(token="u")], id="two tokens in turn"),
    ],
)
@pytest.mark.timeout(60)
def test_a_listing_that_goes_in_a_circle_is_an_error(pages: list[Page]) -> None:
    """Every page says that more follows: the listing ends, and says why."""
    with pytest.raises(StorageError, match=r"s3://bucket/p/: the server (lists the same pages|says that more follows)"):
        keys(Scripted(cycle(pages)), "p/")


@pytest.mark.timeout(60)
def test_a_circle_is_seen_though_days_are_skipped() -> None:
    """The scan goes on behind the last key of a day; that hides no circle."""
    pager = Pager("bucket", "")

    def skip_days() -> None:
        for _ in list_pages(Scripted(cycle([page("a1", "a3"), page("b1", "b3")])), pager):
            pager.skip_to(pager.start_after + "9")

    with pytest.raises(StorageError, match="again and again"):
        skip_days()


@pytest.mark.timeout(60)
def test_a_server_that_makes_up_tokens_is_left_at_last() -> None:
    """Empty pages with ever new tokens end in an error, too."""
    store = Scripted(page(token=str(number)) for number in range(MAX_ODD_PAGES + 2))
    with pytest.raises(StorageError, match="without an end"):
        keys(store)


def test_behind_an_empty_page_the_listing_goes_on_with_the_token() -> None:
    """And then behind the last key again, as a listing that is continued later would."""
    store = Scripted([page("a"), page(token="t"), page(token="u"), page("b"), page("c", truncated=False)])
    assert keys(store) == ["a", "b", "c"]
    assert store.asked == [("", ""), ("a", ""), ("a", "t"), ("a", "u"), ("b", "")]


def test_a_long_listing_is_no_circle() -> None:
    """However many pages it has, with an empty one before each of them."""
    names = [f"{number:05}" for number in range(MAX_ODD_PAGES + 2)]
    pages = [one for name in names for one in (page(token=f"t{name}"), page(name))]
    assert keys(Scripted([*pages, page("end", truncated=False)])) == [*names, "end"]


def test_what_is_skipped_is_not_listed_and_skipping_never_goes_back() -> None:
    """The listing goes on behind the key that is given, where it has not got that far."""
    store = MemoryStore(page_size=2)
    for name in "abcdefg":
        store.put(name, b"x")
    pager = Pager("bucket", "")
    listed = []
    for one in list_pages(store, pager):
        listed += [entry.key for entry in one.objects]
        pager.skip_to("d")
    assert listed == ["a", "b", "e", "f", "g"]


def test_an_empty_page_without_a_token_is_an_error() -> None:
    """There is nowhere to go on."""
    with pytest.raises(StorageError, match="says that more follows, but it lists nothing more"):
        keys(Scripted([page("a"), page()]))


def test_folders_may_come_before_their_siblings() -> None:
    """SeaweedFS lists `a/x` before `a-x`: to go back is no circle."""
    store = Scripted([page("a/1"), page("a/2"), page("a-1"), page("b/1"), page("b-1", truncated=False)])
    assert keys(store) == ["a/1", "a/2", "a-1", "b/1", "b-1"]


@given(st.integers(0, 100), st.integers(0, 1000), st.integers(1, 60))
def test_a_range_is_cut_into_pieces_that_are_all_of_it(start: int, length: int, max_bytes: int) -> None:
    """Each but the last is as long as allowed."""
    pieces = list(split_range(range(start, start + length), max_bytes))
    assert [at for piece in pieces for at in piece] == list(range(start, start + length))
    assert all(len(piece) == max_bytes for piece in pieces[:-1])
    assert all(0 < len(piece) <= max_bytes for piece in pieces)


def test_objects_are_fetched_whole_where_they_are_not_too_long() -> None:
    """Empty ones, too: each object has at least one range."""
    assert list(whole_or_split([("a", "1", 0), ("b", "2", 4), ("c", "3", 9)], 4)) == [
        ByteRange("a", "1", 0, 0, whole=True),
        ByteRange("b", "2", 0, 4, whole=True),
        ByteRange("c", "3", 0, 4, whole=False),
        ByteRange("c", "3", 4, 4, whole=False),
        ByteRange("c", "3", 8, 1, whole=False),
    ]
