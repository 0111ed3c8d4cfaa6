from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from tests.support.sample_plan import runs_of

from s3_log_roller.cli.plan_view import render_plan
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.planning.costs import Objects, keep_in
from s3_log_roller.planning.document import to_json
from s3_log_roller.planning.inventory import Day, Inventory
from s3_log_roller.planning.plan import Money, Plan, Terms, make_plan
from s3_log_roller.planning.prices import GB, Prices, shipped_prices
from s3_log_roller.planning.sizes import Measured
from s3_log_roller.planning.verdict import usd, verdict
from s3_log_roller.rolling.window import Window
from s3_log_roller.store import ListedObject
from s3_log_roller.stored_as import BUCKET_DEFAULTS, StoredAs

TODAY = date(2022, 7, 10)
TERMS = Terms(TODAY, Window(TODAY), ("s3://logs/",), True, 8, BUCKET_DEFAULTS, 365, 1_769)
KB128 = 128 << 10


def prices() -> Prices:
    found = shipped_prices("us-east-1")
    assert found is not None
    return found


def a_day(logs: int, size: int, prefix: str = "web/", number: int = 1, **more: Any) -> Day:
    group = DayGroup("logs", prefix, date(2022, 7, number))
    return Day(group, logs, logs * size, logs * max(size, KB128), logs, **more)


def a_plan(*days: Day, terms: Terms = TERMS, region: str = "us-east-1", **more: Any) -> Plan:
    found = Inventory("logs", "", terms.window, region, list(days), runs=runs_of(days), lists=2, **more)
    return make_plan(terms, [found], {"us-east-1": prices()} if region == "us-east-1" else {})


def test_the_price_is_requests_times_prices_and_lambda_on_top() -> None:
    """No figure of money comes from anywhere else."""
    plan = a_plan(a_day(1_000_000, 3_800))
    assert plan.money is not None
    requests = plan.course.requests
    assert plan.money.run.requests == pytest.approx(
        (requests.list + requests.put) * 0.005 / 1000 + requests.get * 0.0004 / 1000
    )
    gb_seconds = plan.course.lambda_s * 1_769 / 1024
    assert plan.money.run.on_lambda == pytest.approx(
        gb_seconds * 0.0000133334 + plan.course.tasks * (0.2 + 3 * 0.4) / 1e6
    )
    assert plan.money.run.total == plan.money.run.requests + plan.money.run.on_lambda


CLASSES = {  # storage a GB, 1,000 PUTs, 1,000 GETs, a GB read, 1,000 objects watched, days at least
    "STANDARD": (0.023, 0.005, 0.0004, 0.0, 0.0, 0),
    "STANDARD_IA": (0.0125, 0.01, 0.001, 0.01, 0.0, 30),
    "ONEZONE_IA": (0.01, 0.01, 0.001, 0.01, 0.0, 30),
    "INTELLIGENT_TIERING": (0.023, 0.005, 0.0004, 0.0, 0.0025, 0),
    "GLACIER_IR": (0.004, 0.02, 0.01, 0.03, 0.0, 90),
}


@pytest.mark.parametrize("name", CLASSES)
def test_rollups_are_priced_in_the_class_they_are_written_to(name: str) -> None:
    """Requests, bytes read back, storage with its minimum of 128 KB; all else stays in S3 Standard."""
    days = [a_day(50, 3_800, number=number) for number in range(1, 9)]
    plain = a_plan(*days).money
    plan = a_plan(*days, terms=replace(TERMS, stored_as=StoredAs(name)))
    assert plain is not None
    assert plan.money is not None
    storing, puts = plan.money.storing, plan.course.requests.put
    gb_month, put, get, read_gb, watched, min_days = CLASSES[name]
    sizes = [day.rollup_bytes for day in plan.days]
    assert puts == len(sizes) == 8
    assert max(sizes) < KB128
    billed = [KB128 if min_days else size for size in sizes]
    assert storing.monthly == pytest.approx(sum(billed) / GB * gb_month + 8 * watched / 1000)
    on_top = 8 * (put - 0.005) / 1000 + 8 * (get - 0.0004) / 1000 + sum(sizes) / GB * read_gb
    assert storing.on_top == pytest.approx(on_top)
    assert plan.money.run.requests == pytest.approx(plain.run.requests + on_top)
    assert plan.money.then == pytest.approx(storing.monthly)
    assert (storing.min_days, storing.kms) == (min_days, 0)


