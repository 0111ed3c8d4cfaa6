from __future__ import annotations

import json
from pathlib import Path

import pytest

from s3_log_roller.errors import UsageError
from s3_log_roller.planning.prices import STANDARD, parse_prices, read_prices, shipped_prices

GOOD = {
    "format": 1,
    "as_of": "2026-11-22",
    "source": "test",
    "currency": "USD",
    "regions": ["xx-1"],
    "list_or_put_per_1000": 5,
    "get_per_1000": 0.4,
    "lambda_gb_second": 0.00001,
    "lambda_per_million": 0.2,
    "sqs_per_million": 0.4,
    "storage_gb_month": {"GLACIER_IR": 0.004, "STANDARD": 0.023},
    "transition_per_1000": {"GLACIER_IR": 0.02},
}


def test_shipped_prices_are_dated_and_name_where_they_come_from() -> None:
    """For each region that the package has prices of."""
    prices = shipped_prices("us-west-2")
    assert prices is not None
    assert prices.as_of.year >= 2026
    assert prices.source
    assert prices.storage_gb_month[STANDARD] > prices.storage_gb_month["STANDARD_IA"] > 0
    assert prices.storage_gb_month.keys() - {STANDARD} == prices.transition_per_1000.keys()


@pytest.mark.parametrize("region", ["cn-north-1", "us-gov-west-1", "", "nowhere"])
def test_no_prices_are_made_up(region: str) -> None:
    """A region without a price file has no prices."""
    assert shipped_prices(region) is None


def test_standard_comes_first_whatever_the_file_says() -> None:
    """Tables begin with what the logs are in now."""
    assert list(parse_prices(json.dumps(GOOD), "p").storage_gb_month) == [STANDARD, "GLACIER_IR"]


def test_a_star_stands_for_every_region() -> None:
    """For servers that are no AWS region."""
    prices = parse_prices(json.dumps(GOOD | {"regions": ["*"]}), "p")
    assert prices.hold_in("anywhere")
    assert not parse_prices(json.dumps(GOOD), "p").hold_in("anywhere")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": 2}, "not a price file of format 1"),
        ({"currency": "CNY"}, "not a price file of format 1 in USD"),
        ({"get_per_1000": -1}, "-1 is not a price"),
        ({"get_per_1000": "0.4"}, "'0.4' is not a price"),
        ({"get_per_1000": True}, "True is not a price"),
        ({"get_per_1000": float("nan")}, "nan is not a price"),
        ({"as_of": "22.11.2026"}, "isoformat"),
        ({"storage_gb_month": {"GLACIER_IR": 1}}, "no STANDARD"),
        ({"storage_gb_month": 3}, "cannot be read"),
    ],
)
def test_a_wrong_price_file_is_refused(tmp_path: Path, change: dict[str, object], words: str) -> None:
    """The message names the file and what is wrong in it."""
    path = tmp_path / "prices.json"
    path.write_text(json.dumps(GOOD | change))
    with pytest.raises(UsageError, match=words) as caught:
        read_prices(str(path))
    assert str(path) in str(caught.value)


def test_a_price_file_that_lacks_something_or_is_not_there(tmp_path: Path) -> None:
    """The message says what is missing."""
    with pytest.raises(UsageError, match="'sqs_per_million' is missing"):
        parse_prices(json.dumps({key: value for key, value in GOOD.items() if key != "sqs_per_million"}), "p")
    with pytest.raises(UsageError, match=r"the prices in .*nowhere cannot be read"):
        read_prices(str(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match="the prices in p cannot be read"):
        parse_prices("[1", "p")
