"""Today, as only the entry points may ask for it: everything below them is told."""

from __future__ import annotations

from datetime import UTC, date, datetime


def utc_today() -> date:
    """Today's date where the logs' dates are: in UTC."""
    return datetime.now(UTC).date()
