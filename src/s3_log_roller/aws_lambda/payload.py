"""A schedule's payload, and the scans it asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from s3_log_roller.aws_lambda.settings import Settings
from s3_log_roller.errors import UsageError
from s3_log_roller.rolling.tasks import ScanTask
from s3_log_roller.rolling.window import Window, parse_day
from s3_log_roller.uris import Role, S3Uri, check_account, merge_prefixes

_STRINGS: Final = ("s3_role", "external_id", "expected_bucket_owner", "since", "until", "schedule")
_PAYLOAD: Final = frozenset({"prefixes", "min_age_days", "max_age_days", *_STRINGS})
_SCHEDULE: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True)
class ScanRequest:
    """What a schedule's payload asks for."""

    scans: list[ScanTask]
    schedule: str | None = None
    """The name under which the metric DayGroupsFound counts this run."""


def parse_payload(payload: Mapping[str, Any], settings: Settings, today: date) -> ScanRequest:
    """Parse a schedule's payload. Raises `UsageError`, which names the field."""
    fields = {name: value for name, value in payload.items() if value is not None}
    if unknown := sorted(set(fields) - _PAYLOAD):
        raise UsageError(f"the payload has unknown fields: {', '.join(unknown)}; it may have {_known()}")
    prefixes = fields.get("prefixes")
    if not isinstance(prefixes, list) or not prefixes or not all(isinstance(text, str) for text in prefixes):
        raise UsageError("the payload's 'prefixes' must be a list of s3://bucket/prefix, with at least one entry")
    for name in _STRINGS:
        if not isinstance(fields.get(name, ""), str):
            raise UsageError(f"the payload's {name!r} must be a string")
    if "external_id" in fields and "s3_role" not in fields:
        raise UsageError("the payload's 'external_id' needs an 's3_role'")
    min_age_days, max_age_days = settings.min_age_days, settings.max_age_days
    if "min_age_days" in fields:
        min_age_days = _days(fields, "min_age_days")
    if "max_age_days" in fields:
        max_age_days = _days(fields, "max_age_days")
    since, until = _parse_day(fields, "since"), _parse_day(fields, "until")
    uris = merge_prefixes([S3Uri.parse(text) for text in prefixes])
    role = Role.parse(fields["s3_role"], fields.get("external_id")) if "s3_role" in fields else None
    window = Window.of_days(today, min_age_days=min_age_days, max_age_days=max_age_days, since=since, until=until)
    settings.check_role(role)
    schedule = fields.get("schedule")
    if schedule is not None and not _SCHEDULE.fullmatch(schedule):
        raise UsageError("the payload's 'schedule' must be 1 to 64 letters, digits and ._-")
    owner = check_account(fields["expected_bucket_owner"]) if "expected_bucket_owner" in fields else None
    return ScanRequest([ScanTask(uri.bucket, uri.prefix, window, role, owner=owner) for uri in uris], schedule)


def _parse_day(fields: Mapping[str, Any], name: str) -> date | None:
    try:
        return parse_day(fields[name]) if name in fields else None
    except UsageError as error:
        raise UsageError(f"the payload's {name!r}: {error}") from error


def _days(fields: Mapping[str, Any], name: str) -> int:
    days = fields[name]
    if type(days) is not int or days < 1:
        raise UsageError(f"the payload's {name!r} must be a whole number, 1 or more")
    return days


def _known() -> str:
    return ", ".join(sorted(_PAYLOAD))
