"""The least-privilege IAM policies: exactly the actions the program makes, on exactly the places it works on.

The facts behind them: service authorization reference of Amazon S3 (`s3:ListBucket` has the condition key `s3:prefix`)
and the IAM User Guide (`${*}` is a literal `*`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from s3_log_roller.uris import S3Uri

ROLLING: Final = ("s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject")
DELETING: Final = "s3:DeleteObject"
"""With an ETag, as the program deletes, it needs s3:GetObject as well."""
QUEUEING: Final = (
    "sqs:ChangeMessageVisibility",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "sqs:GetQueueUrl",
    "sqs:ReceiveMessage",
    "sqs:SendMessage",
)
"""Of the command line's producer and worker."""

_LOG_START: Final = "2000-01-01-00-00-00-"
_LOG_START_PATTERN: Final = re.compile(
    r"20\d\d-(0[0-9]|1[0-2])-([0-2]\d|3[01])-([01]\d|2[0-3])(-[0-5]\d){2}-.*", re.DOTALL
)
_DAY_CHARS: Final = len("2000-01-01-")


def storage_policy(places: Iterable[S3Uri], *, delete: bool, partition: str = "aws") -> dict[str, Any]:
    """What rolling up the logs under these places takes; for the program itself or for the role it assumes."""
    by_bucket: dict[str, list[str]] = {}
    for place in places:
        by_bucket.setdefault(place.bucket, []).extend(key_prefixes(place.prefix))
    actions = [*ROLLING, DELETING] if delete else [*ROLLING]
    statements: list[dict[str, Any]] = []
    for bucket, prefixes in sorted(by_bucket.items()):
        arn = f"arn:{partition}:s3:::{bucket}"
        patterns = [f"{_literal(prefix)}*" for prefix in without_covered(prefixes)]
        statements.append(_allow(["s3:ListBucket"], [arn]) | {"Condition": {"StringLike": {"s3:prefix": patterns}}})
        statements.append(_allow(sorted(actions), [f"{arn}/{pattern}" for pattern in patterns]))
    return _policy(statements)


def with_statements(
    policy: dict[str, Any], *, queue_arn: str | None = None, roles: Iterable[str] = ()
) -> dict[str, Any]:
    """The policy and, on top, using that queue and assuming those roles."""
    statements = list(policy["Statement"])
    if queue_arn is not None:
        statements.append(_allow([*QUEUEING], [queue_arn]))
    if arns := sorted(roles):
        statements.append(_allow(["sts:AssumeRole"], arns))
    return _policy(statements)


def key_prefixes(prefix: str) -> list[str]:
    """What the keys start with that a run on this prefix reads or writes; more than the prefix where it ends in a date.

    `logs/2022-07` asks for the logs of a month, but their rollups are `logs/rollup-2022-07-…`; and a prefix that goes
    on into the time of day (`logs/2022-07-01-05`) asks for that whole day.
    """
    found = [prefix]
    for split in range(len(prefix)):
        target_prefix, started = prefix[:split], prefix[split:]
        if _LOG_START_PATTERN.fullmatch(started + _LOG_START[len(started) :]):
            day = started[:_DAY_CHARS]
            found += [f"{target_prefix}rollup-{day}", target_prefix + day]
    return without_covered(found)


def without_covered(prefixes: Iterable[str]) -> list[str]:
    """The prefixes in order, without those that begin with another one."""
    kept: list[str] = []
    for prefix in sorted(set(prefixes)):
        if not kept or not prefix.startswith(kept[-1]):
            kept.append(prefix)
    return kept


def _literal(text: str) -> str:
    return re.sub(r"[*?$]", lambda match: f"${{{match[0]}}}", text)


def _allow(actions: list[str], resources: list[str]) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": actions, "Resource": resources}


def _policy(statements: list[dict[str, Any]]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": statements}
