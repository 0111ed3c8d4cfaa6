"""Options that commands share, and the validated settings that they become."""

from __future__ import annotations

import logging
import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable
from datetime import date
from typing import Final

from s3_log_roller.aws.buckets import Connection
from s3_log_roller.errors import UsageError
from s3_log_roller.log_output import FORMATS, configure_logging
from s3_log_roller.rolling.window import parse_day
from s3_log_roller.rollup.compression import DEFAULT_LEVEL, MAX_LEVEL
from s3_log_roller.store import MAX_IN_FLIGHT
from s3_log_roller.uris import Role, check_account

_URL: Final = re.compile(r"https?://[^\s/]+(/\S*)?")


def at_least(least: int, most: int | None = None) -> Callable[[str], int]:
    """An argparse type: a whole number, `least` or more, and not more than `most`."""

    def parse(text: str) -> int:
        number = int(text) if re.fullmatch(r"[0-9]{1,9}", text) else -1
        if number < least or (most is not None and number > most):
            bounds = f"{least} or more" if most is None else f"from {least} to {most}"
            raise ArgumentTypeError(f"{text!r} is not a whole number, {bounds}")
        return number

    return parse


def day(text: str) -> date:
    """An argparse type: a date as YYYY-MM-DD."""
    try:
        return parse_day(text)
    except UsageError as error:
        raise ArgumentTypeError(str(error)) from error


def account(text: str) -> str:
    """An argparse type: the id of an AWS account."""
    try:
        return check_account(text)
    except UsageError as error:
        raise ArgumentTypeError(str(error)) from error


def add_rolling_arguments(parser: ArgumentParser) -> None:
    """Add the options that say how to roll up, and whether to delete the originals."""
    group = parser.add_argument_group("how to roll up")
    group.add_argument(
        "--delete",
        action="store_true",
        help="delete originals after their rollup was read back and verified (default: delete nothing)",
    )
    group.add_argument(
        "--delete-versions",
        action="store_true",
        help="with --delete, in versioned buckets: delete the versions that were verified, not only hide them",
    )
    group.add_argument(
        "--level",
        type=at_least(1, MAX_LEVEL),
        default=DEFAULT_LEVEL,
        metavar=f"1-{MAX_LEVEL}",
        help=f"compression level; higher is smaller and slower (default {DEFAULT_LEVEL})",
    )
    group.add_argument(
        "--processes",
        type=at_least(1, 256),
        default=1,
        metavar="N",
        help="processes to work with, each on its own day groups (default 1)",
    )


def add_manifest_argument(parser: ArgumentParser) -> None:
    """Add the option that names a manifest to append to."""
    parser.add_argument(
        "--manifest",
        metavar="FILE",
        help="append a line with the SHA-256 of every rollup to this file, before anything is deleted; keep it "
        "elsewhere, and `verify --manifest` proves later that all of them are still there",
    )


def add_connection_arguments(parser: ArgumentParser) -> None:
    """Add the options that say how to reach AWS."""
    group = parser.add_argument_group("AWS")
    group.add_argument("--profile", metavar="NAME", help="profile in ~/.aws/config to use")
    group.add_argument("--region", metavar="NAME", help="region to work in (default: AWS_REGION or the profile's)")
    group.add_argument(
        "--endpoint-url",
        metavar="URL",
        help="S3-compatible server to use for S3 instead of AWS (or set AWS_ENDPOINT_URL_S3; for the other "
        "services AWS_ENDPOINT_URL_SQS and AWS_ENDPOINT_URL_STS)",
    )
    group.add_argument(
        "--allow-cross-region",
        action="store_true",
        help="also work on buckets in other regions, and pay for the traffic",
    )
    group.add_argument(
        "--expected-bucket-owner",
        type=account,
        metavar="ACCOUNT",
        help="have S3 refuse every request unless the buckets belong to this account (12 digits)",
    )
    group.add_argument(
        "--max-in-flight",
        type=at_least(1, MAX_IN_FLIGHT),
        metavar="N",
        help=f"most S3 requests at a time, all processes together (default {MAX_IN_FLIGHT} per process, and no more)",
    )
    group.add_argument(
        "--timeout",
        type=at_least(1, 3600),
        metavar="SECONDS",
        help="give up on a server that does not answer for so long (default 50)",
    )
    group.add_argument(
        "--etags-not-md5",
        action="store_true",
        help="the server's ETags can look like MD5s without being MD5s: compare logs with what was downloaded",
    )


def add_output_arguments(parser: ArgumentParser) -> None:
    """Add the options that say what to print."""
    group = parser.add_argument_group("output")
    group.add_argument("--json", action="store_true", help="print the summary as JSON")
    group.add_argument(
        "--log-format", choices=FORMATS, default="text", help="format of the log on standard error (default text)"
    )
    group.add_argument("-v", "--verbose", action="store_true", help="log more, for example retries")
    group.add_argument(
        "-q", "--quiet", action="store_true", help="log only warnings and errors; print no progress and no summary"
    )
    group.add_argument("--no-progress", action="store_true", help="print no progress on the terminal")


def configure_output(args: Namespace) -> None:
    """Set up logging as the options say."""
    level = logging.WARNING if args.quiet else logging.DEBUG if args.verbose else logging.INFO
    configure_logging(args.log_format, level)


def connection_from(args: Namespace) -> Connection:
    """The validated connection settings. Raises `UsageError`."""
    if args.endpoint_url is not None and not _URL.fullmatch(args.endpoint_url):
        raise UsageError(
            f"--endpoint-url {args.endpoint_url!r} is not a valid URL: write http://HOST:PORT or https://HOST"
        )
    return Connection(
        args.profile,
        args.region,
        args.endpoint_url,
        args.allow_cross_region,
        args.max_in_flight,
        args.expected_bucket_owner,
        args.timeout,
        etags_are_md5=not args.etags_not_md5,
    )


def role_from(args: Namespace) -> Role | None:
    """The role to assume for S3, or None. Raises `UsageError`."""
    if args.external_id is not None and args.s3_role is None:
        raise UsageError("--external-id needs --s3-role: it is sent when that role is assumed")
    return Role.parse(args.s3_role, args.external_id) if args.s3_role is not None else None
