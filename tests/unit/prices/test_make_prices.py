from __future__ import annotations

import json
from typing import Any

import pytest
from prices.make_prices import make

from s3_log_roller.planning.prices import parse_prices, shipped_prices

SKUS = (
    ("AmazonS3", "Requests-Tier1", "", ["0.0000050000"]),
    ("AmazonS3", "Requests-Tier2", "", ["0.0000004000"]),
    ("AmazonS3", "Requests-Tier3", "S3-GDATransition", ["0.0000500000"]),
    ("AmazonS3", "Requests-Tier3", "S3-GlacierTransition", ["0.0000300000"]),
    ("AmazonS3", "Requests-Tier4", "S3-SIATransition", ["0.0000100000"]),
    ("AmazonS3", "Requests-Tier4", "S3-GIRTransition", ["0.0000200000"]),
    ("AmazonS3", "TimedStorage-ByteHrs", "", ["0.0230000000", "0.0220000000", "0.0210000000"]),
    ("AmazonS3", "TimedStorage-SIA-ByteHrs", "", ["0.0125000000"]),
    ("AmazonS3", "TimedStorage-GIR-ByteHrs", "", ["0.0040000000"]),
    ("AmazonS3GlacierDeepArchive", "TimedStorage-GDA-ByteHrs", "", ["0.0009900000"]),
    ("AWSLambda", "Lambda-GB-Second-ARM", "", ["0.0000133334", "0.0000120001"]),
    ("AWSLambda", "Request-ARM", "", ["0.0000002000"]),
    ("AWSQueueService", "Requests-RBP", "", ["0.0000000000", "0.0000004000", "0.0000003000"]),
    ("AWSQueueService", "Requests-Tier1", "", ["0.0000009000"]),
)
"""(offer, usage type, operation, prices of the tiers), as us-east-1 has them."""


def price_lists(region: str = "us-east-1", code: str = "", **changed: list[str]) -> list[dict[str, Any]]:
    """Price lists in AWS's format, one for each offer."""
    found: dict[str, dict[str, Any]] = {}
    for number, (offer, usage_type, operation, tiers) in enumerate(SKUS):
        price_list = found.setdefault(
            offer,
            {
                "formatVersion": "v1.0",
                "offerCode": offer,
                "publicationDate": "2026-11-20T18:03:11Z",
                "products": {},
                "terms": {"OnDemand": {}},
            },
        )
        sku = f"SKU{number:04}"
        attributes = {"usagetype": code + usage_type, "operation": operation, "regionCode": region}
        price_list["products"][sku] = {"sku": sku, "productFamily": "x", "attributes": attributes}
        dimensions = {
            f"{sku}.JRTCKXETXF.{tier}": {
                "unit": "x",
                "beginRange": str(tier * 1_000),
                "pricePerUnit": {"USD": usd},
            }
            for tier, usd in enumerate(changed.get(usage_type.replace("-", "_"), tiers))
        }
        # Their order in the file says nothing.
        shuffled = dict(reversed(dimensions.items()))
        price_list["terms"]["OnDemand"][sku] = {f"{sku}.JRTCKXETXF": {"sku": sku, "priceDimensions": shuffled}}
    return list(found.values())


def test_the_prices_of_a_region_are_found_in_the_lists() -> None:
    """And the package reads what is made of them. us-east-1's are those that it has."""
    made = make(price_lists())
    assert made["as_of"] == "2026-11-20"
    read = parse_prices(json.dumps(made), "made")
    shipped = shipped_prices("us-east-1")
    assert shipped is not None
    for field in ("list_or_put_per_1000", "get_per_1000", "lambda_gb_second", "sqs_per_million", "storage_gb_month"):
        assert getattr(read, field) == getattr(shipped, field)
    assert read.transition_per_1000 == shipped.transition_per_1000


def test_regions_with_the_same_prices_share_a_file() -> None:
    """Usage types begin with a code of the region in all regions but the first."""
    made = make(price_lists() + price_lists("us-west-2", "USW2-") + price_lists("eu-west-1", "EU-"))
    assert made["regions"] == ["eu-west-1", "us-east-1", "us-west-2"]


def test_regions_with_other_prices_are_refused() -> None:
    """Nothing is averaged."""
    with pytest.raises(ValueError, match="the prices of us-west-1 are not those of us-east-1"):
        make(price_lists() + price_lists("us-west-1", "USW1-", Requests_Tier1=["0.0000055000"]))


def test_a_price_that_is_missing_is_named() -> None:
    """With the region and what AWS calls it."""
    lists = [price_list for price_list in price_lists() if price_list["offerCode"] != "AWSLambda"]
    with pytest.raises(ValueError, match="us-east-1: no price for lambda_gb_second"):
        make(lists)
