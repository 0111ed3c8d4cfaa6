"""Which logs are wanted: by the time in their names, or by name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from s3_log_roller.errors import UsageError
from s3_log_roller.log_keys import SUFFIX_CHARS, parse_log_key
from s3_log_roller.rollup import Block, Directory

ABOVE: Final = ":"
"""Sorts behind digits and `-`, so `2022-07-01-05` and this are above every log of that hour."""
EVER: Final = "~"
DELIVERY_DAYS: Final = 2
"""Nearly all logs are delivered by then: one large user saw under 0.001 % come later (Yelp, 2025)."""

_TIME: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[T ]([01][0-9]|2[0-3])(?::?([0-5][0-9])(?::?([0-5][0-9]))?)?Z?)?"
)


def parse_time(text: str) -> str:
    """`2022-07-01`, `2022-07-01T05`, `…T05:15` or `…T05:15:43` (UTC) as the beginning of a log's suffix."""
    match = _TIME.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        date.fromisoformat(match[1])
    except ValueError:
        raise UsageError(f"{text!r} is not a time: write 2022-07-01 or 2022-07-01T05:15 (UTC)") from None
    return "-".join(part for part in match.groups() if part is not None)


def iso_time(text: str) -> str:
    """The same times as records have them: `2022-07-01T05:15`. Raises `UsageError`."""
    suffix = parse_time(text)
    return suffix[:10] + suffix[10:].replace("-", "T", 1).replace("-", ":")


def suffix_of(name: str) -> str | None:
    """The part of a log's name that holds its time; None if it is not the name of a log."""
    return name[-SUFFIX_CHARS:] if parse_log_key(name) else None


@dataclass(frozen=True, slots=True)
class Selection:
    """Logs from `low` up to `high`, both beginnings of suffixes and both included; of these those called `names`."""

    low: str = ""
    high: str = EVER
    names: frozenset[str] | None = None

    @classmethod
    def parse(cls, since: str | None, until: str | None, names: list[str] | None) -> Selection:
        """From what the user wrote; a name may be a whole key or URI. Raises `UsageError`."""
        low = parse_time(since) if since else ""
        high = parse_time(until) + ABOVE if until else EVER
        if low > high:
            raise UsageError(f"--since {since} is later than --until {until}")
        return cls(low, high, frozenset(name.rpartition("/")[2] for name in names) if names else None)

    def delivered_for(self, since: str | None, until: str | None) -> Selection:
        """The part of it in which requests made at those times can have been delivered.

        Never before, so from the beginning of the day (keys by event time have no other time), and up to
        `DELIVERY_DAYS` later.
        """
        low = parse_time(since)[:10] if since else ""
        high = EVER
        if until:
            high = f"{date.fromisoformat(parse_time(until)[:10]) + timedelta(DELIVERY_DAYS)}{ABOVE}"
        if since and until and parse_time(since) > f"{parse_time(until)}{ABOVE}":
            raise UsageError(f"--record-since {since} is later than --record-until {until}")
        return self.narrowed(low, high)

    @property
    def is_all(self) -> bool:
        """Every log is wanted."""
        return self.names is None and not self.low and self.high == EVER

    @property
    def or_none(self) -> str:
        """What a sentence ends with that says where nothing is, if a time was asked for."""
        return ", or none of this time" if self.low or self.high != EVER else ""

    def narrowed(self, low: str, high: str) -> Selection:
        """The part of it in those bounds."""
        return Selection(max(self.low, low), min(self.high, high), self.names)

    def has_day(self, day: date) -> bool:
        """Whether logs of that day can be wanted."""
        text = str(day)
        if self.names is not None:
            suffixes = [suffix_of(name) for name in self.names]
            if not any(suffix is None or suffix.startswith(text) for suffix in suffixes):
                return False
        return self.low[: len(text)] <= text and text <= self.high

    def has(self, name: str, mtime: int) -> bool:
        """Whether the log of that base name is wanted. Where the name tells no time, its mtime counts."""
        if self.names is not None and name not in self.names:
            return False
        if not self.low and self.high == EVER:
            return True
        return self.low <= (suffix_of(name) or _suffix_at(mtime)) <= self.high

    def blocks(self, directory: Directory, prefix: str) -> list[list[Block]]:
        """Runs of neighbouring blocks that can hold what is wanted; names begin with `prefix`."""
        if self.names is None:
            chosen = set(directory.blocks_for(self.low, self.high))
        else:
            suffixes = [name.removeprefix(prefix) for name in self.names if name.startswith(prefix)]
            wanted = [suffix for suffix in suffixes if self.low <= suffix <= self.high and suffix_of(suffix)]
            chosen = {block for suffix in wanted for block in directory.blocks_for(suffix, suffix)}
        runs: list[list[Block]] = []
        for block in sorted(chosen):
            if runs and runs[-1][-1].offset + runs[-1][-1].length == block.offset:
                runs[-1].append(block)
            else:
                runs.append([block])
        return runs


def _suffix_at(mtime: int) -> str:
    try:
        return datetime.fromtimestamp(mtime, UTC).strftime("%Y-%m-%d-%H-%M-%S")
    except (ValueError, OverflowError, OSError):
        return ""
