"""Options that say how rollups are stored, and all that makes a roll."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable
from typing import TypeVar

from s3_log_roller.errors import UsageError
from s3_log_roller.rolling.destination import Destination
from s3_log_roller.rolling.options import RollOptions
from s3_log_roller.stored_as import (
    ACLS,
    CHECKSUMS,
    ENCRYPTIONS,
    STORAGE_CLASSES,
    StoredAs,
    check_checksum,
    check_key_id,
    check_storage_class,
    parse_tag,
)
from s3_log_roller.uris import Role, S3Uri, check_account

T = TypeVar("T")


def add_storing_arguments(parser: ArgumentParser) -> None:
    """Add the options that say how rollups are stored."""
    group = parser.add_argument_group("how rollups are stored", "What is not given is left to the bucket's defaults.")
    group.add_argument(
        "--storage-class",
        metavar="CLASS",
        help=f"storage class: {', '.join(STORAGE_CLASSES)}. Archive classes are refused: a lifecycle rule moves there",
    )
    group.add_argument(
        "--tag",
        action="append",
        type=_argument(parse_tag),
        default=[],
        metavar="KEY=VALUE",
        help="tag for every rollup; may be repeated, up to 10 times",
    )
    group.add_argument("--sse", choices=ENCRYPTIONS, help="how S3 encrypts rollups; with aws:kms a bucket key is used")
    group.add_argument(
        "--sse-kms-key-id",
        type=_argument(check_key_id),
        metavar="KEY",
        help="KMS key for --sse aws:kms or aws:kms:dsse: its ARN, its id or alias/NAME (default: the key aws/s3)",
    )
    group.add_argument(
        "--checksum",
        type=_argument(check_checksum),
        metavar="ALGORITHM",
        help=f"checksum that S3 holds uploads to and keeps, beside the MD5: {' or '.join(CHECKSUMS)} (needs awscrt)",
    )
    group.add_argument(
        "--destination",
        type=_argument(S3Uri.parse),
        metavar="URI",
        help="s3://BUCKET/PREFIX that rollups go to, below the names of their logs' buckets (default: beside the logs)",
    )
    group.add_argument(
        "--destination-role", metavar="ARN", help="role to assume for the destination (default: your own credentials)"
    )
    group.add_argument(
        "--destination-owner",
        type=_argument(check_account),
        metavar="ACCOUNT",
        help="have S3 refuse to write unless the destination belongs to this account (12 digits)",
    )
    group.add_argument("--acl", choices=ACLS, help="ACL of every rollup, where the bucket still has ACLs on")


def roll_options_from(args: Namespace) -> RollOptions:
    """How to roll, validated. Raises `UsageError`."""
    check_delete_versions(args)
    return RollOptions(args.delete, args.level, stored_as_from(args), args.delete_versions, destination_from(args))


def check_delete_versions(args: Namespace) -> None:
    """Raise `UsageError` where versions are to be deleted, but no originals."""
    if args.delete_versions and not args.delete:
        raise UsageError("--delete-versions needs --delete: it says what becomes of the versions of deleted originals")


def destination_from(args: Namespace) -> Destination | None:
    """Where rollups go, if not beside their logs, validated. Raises `UsageError`."""
    if args.destination is None:
        for option in ("destination_role", "destination_owner"):
            if getattr(args, option) is not None:
                raise UsageError(f"--{option.replace('_', '-')} needs --destination, the place that it is for")
        return None
    role = None if args.destination_role is None else Role.parse(args.destination_role)
    return Destination(args.destination, role, args.destination_owner or "")


def stored_as_from(args: Namespace) -> StoredAs:
    """How rollups are stored, validated. Raises `UsageError`."""
    if args.storage_class is not None:
        check_storage_class(args.storage_class, _prefixes(args))
    return StoredAs(
        storage_class=args.storage_class or "",
        tags=tuple(args.tag),
        sse=args.sse or "",
        kms_key_id=args.sse_kms_key_id or "",
        acl=args.acl or "",
        checksum=args.checksum or "",
    )


def _prefixes(args: Namespace) -> list[str]:
    """The prefixes that the command line names, without their buckets."""
    given = [*getattr(args, "prefixes", []), *getattr(args, "uris", [])]
    return sorted({uri.removeprefix("s3://").partition("/")[2] for uri in given} - {""})


def _argument(parse: Callable[[str], T]) -> Callable[[str], T]:
    """An argparse type from something that raises `UsageError`."""

    def parsed(text: str) -> T:
        try:
            return parse(text)
        except UsageError as error:
            raise ArgumentTypeError(str(error)) from error

    return parsed