@pytest.mark.parametrize(("sse", "share"), [("AES256", 0), ("aws:kms", 0.01), ("aws:kms:dsse", 1)])
def test_kms_is_asked_seldom_with_a_bucket_key(sse: str, share: float) -> None:
    """For a hundredth of the PUTs and GETs of new rollups; for each of them where there are no bucket keys."""
    days = [a_day(50, 3_800, number=number) for number in range(1, 9)]
    money = a_plan(*days, terms=replace(TERMS, stored_as=StoredAs(sse=sse))).money
    assert money is not None
    assert money.storing.kms == pytest.approx((8 + 8) * share * 0.03 / 10_000)


def test_tags_are_billed_each_month() -> None:
    """By their number."""
    day = a_day(50, 3_800)
    plain, tagged = (
        a_plan(day, terms=replace(TERMS, stored_as=StoredAs(tags=tags))).money
        for tags in ((), (("a", "1"), ("b", "2")))
    )
    assert plain is not None
    assert tagged is not None
    assert tagged.storing.monthly - plain.storing.monthly == pytest.approx(2 * 0.01 / 10_000)


def test_the_plan_says_what_storing_costs() -> None:
    """On the terminal and in the verdict; nothing is said where nothing is asked for."""
    asked = replace(TERMS, stored_as=StoredAs("GLACIER_IR", (("a", "1"),), "aws:kms"))
    plan = a_plan(a_day(1_000_000, 3_800), terms=asked)
    text = " ".join(render_plan(plan).split())
    assert "Rollups in Glacier IR: " in text
    assert (
        "a month, tags included, for 90 days at least, each rollup as 128 KB at least, writing and reading back" in text
    )
    assert "KMS requests" in text
    assert "a month with the rollups in Glacier Instant Retrieval." in verdict(plan)
    assert "Rollups " not in render_plan(a_plan(a_day(1_000_000, 3_800)))


def test_a_class_without_a_price_is_told() -> None:
    """Price files of users may lack it; no other price stands in for it."""
    lacking = replace(prices(), written_directly={})
    found = Inventory("logs", "", TERMS.window, "us-east-1", [a_day(50, 3_800)], runs=runs_of([a_day(50, 3_800)]))
    plan = make_plan(replace(TERMS, stored_as=StoredAs("ONEZONE_IA")), [found], {"us-east-1": lacking})
    assert plan.money is None
    assert "the package has no prices for ONEZONE_IA; give them with --prices FILE" in verdict(plan)


def test_a_million_logs_cost_what_the_documents_say() -> None:
    """About 0.40 USD of GETs and 0.005 of LISTs."""
    plan = a_plan(a_day(1_000_000, 3_800))
    assert plan.course.requests.get * 0.0004 / 1000 == pytest.approx(0.40, rel=0.01)
    assert plan.course.requests.list * 0.005 / 1000 == pytest.approx(0.005, rel=0.05)


@pytest.mark.parametrize(
    ("storage_class", "objects", "once", "monthly"),
    [
        ("STANDARD", Objects(1_000, GB, 2 * GB), 0.0, 0.023),
        ("STANDARD_IA", Objects(1_000, GB, 2 * GB), 0.01, 2 * 0.0125),
        ("GLACIER_IR", Objects(1_000, GB, 2 * GB), 0.02, 2 * 0.004),
        ("DEEP_ARCHIVE", Objects(1 << 17, GB, 2 * GB), 0.05 * 131.072, 0.00099 * 5 + 0.023),
    ],
)
def test_a_storage_class_bills_as_aws_does(storage_class: str, objects: Objects, once: float, monthly: float) -> None:
    """Transitions for each object, minimum sizes, and what an archive class adds to each object."""
    way = keep_in(prices(), storage_class, objects)
    assert way.once == pytest.approx(once)
    assert way.monthly == pytest.approx(monthly)


