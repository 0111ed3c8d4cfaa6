"""Which member is which original: the one way to hold a day's originals against what rollups have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

from s3_log_roller.rollup.originals import Original, Originals

T = TypeVar("T")

_STEPS_BEFORE_SEARCH: Final = 16
"""Originals passed over one by one before the next one is searched for: a search costs as much as some ten steps."""


def match(
    originals: Originals, members: Iterable[T], suffix_of: Callable[[T], str]
) -> Iterator[tuple[int, Original, T]]:
    """The pairs of the same suffix: the original's place in the table, the original, the member.

    Members come in key order, several of one suffix behind each other. Those behind the last original are not taken.
    Whether the bytes are the same is for the caller to find out.
    """
    rows = originals.rows_from("")
    row, original = next(rows, (0, None))
    for member in members:
        suffix = suffix_of(member)
        steps = 0
        while original is not None and original.suffix < suffix:
            if steps == _STEPS_BEFORE_SEARCH:
                rows = originals.rows_from(suffix)
            steps += 1
            row, original = next(rows, (0, None))
        if original is None:
            return
        if original.suffix == suffix:
            yield row, original, member
