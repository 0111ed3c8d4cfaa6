"""Today's date. Only the entry points ask for it and pass it down."""

from __future__ import annotations

from datetime import UTC, date, datetime


def utc_today() -> date:
    """Today's date in UTC, the time zone of the dates in log keys."""
    return datetime.now(UTC).date()
