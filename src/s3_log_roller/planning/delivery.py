"""Whether a bucket policy lets S3 deliver logs.

S3 User Guide, "Permissions for log delivery": the policy has to allow `s3:PutObject` to the service principal
`logging.s3.amazonaws.com` under the target prefix; `aws:SourceArn` and `aws:SourceAccount` may narrow it down.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

PRINCIPAL: Final = "logging.s3.amazonaws.com"
ACTION: Final = "s3:PutObject"


@dataclass(frozen=True, slots=True)
class Delivery:
    """Logs of a bucket on their way to another one."""

    partition: str
    account_id: str
    """The account's 12 digits; empty if they are not known."""
    source: str
    target: str
    prefix: str


def may_deliver(policy: Mapping[str, Any], delivery: Delivery, *, acl_allows: bool) -> str:
    """Why the policy does not let the logs in (the ACL may allow it, too); empty if it does, or nobody can tell.

    Conditions on anything but the source's ARN and account count as met in what allows, and as not met in what denies.
    """
    statements = _listed(policy.get("Statement", ()))
    if any(_covers(one, delivery, "Deny", unknown_holds=False) for one in statements):
        return f"a statement of its policy denies {ACTION} to {PRINCIPAL}"
    if not acl_allows and not any(_covers(one, delivery, "Allow", unknown_holds=True) for one in statements):
        return f"its policy does not allow {ACTION} to {PRINCIPAL}"
    return ""


def _covers(statement: Any, delivery: Delivery, effect: str, *, unknown_holds: bool) -> bool:
    if not isinstance(statement, Mapping) or statement.get("Effect") != effect:
        return False
    key = f"arn:{delivery.partition}:s3:::{delivery.target}/{delivery.prefix}2022-07-01-00-00-00-0123456789ABCDEF"
    return (
        _names_the_service(statement)
        and _meets(statement, "Action", ACTION, ignore_case=True)
        and _meets(statement, "Resource", key)
        and all(
            _holds(operator, name.lower(), _texts(values), delivery, unknown_holds)
            for operator, tests in statement.get("Condition", {}).items()
            for name, values in tests.items()
        )
    )


def _names_the_service(statement: Mapping[str, Any]) -> bool:
    if "NotPrincipal" in statement:
        return _is_service(statement["NotPrincipal"]) is False
    return _is_service(statement.get("Principal"))


def _is_service(principal: Any) -> bool:
    if isinstance(principal, Mapping):
        return PRINCIPAL in _texts(principal.get("Service", ())) or "*" in _texts(principal.get("AWS", ()))
    return bool(principal == "*")


def _meets(statement: Mapping[str, Any], element: str, text: str, *, ignore_case: bool = False) -> bool:
    if f"Not{element}" in statement:
        return not _any_like(_texts(statement[f"Not{element}"]), text, ignore_case)
    return _any_like(_texts(statement.get(element, ())), text, ignore_case)


def _holds(operator: str, name: str, wanted: list[str], delivery: Delivery, unknown_holds: bool) -> bool:
    known = {"aws:sourcearn": f"arn:{delivery.partition}:s3:::{delivery.source}"}
    if delivery.account_id:
        known["aws:sourceaccount"] = delivery.account_id
    operator = operator.removesuffix("IfExists")
    positive = operator.removesuffix("Equals").removesuffix("Like") in ("String", "Arn")
    negative = operator in ("StringNotEquals", "StringNotLike", "ArnNotEquals", "ArnNotLike")
    if name not in known or not (positive or negative):
        return unknown_holds
    return _any_like(wanted, known[name], ignore_case=False) is not negative


def _any_like(patterns: Iterable[str], text: str, ignore_case: bool) -> bool:
    return any(_compiled(pattern, ignore_case).fullmatch(text) for pattern in patterns)


@cache
def _compiled(pattern: str, ignore_case: bool) -> re.Pattern[str]:
    parts = re.split(r"([*?])", pattern)
    text = "".join({"*": ".*", "?": "."}.get(part) or re.escape(part) for part in parts)
    return re.compile(text, re.DOTALL | (re.IGNORECASE if ignore_case else 0))


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _texts(value: Any) -> list[str]:
    return [one for one in _listed(value) if isinstance(one, str)]
