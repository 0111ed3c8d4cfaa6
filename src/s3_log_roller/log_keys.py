"""The keys of logs and rollups, and the day groups they belong to.

A log key is a target prefix, then `YYYY-MM-DD-hh-mm-ss-UniqueString` with 16 upper-case hexadecimal digits
(S3 User Guide, "Amazon S3 server access log format", "Log object key format"). The part behind the target prefix
always has the same length, so a key parses from its end and the target prefix may be anything, even empty.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from hashlib import sha256
from typing import Final, NamedTuple

SUFFIX_CHARS: Final = 36
"""Length of `YYYY-MM-DD-hh-mm-ss-UniqueString`."""

ROLLUP_DIGITS: Final = 8
"""Hexadecimal digits in a rollup's name."""

LOG_SUFFIX: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})-([01][0-9]|2[0-3])-([0-5][0-9])-([0-5][0-9])-([0-9A-F]{16})"
)
"""Day, hours, minutes, seconds and unique string."""
_ROLLUP_SUFFIX: Final = re.compile(r"rollup-([0-9]{4}-[0-9]{2}-[0-9]{2})-([0-9a-f]{8})\.tgz")
_ROLLUP_SUFFIX_CHARS: Final = len("rollup-YYYY-MM-DD-hhhhhhhh.tgz")

_LIKE_A_LOG: Final = re.compile(r"[0-9]{4}(-[0-9]{2}){5}-[0-9A-Za-z]+")
_ABOVE_DIGITS: Final = ":"
"""Sorts right after `9`, so `D-:` sorts after every log key of the day D and before every later day of that prefix."""


class LogKey(NamedTuple):
    """A key that parsed as an access log."""

    target_prefix: str
    day: date


class RollupKey(NamedTuple):
    """A key that parsed as a rollup: the day it rolled up, and 8 hexadecimal digits of its first member's key."""

    target_prefix: str
    day: date
    digits: str


@dataclass(frozen=True, slots=True, order=True)
class DayGroup:
    """The originals of one (bucket, target prefix, day)."""

    bucket: str
    target_prefix: str
    day: date

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.target_prefix}{self.day}"

    @property
    def logs_prefix(self) -> str:
        """What every log key of the day group starts with. Other keys may start with it, too."""
        return f"{self.target_prefix}{self.day}-"

    @property
    def behind_logs(self) -> str:
        """A `start-after` that skips all logs of the day group, and nothing that sorts behind them."""
        return f"{self.logs_prefix}{_ABOVE_DIGITS}"

    @property
    def rollups_prefix(self) -> str:
        """What every rollup key of the day group starts with. Other keys may start with it, too."""
        return f"{self.target_prefix}rollup-{self.day}-"

    def rollup_keys(self, first_suffix: str) -> tuple[str, ...]:
        """The keys that a rollup may have whose first member has that suffix, in the order in which they are tried.

        Each has the next 8 hexadecimal digits of the SHA-256 of that member's key. All but the first are for the case
        that another rollup of the day has the one before.
        """
        key = f"{self.target_prefix}{first_suffix}"
        digits = sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
        starts = range(0, len(digits), ROLLUP_DIGITS)
        return tuple(f"{self.rollups_prefix}{digits[start : start + ROLLUP_DIGITS]}.tgz" for start in starts)

    def rollup_key(self, first_suffix: str, taken: Collection[str] = ()) -> str:
        """The key of a rollup whose first member has that suffix, where the keys in `taken` belong to other rollups.

        Raises ValueError if they take all of the rollup's keys.
        """
        for key in self.rollup_keys(first_suffix):
            if key not in taken:
                return key
        raise ValueError(f"every name for a rollup that begins with {self.target_prefix}{first_suffix} is taken")


@lru_cache(maxsize=4096)
def _parse_date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def parse_log_key(key: str) -> LogKey | None:
    """Parse a key as a log key; None if it is not one. A key with an impossible date or time is not one."""
    day = day_of_log(key)
    return None if day is None else LogKey(key[:-SUFFIX_CHARS], day)


def day_of_log(key: str) -> date | None:
    """The day in a log's key; None if the key is not that of a log."""
    match = LOG_SUFFIX.fullmatch(key, max(0, len(key) - SUFFIX_CHARS))
    return None if match is None else _parse_date(match[1])


def parse_rollup_key(key: str) -> RollupKey | None:
    """Parse a key as a rollup's; None if it is not one."""
    match = _ROLLUP_SUFFIX.fullmatch(key, max(0, len(key) - _ROLLUP_SUFFIX_CHARS))
    if match is None:
        return None
    day = _parse_date(match[1])
    return None if day is None else RollupKey(key[:-_ROLLUP_SUFFIX_CHARS], day, match[2])


def looks_like_log(key: str) -> bool:
    """Whether a key that is not a log has the form of one: its date need not exist, and its last part may be any."""
    return _LIKE_A_LOG.search(key.rpartition("/")[2]) is not None


def after_day(key: str) -> str:
    """A `start-after` that skips the rest of the day where the key is a log, and nothing that sorts behind it."""
    log = parse_log_key(key)
    return key if log is None else DayGroup("", log.target_prefix, log.day).behind_logs
