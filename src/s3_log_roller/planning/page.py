"""The plan as a page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from s3_log_roller.amounts import count, size
from s3_log_roller.log_output import printable
from s3_log_roller.pages.calendar import Month, calendar
from s3_log_roller.pages.page import render
from s3_log_roller.pages.tables import Cell, Column, Table
from s3_log_roller.planning.costs import CLASS_NAMES, Keeping
from s3_log_roller.planning.course import PlannedDay
from s3_log_roller.planning.places import Place, place_of
from s3_log_roller.planning.plan import Figures, Money, Plan, sum_figures
from s3_log_roller.planning.verdict import usd, verdict, where_kept

MAX_CALENDARS: Final = 30
"""Target prefixes with a calendar: those with the most logs."""
_COLUMNS: Final = [
    Column("target prefix", "text"),
    *map(Column, ("days", "logs", "size", "packed", "late", "rollups", "about")),
]


@dataclass(frozen=True, slots=True)
class Bar:
    """An amount, drawn."""

    label: str
    text: str
    percent: float
    """The bar's length in per cent of the longest one beside it."""
    kind: str
    """`now` or `then`."""
    is_best: bool = False
    """There is nothing cheaper among what suits."""


@dataclass(frozen=True, slots=True)
class PlaceCalendar:
    """Logs a day under a target prefix."""

    name: str
    months: list[Month]
    gaps: list[date]


def render_page(plan: Plan) -> str:
    """The page. What it says is what `plan` prints, with pictures."""
    by_logs = sorted(plan.places().items(), key=lambda item: -sum(day.found.logs for day in item[1]))
    calendars = list(_calendars(plan, by_logs[:MAX_CALENDARS]))
    return render(
        "s3_log_roller.planning",
        "plan.html",
        title=f"What rolling up would do, {plan.terms.today}",
        plan=plan,
        verdict=verdict(plan),
        all_figures=list(_figures(plan)),
        storage=_storage(plan.money) if plan.money else [],
        where=where_kept(plan.money) if plan.money else "",
        classes=list(_classes(plan, plan.money)) if plan.money else [],
        places=Table(_COLUMNS, [_row(place, sum_figures(days)) for place, days in by_logs]),
        calendars=calendars,
        more_calendars=max(0, len(plan.places()) - len(calendars)),
        requests=list(_requests(plan)),
        left_alone=list(_left_alone(plan)),
        problems=[printable(day.found.problem) for day in plan.days if day.found.problem],
        failures=[(printable(what), printable(why)) for what, why in plan.failures.items()],
        prefixes=[printable(prefix) for prefix in plan.terms.prefixes],
        sizes=count(plan.measured.logs, "log") if plan.measured.logs else "",
    )


def _figures(plan: Plan) -> Iterator[tuple[str, str]]:
    total, money = plan.total, plan.money
    yield "logs to pack", f"{total.to_pack:,}"
    yield "size of all logs", size(total.bytes)
    yield "new rollups", f"{total.rollups:,}"
    yield "their size, about", size(total.rollup_bytes)
    if money is not None:
        yield "costs once", usd(money.run.total)
        yield ("saves a month" if money.now >= money.then else "adds a month"), usd(abs(money.now - money.then))


def _storage(money: Money) -> list[Bar]:
    return _bars([("now", money.now, "now"), ("after the run", money.then, "then")])


def _classes(plan: Plan, money: Money) -> Iterator[tuple[str, str, list[Bar]]]:
    """(storage class, remark, bars) for everything that keeping the logs costs."""
    days = plan.terms.keep_days
    pairs = [
        (before, after)
        for before in money.as_they_are
        for after in money.rolled_up
        if before.storage_class == after.storage_class
    ]
    amounts = [(before.total(days), after.total(days) + money.run.total) for before, after in pairs]
    longest = max((max(pair) for pair in amounts), default=0.0)
    best = min(min(pair) for (way, _), pair in zip(pairs, amounts, strict=True) if not way.needs_restore)
    for (before, _), (as_they_are, rolled_up) in zip(pairs, amounts, strict=True):
        bars = [
            replace(bar, is_best=amount == best)
            for amount, bar in zip(
                (as_they_are, rolled_up),
                _bars([("as they are", as_they_are, "now"), ("rolled up", rolled_up, "then")], longest),
                strict=True,
            )
        ]
        yield CLASS_NAMES.get(before.storage_class, before.storage_class), _remark(before), bars


def _remark(way: Keeping) -> str:
    if way.needs_restore:
        return "has to be restored before it can be read"
    return f"billed for at least {way.min_days} days" if way.min_days else ""


def _bars(amounts: Sequence[tuple[str, float, str]], longest: float | None = None) -> list[Bar]:
    most = max(amount for _, amount, _ in amounts) if longest is None else longest
    return [
        Bar(label, usd(amount), round(100 * amount / most, 2) if most else 0.0, kind) for label, amount, kind in amounts
    ]


def _row(place: Place, figures: Figures) -> list[Cell]:
    numbers = (
        (f"{figures.day_groups:,}", figures.day_groups),
        (f"{figures.logs:,}", figures.logs),
        (size(figures.bytes), figures.bytes),
        (f"{figures.leftovers:,}", figures.leftovers),
        (f"{figures.late:,}", figures.late),
        (f"{figures.rollups:,}", figures.rollups),
        (size(figures.rollup_bytes) if figures.rollups else "–", figures.rollup_bytes),
    )
    name = printable(str(place))
    return [Cell(name, name), *(Cell(text, float(number)) for text, number in numbers)]


def _calendars(plan: Plan, places: Sequence[tuple[Place, list[PlannedDay]]]) -> Iterator[PlaceCalendar]:
    done = {(place_of(day.group), day.group.day) for found in plan.inventories for day in found.settled}
    for place, days in places:
        logs: dict[date, int] = {}
        for day in days:
            logs[day.group.day] = logs.get(day.group.day, 0) + day.found.logs
        finished = {when for where, when in done if where == place}
        months, gaps = calendar(logs, finished)
        yield PlaceCalendar(printable(str(place)), months, gaps)


def _requests(plan: Plan) -> Iterator[tuple[str, str]]:
    requests, money = plan.course.requests, plan.money
    yield "LIST", f"{requests.list:,}"
    yield "GET", f"{requests.get:,}"
    yield "PUT", f"{requests.put:,}"
    yield "DELETE, free, for up to 1,000 logs each", f"{requests.delete:,}"
    if money is not None:
        yield "what they cost", usd(money.run.requests)
    memory = f"{plan.terms.lambda_memory_mb:,} MB"
    cost = f", {usd(money.run.on_lambda)} with its queue" if money is not None else ""
    yield f"time on Lambda with {memory}", f"{math.ceil(plan.course.lambda_s):,} s{cost}"


def _left_alone(plan: Plan) -> Iterator[tuple[str, str]]:
    yield "logs of days that are too young, today's among them", f"{sum(one.young for one in plan.inventories):,}"
    yield "logs of days that were not asked for", f"{sum(one.outside for one in plan.inventories):,}"
    yield "logs in archive classes", f"{plan.total.archived:,}"
    yield "objects that are neither logs nor rollups", f"{sum(one.others for one in plan.inventories):,}"
    yield "days that are done: only rollups are left", f"{sum(len(one.settled) for one in plan.inventories):,}"
