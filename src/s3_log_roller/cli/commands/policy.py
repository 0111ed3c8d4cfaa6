"""`policy`: print the IAM policy with the least permissions for some prefixes."""

from __future__ import annotations

import json
import re
from argparse import ArgumentParser, Namespace
from dataclasses import replace
from typing import Final

from s3_log_roller.cli import storing
from s3_log_roller.errors import UsageError
from s3_log_roller.uris import RolePattern, S3Uri, check_account

DESCRIPTION: Final = (
    "Prints the IAM policy with the least permissions that rolling up these prefixes needs. It makes no request to AWS."
)
EXAMPLES: Final = """\
examples:
  s3-log-roller policy --prefixes s3://my-logs/ > policy.json
  s3-log-roller policy --prefixes s3://my-logs/example.com/ --delete
  s3-log-roller policy --prefixes s3://my-logs/ \\
      --queue-arn arn:aws:sqs:us-west-2:123456789012:s3-rollup-us-west-2
  s3-log-roller policy --prefixes s3://my-logs/ --tag team=web \\
      --sse aws:kms --sse-kms-key-id arn:aws:kms:us-west-2:123456789012:key/ID
  s3-log-roller policy \\
      --s3-role arn:aws:iam::123456789012:role/s3-rollup-bucket-access
  s3-log-roller policy --prefixes s3://my-logs-01/ … s3://my-logs-40/ \\
      --part 2 > policy-2.json
  # what the role of a --destination-role needs itself
  s3-log-roller policy --prefixes s3://my-logs/ --only-destination \\
      --destination s3://archive/logs/

Many buckets need several policies; without --part an error says how many.
With --destination-role it lets you assume that role instead of writing there yourself.
With --s3-role alone it is the policy for your own credentials, if that role has the policy for the prefixes.
"""
EXIT_CODES: Final = {
    0: "the policy was printed",
}
IF_INTERRUPTED: Final = "nothing was done"

_QUEUE_ARN: Final = re.compile(r"arn:(aws[a-z-]*):sqs:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,80}")
_PARTITION: Final = re.compile(r"aws[a-z-]*")


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "--prefixes", nargs="+", default=[], metavar="URI", help="where the access logs are: s3://BUCKET/PREFIX"
    )
    parser.add_argument("--delete", action="store_true", help="also allow deleting originals")
    parser.add_argument("--delete-versions", action="store_true", help="also allow deleting their versions for good")
    storing.add_storing_arguments(parser)
    parser.add_argument(
        "--only-destination", action="store_true", help="allow writing to the destination alone: for --destination-role"
    )
    parser.add_argument("--queue-arn", metavar="ARN", help="also allow using this queue (producer and worker)")
    parser.add_argument(
        "--s3-role",
        nargs="+",
        default=[],
        metavar="ARN",
        help="also allow assuming these roles; with * for the account, the role of that name in every account",
    )
    parser.add_argument(
        "--expected-bucket-owner",
        metavar="ACCOUNT",
        help="allow all of it only while the buckets belong to this account (12 digits)",
    )
    parser.add_argument("--part", type=int, metavar="N", help="which of several policies to print, from 1")
    parser.add_argument(
        "--partition",
        default="aws",
        metavar="NAME",
        help="AWS partition (default aws; others are aws-cn and aws-us-gov)",
    )
    parser.set_defaults(quiet=False, verbose=False, log_format="text")


def run(args: Namespace) -> int:
    """Print the policy."""
    from s3_log_roller.aws.policy import Grant, key_statements, policies_for, queue_statement, roles_statement
    from s3_log_roller.cli.output import print_result

    if not args.prefixes and not args.s3_role:
        raise UsageError("say what to allow: --prefixes, --s3-role or both (see s3-log-roller policy --help)")
    if args.queue_arn is not None and not _QUEUE_ARN.fullmatch(args.queue_arn):
        raise UsageError(
            f"--queue-arn {args.queue_arn!r} is not the ARN of an SQS queue: write arn:aws:sqs:REGION:123456789012:NAME"
        )
    if not _PARTITION.fullmatch(args.partition):
        raise UsageError(f"--partition {args.partition!r} is not a valid partition: write aws, aws-cn or aws-us-gov")
    owner = None if args.expected_bucket_owner is None else check_account(args.expected_bucket_owner)
    places = [S3Uri.parse(text) for text in args.prefixes]
    storing.check_delete_versions(args)
    stored_as = storing.stored_as_from(args)
    others = [] if args.queue_arn is None else [queue_statement(args.queue_arn)]
    others += key_statements(stored_as)
    destination = storing.destination_from(args)
    if args.only_destination and destination is None:
        raise UsageError("--only-destination needs --destination, the place that it is for")
    roles = {RolePattern.parse(arn).arn for arn in args.s3_role}
    if destination is not None and destination.role is not None and not args.only_destination:
        roles.add(destination.role.arn)
    if roles:
        others.append(roles_statement(roles))
    grant = Grant(args.delete, args.partition, owner, stored_as, args.delete_versions)
    if destination is not None:
        grant = replace(
            grant,
            destination=destination.uri,
            destination_account=destination.owner or None,
            logs=not args.only_destination,
            rollups=args.only_destination or destination.role is None,
        )
    policies = policies_for(places, grant, others)
    print_result(json.dumps(policies[_part(args.part, len(policies))], indent=2) + "\n")
    return 0


def _part(number: int | None, policies: int) -> int:
    """The index of the policy to print. Raises `UsageError` if the user has to choose first."""
    if number is None and policies > 1:
        raise UsageError(
            f"this takes {policies} policies, since IAM allows 6,144 characters in each: print all of them with "
            f"--part 1 to --part {policies}, and attach all of them to the same role"
        )
    if number is not None and not 1 <= number <= policies:
        raise UsageError(f"--part {number} does not exist: there are {policies} policies, numbered from 1")
    return (number or 1) - 1
