"""Make a price file of the package from AWS's public price lists.

    python prices/make_prices.py us-east-1/*.json > src/s3_log_roller/planning/price_lists/us-east-1.json

A maintainer downloads the lists of a region, which the AWS Price List Bulk API offers to everyone:

    for offer in AmazonS3 AmazonS3GlacierDeepArchive AWSLambda AWSQueueService; do
        curl -o us-east-1/$offer.json https://pricing.us-east-1.amazonaws.com/offers/v1.0/aws/$offer/current/us-east-1/index.json
    done

What is in them: https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/reading-service-price-list-file.html.
Lists of more regions may be given at once: one file is made of those that have the same prices, or none and an error.
By hand, from the price pages: `written_directly` (for `--storage-class`), `kms_per_10000`, `tags_per_10000`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

_REGION_CODE: Final = re.compile(r"^[A-Z]{2,4}[0-9]?-(?=[A-Z])")
"""What usage types begin with in all regions but us-east-1: `USW2-`, `EU-`."""


class Wanted(NamedTuple):
    """A price that the package needs, and how the lists call it."""

    offer: str
    usage_type: str
    """Without the code of the region."""
    operation: str
    """Empty: any."""
    units: float
    """For how many of the lists' units our price is."""


NUMBERS: Final = {
    "list_or_put_per_1000": Wanted("AmazonS3", "Requests-Tier1", "", 1e3),
    "get_per_1000": Wanted("AmazonS3", "Requests-Tier2", "", 1e3),
    "lambda_gb_second": Wanted("AWSLambda", "Lambda-GB-Second-ARM", "", 1),
    "lambda_per_million": Wanted("AWSLambda", "Request-ARM", "", 1e6),
    "sqs_per_million": Wanted("AWSQueueService", "Requests-RBP", "", 1e6),
}
STORAGE: Final = {
    "STANDARD": Wanted("AmazonS3", "TimedStorage-ByteHrs", "", 1),
    "STANDARD_IA": Wanted("AmazonS3", "TimedStorage-SIA-ByteHrs", "", 1),
    "GLACIER_IR": Wanted("AmazonS3", "TimedStorage-GIR-ByteHrs", "", 1),
    "DEEP_ARCHIVE": Wanted("AmazonS3GlacierDeepArchive", "TimedStorage-GDA-ByteHrs", "", 1),
}
TRANSITIONS: Final = {
    "STANDARD_IA": Wanted("AmazonS3", "Requests-Tier4", "S3-SIATransition", 1e3),
    "GLACIER_IR": Wanted("AmazonS3", "Requests-Tier4", "S3-GIRTransition", 1e3),
    "DEEP_ARCHIVE": Wanted("AmazonS3", "Requests-Tier3", "S3-GDATransition", 1e3),
}


class Priced(NamedTuple):
    """An entry of a price list: what it is called, and what the first tier of it that costs anything costs."""

    region: str
    offer: str
    usage_type: str
    operation: str
    usd: float


def make(lists: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The price file for the regions of these lists. Raises ValueError where a price is missing or regions differ."""
    entries: list[Priced] = []
    dates = []
    for price_list in lists:
        entries += _read(price_list)
        dates.append(str(price_list["publicationDate"])[:10])
    by_region = {region: _region_prices(region, entries) for region in sorted({entry.region for entry in entries})}
    if not by_region:
        raise ValueError("there are no prices of any region in these lists")
    first = next(iter(by_region.values()))
    if different := [region for region, prices in by_region.items() if prices != first]:
        raise ValueError(f"the prices of {', '.join(different)} are not those of {next(iter(by_region))}")
    return {
        "format": 1,
        "as_of": max(dates),
        "source": "AWS Price List Bulk API",
        "currency": "USD",
        "regions": list(by_region),
        **first,
    }


def _read(price_list: dict[str, Any]) -> Iterator[Priced]:
    on_demand = price_list["terms"]["OnDemand"]
    for sku, product in price_list["products"].items():
        attributes = product["attributes"]
        usage_type = _REGION_CODE.sub("", attributes.get("usagetype", ""))
        region = attributes.get("regionCode", "")
        prices = [usd for term in on_demand.get(sku, {}).values() for usd in _tiers(term)]
        if region and prices:
            operation, usd = attributes.get("operation", ""), next(filter(None, prices), 0.0)
            yield Priced(region, price_list["offerCode"], usage_type, operation, usd)


def _tiers(term: dict[str, Any]) -> list[float]:
    """What the tiers of a term cost, the smallest use first; free tiers cost 0."""
    tiers = sorted(term["priceDimensions"].values(), key=lambda tier: float(tier.get("beginRange", 0)))
    return [float(tier["pricePerUnit"]["USD"]) for tier in tiers]


def _region_prices(region: str, entries: list[Priced]) -> dict[str, Any]:
    def price(name: str, wanted: Wanted) -> float:
        found = {
            entry.usd
            for entry in entries
            if (entry.region, entry.offer, entry.usage_type) == (region, wanted.offer, wanted.usage_type)
            and wanted.operation in ("", entry.operation)
            and entry.usd
        }
        if len(found) != 1:
            what = f"{len(found)} prices" if found else "no price"
            raise ValueError(f"{region}: {what} for {name} ({wanted.usage_type} {wanted.operation})".rstrip())
        return round(found.pop() * wanted.units, 12)

    numbers = {name: price(name, wanted) for name, wanted in NUMBERS.items()}
    return {
        **numbers,
        "storage_gb_month": {name: price(name, wanted) for name, wanted in STORAGE.items()},
        "transition_per_1000": {name: price(name, wanted) for name, wanted in TRANSITIONS.items()},
    }


def main() -> int:
    """Print the price file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lists", nargs="+", type=Path, metavar="LIST.json", help="price lists, as downloaded")
    arguments = parser.parse_args()
    try:
        made = make(json.loads(path.read_text("utf-8")) for path in arguments.lists)
    except ValueError as error:
        print(f"make_prices: {error}", file=sys.stderr)
        return 1
    print(json.dumps(made, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
