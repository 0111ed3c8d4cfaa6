"""What is missing: days that have neither logs nor rollups, and rollups that a manifest names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from s3_log_roller.errors import UsageError, reason
from s3_log_roller.local_files import location
from s3_log_roller.reading.groups import Group, means_rollup
from s3_log_roller.reading.selection import Selection
from s3_log_roller.rollup.manifest import parse_line

_DATE_FOLDERS: Final = re.compile(r"[0-9]{4}/[0-9]{2}/[0-9]{2}/$")
"""The end of a target prefix with date-partitioned keys: one for each day."""
_DAY: Final = timedelta(1)


@dataclass(frozen=True, slots=True)
class Gap:
    """Days in a row of which a target prefix has neither logs nor rollups."""

    where: str
    first: date
    last: date

    @property
    def days(self) -> int:
        """How many."""
        return (self.last - self.first).days + 1


class Calendar:
    """The days seen of each target prefix, and how many rollups."""

    def __init__(self) -> None:
        self.rollups = 0
        self._days: dict[str, set[date]] = {}

    def watch(self, groups: Iterable[Group]) -> Iterator[Group]:
        """Hand the groups on."""
        for group in groups:
            self.rollups += len(group.rollups)
            if group.day_group is not None and (group.has_loose or group.rollups):
                place = location(group.bucket, _DATE_FOLDERS.sub("", group.day_group.target_prefix))
                self._days.setdefault(place, set()).add(group.day_group.day)
            yield group

    def days(self) -> list[tuple[str, list[date]]]:
        """Each target prefix with its days, in order."""
        return [(place, sorted(days)) for place, days in sorted(self._days.items())]

    def gaps(self, since: date | None, until: date | None) -> Iterator[Gap]:
        """The days missing from the first to the last, as asked for or as seen."""
        for place, days in sorted(self._days.items()):
            day, last = since or min(days), until or max(days)
            while day <= last:
                first = day
                while day <= last and day not in days:
                    day += _DAY
                if day > first:
                    yield Gap(place, first, day - _DAY)
                day += _DAY


def read_manifest(path: str, sources: Iterable[str], selection: Selection) -> dict[str, str]:
    """The SHA-256 of the rollups that the manifest names in those places and of that time, by their URIs.

    Of several lines for one rollup the last counts. Raises `UsageError`.
    """
    places = tuple(sources)
    listed: dict[str, str] = {}
    try:
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                try:
                    entry = parse_line(line)
                except UsageError as error:
                    raise UsageError(
                        f"--manifest {path}: line {number} is not a line of a manifest: {error}"
                    ) from error
                if entry is None:
                    continue
                where = location(entry.bucket, entry.key)
                if selection.has_day(entry.day) and any(means_rollup(place, where) for place in places):
                    listed[where] = entry.sha256
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--manifest {path} cannot be read: {reason(error)}") from error
    if not listed:
        raise UsageError(f"--manifest {path} names no rollup in {', '.join(places)}{selection.or_none}")
    return listed
