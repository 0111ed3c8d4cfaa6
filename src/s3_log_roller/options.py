"""Command line options that commands share, and the validated settings they become."""

from __future__ import annotations

import logging
import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Final

from s3_log_roller.buckets import Connection
from s3_log_roller.errors import UsageError
from s3_log_roller.log_output import FORMATS, configure_logging
from s3_log_roller.settings import DEFAULT_LEVEL, MAX_LEVEL
from s3_log_roller.store import MAX_IN_FLIGHT
from s3_log_roller.tasks import ScanTask, Window
from s3_log_roller.uris import Role, S3Uri

_URL: Final = re.compile(r"https?://[^\s/]+(/\S*)?")


def utc_today() -> date:
    """Today's date where the logs' dates are: in UTC."""
    return datetime.now(UTC).date()


def at_least(least: int, most: int | None = None) -> Callable[[str], int]:
    """An argparse type: a whole number from `least` up, to `most` if there is one."""

    def parse(text: str) -> int:
        number = int(text) if re.fullmatch(r"[0-9]{1,9}", text) else -1
        if number < least or (most is not None and number > most):
            bounds = f"{least} or more" if most is None else f"from {least} to {most}"
            raise ArgumentTypeError(f"{text!r} is not a whole number, {bounds}")
        return number

    return parse


def parse_day(text: str) -> date:
    """An argparse type: a date as YYYY-MM-DD."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or day.isoformat() != text:
        raise ArgumentTypeError(f"{text!r} is not a date: write YYYY-MM-DD")
    return day


def add_prefix_arguments(parser: ArgumentParser) -> None:
    """What to roll up, as which role, and which days of it."""
    group = parser.add_argument_group("what to roll up")
    group.add_argument(
        "--prefixes",
        nargs="+",
        required=True,
        metavar="s3://BUCKET/PREFIX",
        help="where the access logs are, any depth",
    )
    group.add_argument("--s3-role", metavar="ARN", help="role to assume for S3 (default: your own credentials)")
    group.add_argument("--external-id", metavar="ID", help="external id that the role's trust policy asks for")
    group.add_argument(
        "--min-age-days",
        type=at_least(1),
        default=1,
        metavar="N",
        help="leave the last N days alone, today among them (UTC; default 1: yesterday and earlier are rolled up)",
    )
    group.add_argument("--since", type=parse_day, metavar="YYYY-MM-DD", help="first day to roll up")
    group.add_argument("--until", type=parse_day, metavar="YYYY-MM-DD", help="last day to roll up")


def add_rolling_arguments(parser: ArgumentParser) -> None:
    """How to roll up, and what to do with the originals."""
    group = parser.add_argument_group("how to roll up")
    group.add_argument(
        "--delete", action="store_true", help="delete originals once their rollup was read back and verified"
    )
    group.add_argument(
        "--level",
        type=at_least(1, MAX_LEVEL),
        default=DEFAULT_LEVEL,
        metavar="1-12",
        help=f"compression level (default {DEFAULT_LEVEL})",
    )
    group.add_argument(
        "--processes", type=at_least(1, 256), default=1, metavar="N", help="day groups worked on at a time (default 1)"
    )


def add_connection_arguments(parser: ArgumentParser) -> None:
    """How to reach AWS."""
    group = parser.add_argument_group("AWS")
    group.add_argument("--profile", metavar="NAME", help="profile in ~/.aws/config")
    group.add_argument("--region", metavar="NAME", help="region to work in (default: AWS_REGION or the profile's)")
    group.add_argument(
        "--endpoint-url",
        metavar="URL",
        help="S3-compatible server to use instead of AWS, for S3 alone; AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_S3, "
        "AWS_ENDPOINT_URL_SQS and AWS_ENDPOINT_URL_STS are honoured as well",
    )
    group.add_argument(
        "--allow-cross-region",
        action="store_true",
        help="work on buckets in other regions, too, and pay for the traffic",
    )
    group.add_argument(
        "--max-in-flight",
        type=at_least(1, MAX_IN_FLIGHT),
        metavar="N",
        help=f"S3 requests in flight at most, all processes together (default 256 each; {MAX_IN_FLIGHT} at most)",
    )


def add_output_arguments(parser: ArgumentParser) -> None:
    """What to say, and how."""
    group = parser.add_argument_group("output")
    group.add_argument("--json", action="store_true", help="print the final summary as JSON")
    group.add_argument("--log-format", choices=FORMATS, default="text", help="of the log on standard error")
    group.add_argument("-v", "--verbose", action="store_true", help="log more")
    group.add_argument(
        "-q", "--quiet", action="store_true", help="log only warnings and errors, no progress, no summary"
    )


def configure_output(args: Namespace) -> None:
    """Set logging up as the options say."""
    level = logging.WARNING if args.quiet else logging.DEBUG if args.verbose else logging.INFO
    configure_logging(args.log_format, level)


def connection_from(args: Namespace) -> Connection:
    """The validated connection settings. Raises `UsageError`."""
    if args.endpoint_url is not None and not _URL.fullmatch(args.endpoint_url):
        raise UsageError(f"--endpoint-url {args.endpoint_url!r} is no http:// or https:// URL")
    return Connection(args.profile, args.region, args.endpoint_url, args.allow_cross_region, args.max_in_flight)


def window_from(args: Namespace, today: date) -> Window:
    """The days asked for. Raises `UsageError` when there can be none."""
    cutoff = today - timedelta(days=args.min_age_days - 1)
    if args.until is not None:
        cutoff = min(cutoff, args.until + timedelta(days=1))
    if args.since is not None and args.since >= cutoff:
        last = cutoff - timedelta(days=1)
        raise UsageError(
            f"no day to roll up: --since is {args.since}, the last day allowed is {last} (today is {today})"
        )
    return Window(cutoff, args.since)


def scans_from(args: Namespace, prefixes: list[S3Uri], today: date) -> list[ScanTask]:
    """A scan task for each prefix. Raises `UsageError`."""
    if args.external_id is not None and args.s3_role is None:
        raise UsageError("--external-id goes with --s3-role")
    role = Role.parse(args.s3_role, args.external_id) if args.s3_role is not None else None
    window = window_from(args, today)
    return [ScanTask(uri.bucket, uri.prefix, window, role) for uri in prefixes]
