"""The least-privilege IAM policies: exactly the actions the program makes, on exactly the keys it works on.

Whoever steals credentials with such a policy can neither change nor delete a rollup, nor overwrite anything: rollups
are written only under their own names and only where nothing is, and only keys that end like logs are deleted, each
with the ETag it was proven with.

The facts behind it: S3 User Guide, "Enforce conditional writes" and "Enforce conditional deletes" (`s3:if-none-match`,
`s3:if-match`; parts of an upload are exempted by `s3:ObjectCreationOperation`); service authorization reference of
Amazon S3 (`s3:ListBucket` has the condition key `s3:prefix`, `s3:PutObjectTagging` has `s3:RequestObjectTag`);
IAM User Guide (`${*}` is a literal `*`; quotas).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Final

from s3_log_roller.errors import UsageError
from s3_log_roller.mirrored import place_in, split_place
from s3_log_roller.stored_as import BUCKET_DEFAULTS, StoredAs
from s3_log_roller.uris import S3Uri

FETCHING: Final = "s3:GetObject"
READING: Final = ("s3:AbortMultipartUpload", FETCHING)
LISTING: Final = "s3:ListBucket"
LISTING_VERSIONS: Final = "s3:ListBucketVersions"
WRITING: Final = "s3:PutObject"
TAGGING: Final = "s3:PutObjectTagging"
GIVING_CONTROL: Final = "s3:PutObjectAcl"
ENCRYPTING: Final = ("kms:Decrypt", "kms:GenerateDataKey")
"""S3 asks for the first one to complete an upload in parts, and to read a rollup back."""
DELETING: Final = "s3:DeleteObject"
"""A delete that names an ETag, as the program's do, needs s3:GetObject as well."""
DELETING_VERSIONS: Final = "s3:DeleteObjectVersion"
"""A delete that names a version can have no ETag: S3 holds that against the current version only."""
QUEUEING: Final = (
    "sqs:ChangeMessageVisibility",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "sqs:GetQueueUrl",
    "sqs:ReceiveMessage",
    "sqs:SendMessage",
)
"""What the command line's producer and worker call."""

LOG_NAME: Final = "20??-??-??-??-??-??-????????????????"
ROLLUP_DAY: Final = "20??-??-??-"
ROLLUP_DIGEST: Final = "????????.tgz"

IF_NOTHING_IS_THERE: Final = {"Null": {"s3:if-none-match": "false"}}
PARTS_OF_AN_UPLOAD: Final = {"Bool": {"s3:ObjectCreationOperation": "false"}}
IF_UNCHANGED: Final = {"Null": {"s3:if-match": "false"}}

MAX_POLICY_CHARS: Final = 6_144
"""A managed policy holds no more; white space does not count (IAM quotas)."""

_KEY_ARN: Final = re.compile(r"arn:aws[a-z-]*:kms:(?P<region>[a-z0-9-]+):[0-9]{12}:key/[A-Za-z0-9-]+")
_LOG_START: Final = "2000-01-01-00-00-00-"
_LOG_START_PATTERN: Final = re.compile(
    r"20\d\d-(0[0-9]|1[0-2])-([0-2]\d|3[01])-([01]\d|2[0-3])(-[0-5]\d){2}-.*", re.DOTALL
)

Statement = dict[str, Any]
Policy = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Grant:
    """What holds for every statement about a bucket."""

    delete: bool = False
    partition: str = "aws"
    account: str | None = None
    """The account that the buckets must belong to, by its 12 digits."""
    stored_as: StoredAs = BUCKET_DEFAULTS
    """How rollups are stored."""
    delete_versions: bool = False
    """Deleted logs may be deleted by their versions, too."""
    destination: S3Uri | None = None
    """Where rollups go, if not beside their logs."""
    destination_account: str | None = None
    """The account that the destination must belong to."""
    logs: bool = True
    """Working on the logs' buckets is granted."""
    rollups: bool = True
    """Working on the destination is granted."""


