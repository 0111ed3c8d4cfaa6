"""What it costs: the run, and keeping the logs in each storage class, as they are and rolled up."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from s3_log_roller.planning.prices import GB, STANDARD, Prices
from s3_log_roller.planning.requests import Requests

MESSAGES: Final = 3
"""SQS calls for a task: sent, received, deleted."""
DAYS_A_MONTH: Final = 365.25 / 12

MIN_DAYS: Final = {"STANDARD_IA": 30, "ONEZONE_IA": 30, "GLACIER_IR": 90, "DEEP_ARCHIVE": 180}
"""An object that is deleted sooner is billed for so many days."""
_WITH_MINIMUM_SIZE: Final = frozenset({"STANDARD_IA", "GLACIER_IR"})
_NEEDS_RESTORE: Final = frozenset({"DEEP_ARCHIVE"})
_ARCHIVE_BYTES: Final = 32 << 10
"""Billed on top for each object in an archive class, at its price;"""
_ARCHIVE_STANDARD_BYTES: Final = 8 << 10
"""and this at that of Standard."""

CLASS_NAMES: Final = {
    "STANDARD": "S3 Standard",
    "STANDARD_IA": "Standard-IA",
    "ONEZONE_IA": "One Zone-IA",
    "INTELLIGENT_TIERING": "Intelligent-Tiering",
    "GLACIER_IR": "Glacier Instant Retrieval",
    "DEEP_ARCHIVE": "Glacier Deep Archive",
}


@dataclass(frozen=True, slots=True)
class Objects:
    """Some objects, as far as their bill is concerned."""

    count: int = 0
    bytes: int = 0
    billed_bytes: int = 0
    """Billed bytes, at least 128 KiB for each object."""

    def __add__(self, other: Objects) -> Objects:
        return Objects(self.count + other.count, self.bytes + other.bytes, self.billed_bytes + other.billed_bytes)


@dataclass(frozen=True, slots=True)
class RunCost:
    """What a run costs, once, in USD."""

    requests: float
    on_lambda: float
    """Lambda and the messages of its queue; nothing of it on a machine of one's own."""

    def __add__(self, other: RunCost) -> RunCost:
        return RunCost(self.requests + other.requests, self.on_lambda + other.on_lambda)

    @property
    def total(self) -> float:
        """All of it."""
        return self.requests + self.on_lambda


@dataclass(frozen=True, slots=True)
class Keeping:
    """Some objects kept in a storage class; in USD."""

    storage_class: str
    once: float
    """What the lifecycle rule that moves them there costs once."""
    monthly: float
    min_days: int
    """Objects are billed for at least so many days."""
    needs_restore: bool
    """They cannot be read before they were restored."""

    def __add__(self, other: Keeping) -> Keeping:
        return replace(self, once=self.once + other.once, monthly=self.monthly + other.monthly)

    def total(self, days: float) -> float:
        """Moved there, kept for that long, then deleted."""
        return self.once + self.monthly * max(days, self.min_days) / DAYS_A_MONTH


def run_cost(prices: Prices, requests: Requests, lambda_gb_s: float, invocations: int) -> RunCost:
    """The price of a run's requests and, on Lambda, of its time: GB-seconds in as many invocations."""
    lists_and_puts = (requests.list + requests.put) * prices.list_or_put_per_1000 / 1e3
    gets = requests.get * prices.get_per_1000 / 1e3
    per_million = prices.lambda_per_million + MESSAGES * prices.sqs_per_million
    return RunCost(lists_and_puts + gets, lambda_gb_s * prices.lambda_gb_second + invocations * per_million / 1e6)


def keep_in(prices: Prices, storage_class: str, objects: Objects) -> Keeping:
    """What keeping the objects costs in that class, lifecycle transitions and minimum sizes included."""
    price = prices.storage_gb_month[storage_class]
    billed = objects.billed_bytes if storage_class in _WITH_MINIMUM_SIZE else objects.bytes
    monthly = billed / GB * price
    if storage_class in _NEEDS_RESTORE:
        per_object = _ARCHIVE_BYTES * price + _ARCHIVE_STANDARD_BYTES * prices.storage_gb_month[STANDARD]
        monthly += objects.count / GB * per_object
    once = objects.count * prices.transition_per_1000.get(storage_class, 0.0) / 1e3
    return Keeping(
        storage_class, once, monthly, MIN_DAYS.get(storage_class, 0), needs_restore=storage_class in _NEEDS_RESTORE
    )
