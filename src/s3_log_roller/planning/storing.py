"""What it costs to store the new rollups as asked: written to a storage class, read back there, encrypted with a key.

Prices of classes differ in more than storage: requests, bytes read, objects watched; and a small object, or one that is
deleted soon, is billed for more (S3 User Guide, "Using Amazon S3 storage classes"; Amazon S3 pricing; AWS KMS pricing).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from s3_log_roller.planning.costs import MIN_DAYS, Objects
from s3_log_roller.planning.prices import GB, STANDARD, Prices, PricesOfClass
from s3_log_roller.stored_as import KMS, StoredAs

BUCKET_KEY_SHARE: Final = 0.01
"""Of the requests that ask KMS for a key, where the bucket key is on: S3 Bucket Keys save up to 99 %."""
_WITH_MINIMUM_SIZE: Final = frozenset({"STANDARD_IA", "ONEZONE_IA", "GLACIER_IR"})


@dataclass(frozen=True, slots=True)
class NewRollups:
    """The new rollups of a run, and the requests that write them and read them back."""

    objects: Objects
    puts: int
    gets: int


@dataclass(frozen=True, slots=True)
class Storing:
    """What storing the new rollups as asked costs; in USD."""

    storage_class: str
    on_top: float
    """Once: writing them and reading them back, on top of what these requests cost in S3 Standard."""
    kms: float
    """Once: asking KMS for keys, by S3."""
    monthly: float
    """Their storage and their tags."""
    min_days: int
    """They are billed for at least so many days."""

    def __add__(self, other: Storing) -> Storing:
        return Storing(
            self.storage_class,
            self.on_top + other.on_top,
            self.kms + other.kms,
            self.monthly + other.monthly,
            max(self.min_days, other.min_days),
        )


def price_storing(prices: Prices, stored_as: StoredAs, new: NewRollups) -> Storing | None:
    """What it costs; None if the prices do not say what that class, KMS or tags cost."""
    storage_class = stored_as.storage_class or STANDARD
    standard = PricesOfClass(prices.storage_gb_month[STANDARD], prices.list_or_put_per_1000, prices.get_per_1000)
    of_class = standard if storage_class == STANDARD else prices.written_directly.get(storage_class)
    kms_per_10_000 = prices.kms_per_10000 if stored_as.uses_kms else 0.0
    tags_per_10_000 = prices.tags_per_10000 if stored_as.tags else 0.0
    if of_class is None or kms_per_10_000 is None or tags_per_10_000 is None:
        return None
    objects = new.objects
    billed = objects.billed_bytes if storage_class in _WITH_MINIMUM_SIZE else objects.bytes
    on_top = new.puts * (of_class.put_per_1000 - standard.put_per_1000) / 1e3
    on_top += new.gets * (of_class.get_per_1000 - standard.get_per_1000) / 1e3
    on_top += objects.bytes / GB * of_class.retrieval_gb
    key_requests = (new.puts + new.gets) * (BUCKET_KEY_SHARE if stored_as.sse == KMS else 1)
    monthly = billed / GB * of_class.gb_month + objects.count * of_class.monthly_per_1000 / 1e3
    monthly += objects.count * len(stored_as.tags) * tags_per_10_000 / 1e4
    return Storing(storage_class, on_top, key_requests * kms_per_10_000 / 1e4, monthly, MIN_DAYS.get(storage_class, 0))
