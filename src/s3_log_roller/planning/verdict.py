"""Whether it pays, in plain words."""

from __future__ import annotations

from typing import Final

from s3_log_roller.planning.costs import CLASS_NAMES, DAYS_A_MONTH, Keeping
from s3_log_roller.planning.plan import Money, Plan
from s3_log_roller.planning.prices import STANDARD

LONG_MONTHS: Final = 240
"""A run that pays back later than this is not worth it."""


def verdict(plan: Plan) -> str:
    """A sentence or three: whether rolling up pays, when, and what is cheaper where it does not."""
    total = plan.total
    if plan.failures and not plan.inventories:
        return "Nothing could be planned."
    if not total.day_groups:
        return "There is nothing to do: no logs of the days asked for lie under these prefixes."
    if not total.to_pack and not (total.leftovers and plan.terms.delete):
        if total.archived:
            return "There is nothing to do: what is left is in an archive class and has to be restored first."
        return "There is nothing to pack: every log of these days is in a rollup already."
    if plan.money is None:
        missing = plan.no_price_for
        return f"Whether it pays is not known: the package has no prices for {missing}; give them with --prices FILE."
    return " ".join(_sentences(plan, plan.money))


def _sentences(plan: Plan, money: Money) -> list[str]:
    if not plan.terms.delete:
        return [
            f"Without --delete it saves nothing: the originals stay, and storage goes from {usd(money.now)} to "
            f"{usd(money.then)} a month.",
            _if_deleted(plan, money),
        ]
    return [_payback(plan, money), _cheapest(plan, money)]


def _if_deleted(plan: Plan, money: Money) -> str:
    saving = money.freed - money.storing.monthly
    if saving <= 0:
        return "With --delete it would save nothing either."
    months = money.run.total / saving
    return f"With --delete it would save {usd(saving)} a month and pay back after {_span(months)}."


def _payback(plan: Plan, money: Money) -> str:
    months = money.pays_back_months
    if months is None:
        return f"It costs {usd(money.run.total)} and saves nothing."
    kept_months = plan.terms.keep_days / DAYS_A_MONTH
    if months <= kept_months:
        return (
            f"It pays back after {_span(months)}: it costs {usd(money.run.total)} once and saves "
            f"{usd(money.now - money.then)} a month {where_kept(money)}."
        )
    missing = money.run.total - (money.now - money.then) * kept_months
    return f"Kept {_kept(plan)} {where_kept(money)}, it costs {usd(missing)} more than it saves."


def _cheapest(plan: Plan, money: Money) -> str:
    """The best way to keep the logs as long as they are kept, rolled up or not."""
    days = plan.terms.keep_days
    as_they_are = _best(money.as_they_are, days)
    rolled_up = _best(money.rolled_up, days)
    before = as_they_are.total(days)
    after = rolled_up.total(days) + money.run.total
    if after < before:
        return (
            f"Kept {_kept(plan)}, the cheapest is to roll up and {_do(rolled_up, money)}: {usd(after)} in all, against "
            f"{usd(before)} for the logs as they are."
        )
    rule = "deletes them then" if as_they_are.storage_class == STANDARD else f"moves them to {_name(as_they_are)}"
    return f"A lifecycle rule alone, which {rule}, is cheaper: {usd(before)} in all, against {usd(after)}."


def _best(ways: tuple[Keeping, ...], days: int) -> Keeping:
    return min((way for way in ways if not way.needs_restore), key=lambda way: way.total(days))


def _do(way: Keeping, money: Money) -> str:
    if way.storage_class == STANDARD:
        return "stay in S3 Standard"
    if way.storage_class == money.storing.storage_class:
        return f"write the rollups to {_name(way)}, as asked"
    return f"move the rollups to {_name(way)}"


def _name(way: Keeping) -> str:
    return CLASS_NAMES.get(way.storage_class, way.storage_class)


def where_kept(money: Money) -> str:
    """Where the new rollups will be; all else is in S3 Standard."""
    name = CLASS_NAMES.get(money.storing.storage_class, money.storing.storage_class)
    return "in S3 Standard" if money.storing.storage_class == STANDARD else f"with the rollups in {name}"


def _kept(plan: Plan) -> str:
    return _days(plan.terms.keep_days)


def _span(months: float) -> str:
    if months > LONG_MONTHS:
        return f"more than {LONG_MONTHS // 12} years"
    if months >= 24:
        return f"{months / 12:.1f} years"
    if months >= 1.95:
        return f"{months:.1f} months"
    return _days(max(1, round(months * DAYS_A_MONTH)))


def _days(number: int) -> str:
    return "a day" if number == 1 else f"{number:,} days"


def usd(amount: float) -> str:
    """An amount as a person reads it: cents from a dollar up, two digits that count below."""
    if amount == 0:
        return "0 USD"
    if abs(amount) < 0.0001:
        return "less than 0.0001 USD"
    if abs(amount) < 0.095:
        return f"{amount:.2g} USD"
    return f"{amount:,.2f} USD"
