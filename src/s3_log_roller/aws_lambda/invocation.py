"""What the two modes of the function share while they handle one event."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from s3_log_roller.aws_lambda.settings import Settings
from s3_log_roller.rolling.producer import OpenStore
from s3_log_roller.rolling.queue import TaskQueue
from s3_log_roller.rolling.summary import Summary
from s3_log_roller.store import Store
from s3_log_roller.uris import Role

SCAN_RESERVE_S: Final = 60.0
"""Enough time to send what a scan found: 10,000 day groups may be waiting, which are 1,000 requests."""
RESERVE_SHARE: Final = 0.2
"""The largest share of a short time limit that is kept in reserve, once for scans and once for rolling."""


@dataclass(slots=True)
class Invocation:
    """One event: what it may use, how long it may take, and what came of it so far."""

    settings: Settings
    queue: TaskQueue
    open_store: OpenStore
    today: date
    time_left_s: Callable[[], float]
    limit_s: float
    """The time left at the beginning."""
    summary: Summary
    unrolled: set[date] = field(default_factory=set)
    """Days that had logs outside any rollup when this invocation came to them."""
    schedule: str | None = None
    """The schedule whose complete scan this was."""

    @property
    def oldest_age_days(self) -> int | None:
        """The age of the oldest of the unrolled days; None if there is none."""
        return (self.today - min(self.unrolled)).days if self.unrolled else None

    @property
    def scan_reserve_s(self) -> float:
        """The time that a scan leaves for sending what it found."""
        return reserve(SCAN_RESERVE_S, self.limit_s)

    def lease(self, bucket: str, role: Role | None, owner: str | None) -> AbstractContextManager[Store]:
        """Open a bucket. Raises `UsageError` for a role that the settings do not allow."""
        self.settings.check_role(role)
        return self.open_store(bucket, role, owner)


def reserve(seconds: float, limit_s: float) -> float:
    """That many seconds, or less if the time limit is short."""
    return min(seconds, limit_s * RESERVE_SHARE)
