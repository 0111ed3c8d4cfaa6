"""A plan with something of everything: weekdays and weekends, gaps, days that are done, late logs, a damaged rollup."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from random import Random

from s3_log_roller.log_keys import DayGroup
from s3_log_roller.planning.inventory import MIN_BILLED_BYTES, Day, Inventory, Run
from s3_log_roller.planning.plan import Plan, Terms, make_plan
from s3_log_roller.planning.prices import Prices, shipped_prices
from s3_log_roller.rolling.window import Window
from s3_log_roller.store import ListedObject
from s3_log_roller.stored_as import BUCKET_DEFAULTS

TODAY = date(2022, 10, 3)
LOG_BYTES = 3_700


def sample_terms(*, delete: bool = True, keep_days: int = 365) -> Terms:
    """All days before `TODAY`."""
    return Terms(TODAY, Window(TODAY), ("s3://my-logs/",), delete, 8, BUCKET_DEFAULTS, keep_days, 1_769)


def us_prices() -> Prices:
    """Those that the package has."""
    prices = shipped_prices("us-east-1")
    assert prices is not None
    return prices


def sample_plan(terms: Terms | None = None) -> Plan:
    """The plan for four target prefixes over three months."""
    rng = Random(7)
    found = Inventory("my-logs", "", Window(TODAY), "us-east-1", young=8_412, others=3, lists=2_150, gets=31)
    first = date(2022, 7, 1)
    for number in range((TODAY - first).days):
        day = first + timedelta(number)
        busy = 0.3 if day.weekday() >= 5 else 1.0
        if not date(2022, 8, 16) <= day <= date(2022, 8, 18):
            found.days.append(_day("web/", day, round(18_000 * busy * rng.uniform(0.7, 1.3))))
        if day < date(2022, 9, 1):
            found.settled.append(Day(DayGroup("my-logs", "api-", day), rollups=[_rollup("api-", day, 900_000)]))
        else:
            found.days.append(_day("api-", day, round(4_000 * busy * rng.uniform(0.5, 1.5))))
        if day.weekday() != 6:
            prefix = f"AWSLogs/111122223333/us-east-1/shop.example.com/{day:%Y/%m/%d}/"
            found.days.append(_day(prefix, day, round(1_500 * busy * rng.uniform(0.2, 1.8))))
    late = _day("api-", date(2022, 8, 30), 12)
    late.rollups.append(_rollup("api-", date(2022, 8, 30), 900_000))
    damaged = _day("old/", date(2022, 7, 4), 77)
    damaged.problem = "s3://my-logs/old/rollup-2022-07-04-1b2c3d4e.tgz is damaged: the file does not end with an index"
    found.days += [late, damaged]
    found.settled = [day for day in found.settled if day.group != late.group]
    found.runs = runs_of(found.days)
    return make_plan(terms or sample_terms(), [found], {"us-east-1": us_prices()})


def runs_of(days: Iterable[Day]) -> list[Run]:
    """How the logs of these days lie in a listing: each day's side by side."""
    ordered = sorted((day for day in days if day.logs + day.archived), key=lambda day: day.group.logs_prefix)
    return [
        Run(f"{day.group.logs_prefix}0", f"{day.group.logs_prefix}9", day.group, day.logs + day.archived, nested=False)
        for day in ordered
    ]


def _day(prefix: str, day: date, logs: int) -> Day:
    return Day(DayGroup("my-logs", prefix, day), logs, logs * LOG_BYTES, logs * MIN_BILLED_BYTES, logs)


def _rollup(prefix: str, day: date, size: int) -> ListedObject:
    return ListedObject(f"{prefix}rollup-{day}-0123abcd.tgz", "e", size, 0, False)
