"""What IAM makes of a policy, as far as the policies of this project go: enough to ask whether a call is allowed.

Evaluates `Allow` statements with the operators StringLike, StringEquals, ArnLike, Null and Bool, wildcards and
`${*}`, as the IAM User Guide describes them ("JSON policy elements").
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, unquote

from tests.support.faulty_proxy import Exchange, Fault, Plan, answer


def allows(
    policies: Iterable[Mapping[str, Any]], action: str, resource: str, context: Mapping[str, str] | None = None
) -> bool:
    """Whether one of the policies allows the action on the resource, in a request with these condition keys."""
    return any(
        action in _listed(statement["Action"])
        and any(matches(pattern, resource) for pattern in _listed(statement["Resource"]))
        and _holds(statement.get("Condition", {}), context or {})
        for policy in policies
        for statement in policy["Statement"]
        if statement["Effect"] == "Allow"
    )


def matches(pattern: str, text: str) -> bool:
    """Whether a pattern with `*`, `?` and `${*}` is like the text."""
    parts = re.split(r"(\$\{[*?$]\}|[*?])", pattern)
    wildcards = {"*": ".*", "?": "."}
    expression = "".join(wildcards.get(part) or re.escape(re.sub(r"^\$\{(.)\}$", r"\1", part)) for part in parts)
    return re.fullmatch(expression, text, re.DOTALL) is not None


def _holds(condition: Mapping[str, Mapping[str, Any]], context: Mapping[str, str]) -> bool:
    return all(
        _test(operator, context.get(key), _listed(values))
        for operator, tests in condition.items()
        for key, values in tests.items()
    )


def _test(operator: str, value: str | None, wanted: list[str]) -> bool:
    if operator == "Null":
        return wanted == ["true" if value is None else "false"]
    if value is None:
        return False
    if operator in ("StringLike", "ArnLike"):
        return any(matches(pattern, value) for pattern in wanted)
    assert operator in ("StringEquals", "Bool"), f"{operator} is not evaluated here"
    return value in wanted


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def enforcing(policies: Iterable[Mapping[str, Any]]) -> Plan:
    """A plan for a `FaultyProxy` before an S3 server: refuses what the policies do not allow, conditions included.

    Conditions have the values that the S3 User Guide gives them ("Enforce conditional writes", "Enforce conditional
    deletes"); no server that runs here knows `s3:if-none-match`, `s3:if-match` or `s3:ObjectCreationOperation`.
    """
    policies = list(policies)

    def plan(exchange: Exchange) -> Fault | None:
        allowed = all(allows(policies, *call) for call in calls_of(exchange))
        return None if allowed else answer(403, "AccessDenied")

    return plan


def calls_of(exchange: Exchange) -> list[tuple[str, str, dict[str, str]]]:
    """What IAM is asked about a request to S3: action, resource and condition keys, for each key of a bulk delete."""
    path, _, text = exchange.target.partition("?")
    bucket, _, key = unquote(path).removeprefix("/").partition("/")
    query = dict(parse_qsl(text, keep_blank_values=True))
    arn = f"arn:aws:s3:::{bucket}"
    if exchange.method == "POST" and "delete" in query:
        return [(action, f"{arn}/{key}", context) for action, key, context in _deletes(exchange.body)]
    if not key:
        prefix = {"s3:prefix": query["prefix"]} if "prefix" in query else {}
        return [("s3:ListBucketVersions" if "versions" in query else "s3:ListBucket", arn, prefix)]
    if exchange.method in ("GET", "HEAD"):
        return [("s3:GetObject", f"{arn}/{key}", {})]
    if exchange.method == "DELETE" and "uploadId" in query:
        return [("s3:AbortMultipartUpload", f"{arn}/{key}", {})]
    creates = "uploads" not in query and "partNumber" not in query
    context = {"s3:ObjectCreationOperation": str(creates).lower()}
    if b"\r\nif-none-match:" in exchange.head.lower():
        context["s3:if-none-match"] = "*"
    calls = [("s3:PutObject", f"{arn}/{key}", context)]
    if tagging := _header(exchange.head, b"x-amz-tagging"):
        tags = {f"s3:RequestObjectTag/{name}": value for name, value in parse_qsl(tagging, keep_blank_values=True)}
        calls.append(("s3:PutObjectTagging", f"{arn}/{key}", tags))
    if _header(exchange.head, b"x-amz-acl"):
        calls.append(("s3:PutObjectAcl", f"{arn}/{key}", {}))
    return calls


def _header(head: bytes, name: bytes) -> str:
    found = re.search(rb"\r\n" + name + rb":\s*([^\r]*)\r", head, re.IGNORECASE)
    return found[1].decode() if found else ""


def _deletes(body: bytes) -> list[tuple[str, str, dict[str, str]]]:
    found = []
    for entry in re.findall(rb"<Object>(.*?)</Object>", body, re.DOTALL):
        fields = {name.decode(): unescape(text.decode()) for name, text in re.findall(rb"<(\w+)>([^<]*)</", entry)}
        action = "s3:DeleteObjectVersion" if "VersionId" in fields else "s3:DeleteObject"
        found.append((action, fields["Key"], {"s3:if-match": fields["ETag"]} if "ETag" in fields else {}))
    return found
