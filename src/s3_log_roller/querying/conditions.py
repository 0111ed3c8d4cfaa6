"""What the condition of a question says about lines before they are read as records.

DuckDB's plan has the condition that rows must fulfil right behind the table, with the names of the table's columns. A
line that does not hold certain texts, or a log of certain days, cannot make such a row. Only what is certain counts:
parts of the condition that say nothing here are left to DuckDB, which tests all rows in any case.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Final

from s3_log_roller.reading.formats import KEY_DECODED
from s3_log_roller.reading.groups import Group
from s3_log_roller.reading.records import FIELDS, NUMBERS
from s3_log_roller.reading.selection import ABOVE

Needles = tuple[bytes, ...]

_TEXTS: Final = frozenset(FIELDS) - NUMBERS - {"time"}
"""Columns whose values stand in the line as they are."""
_PATTERNS: Final[dict[str, Callable[[str], str]]] = {
    "prefix": lambda text: text,
    "starts_with": lambda text: text,
    "suffix": lambda text: text,
    "ends_with": lambda text: text,
    "contains": lambda text: text,
    "~~": lambda pattern: max(re.split("[%_]", pattern), key=len),  # LIKE; a backslash escapes nothing
}
"""DuckDB's functions whose second argument tells a text that the first one holds."""
_LOOK_AT_BYTES: Final = 4 << 20


@dataclass(frozen=True, slots=True)
class Conditions:
    """Of each of `needles`, a line that makes a wanted row holds at least one."""

    needles: tuple[Needles, ...] = ()
    first_day: date = date.min
    """Of the logs' names, that can hold wanted rows."""
    last_day: date = date.max

    def narrowed(self, groups: Iterable[Group]) -> Iterator[Group]:
        """Of the groups, the logs that can hold wanted rows."""
        bounds = str(self.first_day), f"{self.last_day}{ABOVE}"
        for group in groups:
            day = group.day_group.day if group.day_group else None
            if day is not None and self.first_day <= day <= self.last_day:
                yield group
            elif day is None:
                yield group if self.has_all_days else replace(group, selection=group.selection.narrowed(*bounds))

    @property
    def has_all_days(self) -> bool:
        """Nothing is said about days."""
        return (self.first_day, self.last_day) == (date.min, date.max)

    def may_match(self, text: bytes) -> bool:
        """Whether there can be such a line in the text."""
        return all(any(needle in text for needle in needles) for needles in self.needles)


ALL: Final = Conditions()


class LinePicker:
    """Picks the lines that can make wanted rows; where nearly all can, it stops looking."""

    def __init__(self, conditions: Conditions) -> None:
        self.needles = conditions.needles
        """Of each, a picked line holds at least one."""
        self._seen_bytes = self._picked_bytes = 0

    def pick(self, lines: bytes) -> bytes:
        """Those of whole lines, the last of which need not end."""
        if not self.needles:
            return lines
        first, *others = self.needles
        picked = [lines[start:stop] for start, stop in _lines_holding(lines, first)]
        if others:
            picked = [line for line in picked if all(any(one in line for one in needles) for needles in others)]
        found = b"".join(picked)
        self._seen_bytes += len(lines)
        self._picked_bytes += len(found)
        if self._seen_bytes >= _LOOK_AT_BYTES and self._picked_bytes > self._seen_bytes * 3 // 4:
            self.needles = ()
        return found


def _lines_holding(data: bytes, needles: Needles) -> list[tuple[int, int]]:
    """Where the lines are that hold at least one of them, with their ends."""
    if len(needles) == 1:
        return list(_lines_with(data, needles[0]))
    return sorted({place for needle in needles for place in _lines_with(data, needle)})


def _lines_with(data: bytes, needle: bytes) -> Iterator[tuple[int, int]]:
    stop = 0
    while (found := data.find(needle, stop)) >= 0:
        start = data.rfind(b"\n", stop, found) + 1 or stop
        stop = data.find(b"\n", found) + 1 or len(data)
        yield start, stop


def conditions_of(serialized: str) -> Conditions:
    """What a SELECT, as DuckDB's `json_serialize_sql` has it, says with its WHERE."""
    tree = json.loads(serialized)
    where = tree["statements"][0]["node"]["where_clause"]
    bounds = list(_days(where))
    return Conditions(
        tuple(_needles(where)),
        max((first for first, _ in bounds), default=date.min),
        min((last for _, last in bounds), default=date.max),
    )