def test_what_is_deleted_early_is_billed_to_the_end() -> None:
    """90 days in Glacier Instant Retrieval."""
    way = keep_in(prices(), "GLACIER_IR", Objects(1, GB, GB))
    assert way.total(1) == way.total(90) < way.total(91)


@pytest.mark.parametrize("storage_class", ["STANDARD", "GLACIER_IR"])
def test_the_amounts_of_several_buckets_add_up(storage_class: str) -> None:
    """Once and by month, in each storage class; where one has no prices there are none at all."""
    terms = replace(TERMS, stored_as=StoredAs(storage_class, sse="aws:kms"))

    def money_of(*inventories: Inventory, regions: tuple[str, ...] = ("us-east-1",)) -> Money | None:
        return make_plan(terms, inventories, dict.fromkeys(regions, prices())).money

    def inventory(bucket: str, logs: int, region: str = "us-east-1") -> Inventory:
        day = Day(DayGroup(bucket, "web/", date(2022, 7, 1)), logs, logs * 3_800, logs * KB128, logs)
        return Inventory(bucket, "", TERMS.window, region, [day], runs=runs_of([day]))

    first, second = inventory("logs", 1_000), inventory("more", 50_000)
    one, other, both = money_of(first), money_of(second), money_of(first, second)
    assert one is not None
    assert other is not None
    assert both is not None
    amounts = [
        [money.run.requests, money.run.on_lambda, money.now, money.then, money.freed]
        + [money.storing.on_top, money.storing.kms, money.storing.monthly]
        + [
            amount
            for ways in (money.as_they_are, money.rolled_up)
            for way in ways
            for amount in (way.once, way.monthly)
        ]
        for money in (one, other, both)
    ]
    assert amounts[2] == pytest.approx([a + b for a, b in zip(amounts[0], amounts[1], strict=True)])
    assert (both.storing.storage_class, both.storing.min_days) == (storage_class, one.storing.min_days)
    assert [way.storage_class for way in both.rolled_up] == [way.storage_class for way in one.rolled_up]
    assert [way.min_days for way in both.rolled_up] == [way.min_days for way in one.rolled_up]
    assert money_of(first, inventory("far", 10, "cn-north-1")) is None


@pytest.mark.parametrize("storage_class", ["GLACIER_IR", "ONEZONE_IA"])
def test_rollups_are_not_moved_to_the_class_that_they_are_written_to(storage_class: str) -> None:
    """No lifecycle transition is counted for them, and the class is among the ways though no rule leads there."""
    plan = a_plan(a_day(1_000_000, 3_800), terms=replace(TERMS, stored_as=StoredAs(storage_class)))
    assert plan.money is not None
    (way,) = [way for way in plan.money.rolled_up if way.storage_class == storage_class]
    assert way.once == 0
    assert way.monthly == pytest.approx(plan.money.storing.monthly)


def test_the_verdict_knows_the_class_that_was_asked_for() -> None:
    """If it is the cheapest, nothing has to be moved."""
    plan = a_plan(a_day(1_000_000, 3_800), terms=replace(TERMS, stored_as=StoredAs("GLACIER_IR")))
    assert "the cheapest is to roll up and write the rollups to Glacier Instant Retrieval, as asked:" in verdict(plan)


def test_a_rollup_that_is_there_is_moved_to_the_class_asked_for() -> None:
    """It is in S3 Standard, and moving it there costs a transition."""
    old = ListedObject("web/rollup-2022-07-01-0123abcd.tgz", "e", GB, 0, False)
    settled = Day(DayGroup("logs", "web/", date(2022, 7, 1)), rollups=[old])
    terms = replace(TERMS, stored_as=StoredAs("GLACIER_IR"))
    money = a_plan(a_day(1_000, 3_800), settled=[settled], terms=terms).money
    assert money is not None
    (way,) = [way for way in money.rolled_up if way.storage_class == "GLACIER_IR"]
    assert way.once == pytest.approx(0.02 / 1_000)


def test_only_new_rollups_are_read_back_from_their_class() -> None:
    """A day whose logs are all in a rollup already adds nothing."""
    terms = replace(TERMS, stored_as=StoredAs("GLACIER_IR"))
    done = a_day(50, 3_800, number=2, leftovers=50, leftover_bytes=190_000, leftover_pieces=50)
    alone, beside = (a_plan(*days, terms=terms).money for days in ([a_day(50, 3_800)], [a_day(50, 3_800), done]))
    assert alone is not None
    assert beside is not None
    assert beside.storing == alone.storing


