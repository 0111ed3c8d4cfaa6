"""The days that a run may touch."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from s3_log_roller.errors import UsageError


@dataclass(frozen=True, slots=True)
class Window:
    """The days that may be touched: from `since` (if any) up to, not including, `cutoff`."""

    cutoff: date
    since: date | None = None

    def __contains__(self, day: date) -> bool:
        return day < self.cutoff and (self.since is None or day >= self.since)

    @classmethod
    def of_days(cls, today: date, *, min_age_days: int, since: date | None, until: date | None) -> Window:
        """From `since` to `until`, both included, without the last `min_age_days` days, today among them.

        Raises `UsageError` when there is no such day.
        """
        cutoff = today - timedelta(days=min_age_days - 1)
        if until is not None:
            cutoff = min(cutoff, until + timedelta(days=1))
        if since is not None and since >= cutoff:
            last = cutoff - timedelta(days=1)
            raise UsageError(
                f"no day to roll up: --since is {since}, the last day allowed is {last} (today is {today})"
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
