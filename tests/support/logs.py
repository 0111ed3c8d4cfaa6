"""The day that most tests are about, and the keys of its logs."""

from __future__ import annotations

from datetime import date

DAY = date(2022, 7, 1)
TODAY = date(2022, 7, 10)
PREFIX = "example.com/"


def log_key(number: int, prefix: str = PREFIX, day: date = DAY) -> str:
    """The key of a log delivered that many seconds into the day; one day apart only the unique string differs."""
    return f"{prefix}{day}-{number // 3600 % 24:02}-{number // 60 % 60:02}-{number % 60:02}-{number:016X}"
