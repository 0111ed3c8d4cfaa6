"""Where logs lie, as people think of it: a target prefix, whatever the days in it."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from s3_log_roller.log_keys import DayGroup

_PARTITION: Final = re.compile(r"[0-9]{4}/[0-9]{2}/[0-9]{2}/\Z")
"""What the date-partitioned key format ends a target prefix with."""


class Place(NamedTuple):
    """A bucket and a target prefix. The target prefixes of date-partitioned keys, one a day, count as one."""

    bucket: str
    target_prefix: str
    """Ends in `YYYY/MM/DD/` for date-partitioned keys."""

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.target_prefix}"


def place_of(group: DayGroup) -> Place:
    """Where that day group lies."""
    return Place(group.bucket, _PARTITION.sub("YYYY/MM/DD/", group.target_prefix))