def test_nothing_is_saved_without_deleting() -> None:
    """The originals stay, the rollups come on top, and the plan says so."""
    plan = a_plan(a_day(10_000, 3_800), terms=replace(TERMS, delete=False))
    assert plan.money is not None
    assert plan.money.then > plan.money.now
    assert plan.money.pays_back_months is None
    assert plan.course.requests.delete == 0
    assert "Without --delete it saves nothing" in verdict(plan)
    assert "With --delete it would save 0.00062 USD a month and pay back after 6.8 months" in verdict(plan)


@pytest.mark.parametrize("storage_class", ["STANDARD", "GLACIER_IR"])
def test_what_deleting_would_save_is_what_it_then_saves(storage_class: str) -> None:
    """Without --delete the plan names the amount that it names with it: in that class, and where a day will fail."""
    days = [a_day(1_000_000, 3_800), a_day(1_000_000, 3_800, "api/", problem="its rollup is damaged")]
    with_it, without = (
        verdict(a_plan(*days, terms=replace(TERMS, delete=delete, stored_as=StoredAs(storage_class))))
        for delete in (True, False)
    )
    saved = re.search("saves ([0-9.]+ USD) a month", with_it)
    assert saved is not None
    assert f"With --delete it would save {saved[1]} a month" in without


def test_rollups_that_are_there_are_paid_for_now_and_then() -> None:
    """They stay whatever the run does."""
    old = ListedObject("web/rollup-2022-07-01-0123abcd.tgz", "e", GB, 0, False)
    settled = Day(DayGroup("logs", "web/", date(2022, 7, 1)), rollups=[old])
    with_it = a_plan(a_day(1_000, 3_800), settled=[settled]).money
    without = a_plan(a_day(1_000, 3_800)).money
    assert with_it is not None
    assert without is not None
    assert with_it.now - without.now == pytest.approx(0.023)
    assert with_it.then - without.then == pytest.approx(0.023)


@pytest.mark.parametrize(
    ("logs", "size", "keep_days", "words"),
    [
        (
            1_000_000,
            3_800,
            365,
            "It pays back after 6.7 months: it costs 0.42 USD once and saves 0.062 USD a month in S3 Standard.",
        ),
        (1_000_000, 3_800, 365, "the cheapest is to roll up and move the rollups to Glacier Instant Retrieval"),
        (1_000_000, 3_800, 90, "Kept 90 days in S3 Standard, it costs 0.23 USD more than it saves."),
        (1_000_000, 3_800, 30, "A lifecycle rule alone, which deletes them then, is cheaper: 0.08"),
        (1_000, 200_000, 3_650, "It pays back after 5 days"),
        (1_000, 500, 3_650, "costs 0.000"),
    ],
)
def test_the_verdict_says_whether_and_when_it_pays(logs: int, size: int, keep_days: int, words: str) -> None:
    """In plain words, and what is cheaper where it does not."""
    assert words in verdict(a_plan(a_day(logs, size), terms=replace(TERMS, keep_days=keep_days)))


@pytest.mark.parametrize(
    ("logs", "size", "words"),
    [
        (10, 50_000_000, "after a day:"),
        (1_000, 15_000, "after 54 days:"),
        (1_000, 13_000, "after 2.1 months:"),
        (1_000_000, 1_500, "after 17.5 months:"),
        (1_000_000, 1_000, "after 2.2 years:"),
        (1_000_000, 120, "after more than 20 years:"),
    ],
)
def test_how_long_it_takes_to_pay_back_is_said_in_words(logs: int, size: int, words: str) -> None:
    """Days, months or years."""
    assert f"It pays back {words}" in verdict(a_plan(a_day(logs, size), terms=replace(TERMS, keep_days=200_000)))


