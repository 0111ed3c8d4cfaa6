"""The plan: what a run would do, what it costs, and what it saves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import reduce
from operator import add

from s3_log_roller.planning.costs import Keeping, Objects, RunCost, keep_in, run_cost
from s3_log_roller.planning.course import Course, Manner, PlannedDay, plan_course, proof_gets, sum_courses
from s3_log_roller.planning.inventory import MIN_BILLED_BYTES, Day, Inventory
from s3_log_roller.planning.places import Place, place_of
from s3_log_roller.planning.prices import STANDARD, Prices
from s3_log_roller.planning.requests import Requests
from s3_log_roller.planning.sampling import plus_minus
from s3_log_roller.planning.sizes import Measured, model_bytes, sum_measured
from s3_log_roller.planning.storing import NewRollups, Storing, price_storing
from s3_log_roller.rolling.destination import Destination
from s3_log_roller.rolling.window import Window
from s3_log_roller.stored_as import StoredAs


@dataclass(frozen=True, slots=True)
class Terms:
    """What the user asked for, and what the plan reckons with."""

    today: date
    window: Window
    prefixes: tuple[str, ...]
    delete: bool
    level: int
    stored_as: StoredAs
    keep_days: int
    """How long the logs are kept; for the verdict."""
    lambda_memory_mb: int
    delete_versions: bool = False
    destination: Destination | None = None
    """Where rollups go, if not beside their logs."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Sums over some day groups."""

    day_groups: int
    logs: int
    bytes: int
    leftovers: int
    late: int
    archived: int
    uncertain: int
    to_pack: int
    rollups: int
    """How many new rollups there will be."""
    rollup_bytes: int
    """The estimated bytes of the new rollups."""
    logs_plus_minus: int
    """What the number of logs may be off by; 0 where all were counted."""


