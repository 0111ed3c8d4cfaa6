"""The plan for programs: one JSON object, described in docs/guide/plan.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from s3_log_roller.planning.costs import Keeping
from s3_log_roller.planning.course import PlannedDay
from s3_log_roller.planning.places import Place
from s3_log_roller.planning.plan import Figures, Money, Plan, sum_figures
from s3_log_roller.planning.requests import Requests
from s3_log_roller.planning.verdict import verdict
from s3_log_roller.stored_as import StoredAs

VERSION: Final = 1


def to_json(plan: Plan) -> dict[str, Any]:
    """Everything the plan says, under names that stay."""
    terms = plan.terms
    return {
        "version": VERSION,
        "today": str(terms.today),
        "since": str(terms.window.since) if terms.window.since else None,
        "cutoff": str(terms.window.cutoff),
        "prefixes": list(terms.prefixes),
        "delete": terms.delete,
        "delete_versions": terms.delete_versions,
        "level": terms.level,
        "stored_as": _stored_as(terms.stored_as),
        "destination": None if terms.destination is None else str(terms.destination.uri),
        "keep_days": terms.keep_days,
        "lambda_memory_mb": terms.lambda_memory_mb,
        "verdict": verdict(plan),
        "total": _figures(plan.total)
        | {
            "requests": _requests(plan.course.requests),
            "lambda_tasks": plan.course.tasks,
            "lambda_seconds": round(plan.course.lambda_s, 3),
        }
        | _money(plan.money),
        "left_alone": {
            "young_logs": sum(found.young for found in plan.inventories),
            "other_days_logs": sum(found.outside for found in plan.inventories),
            "other_objects": sum(found.others for found in plan.inventories),
        },
        "storage": _storage(plan.money, terms.keep_days),
        "prices": {
            region: {"as_of": str(prices.as_of), "source": prices.source}
            for region, prices in sorted(plan.prices.items())
        },
        "regions_without_prices": plan.unpriced,
        "sizes": {"measured_logs": plan.measured.logs, "factor": round(plan.measured.factor, 4)},
        "own_requests": _requests(plan.own_requests),
        "target_prefixes": [_place(place, days) for place, days in plan.places().items()],
        "day_groups": [_day(day) for day in plan.days],
        "failures": [{"what": what, "why": why} for what, why in plan.failures.items()],
    }


def _stored_as(stored_as: StoredAs) -> dict[str, Any]:
    return asdict(stored_as) | {"tags": dict(stored_as.tags)}


def _figures(figures: Figures) -> dict[str, Any]:
    return {
        "day_groups": figures.day_groups,
        "logs": figures.logs,
        "bytes": figures.bytes,
        "leftovers": figures.leftovers,
        "late": figures.late,
        "archived": figures.archived,
        "uncertain": figures.uncertain,
        "to_pack": figures.to_pack,
        "rollups": figures.rollups,
        "rollup_bytes": figures.rollup_bytes,
        "logs_plus_minus": figures.logs_plus_minus,
    }


def _money(money: Money | None) -> dict[str, Any]:
    if money is None:
        return {"cost_usd": None, "monthly_usd": None, "storing": None, "pays_back_months": None}
    run = money.run
    return {
        "cost_usd": {"requests": run.requests, "lambda": run.on_lambda, "total": run.total},
        "monthly_usd": {"now": money.now, "then": money.then},
        "storing": asdict(money.storing),
        "pays_back_months": money.pays_back_months,
    }


def _storage(money: Money | None, keep_days: int) -> dict[str, Any] | None:
    if money is None:
        return None
    return {
        "as_they_are": [_keeping(way, keep_days) for way in money.as_they_are],
        "rolled_up": [_keeping(way, keep_days) for way in money.rolled_up],
    }


def _keeping(way: Keeping, keep_days: int) -> dict[str, Any]:
    return {
        "storage_class": way.storage_class,
        "transition_usd": way.once,
        "monthly_usd": way.monthly,
        "kept_usd": way.total(keep_days),
        "min_days": way.min_days,
        "needs_restore": way.needs_restore,
    }


def _place(place: Place, days: Sequence[PlannedDay]) -> dict[str, Any]:
    return place._asdict() | _figures(sum_figures(days))


def _day(day: PlannedDay) -> dict[str, Any]:
    found = day.found
    return {
        "bucket": day.group.bucket,
        "target_prefix": day.group.target_prefix,
        "day": str(day.group.day),
        "logs": found.logs,
        "bytes": found.bytes,
        "leftovers": found.leftovers,
        "late": found.late,
        "archived": found.archived,
        "uncertain": found.uncertain,
        "rollups": len(found.rollups),
        "rollup_bytes": day.rollup_bytes,
        "problem": found.problem or None,
    }


def _requests(requests: Requests) -> dict[str, int]:
    return {"list": requests.list, "get": requests.get, "put": requests.put, "delete": requests.delete}
