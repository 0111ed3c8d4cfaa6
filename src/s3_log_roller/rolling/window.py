"""The day groups that a run may touch."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Protocol

from s3_log_roller.errors import UsageError


class OfADay(Protocol):
    """A log, a rollup or a day group: something that belongs to a target prefix and a day."""

    @property
    def target_prefix(self) -> str: ...

    @property
    def day(self) -> date: ...


@dataclass(frozen=True, slots=True)
class Window:
    """The day groups of a bucket that may be touched: from `since` (if any) up to, not including, `cutoff`."""

    cutoff: date
    since: date | None = None
    exclude: tuple[str, ...] = ()
    """Prefixes of log keys. A day group is left out if all its logs begin with one of them."""

    def __contains__(self, group: OfADay) -> bool:
        return self.has_day(group.day) and self.exclusion_of(group) is None

    def has_day(self, day: date) -> bool:
        """Whether the day may be touched."""
        return day < self.cutoff and (self.since is None or day >= self.since)

    def exclusion_of(self, group: OfADay) -> str | None:
        """The prefix that leaves a day group out, if there is one."""
        if not self.exclude:
            return None
        logs_prefix = f"{group.target_prefix}{group.day}-"
        return next((prefix for prefix in self.exclude if logs_prefix.startswith(prefix)), None)

    @classmethod
    def of_days(
        cls, today: date, *, min_age_days: int, since: date | None, until: date | None, max_age_days: int | None = None
    ) -> Window:
        """From `since` to `until`, both included, without the last `min_age_days` days, today among them.

        Days that are more than `max_age_days` old are left alone, too. Raises `UsageError` if no day is left.
        """
        if max_age_days is not None:
            oldest = today - timedelta(days=max_age_days)
            since = oldest if since is None else max(since, oldest)
        cutoff = today - timedelta(days=min_age_days - 1)
        if until is not None:
            cutoff = min(cutoff, until + timedelta(days=1))
        if since is not None and since >= cutoff:
            last = cutoff - timedelta(days=1)
            raise UsageError(
                f"no day to roll up: the first asked for is {since}, the last day allowed is {last} (today is {today})"
            )
        return cls(cutoff, since)


def parse_day(text: str) -> date:
    """A date written as YYYY-MM-DD. Raises `UsageError`."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or day.isoformat() != text:
        raise UsageError(f"{text!r} is not a date: write YYYY-MM-DD")
    return day
