"""The three kinds of message, and their JSON form.

A task says what, not how: no key lists, so it never comes near a message size limit, and it may be lost, repeated or
run twice at once without harm.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import date
from itertools import pairwise
from typing import Any, Final

from s3_log_roller.errors import MalformedTask, UsageError
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rolling.window import Window
from s3_log_roller.uris import Role, check_account, check_bucket_name, is_utf8

VERSION: Final = 1
MAX_BYTES: Final = 16 * 1024
"""A task is some hundred bytes; keys end at 1,024. Anything much larger was not written by this program."""
MAX_BORDERS: Final = 100
"""Of a range, all of whose parts are listed at once: a page of each is in memory. A producer sends some thirty."""


@dataclass(frozen=True, slots=True)
class ScanTask:
    """Find the day groups under a prefix, in a range of its keys."""

    bucket: str
    prefix: str
    window: Window
    role: Role | None = None
    start_after: str = ""
    owner: str | None = None
    """The account that the bucket must belong to."""
    end: str = ""
    """The last key of the range; empty where it ends with the prefix."""


@dataclass(frozen=True, slots=True)
class RollTask:
    """Bring one day group to its end state."""

    group: DayGroup
    window: Window
    role: Role | None = None
    max_members: int | None = None
    """Take on no more originals than this at a time (a step that ran out of time sends itself smaller)."""
    owner: str | None = None
    """The account that the bucket must belong to."""

    def __str__(self) -> str:
        return str(self.group)

    @property
    def bucket(self) -> str:
        """The day group's bucket."""
        return self.group.bucket

    def for_group(self, group: DayGroup) -> RollTask:
        """The same request for another day group."""
        return replace(self, group=group, max_members=None)


@dataclass(frozen=True, slots=True)
class RangeTask:
    """Bring many small day groups to their end states in one pass: those whose logs lie in a range of keys."""

    bucket: str
    prefix: str
    window: Window
    role: Role | None = None
    start_after: str = ""
    end: str = ""
    """The last key of the range; empty where it ends with the prefix."""
    owner: str | None = None
    """The account that the bucket must belong to."""
    borders: tuple[str, ...] = ()
    """Keys inside the range, in order, that no day group lies across: its parts can be listed beside each other."""
    groups: int = 0
    """How many day groups the scan found in the range; 0 where nobody counted."""
    tries: int = 0
    """How many passes over the range failed before. No message says so; the queue counts its deliveries."""

    def parts(self) -> list[RangeTask]:
        """The same request for each of the ranges between the borders."""
        starts, ends = (self.start_after, *self.borders), (*self.borders, self.end)
        return [replace(self, start_after=start, end=end, borders=()) for start, end in zip(starts, ends, strict=True)]

    def rest(self, start_after: str) -> RangeTask:
        """The same request for what lies behind that key."""
        borders = tuple(border for border in self.borders if border > start_after)
        return replace(self, start_after=start_after, borders=borders, groups=0, tries=0)

    def __str__(self) -> str:
        start = f" behind {self.start_after!r}" if self.start_after else ""
        return f"s3://{self.bucket}/{self.prefix}{start}{f' up to {self.end!r}' if self.end else ''}"

    def for_group(self, group: DayGroup) -> RollTask:
        """The same request for one of the day groups alone."""
        return RollTask(group, self.window, self.role, owner=self.owner)


WorkTask = RollTask | RangeTask
"""What a runner runs."""
Task = ScanTask | RollTask | RangeTask


def encode_task(task: Task) -> str:
    """The message body of a task: one line of JSON, ASCII."""
    common: dict[str, Any] = {"v": VERSION, "cutoff": task.window.cutoff.isoformat()}
    if task.window.since is not None:
        common["since"] = task.window.since.isoformat()
    if task.window.exclude:
        common["exclude"] = list(task.window.exclude)
    if task.role is not None:
        common["role"] = task.role.arn
        if task.role.external_id is not None:
            common["external_id"] = task.role.external_id
    if task.owner is not None:
        common["owner"] = task.owner
    if isinstance(task, ScanTask | RangeTask):
        kind = "scan" if isinstance(task, ScanTask) else "range"
        body = {"task": kind, "bucket": task.bucket, "prefix": task.prefix}
        if task.start_after:
            body["start_after"] = task.start_after
        common |= {"end": task.end} if task.end else {}
        if isinstance(task, RangeTask):
            common |= {"borders": list(task.borders)} if task.borders else {}
            common |= {"groups": task.groups} if task.groups else {}
    else:
        body = {
            "task": "roll",
            "bucket": task.group.bucket,
            "target_prefix": task.group.target_prefix,
            "day": task.group.day.isoformat(),
        }
        if task.max_members is not None:
            common["max_members"] = task.max_members
    return json.dumps(body | common, separators=(",", ":"))


