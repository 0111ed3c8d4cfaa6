"""The date and the time. Only the entry points ask for them and pass them down."""

from __future__ import annotations

from datetime import UTC, date, datetime


def utc_today() -> date:
    """Today's date in UTC, the time zone of the dates in log keys."""
    return datetime.now(UTC).date()


def utc_now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)