def test_logs_smaller_than_their_rollup_save_nothing() -> None:
    """With --delete or without it, and that is said."""
    kept_a_day = replace(TERMS, keep_days=1)
    assert "USD and saves nothing. A lifecycle rule alone" in verdict(a_plan(a_day(10, 1), terms=kept_a_day))
    assert "With --delete it would save nothing either." in verdict(
        a_plan(a_day(10, 1), terms=replace(kept_a_day, delete=False))
    )
    assert verdict(a_plan(a_day(10_000, 3_800), terms=kept_a_day)).startswith("Kept a day in S3 Standard, it costs ")


def test_where_no_prefix_could_be_listed_there_is_no_verdict() -> None:
    """That nothing lies there nobody knows; where one of them could be listed, it is about that one."""
    failures = {"s3://gone/": "there is no such bucket"}
    assert verdict(make_plan(TERMS, [], {}, failures=failures)) == "Nothing could be planned."
    empty = Inventory("logs", "", TERMS.window, "us-east-1")
    assert "nothing to do" in verdict(make_plan(TERMS, [empty], {"us-east-1": prices()}, failures=failures))


def test_logs_of_a_day_that_will_fail_stay_and_are_paid_for() -> None:
    """Nothing is deleted there."""
    plan = a_plan(a_day(1_000, GB // 1_000 + 1, "api/", problem="its rollup is damaged"))
    assert plan.money is not None
    assert (plan.money.freed, plan.money.now) == (0, plan.money.then)


def test_what_the_class_and_the_key_cost_is_part_of_what_the_run_costs() -> None:
    """Both of them."""
    plain, asked = (
        a_plan(a_day(50, 3_800), terms=replace(TERMS, stored_as=stored_as)).money
        for stored_as in (BUCKET_DEFAULTS, StoredAs("GLACIER_IR", sse="aws:kms"))
    )
    assert plain is not None
    assert asked is not None
    assert min(asked.storing.on_top, asked.storing.kms) > 0
    assert asked.run.requests == pytest.approx(plain.run.requests + asked.storing.on_top + asked.storing.kms)


def test_no_verdict_without_prices() -> None:
    """Everything else is planned all the same."""
    plan = a_plan(a_day(1_000, 3_800), region="cn-north-1")
    assert plan.money is None
    assert plan.course.requests.get == 1_002
    assert "the package has no prices for cn-north-1" in verdict(plan)
    assert to_json(plan)["total"]["cost_usd"] is None
    assert "No prices for cn-north-1." in render_plan(plan)


@pytest.mark.parametrize(
    ("days", "words"),
    [
        ((), "nothing to do: no logs of the days asked for"),
        ((a_day(5, 100, leftovers=5),), "nothing to pack: every log of these days is in a rollup"),
        ((a_day(0, 0, archived=3),), "has to be restored first"),
    ],
)
def test_nothing_to_do_is_said(days: tuple[Day, ...], words: str) -> None:
    """Instead of figures that are all nought."""
    assert words in verdict(a_plan(*days, terms=replace(TERMS, delete=False)))


def test_measured_sizes_hold_for_their_own_place() -> None:
    """Logs that compress well in one target prefix say nothing of another's."""
    days = (a_day(1_000, 3_800), a_day(1_000, 3_800, "api/"))
    plan = a_plan(*days)
    place = next(iter(plan.places()))
    measured = a_plan(*days, measured={place: Measured(10, 50, 100.0)})
    halved, other = measured.days
    assert halved.rollup_bytes == pytest.approx(plan.days[0].rollup_bytes / 2, abs=1)
    assert other.rollup_bytes == pytest.approx(plan.days[1].rollup_bytes / 2, abs=1)  # better than nothing at all
    both = dict.fromkeys(plan.places(), Measured(10, 100, 100.0)) | {place: Measured(10, 50, 100.0)}
    assert a_plan(*days, measured=both).days[1].rollup_bytes == plan.days[1].rollup_bytes


def test_the_json_has_the_fields_that_programs_rely_on() -> None:
    """And it is JSON."""
    plan = a_plan(a_day(1_000, 3_800, leftovers=10, leftover_bytes=38_000, leftover_pieces=10))
    document = json.loads(json.dumps(to_json(plan)))
    total = document["total"]
    assert total["requests"].keys() == {"list", "get", "put", "delete"}
    assert total["cost_usd"].keys() == {"requests", "lambda", "total"}
    assert total["monthly_usd"].keys() == {"now", "then"}
    assert total["pays_back_months"] > 0
    (day,) = document["day_groups"]
    expected = {"bucket": "logs", "target_prefix": "web/", "day": "2022-07-01", "logs": 1_000, "bytes": 3_800_000}
    assert day | expected | {"leftovers": 10} == day
    assert document["own_requests"]["list"] == 2


def test_a_day_whose_rollup_is_damaged_is_not_counted_as_packed() -> None:
    """A run would fail there; the plan says so."""
    plan = a_plan(a_day(1_000, 3_800, problem="s3://logs/web/rollup is damaged"), a_day(10, 3_800, "api/"))
    assert plan.total.rollups == 1
    assert "A run will fail here: s3://logs/web/rollup is damaged" in " ".join(render_plan(plan).split())


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0 USD"),
        (1e-9, "less than 0.0001 USD"),
        (0.00123, "0.0012 USD"),
        (0.0949, "0.095 USD"),
        (1234.5, "1,234.50 USD"),
    ],
)
def test_amounts_are_as_people_read_them(amount: float, text: str) -> None:
    """Two digits that count, or cents."""
    assert usd(amount) == text