@dataclass(frozen=True, slots=True)
class Money:
    """In USD."""

    run: RunCost
    now: float
    """A month in S3 Standard, as it is."""
    then: float
    """A month after the run: the new rollups as they are to be stored, all else in S3 Standard."""
    freed: float
    """What the originals cost a month, in S3 Standard, that a run with --delete deletes."""
    storing: Storing
    """What storing the new rollups so costs; what it costs once is part of `run`."""
    as_they_are: tuple[Keeping, ...]
    """What the originals and rollups that are there cost, by storage class."""
    rolled_up: tuple[Keeping, ...]
    """What the old and the new rollups cost without originals, by storage class; the one asked for among them."""

    @property
    def pays_back_months(self) -> float | None:
        """When the run has earned what it cost; None if never."""
        saving = self.now - self.then
        return self.run.total / saving if saving > 0 else None

    def __add__(self, other: Money) -> Money:
        return Money(
            self.run + other.run,
            self.now + other.now,
            self.then + other.then,
            self.freed + other.freed,
            self.storing + other.storing,
            _add_by_class(self.as_they_are, other.as_they_are),
            _add_by_class(self.rolled_up, other.rolled_up),
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything there is to say before a run."""

    terms: Terms
    days: tuple[PlannedDay, ...]
    inventories: tuple[Inventory, ...]
    measured: Measured
    total: Figures
    course: Course
    prices: Mapping[str, Prices]
    """The prices used, by region."""
    money: Money | None
    """None if there are no prices for one of the regions."""
    failures: Mapping[str, str]
    """Prefixes that could not be listed, and why."""

    @property
    def own_requests(self) -> Requests:
        """Requests that planning took."""
        return Requests(sum(found.lists for found in self.inventories), sum(found.gets for found in self.inventories))

    @property
    def unpriced(self) -> list[str]:
        """Regions of these buckets that there are no prices for."""
        return sorted({found.region for found in self.inventories} - self.prices.keys())

    @property
    def no_price_for(self) -> str:
        """What there is no price for, so that there are no amounts; empty if there is one for everything."""
        if self.unpriced:
            return " and ".join(self.unpriced)
        if self.money is not None:
            return ""
        stored_as = self.terms.stored_as
        parts = [stored_as.storage_class, "KMS" if stored_as.uses_kms else "", "tags" if stored_as.tags else ""]
        return " with ".join(filter(None, parts))

    def places(self) -> dict[Place, list[PlannedDay]]:
        """The days by where they lie."""
        found: dict[Place, list[PlannedDay]] = {}
        for day in self.days:
            found.setdefault(place_of(day.group), []).append(day)
        return found


def make_plan(
    terms: Terms,
    inventories: Sequence[Inventory],
    prices: Mapping[str, Prices],
    *,
    failures: Mapping[str, str] | None = None,
) -> Plan:
    """Work out the plan from what was found."""
    by_place: dict[Place, Measured] = {}
    for found in inventories:
        for place, one in found.measured.items():
            by_place[place] = by_place.get(place, Measured()) + one
    measured = sum_measured(by_place.values())
    manner = Manner(terms.today, terms.delete, terms.lambda_memory_mb)
    days, courses, money = [], [], []
    for found in inventories:
        of_these = [_plan_day(day, by_place.get(place_of(day.group), measured)) for day in found.days]
        course = plan_course(found, of_these, manner)
        days += of_these
        courses.append(course)
        if found.region in prices:
            of_bucket = _money(terms, found, of_these, course, prices[found.region])
            if of_bucket is not None:
                money.append(of_bucket)
    return Plan(
        terms,
        tuple(days),
        tuple(inventories),
        measured,
        sum_figures(days),
        sum_courses(courses),
        prices,
        reduce(add, money) if len(money) == len(inventories) and money else None,
        failures or {},
    )


def sum_figures(days: Sequence[PlannedDay]) -> Figures:
    """The sums over these days."""
    found = [day.found for day in days]
    return Figures(
        day_groups=len(days),
        logs=sum(day.logs for day in found),
        bytes=sum(day.bytes for day in found),
        leftovers=sum(day.leftovers for day in found),
        late=sum(day.late for day in found),
        archived=sum(day.archived for day in found),
        uncertain=sum(day.uncertain for day in found),
        to_pack=sum(day.to_pack for day in found),
        rollups=sum(day.rollup_bytes > 0 for day in days),
        rollup_bytes=sum(day.rollup_bytes for day in days),
        logs_plus_minus=plus_minus(sum(day.variance for day in found)),
    )


def _plan_day(day: Day, measured: Measured) -> PlannedDay:
    to_pack = 0 if day.problem else day.to_pack
    return PlannedDay(day, round(measured.factor * model_bytes(to_pack, day.bytes - day.leftover_bytes)))


def _money(terms: Terms, found: Inventory, days: Sequence[PlannedDay], course: Course, prices: Prices) -> Money | None:
    old = _rollups([rollup.size for day in (*found.days, *found.settled) for rollup in day.rollups])
    new = _rollups([day.rollup_bytes for day in days if day.rollup_bytes])
    originals = _originals(days)
    freed = keep_in(prices, STANDARD, _originals([day for day in days if not day.found.problem])).monthly
    lambda_gb_s = course.lambda_s * terms.lambda_memory_mb / 1024
    gets = sum(map(proof_gets, (day for day in days if day.rollup_bytes)))
    storing = price_storing(prices, terms.stored_as, NewRollups(new, course.requests.put, gets))
    if storing is None:
        return None
    run = run_cost(prices, course.requests, lambda_gb_s, course.tasks)
    now = keep_in(prices, STANDARD, originals + old).monthly
    return Money(
        run + RunCost(storing.on_top + storing.kms, 0.0),
        now,
        now + storing.monthly - (freed if terms.delete else 0.0),
        freed,
        storing,
        tuple(keep_in(prices, name, originals + old) for name in prices.storage_gb_month),
        tuple(_ways_of_keeping(prices, storing, old, new)),
    )


def _ways_of_keeping(prices: Prices, storing: Storing, old: Objects, new: Objects) -> Iterator[Keeping]:
    """The rollups in each class; no lifecycle rule moves the new ones to the class that they are written to."""
    asked = storing.storage_class
    for name in prices.storage_gb_month:
        way = keep_in(prices, name, old + new)
        yield way if name != asked else replace(way, once=keep_in(prices, name, old).once)
    if asked not in prices.storage_gb_month:
        monthly = keep_in(prices, STANDARD, old).monthly + storing.monthly
        yield Keeping(asked, 0.0, monthly, storing.min_days, needs_restore=False)


def _originals(days: Sequence[PlannedDay]) -> Objects:
    found = [day.found for day in days]
    return Objects(
        sum(day.logs for day in found), sum(day.bytes for day in found), sum(day.billed_bytes for day in found)
    )


def _rollups(sizes: Sequence[int]) -> Objects:
    return Objects(len(sizes), sum(sizes), sum(max(size, MIN_BILLED_BYTES) for size in sizes))


def _add_by_class(ours: tuple[Keeping, ...], theirs: tuple[Keeping, ...]) -> tuple[Keeping, ...]:
    """The sums for the classes that both regions have."""
    by_class = {keeping.storage_class: keeping for keeping in theirs}
    return tuple(one + by_class[one.storage_class] for one in ours if one.storage_class in by_class)
