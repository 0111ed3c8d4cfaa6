"""Originals and members of the same names find each other, however many there are of either."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rollup import Original, Originals
from s3_log_roller.rollup.matching import match

NUMBERS = st.sets(st.integers(0, 200), max_size=120)


def suffix(number: int) -> str:
    return f"2022-07-01-00-{number // 60:02}-{number % 60:02}-{number:016X}"


def originals_of(numbers: set[int]) -> Originals:
    originals = Originals(DayGroup("bucket1", "", date(2022, 7, 1)))
    for number in sorted(numbers):
        originals.append(suffix(number), f"{number:032x}", number, 1)
    return originals


@given(NUMBERS, st.lists(st.integers(0, 200), max_size=120).map(sorted))
def test_every_pair_of_one_name_is_found_and_nothing_else(numbers: set[int], members: list[int]) -> None:
    """In order, with its place in the table; members of one name behind each other each find the original."""
    rows = sorted(numbers)
    found = list(match(originals_of(numbers), members, suffix))
    assert [(row, original.suffix, member) for row, original, member in found] == [
        (rows.index(member), suffix(member), member) for member in members if member in numbers
    ]


@given(NUMBERS, st.integers(0, 200))
def test_rows_from_a_suffix_are_those_not_below_it(numbers: set[int], start: int) -> None:
    """The same rows as an iteration over all gives, from there on."""
    originals = originals_of(numbers)
    assert list(originals.rows_from(suffix(start))) == [
        (row, original) for row, original in enumerate(originals) if original.suffix >= suffix(start)
    ]


def test_few_members_do_not_cost_a_look_at_every_original() -> None:
    """A day with many rollups of one log each is matched in far fewer steps than rollups times originals."""
    looked_at = 0

    class Counting(Originals):
        def _iter_from(self, first: int) -> Iterator[Original]:
            nonlocal looked_at
            for original in super()._iter_from(first):
                looked_at += 1
                yield original

    originals = Counting(DayGroup("bucket1", "", date(2022, 7, 1)))
    for number in range(3000):
        originals.append(suffix(number), f"{number:032x}", number, 1)
    for number in range(0, 3000, 10):
        assert [row for row, _, _ in match(originals, [number], suffix)] == [number]
    assert looked_at < 300 * 50


def test_members_behind_the_last_original_are_left_to_the_caller() -> None:
    """They are not read, for nothing can match them."""
    members = iter([1, 2, 3, 4])
    assert len(list(match(originals_of({1, 2}), members, suffix))) == 2
    assert list(members) == [4]
