"""The Lambda function's settings: `ROLLUP_*` environment variables, read once into one validated object."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from s3_log_roller.errors import UsageError
from s3_log_roller.rolling.destination import Destination
from s3_log_roller.rolling.options import RollOptions
from s3_log_roller.rollup.compression import DEFAULT_LEVEL, MAX_LEVEL
from s3_log_roller.store import MAX_IN_FLIGHT
from s3_log_roller.stored_as import (
    StoredAs,
    check_acl,
    check_checksum,
    check_encryption,
    check_key_id,
    check_storage_class,
    parse_tags,
)
from s3_log_roller.uris import Role, RolePattern, S3Uri, check_account

PREFIX: Final = "ROLLUP_"

_TRUE: Final = frozenset({"true", "1", "yes", "on"})
_FALSE: Final = frozenset({"false", "0", "no", "off"})
_LOG_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment says. Each field is the variable of that name, in capitals and with `ROLLUP_` before it."""

    queue_name: str
    """The SQS queue for tasks, by its name or its URL. There is no default."""
    delete: bool = False
    """Delete originals after the rollup that holds them was read back and verified."""
    allowed_roles: frozenset[str] = frozenset()
    """ARNs of the roles that payloads and tasks may name, separated by commas. `arn:aws:iam::*:role/NAME` allows the
    role of that name in every account. Working without a role is always allowed."""
    min_age_days: int = 1
    """Leave this many days alone, counted back from today and with today, unless the payload says otherwise."""
    max_age_days: int | None = None
    """Leave days alone that are more than this many days old, unless the payload says otherwise."""
    expected_bucket_owner: str | None = None
    """The account, by its 12 digits, that buckets must belong to unless the payload names another."""
    level: int = DEFAULT_LEVEL
    """Compression level, from 1 (fastest) to 9 (smallest)."""
    max_in_flight: int | None = None
    """The largest number of S3 requests that one invocation has in flight at a time."""
    allow_cross_region: bool = False
    """Also work on buckets in other regions, and pay for the traffic between the regions."""
    log_level: str = "INFO"
    """The least severe events that the function logs: DEBUG, INFO, WARNING or ERROR."""
    storage_class: str = ""
    """Storage class of rollups: STANDARD, STANDARD_IA, ONEZONE_IA, INTELLIGENT_TIERING or GLACIER_IR."""
    tags: tuple[tuple[str, str], ...] = ()
    """Tags for every rollup, as `KEY=VALUE`, separated by commas."""
    sse: str = ""
    """How S3 encrypts rollups: `aws:kms`, `aws:kms:dsse` or AES256."""
    sse_kms_key_id: str = ""
    """The KMS key for that, by its ARN, its id or `alias/NAME`; without it AWS's own key for S3."""
    acl: str = ""
    """ACL of every rollup, where the bucket still has ACLs on: `bucket-owner-full-control`."""
    checksum: str = ""
    """Checksum that S3 holds uploads to and keeps, beside the MD5: `sha256`; `crc64nvme` if the zip has awscrt."""
    delete_versions: bool = False
    """In versioned buckets, delete the versions that were verified, too, not only hide them."""
    destination: S3Uri | None = None
    """The `s3://BUCKET/PREFIX` that rollups go to, each below the name of its logs' bucket. Without it they go beside
    their logs."""
    destination_role: Role | None = None
    """ARN of the role that is assumed for the destination."""
    destination_owner: str = ""
    """The account, by its 12 digits, that the destination must belong to."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Read the variables. An empty one counts as not set. Raises `UsageError`, which names the variable."""
        given = {name: value for name, value in environment.items() if name.startswith(PREFIX) and value.strip()}
        unknown = {name for name in environment if name.startswith(PREFIX)} - {_variable(field) for field in _PARSERS}
        if unknown:
            known = ", ".join(map(_variable, _PARSERS))
            raise UsageError(f"{', '.join(sorted(unknown))}: the function has no such setting. It has {known}")
        if _variable("queue_name") not in given:
            raise UsageError("ROLLUP_QUEUE_NAME is not set: set it to the name or the URL of the SQS queue")
        fields = {
            field: _parse(_variable(field), given[_variable(field)].strip(), parser)
            for field, parser in _PARSERS.items()
            if _variable(field) in given
        }
        settings = cls(**fields)  # type: ignore[arg-type]
        settings.roll_options()  # which checks what belongs together
        return settings

    def roll_options(self) -> RollOptions:
        """How to roll. Raises `UsageError`."""
        stored_as = StoredAs(self.storage_class, self.tags, self.sse, self.sse_kms_key_id, self.acl, self.checksum)
        if self.delete_versions and not self.delete:
            raise UsageError("ROLLUP_DELETE_VERSIONS needs ROLLUP_DELETE: it says what becomes of deleted originals")
        destination = None
        if self.destination is not None:
            destination = Destination(self.destination, self.destination_role, self.destination_owner)
        elif self.destination_role is not None or self.destination_owner:
            raise UsageError("ROLLUP_DESTINATION_ROLE and ROLLUP_DESTINATION_OWNER need ROLLUP_DESTINATION")
        return RollOptions(self.delete, self.level, stored_as, self.delete_versions, destination)

    def check_role(self, role: Role | None) -> None:
        """Raise `UsageError` for a role that this function may not assume, whoever asks for it."""
        if role is not None and not any(RolePattern(arn).covers(role) for arn in self.allowed_roles):
            raise UsageError(f"the function may not assume {role.arn}: it is not one of ROLLUP_ALLOWED_ROLES")


def _variable(field: str) -> str:
    return PREFIX + field.upper()


def _parse(variable: str, text: str, parser: Callable[[str], T]) -> T:
    try:
        return parser(text)
    except (ValueError, UsageError) as error:
        raise UsageError(f"{variable}={text!r}: {error}") from error


def _boolean(text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueError("write true or false")


def _number(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        number = int(text) if re.fullmatch(r"[0-9]{1,9}", text) else -1
        if not least <= number <= most:
            raise ValueError(f"write a whole number from {least:,} to {most:,}")
        return number

    return parse


def _roles(text: str) -> frozenset[str]:
    return frozenset(RolePattern.parse(arn).arn for arn in re.split(r"[\s,]+", text) if arn)


def _log_level(text: str) -> str:
    if text.upper() not in _LOG_LEVELS:
        raise ValueError(f"write one of {', '.join(_LOG_LEVELS)}")
    return text.upper()


_PARSERS: Final[dict[str, Callable[[str], object]]] = {
    "queue_name": str,
    "delete": _boolean,
    "allowed_roles": _roles,
    "min_age_days": _number(1, 36_500),
    "max_age_days": _number(1, 36_500),
    "expected_bucket_owner": check_account,
    "level": _number(1, MAX_LEVEL),
    "max_in_flight": _number(1, MAX_IN_FLIGHT),
    "allow_cross_region": _boolean,
    "log_level": _log_level,
    "storage_class": check_storage_class,
    "tags": parse_tags,
    "sse": check_encryption,
    "sse_kms_key_id": check_key_id,
    "acl": check_acl,
    "checksum": check_checksum,
    "delete_versions": _boolean,
    "destination": S3Uri.parse,
    "destination_role": Role.parse,
    "destination_owner": check_account,
}
"""How to read each field of `Settings`."""
