"""`discover`: which buckets of an account log where."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any, Final

from s3_log_roller import clock
from s3_log_roller.cli import options

if TYPE_CHECKING:
    from s3_log_roller.planning.discovery import Discovery
    from s3_log_roller.uris import Role

DESCRIPTION: Final = """\
Lists the buckets of an account, where each delivers its server access logs and in which key format, and says what is
wrong: buckets that do not log, targets that are gone or take no logs, logs that stopped coming. It changes nothing.
"""
EXAMPLES: Final = """\
examples:
  s3-log-roller discover
  s3-log-roller discover --json > logging.json
  s3-log-roller discover --prefixes-only |
      s3-log-roller plan --prefixes-from - --delete
"""
EXIT_CODES: Final = {
    0: "everything was looked at, whatever was found",
    1: "the buckets could not be listed; the message says why",
    3: "some calls failed, so something is missing; the calls are named",
}
IF_INTERRUPTED: Final = "nothing was changed"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "--prefixes-only",
        action="store_true",
        help="print only the target prefixes, one a line, as --prefixes-from takes them",
    )
    parser.add_argument("--s3-role", metavar="ARN", help="role to assume (default: your own credentials)")
    parser.add_argument("--external-id", metavar="ID", help="external id that the trust policy of the role asks for")
    options.add_connection_arguments(parser)
    options.add_output_arguments(parser)


def run(args: Namespace) -> int:
    """Look and tell. Return an exit code that says whether every call was answered."""
    connection = options.connection_from(args)
    role = options.role_from(args)
    from s3_log_roller.aws.accounts import AwsAccount
    from s3_log_roller.aws.sessions import Sessions
    from s3_log_roller.cli.output import note, print_result
    from s3_log_roller.planning.discovery import discover

    sessions = Sessions(profile=connection.profile, region=connection.region, timeout_s=connection.timeout_s)
    account = AwsAccount(sessions.get(role), connection.endpoint_url, connection.timeout_s)
    found = discover(account, clock.utc_today())
    if args.prefixes_only:
        print_result("".join(f"{line}\n" for line in prefix_lines(found, role)))
        for why in found.refused:
            note(why)
    elif args.json:
        print_result(json.dumps(to_json(found), indent=2) + "\n")
    elif not args.quiet:
        from s3_log_roller.cli.discovery_view import render_discovery
        from s3_log_roller.cli.planning import screen

        print_result(render_discovery(found, **screen()))
    return 3 if found.refused else 0


def prefix_lines(found: Discovery, role: Role | None) -> list[str]:
    """The target prefixes as `--prefixes-from` takes them, each with its region, and the role that found it."""
    roles = (
        "" if role is None else f" role={role.arn}" + (f" external-id={role.external_id}" if role.external_id else "")
    )
    return [
        f"s3://{target}/{prefix}{roles} region={found.buckets[target].region}"
        for target, prefix in found.targets
        if target in found.buckets
    ]


def to_json(found: Discovery) -> dict[str, Any]:
    """The findings for programs, under names that stay."""
    logging = found.logging
    return {
        "buckets": [
            {
                "name": bucket.name,
                "region": bucket.region,
                "target_bucket": logging[bucket.name].target if bucket.name in logging else None,
                "target_prefix": logging[bucket.name].prefix if bucket.name in logging else None,
                "key_format": logging[bucket.name].key_format if bucket.name in logging else None,
            }
            for bucket in found.buckets.values()
        ],
        "targets": [
            {"bucket": target, "prefix": prefix, "sources": sources}
            for (target, prefix), sources in found.targets.items()
        ],
        "prefixes": found.prefixes,
        "problems": [{"kind": one.kind, "bucket": one.bucket, "text": one.text} for one in found.problems],
        "refused": list(found.refused),
    }
