"""Tables that can be sorted, and become lists on a small screen."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """What stands above it, and what is in it."""

    heading: str
    kind: str = "number"
    """`number`, `text` or `time`. Numbers stand on the right; only texts are broken into lines."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A text, and what it is sorted by: a number in a column of numbers, else a text."""

    text: str
    value: str | float


@dataclass(frozen=True, slots=True)
class Table:
    """Rows with a cell for each column."""

    columns: list[Column]
    rows: list[list[Cell]]