def decode_task(body: str) -> Task:
    """Parse a message body.

    Raises `MalformedTask` for anything but a well-formed task of this version: unknown fields included, since a field
    this version does not know may be one that forbids something.
    """
    if len(body) > MAX_BYTES:
        raise MalformedTask(f"the message has {len(body)} characters, a task at most {MAX_BYTES}")
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedTask(f"the message is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise MalformedTask("the message is not a JSON object")
    if fields.pop("v", None) != VERSION:
        raise MalformedTask(f"the message is not a task of version {VERSION}")
    try:
        task = _decode_fields(fields)
    except UsageError as error:
        raise MalformedTask(str(error)) from error
    if fields:
        raise MalformedTask(f"the task has fields this version does not know: {', '.join(sorted(fields))}")
    return task


def _decode_fields(fields: dict[str, Any]) -> Task:
    kind = fields.pop("task", None)
    bucket = check_bucket_name(_text(fields, "bucket"))
    since = _day(fields, "since") if "since" in fields else None
    window = Window(_day(fields, "cutoff"), since, _texts(fields, "exclude"))
    role = None
    if "role" in fields:
        external_id = _text(fields, "external_id") if "external_id" in fields else None
        role = Role.parse(_text(fields, "role"), external_id)
    owner = check_account(_text(fields, "owner")) if "owner" in fields else None
    if kind in ("scan", "range"):
        start_after, end = _text(fields, "start_after", ""), _text(fields, "end", "")
        borders = _texts(fields, "borders") if kind == "range" else ()
        if any(one >= other for one, other in pairwise((start_after, *borders, *([end] if end else [])))):
            raise MalformedTask("the keys of the task's range are not in order")
        if kind == "scan":
            return ScanTask(bucket, _text(fields, "prefix"), window, role, start_after, owner, end)
        if len(borders) > MAX_BORDERS:
            raise MalformedTask(f"the task's range has {len(borders)} borders, more than {MAX_BORDERS}")
        groups = _positive(fields, "groups") or 0
        return RangeTask(bucket, _text(fields, "prefix"), window, role, start_after, end, owner, borders, groups)
    if kind == "roll":
        group = DayGroup(bucket, _text(fields, "target_prefix"), _day(fields, "day"))
        if group not in window:
            raise MalformedTask(f"the day group {group} is outside the task's own window")
        return RollTask(group, window, role, _positive(fields, "max_members"), owner)
    raise MalformedTask(f"the task is not 'scan', 'roll' or 'range' but {kind!r}: was it sent by a newer version?")


def _text(fields: dict[str, Any], name: str, default: str | None = None) -> str:
    value = fields.pop(name, default)
    if not isinstance(value, str):
        raise MalformedTask(f"the task's {name!r} is missing, or not a text")
    if not is_utf8(value):
        raise MalformedTask(f"{name} has a lone surrogate, which no key of S3 has: {value!r}")
    return value


def _positive(fields: dict[str, Any], name: str) -> int | None:
    number = fields.pop(name, None)
    if number is not None and (type(number) is not int or number < 1):
        raise MalformedTask(f"{name} is not a positive number")
    return number


def _texts(fields: dict[str, Any], name: str) -> tuple[str, ...]:
    texts = fields.pop(name, [])
    if not isinstance(texts, list):
        raise MalformedTask(f"the task's {name!r} is not a list of texts")
    return tuple(_text({name: text}, name) for text in texts)


def _day(fields: dict[str, Any], name: str) -> date:
    text = _text(fields, name)
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise MalformedTask(f"{name} is not a date: {text!r}") from error
    if day.isoformat() != text:
        raise MalformedTask(f"{name} is not written as YYYY-MM-DD: {text!r}")
    return day
