"""Numbers of logs, or the like, a day as a calendar: a block for each month, a column for each week, Monday on top."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from s3_log_roller.amounts import count

SHADES: Final = 5
MAX_MONTHS: Final = 24
"""Only the latest months are drawn."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A day."""

    week: int
    """Column, from 0."""
    weekday: int
    """Row, from 0 for Monday."""
    shade: str
    """`1` to `5` for more and more logs, `gap` for a day without any between days that have some, `done` for a day
    of which only rollups are left."""
    title: str


@dataclass(frozen=True, slots=True)
class Month:
    """A month with the days from the first to the last one known."""

    name: str
    """YYYY-MM."""
    label: str
    """What a screen reader says instead of the picture."""
    weeks: int
    cells: list[Cell]


def calendar(counts: Mapping[date, int], done: Collection[date], noun: str = "log") -> tuple[list[Month], list[date]]:
    """The months in order, and the days between the first and the last that are neither counted nor done."""
    known = sorted({*counts, *done})
    if not known:
        return [], []
    days = [known[0] + timedelta(number) for number in range((known[-1] - known[0]).days + 1)]
    gaps = [day for day in days if day not in counts and day not in done]
    most = max(counts.values(), default=0)
    by_month: dict[str, list[date]] = {}
    for day in days:
        by_month.setdefault(f"{day:%Y-%m}", []).append(day)
    latest = list(by_month.items())[-MAX_MONTHS:]
    return [_month(name, of_month, counts, set(gaps), most, noun) for name, of_month in latest], gaps


def _month(
    name: str, days: list[date], counts: Mapping[date, int], gaps: Collection[date], most: int, noun: str
) -> Month:
    first = days[0].replace(day=1).weekday()
    cells = [_cell(day, (day.day - 1 + first) // 7, counts.get(day), day in gaps, most, noun) for day in days]
    total = sum(counts.get(day, 0) for day in days)
    silent = [str(day) for day in days if day in gaps]
    label = f"{name}: {count(total, noun)} on {count(sum(day in counts for day in days), 'day')}"
    if silent:
        label += f", none on {', '.join(silent)}"
    return Month(name, label, max(cell.week for cell in cells) + 1, cells)


def _cell(day: date, week: int, number: int | None, is_gap: bool, most: int, noun: str) -> Cell:
    if is_gap:
        return Cell(week, day.weekday(), "gap", f"{day}: no {noun}s")
    if number is None:
        return Cell(week, day.weekday(), "done", f"{day}: rolled up, originals deleted")
    shade = 1 + min(SHADES - 1, math.floor(SHADES * math.sqrt(number / most))) if most else 1
    return Cell(week, day.weekday(), str(shade), f"{day}: {count(number, noun)}")