def _needles(node: Any) -> list[Needles]:
    kind = node["type"]
    if kind == "CONJUNCTION_AND":
        return [needles for child in node["children"] for needles in _needles(child)]
    if kind == "CONJUNCTION_OR":
        branches = [_needles(child) for child in node["children"]]
        return (
            [_any_of(max(branch, key=lambda one: min(map(len, one))) for branch in branches)] if all(branches) else []
        )
    if kind == "COMPARE_EQUAL":
        column, values = _column(node["left"]), [node["right"]]
        found = [_equal(column, value) for value in values]
    elif kind == "COMPARE_IN":
        column, *values = node["children"]
        found = [_equal(_column(column), value) for value in values]
    elif kind == "FUNCTION" and node["function_name"] in _PATTERNS:
        subject, pattern, *rest = [argument["expression"] for argument in node["arguments"]]
        text = None if rest else _text(pattern)
        held = None if text is None else _PATTERNS[node["function_name"]](text)
        found = [_in_line(_column(subject), held)]
    else:
        return []
    certain = [needles for needles in found if needles]
    return [_any_of(certain)] if len(certain) == len(found) else []


def _any_of(several: Iterable[Needles]) -> Needles:
    return tuple(sorted({needle for needles in several for needle in needles}))


def _equal(column: str, value: Any) -> Needles:
    """What a line holds if that column has that value; nothing if that is not known."""
    if column in NUMBERS:
        literal = value.get("literal", {})
        number = literal.get("text", "") if literal.get("kind") == "INTEGER" else ""
        return (number.encode(),) if number.isdecimal() else ()
    return _in_line(column, _text(value))


def _in_line(column: str, text: str | None) -> Needles:
    """What a line holds if that column holds that text; bytes that are not UTF-8 are shown with a backslash."""
    if not text or "\\" in text or not text.isprintable():
        return ()
    if column in _TEXTS:
        return (text.encode(),)
    if column == KEY_DECODED and not set(text) & {" ", "+"}:
        return text.encode(), b"%"  # a key without % and + is decoded as it is; + stands for a space
    return ()


def _days(node: Any) -> Iterator[tuple[date, date]]:
    """First and last days of logs outside of which no row is wanted."""
    kind = node["type"]
    if kind == "CONJUNCTION_AND":
        for child in node["children"]:
            yield from _days(child)
    elif kind == "COMPARE_BETWEEN":
        low, high = _day_of(node["input"], node["lower"]), _day_of(node["input"], node["upper"])
        if low is not None and high is not None:
            yield low, high if _column(node["input"]) == "day" else date.max
    elif kind in ("COMPARE_EQUAL", "COMPARE_GREATERTHAN", "COMPARE_GREATERTHANOREQUALTO"):
        day = _day_of(node["left"], node["right"])
        if day is not None:
            yield day, day if kind == "COMPARE_EQUAL" and _column(node["left"]) == "day" else date.max
    elif kind in ("COMPARE_LESSTHAN", "COMPARE_LESSTHANOREQUALTO") and _column(node["left"]) == "day":
        day = _day_of(node["left"], node["right"])
        if day is not None:
            yield date.min, day


def _day_of(column: Any, value: Any) -> date | None:
    """The day that a value of `day` or `time` is about; of times the one before, so that no clock matters.

    A log is delivered after the requests that it tells of, never before.
    """
    name = _column(column)
    cast = {"day": "DATE", "time": "TIMESTAMP WITH TIME ZONE"}.get(name)
    if cast is None or value["type"] != "OPERATOR_CAST" or value["type_expr"]["type_name"] != cast:
        return None
    text = _text(value["child"])
    try:
        day = date.fromisoformat((text or "")[:10])
        return day if name == "day" else day - timedelta(1)
    except (ValueError, OverflowError):  # infinity, or a year of five digits
        return None


def _column(node: Any) -> str:
    names = node.get("column_names", [])
    return str(names[0]) if len(names) == 1 else ""


def _text(node: Any) -> str | None:
    literal = node.get("literal", {})
    return str(literal["text"]) if literal.get("kind") == "STRING" else None