def policies_for(places: Iterable[S3Uri], grant: Grant, others: Sequence[Statement] = ()) -> list[Policy]:
    """The policies that together allow rolling up the logs under these places, and the other statements.

    Each fits a managed policy. Raises `UsageError` where a single bucket's prefixes, or the other statements, do not.
    """
    by_bucket: dict[str, list[str]] = {}
    for place in places:
        by_bucket.setdefault(place.bucket, []).append(place.prefix)
    policies: list[Policy] = []
    statements: list[Statement] = list(others)
    together: dict[str, list[str]] = {}
    for bucket, prefixes in sorted(by_bucket.items()):
        together[bucket] = prefixes
        grown = [*others, *storage_statements(together, grant)]
        if statements and policy_chars(_policy(grown)) > MAX_POLICY_CHARS:
            policies.append(_policy(statements))
            others, together = (), {bucket: prefixes}
            grown = storage_statements(together, grant)
        statements = grown
    policies.append(_policy(statements))
    for policy in policies:
        _check_size(policy)
    return policies


def storage_statements(prefixes_by_bucket: Mapping[str, Iterable[str]], grant: Grant) -> list[Statement]:
    """What rolling up the logs under these prefixes takes. Buckets share statements as far as they can."""
    if not prefixes_by_bucket:
        return []
    statements: list[Statement] = []
    if grant.logs:
        beside = grant.destination is None
        statements += _seeing(prefixes_by_bucket, grant, [*READING] if beside else [FETCHING])
        statements += _writing(prefixes_by_bucket, grant) if beside else []
        statements += _deleting(prefixes_by_bucket, grant)
    if grant.destination is not None and grant.rollups:
        there: dict[str, list[str]] = {grant.destination.bucket: []}
        for bucket, prefixes in prefixes_by_bucket.items():
            folder = split_place(place_in(grant.destination, bucket), "")[1]
            there[grant.destination.bucket] += [folder + prefix for prefix in prefixes]
        granted = replace(grant, account=grant.destination_account, delete_versions=False)
        statements += _seeing(there, granted, [*READING]) + _writing(there, granted)
    return statements


def _seeing(prefixes_by_bucket: Mapping[str, Iterable[str]], grant: Grant, reading: list[str]) -> list[Statement]:
    listed: dict[tuple[str, ...], list[str]] = {}
    keys = []
    for arn, prefixes in _arns(prefixes_by_bucket, grant):
        covering = without_covered(chain.from_iterable(map(key_prefixes, prefixes)))
        listed.setdefault(tuple(f"{_literal(prefix)}*" for prefix in covering), []).append(arn)
        keys += [f"{arn}/{_literal(prefix)}*" for prefix in covering]
    listing = [LISTING, LISTING_VERSIONS] if grant.delete_versions else [LISTING]
    statements = [
        _allow(listing, arns, {} if patterns == ("*",) else {"StringLike": {"s3:prefix": list(patterns)}}, grant)
        for patterns, arns in listed.items()
    ]
    return [*statements, _allow(reading, keys, {}, grant)]


def _writing(prefixes_by_bucket: Mapping[str, Iterable[str]], grant: Grant) -> list[Statement]:
    by_arn = _arns(prefixes_by_bucket, grant)
    rollups = [f"{arn}/{key}" for arn, prefixes in by_arn for prefix in prefixes for key in _rollup_patterns(prefix)]
    statements = [
        _allow([WRITING], rollups, IF_NOTHING_IS_THERE, grant),
        _allow([WRITING], rollups, PARTS_OF_AN_UPLOAD, grant),
    ]
    tags = {f"s3:RequestObjectTag/{key}": value for key, value in grant.stored_as.tags}
    if tags:
        statements.append(_allow([TAGGING], rollups, {"StringEquals": tags}, grant))
    if grant.stored_as.acl:
        statements.append(_allow([GIVING_CONTROL], rollups, {}, grant))
    return statements


def _deleting(prefixes_by_bucket: Mapping[str, Iterable[str]], grant: Grant) -> list[Statement]:
    by_arn = _arns(prefixes_by_bucket, grant)
    logs = [f"{arn}/{key}" for arn, prefixes in by_arn for prefix in prefixes for key in _log_patterns(prefix)]
    statements = [_allow([DELETING], logs, IF_UNCHANGED, grant)] if grant.delete else []
    if grant.delete_versions:
        statements.append(_allow([DELETING_VERSIONS], logs, {}, grant))
    return statements


def _arns(prefixes_by_bucket: Mapping[str, Iterable[str]], grant: Grant) -> list[tuple[str, list[str]]]:
    """The ARN of each bucket, and its prefixes."""
    return [
        (f"arn:{grant.partition}:s3:::{bucket}", without_covered(prefixes))
        for bucket, prefixes in prefixes_by_bucket.items()
    ]


def queue_statement(queue_arn: str) -> Statement:
    """What using that queue takes."""
    return {"Effect": "Allow", "Action": [*QUEUEING], "Resource": [queue_arn]}


