"""The report for programs: one JSON object, described in docs/reference/json.md."""

from __future__ import annotations

from typing import Any, Final

from s3_log_roller.querying.report import Answer, Delivery, Report

VERSION: Final = 1


def to_json(report: Report) -> dict[str, Any]:
    """Everything the report says, under names that stay."""
    scope = report.scope
    return {
        "version": VERSION,
        "today": str(scope.today),
        "uris": list(scope.uris),
        "since": scope.since,
        "until": scope.until,
        "members": list(scope.members),
        "read": {
            "rollups_found": report.rollups,
            "logs": report.seen.logs,
            "loose_logs": report.seen.loose,
            "lines": report.counts.rows,
            "lines_not_records": report.counts.unparsable,
        },
        "not_read": report.failed,
        "failures": report.failures,
        "delivery": [_delivery(one) for one in report.deliveries],
        "answers": {name: _answer(answer) for name, answer in report.answers.items()},
    }


def _delivery(delivery: Delivery) -> dict[str, Any]:
    return {
        "where": delivery.where,
        "days": delivery.days,
        "first": str(delivery.first),
        "last": str(delivery.last),
        "gaps": [{"first": str(gap.first), "last": str(gap.last), "days": gap.days} for gap in delivery.gaps],
    }


def _answer(answer: Answer) -> dict[str, Any]:
    return {
        "purpose": answer.question.purpose,
        "caveats": answer.question.caveats,
        "complete": answer.is_complete,
        "rows": answer.dicts(),
    }
