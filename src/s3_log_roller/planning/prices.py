"""What AWS charges, per region: small dated files in the package, or one that the user gives.

`prices/make_prices.py` makes them from AWS's public price lists. The program itself never fetches prices.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from s3_log_roller.errors import UsageError, reason

FORMAT: Final = 1
GB: Final = 1 << 30
"""Bytes of a GB as AWS bills it."""
STANDARD: Final = "STANDARD"
ANY_REGION: Final = "*"
"""Stands for every region, in a file of the user's."""

_NUMBERS: Final = ("list_or_put_per_1000", "get_per_1000", "lambda_gb_second", "lambda_per_million", "sqs_per_million")
_TABLES: Final = ("storage_gb_month", "transition_per_1000")


@dataclass(frozen=True, slots=True)
class PricesOfClass:
    """What a storage class costs that objects are written to directly."""

    gb_month: float
    put_per_1000: float
    get_per_1000: float
    retrieval_gb: float = 0.0
    """For each GB that is read."""
    monthly_per_1000: float = 0.0
    """For 1,000 objects that Intelligent-Tiering watches, each month."""


@dataclass(frozen=True, slots=True)
class Prices:
    """The prices of a region, in USD; a `GB` has 2^30 bytes, a month is the one AWS bills."""

    as_of: date
    source: str
    regions: tuple[str, ...]
    list_or_put_per_1000: float
    get_per_1000: float
    lambda_gb_second: float
    lambda_per_million: float
    sqs_per_million: float
    storage_gb_month: dict[str, float]
    """Prices by storage class, as S3's API calls it; the first one is `STANDARD`."""
    transition_per_1000: dict[str, float]
    """Prices of 1,000 objects that a lifecycle rule moves into a storage class."""
    written_directly: dict[str, PricesOfClass] = field(default_factory=dict)
    """By storage class; files of earlier versions have none."""
    kms_per_10000: float | None = None
    tags_per_10000: float | None = None
    """For 10,000 tags on objects, a month."""

    def hold_in(self, region: str) -> bool:
        """Whether these are that region's prices."""
        return region in self.regions or ANY_REGION in self.regions


def parse_prices(text: str, name: str) -> Prices:
    """Prices from the text of a price file. Raises `UsageError`, which calls the file `name`."""
    try:
        fields = json.loads(text)
        if not isinstance(fields, dict) or fields.get("format") != FORMAT or fields.get("currency") != "USD":
            raise ValueError(f"it is not a price file of format {FORMAT} in USD")
        tables = {table: {key: _amount(price) for key, price in fields[table].items()} for table in _TABLES}
        if STANDARD not in tables["storage_gb_month"]:
            raise ValueError(f"storage_gb_month has no {STANDARD}")
        tables["storage_gb_month"] = {STANDARD: 0.0} | tables["storage_gb_month"]  # the others stand behind it
        numbers = {number: _amount(fields[number]) for number in _NUMBERS}
        return Prices(
            as_of=date.fromisoformat(fields["as_of"]),
            source=str(fields["source"]),
            regions=tuple(map(str, fields["regions"])),
            storage_gb_month=tables["storage_gb_month"],
            transition_per_1000=tables["transition_per_1000"],
            written_directly={
                name: PricesOfClass(**{part: _amount(price) for part, price in parts.items()})
                for name, parts in fields.get("written_directly", {}).items()
            },
            kms_per_10000=_amount(fields["kms_per_10000"]) if "kms_per_10000" in fields else None,
            tags_per_10000=_amount(fields["tags_per_10000"]) if "tags_per_10000" in fields else None,
            **numbers,
        )
    except KeyError as error:
        raise UsageError(f"the prices in {name} cannot be read: {error} is missing") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"the prices in {name} cannot be read: {error}") from error


def read_prices(path: str) -> Prices:
    """The prices in a file of the user's. Raises `UsageError`."""
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the prices in {path} cannot be read: {reason(error)}") from error
    return parse_prices(text, path)


@cache
def shipped_prices(region: str) -> Prices | None:
    """The prices in the package for that region, or None if it has none."""
    for entry in sorted(files(__package__).joinpath("price_lists").iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".json"):
            prices = parse_prices(entry.read_text("utf-8"), entry.name)
            if prices.hold_in(region):
                return prices
    return None


def _amount(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e6:
        raise ValueError(f"{value!r} is not a price")
    return float(value)
