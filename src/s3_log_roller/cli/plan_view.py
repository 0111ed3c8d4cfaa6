"""The plan on a terminal, at 80 columns or as wide as there is room."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from typing import Final

from rich.box import SIMPLE
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from s3_log_roller.amounts import count, size
from s3_log_roller.log_output import printable
from s3_log_roller.planning.costs import CLASS_NAMES, Keeping
from s3_log_roller.planning.plan import Figures, Money, Plan, sum_figures
from s3_log_roller.planning.verdict import usd, verdict, where_kept
from s3_log_roller.stored_as import BUCKET_DEFAULTS, StoredAs

_SHORT_NAMES: Final = CLASS_NAMES | {"GLACIER_IR": "Glacier IR", "DEEP_ARCHIVE": "Deep Archive"}
_MAX_PLACES: Final = 40
"""Target prefixes shown; the rest is one row."""


def render_plan(plan: Plan, *, width: int = 80, colours: bool = False) -> str:
    """The plan for people."""
    out = StringIO()
    console = Console(file=out, width=width, force_terminal=colours, no_color=not colours, highlight=False)
    if plan.days:
        console.print(_places(plan))
        console.print()
    for name, text in _facts(plan):
        line = Table.grid(padding=(0, 2))
        line.add_column(width=10)
        line.add_column()
        line.add_row(Text(name, "bold"), Text(text))
        console.print(Padding(line, (0, 0, 0, 1)))
    if plan.money is not None and plan.total.day_groups:
        console.print(f"\n Moved there by a lifecycle rule and kept {plan.terms.keep_days:,} days, in USD:")
        console.print(_storage(plan, plan.money))
        console.print()
    for note in _notes(plan):
        console.print(Padding(Text(note, "dim"), (0, 0, 0, 1)))
    console.print(Padding(Text(verdict(plan), "bold"), (1, 0, 0, 1)))
    lines = [line.rstrip() for line in out.getvalue().strip("\n").split("\n")]
    return "\n".join(lines) + "\n"


def _places(plan: Plan) -> Table:
    table = Table(box=SIMPLE, pad_edge=True, padding=(0, 1), header_style="bold", show_edge=False)
    table.add_column("target prefix", overflow="fold", ratio=1)
    for name in ("days", "logs", "bytes", "packed", "late", "rollups"):
        table.add_column(name, justify="right", no_wrap=True)
    places = [(printable(str(place)), sum_figures(days)) for place, days in plan.places().items()]
    for name, figures in places[:_MAX_PLACES]:
        table.add_row(name, *_cells(figures))
    if len(places) > _MAX_PLACES:
        rest = [day for days in list(plan.places().values())[_MAX_PLACES:] for day in days]
        table.add_row(f"{len(places) - _MAX_PLACES:,} more", *_cells(sum_figures(rest)))
    if len(places) > 1:
        table.add_section()
        table.add_row("in all", *_cells(plan.total), style="bold")
    return table


def _cells(figures: Figures) -> list[str]:
    return [
        f"{figures.day_groups:,}",
        f"{figures.logs:,}",
        size(figures.bytes),
        f"{figures.leftovers:,}",
        f"{figures.late:,}",
        f"~{size(figures.rollup_bytes)}" if figures.rollups else "–",
    ]


def _facts(plan: Plan) -> Iterator[tuple[str, str]]:
    total, requests = plan.total, plan.course.requests
    young = sum(found.young for found in plan.inventories)
    outside = sum(found.outside for found in plan.inventories)
    others = sum(found.others for found in plan.inventories)
    alone = [
        (young, "log of a day too young", "logs of days too young"),
        (outside, "log of another day", "logs of other days"),
        (total.archived, "archived log", "archived logs"),
        (total.uncertain, "log that an archived rollup may hold", "logs that archived rollups may hold"),
        (others, "other object", "other objects"),
    ]
    if left := [count(number, one, many) for number, one, many in alone if number]:
        yield "Left alone", ", ".join(left)
    if not total.day_groups:
        return
    money = plan.money
    kinds = f"{requests.list:,} LIST, {requests.get:,} GET, {requests.put:,} PUT, {requests.delete:,} DELETE"
    yield "Requests", kinds + (f": {usd(money.run.requests)}" if money else "")
    lambda_time = f"{plan.course.lambda_s:,.0f} s at {plan.terms.lambda_memory_mb:,} MB"
    yield "On Lambda", lambda_time + (f": {usd(money.run.on_lambda)}, its queue included" if money else "")
    if money:
        after = "" if plan.terms.delete else " (nothing is deleted)"
        yield "Storage", f"{usd(money.now)} a month now, {usd(money.then)} then, {where_kept(money)}{after}"
        if plan.terms.stored_as != BUCKET_DEFAULTS:
            yield "Rollups", _stored(plan.terms.stored_as, money)


def _stored(stored_as: StoredAs, money: Money) -> str:
    storing = money.storing
    name = _SHORT_NAMES.get(storing.storage_class, storing.storage_class)
    tags = ", tags included" if stored_as.tags else ""
    parts = [f"in {name}: {usd(storing.monthly)} a month{tags}"]
    if storing.min_days:
        parts.append(f"for {storing.min_days} days at least, each rollup as 128 KB at least")
    if storing.on_top:
        parts.append(f"writing and reading back {usd(storing.on_top)} more than in S3 Standard")
    if stored_as.uses_kms:
        parts.append(f"KMS requests {usd(storing.kms)}")
    return ", ".join(parts)


def _storage(plan: Plan, money: Money) -> Table:
    days = plan.terms.keep_days
    table = Table(box=SIMPLE, padding=(0, 1), header_style="bold", show_edge=False)
    table.add_column("storage class", overflow="fold")
    for whose in ("as they are", "rolled up"):
        for what in ("move", "month", "in all"):
            table.add_column(f"{whose}\n{what}" if what == "move" else f"\n{what}", justify="right", no_wrap=True)
    rolled_up = {way.storage_class: way for way in money.rolled_up}
    for way in money.as_they_are:
        other = rolled_up[way.storage_class]
        name = _SHORT_NAMES.get(way.storage_class, way.storage_class) + ("¹" if way.needs_restore else "")
        table.add_row(name, *_amounts(way, days, 0), *_amounts(other, days, money.run.total))
    return table


def _amounts(way: Keeping, days: int, run_usd: float) -> list[str]:
    return [_amount(way.once), _amount(way.monthly), _amount(way.total(days) + run_usd)]


def _amount(usd_amount: float) -> str:
    return usd(usd_amount).removesuffix(" USD").replace("less than ", "<")


def _notes(plan: Plan) -> Iterator[str]:
    if plan.money is not None and plan.total.day_groups:
        if any(way.needs_restore for way in plan.money.rolled_up):
            yield "¹ It has to be restored before it can be read."
        yield "Rolled up, “in all” includes the run. A lifecycle rule moves objects under 128 KB only if told to."
    for region, prices in sorted(plan.prices.items()):
        yield f"Prices of {region} as of {prices.as_of} ({prices.source})."
    if plan.unpriced:
        yield f"No prices for {', '.join(plan.unpriced)}."
    measured = plan.measured.logs
    if plan.total.rollups:
        basis = f"measured on {count(measured, 'log')}" if measured else "by a model; --measure reads some logs for it"
        yield f"Sizes of rollups: {basis}."
    if plan.total.logs_plus_minus:
        yield f"Large days were sampled: {plan.total.logs:,} logs, give or take {plan.total.logs_plus_minus:,}."
    own = plan.own_requests
    yield f"Planning took {own.list:,} LIST and {own.get:,} GET; nothing was changed."
    for day in plan.days:
        if day.found.problem:
            yield f"A run will fail here: {printable(day.found.problem)}"
    for what, why in plan.failures.items():
        yield f"Not planned: {printable(what)}: {printable(why)}"
