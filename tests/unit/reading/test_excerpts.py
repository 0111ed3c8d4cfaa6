"""Line numbers, context, single matches and limits are as GNU grep has them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.grep import grep, needs_grep

from s3_log_roller.reading.doubles import LogPart, Origin
from s3_log_roller.reading.excerpts import Excerpt
from s3_log_roller.reading.lines import LineReader, Query
from s3_log_roller.reading.patterns import Pattern, Syntax
from s3_log_roller.reading.tarball import Member

TEXT = b"".join(b"%d %s\n" % (n, b"hit ab" if n in (3, 4, 9, 20, 22, 30) else b"x") for n in range(1, 32))


def ours(pattern: str, text: bytes, excerpt: Excerpt, *, invert: bool = False, most: int | None = None) -> bytes:
    parsed = Pattern.parse(pattern, Syntax.EXTENDED)
    query = Query(parsed, invert=invert, excerpt=excerpt, max_count=most)
    found: list[bytes] = []
    origin, member = Origin("", "f", True), Member("m", len(text), 0)
    parts: list[LogPart] = [(origin, member, text[:40], False), (origin, member, text[40:], True)]
    LineReader(query, found.append, most).run(iter(parts))
    return b"".join(found)


@needs_grep
@pytest.mark.parametrize("invert", [False, True], ids=["", "-v"])
@pytest.mark.parametrize(
    ("options", "excerpt"),
    [
        (["-n"], Excerpt(numbers=True)),
        (["-o"], Excerpt(matches_only=True)),
        (["-on"], Excerpt(numbers=True, matches_only=True)),
        (["-A2"], Excerpt(after=2)),
        (["-B3"], Excerpt(before=3)),
        (["-nC1"], Excerpt(numbers=True, before=1, after=1)),
        (["-C100"], Excerpt(before=100, after=100)),
    ],
    ids=str,
)
@pytest.mark.parametrize("pattern", ["hit", "[0-9]", "1|x", r"\<a*b\>", "x*", "^3", "nothing"])
def test_the_same_as_grep(options: list[str], excerpt: Excerpt, invert: bool, pattern: str) -> None:
    """Also where a log comes in parts."""
    expected = grep("-E", *options, *(["-v"] if invert else []), "-e", pattern, text=TEXT)[1]
    if not (invert and excerpt.matches_only):  # grep prints nothing then, we do not forbid it
        assert ours(pattern, TEXT, excerpt, invert=invert) == expected


@needs_grep
@settings(max_examples=40)
@given(
    text=st.lists(st.sampled_from(["a", "b", "ab", ""]), min_size=1, max_size=40).map("\n".join),
    before=st.integers(0, 3),
    after=st.integers(1, 3),
)
def test_any_context_is_the_same(text: str, before: int, after: int) -> None:
    """Groups of lines that touch are one group."""
    data = text.encode() + b"\n"
    expected = grep(f"-nA{after}", f"-B{before}", "-e", "a", text=data)[1]
    assert ours("a", data, Excerpt(numbers=True, before=before, after=after)) == expected


def test_a_limit_is_kept() -> None:
    """With and without context."""
    assert ours("hit", TEXT, Excerpt(), most=2) == b"3 hit ab\n4 hit ab\n"
    assert ours("hit", TEXT, Excerpt(numbers=True), most=1) == b"3:3 hit ab\n"


def test_matches_are_marked() -> None:
    """As grep marks them."""
    marked = ours("a|b", b"xaxb\n", Excerpt(color=True))
    assert marked == b"x\x1b[01;31m\x1b[Ka\x1b[m\x1b[Kx\x1b[01;31m\x1b[Kb\x1b[m\x1b[K\n"


def test_all_of_a_match_that_is_shown_alone_is_marked() -> None:
    """And nothing beside it."""
    marked = b"\x1b[01;31m\x1b[Khit\x1b[m\x1b[K\n"
    assert ours("hit", b"a hit, a hit\nno\n", Excerpt(matches_only=True, color=True)) == marked * 2