def key_statements(stored_as: StoredAs) -> list[Statement]:
    """What encrypting with a KMS key takes, if one is named: AWS's own key for S3 is open to the whole account already.

    Raises `UsageError` for a key that is not named by its ARN.
    """
    if not stored_as.kms_key_id:
        return []
    match = _KEY_ARN.fullmatch(stored_as.kms_key_id)
    if match is None:
        raise UsageError(
            f"a policy names a KMS key by its ARN, arn:aws:kms:REGION:123456789012:key/ID, but "
            f"{stored_as.kms_key_id!r} is none: look it up with `aws kms describe-key`"
        )
    through_s3 = {"StringLike": {"kms:ViaService": f"s3.{match['region']}.amazonaws.com*"}}
    return [
        {
            "Effect": "Allow",
            "Action": [*ENCRYPTING],
            "Resource": [stored_as.kms_key_id],
            "Condition": through_s3,
        }
    ]


def roles_statement(arns: Iterable[str]) -> Statement:
    """What assuming those roles takes."""
    return {"Effect": "Allow", "Action": ["sts:AssumeRole"], "Resource": sorted(arns)}


def policy_chars(policy: Policy) -> int:
    """The characters that IAM counts."""
    return len(json.dumps(policy, separators=(",", ":"), ensure_ascii=False))


def key_prefixes(prefix: str) -> list[str]:
    """What the keys start with that a run on this prefix reads or writes; more than the prefix where it ends in a date.

    `logs/2022-07` asks for the logs of a month, but their rollups are `logs/rollup-2022-07-…`; and a prefix that goes
    on into the time of day (`logs/2022-07-01-05`) asks for that whole day.
    """
    found = [prefix]
    for target_prefix, day in _dated(prefix):
        found += [f"{target_prefix}rollup-{day}", target_prefix + day]
    return without_covered(found)


def without_covered(prefixes: Iterable[str]) -> list[str]:
    """The prefixes in order, without those that begin with another one."""
    kept: list[str] = []
    for prefix in sorted(set(prefixes)):
        if not kept or not prefix.startswith(kept[-1]):
            kept.append(prefix)
    return kept


def _rollup_patterns(prefix: str) -> Iterator[str]:
    """What matches the keys of rollups under the prefix, and of those whose days the prefix asks for."""
    yield f"{_literal(prefix)}*rollup-{ROLLUP_DAY}{ROLLUP_DIGEST}"
    for target_prefix, day in _dated(prefix):
        yield _literal(f"{target_prefix}rollup-{day}") + ROLLUP_DAY[len(day) :] + ROLLUP_DIGEST


def _log_patterns(prefix: str) -> Iterator[str]:
    """What matches the keys of logs under the prefix, and of those whose days the prefix asks for."""
    yield f"{_literal(prefix)}*{LOG_NAME}"
    for target_prefix, day in _dated(prefix):
        yield _literal(target_prefix + day) + LOG_NAME[len(day) :]


def _dated(prefix: str) -> Iterator[tuple[str, str]]:
    """Where a log's name may begin inside the prefix: the target prefix before it, and the day as far as it goes."""
    for split in range(len(prefix)):
        target_prefix, started = prefix[:split], prefix[split:]
        if _LOG_START_PATTERN.fullmatch(started + _LOG_START[len(started) :]):
            yield target_prefix, started[: len(ROLLUP_DAY)]


def _literal(text: str) -> str:
    return re.sub(r"[*?$]", lambda match: f"${{{match[0]}}}", text)


def _allow(actions: list[str], resources: list[str], condition: dict[str, Any], grant: Grant) -> Statement:
    condition = dict(condition)
    if grant.account is not None:
        condition["StringEquals"] = {"aws:ResourceAccount": grant.account} | condition.get("StringEquals", {})
    statement: Statement = {"Effect": "Allow", "Action": actions, "Resource": resources}
    return statement | {"Condition": condition} if condition else statement


def _policy(statements: Sequence[Statement]) -> Policy:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _check_size(policy: Policy) -> None:
    if (chars := policy_chars(policy)) > MAX_POLICY_CHARS:
        what = ", ".join(policy["Statement"][0]["Resource"][:1])
        raise UsageError(
            f"the statements for {what} take {chars:,} characters, but a managed policy holds {MAX_POLICY_CHARS:,}: "
            "name fewer, shorter prefixes (a prefix covers everything below it)"
        )