def test_the_whole_plan_at_80_columns() -> None:
    """Word for word."""
    days = [a_day(400, 3_700, "web/", number) for number in (1, 2, 3)]
    days += [a_day(60, 3_700, "AWSLogs/111122223333/us-east-1/api/2022/07/02/", 2, archived=2)]
    days += [a_day(50, 3_700, "web/", 4, leftovers=48, leftover_bytes=48 * 3_700, leftover_pieces=48, index_gets=1)]
    old = ListedObject("web/rollup-2022-07-04-0123abcd.tgz", "e", 43_000, 0, False)
    days[-1].rollups.append(old)
    days[-1].holders.append((old, 48))
    plan = a_plan(*days, young=12, others=4, gets=1)
    text = render_plan(plan)
    assert max(map(len, text.splitlines())) <= 80
    assert text == WHOLE_PLAN


WHOLE_PLAN = """\
 target prefix               days    logs      bytes   packed   late    rollups
────────────────────────────────────────────────────────────────────────────────
 s3://logs/web/                 4   1,250     4.6 MB       48      2    ~1.1 MB
 s3://logs/AWSLogs/1111222      1      60   222.0 kB        0      0   ~55.7 kB
 23333/us-east-1/api/YYYY/
 MM/DD/

 in all                         5   1,310     4.8 MB       48      2    ~1.1 MB

 Left alone  12 logs of days too young, 2 archived logs, 4 other objects
 Requests    8 LIST, 1,268 GET, 5 PUT, 3 DELETE: 0.00057 USD
 On Lambda   1 s at 1,769 MB: less than 0.0001 USD, its queue included
 Storage     0.0001 USD a month now, less than 0.0001 USD then, in S3 Standard

 Moved there by a lifecycle rule and kept 365 days, in USD:
                 as they are                      rolled up
 storage class          move     month   in all        move     month    in all
────────────────────────────────────────────────────────────────────────────────
 S3 Standard               0    0.0001   0.0013           0   <0.0001    0.0009
 Standard-IA           0.013     0.002    0.037     <0.0001   <0.0001   0.00086
 Glacier IR            0.026   0.00064    0.034     0.00012   <0.0001   0.00078
 Deep Archive¹         0.066   0.00027    0.069      0.0003   <0.0001   0.00092

 ¹ It has to be restored before it can be read.
 Rolled up, “in all” includes the run. A lifecycle rule moves objects under 128
 KB only if told to.
 Prices of us-east-1 as of 2026-11-22 (AWS price pages of S3, Lambda and SQS).
 Sizes of rollups: by a model; --measure reads some logs for it.
 Planning took 2 LIST and 1 GET; nothing was changed.

 It pays back after 7.5 months: it costs 0.00059 USD once and saves less than
 0.0001 USD a month in S3 Standard. Kept 365 days, the cheapest is to roll up
 and move the rollups to Glacier Instant Retrieval: 0.00078 USD in all, against
 0.0013 USD for the logs as they are.
"""
