"""A plan in a file, and what changed since: only what was planned may be done.

A day group has changed if its originals (key, ETag, size), its archived originals or its rollups are not those that the
plan saw. Days that were not in the plan are left as well.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any, Final

from s3_log_roller.errors import MalformedTask, UsageError
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.planning.document import to_json
from s3_log_roller.planning.inventory import Day, Inventory
from s3_log_roller.planning.plan import Plan
from s3_log_roller.rolling.destination import Destination
from s3_log_roller.rolling.tasks import ScanTask, decode_task, encode_task
from s3_log_roller.stored_as import StoredAs
from s3_log_roller.uris import Role, S3Uri

VERSION: Final = 1
MAX_CHANGES: Final = 1_000
"""If more day groups changed than this, the plan is too old to be of use."""


@dataclass(frozen=True, slots=True)
class SavedDay:
    """A day group as the plan saw it."""

    logs: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """What a saved plan allows."""

    scans: tuple[ScanTask, ...]
    delete: bool
    level: int
    stored_as: StoredAs
    delete_versions: bool
    regions: Mapping[str, str]
    """The regions that were named, by bucket."""
    days: Mapping[DayGroup, SavedDay]
    destination: Destination | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A day group that is not what the plan saw."""

    group: DayGroup
    what: str


def encode_saved(plan: Plan, scans: Iterable[ScanTask], regions: Mapping[str, str]) -> str:
    """The file's text: the plan's JSON, and under `apply` what it takes to do exactly that."""
    days = [
        {
            "bucket": day.group.bucket,
            "target_prefix": day.group.target_prefix,
            "day": str(day.group.day),
            "logs": day.found.logs,
            "fingerprint": _fingerprint(day.found),
        }
        for day in plan.days
    ]
    apply = {
        "version": VERSION,
        "scans": [json.loads(encode_task(scan)) for scan in scans],
        "delete": plan.terms.delete,
        "level": plan.terms.level,
        "stored_as": asdict(plan.terms.stored_as),
        "delete_versions": plan.terms.delete_versions,
        "destination": _destination_fields(plan.terms.destination),
        "regions": dict(regions),
        "day_groups": days,
    }
    return json.dumps(to_json(plan) | {"apply": apply}, indent=1) + "\n"


def decode_saved(text: str, name: str) -> SavedPlan:
    """Read a saved plan back. Raises `UsageError`, which calls the file `name`."""
    try:
        fields = json.loads(text)
        apply = fields["apply"]
        if apply["version"] != VERSION:
            raise ValueError(f"it is of version {apply['version']}, this program reads {VERSION}")
        scans = tuple(_scan(fields) for fields in apply["scans"])
        days = {
            DayGroup(day["bucket"], day["target_prefix"], date.fromisoformat(day["day"])): SavedDay(
                int(day["logs"]), str(day["fingerprint"])
            )
            for day in apply["day_groups"]
        }
        delete, level = apply["delete"], apply["level"]
        stored_as, delete_versions = _stored_as(apply.get("stored_as", {})), apply.get("delete_versions", False)
        if (
            not isinstance(delete_versions, bool)
            or not isinstance(delete, bool)
            or not isinstance(level, int)
            or not scans
        ):
            raise ValueError("its options are not those of a plan")
        regions = {str(key): str(value) for key, value in apply["regions"].items()}
        destination = _destination(apply.get("destination"))
        return SavedPlan(scans, delete, level, stored_as, delete_versions, regions, days, destination)
    except KeyError as error:
        raise UsageError(f"{name} is not a plan that `plan --save` wrote: {error} is missing") from error
    except (ValueError, TypeError, AttributeError, MalformedTask) as error:
        raise UsageError(f"{name} is not a plan that `plan --save` wrote: {error}") from error


def _stored_as(fields: Any) -> StoredAs:
    """How rollups are stored. Plans of earlier versions say nothing of it."""
    texts = {name: str(value) for name, value in fields.items() if name != "tags"}
    return StoredAs(tags=tuple((str(key), str(value)) for key, value in fields.get("tags", [])), **texts)


def _destination_fields(destination: Destination | None) -> dict[str, str | None] | None:
    if destination is None:
        return None
    role = None if destination.role is None else destination.role.arn
    return {"uri": str(destination.uri), "role": role, "owner": destination.owner}


def _destination(fields: Any) -> Destination | None:
    """Where rollups go. Plans of earlier versions say nothing of it."""
    if fields is None:
        return None
    role = None if fields["role"] is None else Role.parse(fields["role"])
    return Destination(S3Uri.parse(fields["uri"]), role, str(fields["owner"]))


def _scan(fields: Any) -> ScanTask:
    task = decode_task(json.dumps(fields))
    if not isinstance(task, ScanTask):
        raise ValueError("it has tasks that do not scan")
    return task


def changes_since(saved: SavedPlan, inventories: Sequence[Inventory]) -> list[Change]:
    """The day groups that changed, that are new and that are gone, in order.

    The inventories must be those of the plan's own scans, with digests.
    """
    found = {day.group: day for inventory in inventories for day in inventory.days}
    changes = [
        Change(group, _what_changed(known, found[group]))
        if group in found
        else Change(group, "has no originals any more")
        for group, known in saved.days.items()
        if group not in found or known.fingerprint != _fingerprint(found[group])
    ]
    changes += [Change(group, "was not in the plan") for group in found if group not in saved.days]
    return sorted(changes, key=lambda change: change.group)


def without(scans: Iterable[ScanTask], changes: Sequence[Change]) -> list[ScanTask]:
    """The scans, with what changed left out of their windows. Raises `UsageError` if that is too much."""
    if len(changes) > MAX_CHANGES:
        raise UsageError(f"{len(changes):,} day groups changed since the plan, or are new: make a new plan")
    return [
        replace(
            scan,
            window=replace(
                scan.window,
                exclude=scan.window.exclude
                + tuple(
                    change.group.logs_prefix
                    for change in changes
                    if change.group.bucket == scan.bucket and _concerns(change.group, scan.prefix)
                ),
            ),
        )
        for scan in scans
    ]


def _concerns(group: DayGroup, prefix: str) -> bool:
    return group.logs_prefix.startswith(prefix) or prefix.startswith(group.logs_prefix)


def _what_changed(known: SavedDay, day: Day) -> str:
    if day.logs != known.logs:
        return f"has {day.logs:,} originals, {known.logs:,} in the plan"
    return "has other originals or rollups than in the plan"


def _fingerprint(day: Day) -> str:
    """What tells a day group from a changed one. A day whose originals were not digested has none."""
    if day.logs and not day.content_digest:
        raise ValueError(f"{day.group} was not digested")
    rollups = "".join(f"\n{rollup.key}\0{rollup.etag}" for rollup in sorted(day.rollups))
    text = f"{day.content_digest}\n{day.archived}{rollups}"
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
