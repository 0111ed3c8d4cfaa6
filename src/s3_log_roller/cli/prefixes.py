"""The prefixes to roll up: on the command line and in files, each with its role and region."""

from __future__ import annotations

import logging
import re
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from s3_log_roller.cli.options import at_least, day, role_from
from s3_log_roller.errors import UsageError, reason
from s3_log_roller.rolling.summary import Summary
from s3_log_roller.rolling.tasks import ScanTask
from s3_log_roller.rolling.window import Window
from s3_log_roller.uris import Role, S3Uri, merge_prefixes

logger = logging.getLogger(__name__)

_SETTING: Final = re.compile(r"\s+(role|external-id|region)=(\S+)$")
_STANDARD_INPUT: Final = "-"
MAX_EXCLUDED_BYTES: Final = 8_000
"""Tasks carry the prefixes that `--exclude` names, and a task is a small message."""


@dataclass(frozen=True, slots=True)
class Place:
    """A prefix to roll up, with what a line of a file says of it."""

    uri: S3Uri
    role: Role | None = None
    region: str | None = None


def add_prefix_arguments(parser: ArgumentParser) -> None:
    """Add the options that say what to roll up: prefixes, the role, days."""
    group = parser.add_argument_group("what to roll up")
    group.add_argument("uris", nargs="*", metavar="URI", help="the same as --prefixes URI")
    group.add_argument(
        "--prefixes",
        nargs="+",
        default=[],
        metavar="URI",
        help="where the access logs are: s3://BUCKET/PREFIX, searched at any depth",
    )
    group.add_argument(
        "--prefixes-from",
        action="append",
        default=[],
        metavar="FILE",
        help="read prefixes from a file, one per line, each optionally followed by role=ARN, external-id=ID and "
        "region=NAME (- is standard input)",
    )
    group.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="URI",
        help="leave out the day groups whose logs begin with this s3://BUCKET/PREFIX; may be repeated",
    )
    group.add_argument(
        "--s3-role", metavar="ARN", help="role to assume for S3 (default: none, your own credentials are used)"
    )
    group.add_argument("--external-id", metavar="ID", help="external id that the trust policy of the role asks for")
    group.add_argument(
        "--min-age-days",
        type=at_least(1),
        default=1,
        metavar="N",
        help="leave the last N days alone, today among them (UTC; default 1: roll up yesterday and earlier days)",
    )
    group.add_argument(
        "--max-age-days",
        type=at_least(1),
        metavar="N",
        help="leave days alone that are more than N days old, for daily runs that keep originals (default: none)",
    )
    group.add_argument("--since", type=day, metavar="YYYY-MM-DD", help="first day to roll up")
    group.add_argument("--until", type=day, metavar="YYYY-MM-DD", help="last day to roll up")


def places_from(args: Namespace) -> list[Place]:
    """The prefixes to roll up, without those that another one of the same role covers. Raises `UsageError`."""
    role = role_from(args)
    places = [Place(S3Uri.parse(text), role) for text in [*args.prefixes, *args.uris]]
    for name in args.prefixes_from:
        places += _read_places(name, role)
    if not places:
        command = f"s3-log-roller {args.command}"
        raise UsageError(f"say what to roll up: {command} s3://BUCKET/PREFIX (see {command} --help)")
    merged = {role: set(merge_prefixes(place.uri for place in group)) for role, group in _by_role(places).items()}
    return [place for place in dict.fromkeys(places) if place.uri in merged[place.role]]


def bucket_regions(places: Iterable[Place]) -> dict[str, str]:
    """The regions that files name for buckets. Raises `UsageError` if they name two for one."""
    regions: dict[str, str] = {}
    for place in places:
        if place.region is not None and regions.setdefault(place.uri.bucket, place.region) != place.region:
            both = f"{regions[place.uri.bucket]} and {place.region}"
            raise UsageError(f"two regions are given for s3://{place.uri.bucket}, {both}: a bucket is in one region")
    return regions


def scans_from(args: Namespace, places: Iterable[Place], today: date) -> list[list[ScanTask]]:
    """The scan tasks for the places, those with the same role together. Raises `UsageError`."""
    window = Window.of_days(
        today,
        min_age_days=args.min_age_days,
        max_age_days=args.max_age_days,
        since=args.since,
        until=args.until,
    )
    excluded = _excluded_from(args)
    return [
        [
            ScanTask(place.uri.bucket, place.uri.prefix, replace(window, exclude=_within(place.uri, excluded)), role)
            for place in group
        ]
        for role, group in _by_role(places).items()
    ]


def warn_of_unused_exclusions(args: Namespace, summary: Summary) -> None:
    """Warn of an `--exclude` that left nothing out: it may be mistyped, or begin inside a day."""
    for uri in _excluded_from(args):
        if uri.prefix not in summary.excluded:
            sentence = f"--exclude {uri} left nothing out: no day group was found whose logs all begin with it"
            logger.warning("nothing_excluded", extra={"prefix": str(uri), "sentence": sentence})


def _excluded_from(args: Namespace) -> list[S3Uri]:
    excluded = [S3Uri.parse(text) for text in args.exclude]
    if sum(len(uri.prefix.encode()) for uri in excluded) > MAX_EXCLUDED_BYTES:
        raise UsageError(f"--exclude: the prefixes have more than {MAX_EXCLUDED_BYTES:,} bytes together; use fewer")
    return excluded


def _within(place: S3Uri, excluded: Iterable[S3Uri]) -> tuple[str, ...]:
    """The excluded prefixes that have something to do with a place."""
    return tuple(
        uri.prefix
        for uri in excluded
        if uri.bucket == place.bucket and (uri.prefix.startswith(place.prefix) or place.prefix.startswith(uri.prefix))
    )


def _by_role(places: Iterable[Place]) -> dict[Role | None, list[Place]]:
    groups: dict[Role | None, list[Place]] = {}
    for place in places:
        groups.setdefault(place.role, []).append(place)
    return groups


def _read_places(name: str, role: Role | None) -> Iterator[Place]:
    try:
        if name == _STANDARD_INPUT:
            lines = sys.stdin.readlines()
        else:
            with open(name, encoding="utf-8") as file:
                lines = file.readlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--prefixes-from {name} cannot be read: {reason(error)}") from error
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if text and not text.startswith("#"):
            try:
                yield _parse_line(text, role)
            except UsageError as error:
                raise UsageError(f"{name}, line {number}: {error}") from error


def _parse_line(text: str, role: Role | None) -> Place:
    settings: dict[str, str] = {}
    while match := _SETTING.search(text):
        if match[1] in settings:
            raise UsageError(f"{match[1]}= is given twice")
        settings[match[1]] = match[2]
        text = text[: match.start()]
    if "external-id" in settings and "role" not in settings:
        raise UsageError("external-id= needs role= on the same line")
    if "role" in settings:
        role = Role.parse(settings["role"], settings.get("external-id"))
    return Place(S3Uri.parse(text), role, settings.get("region"))
