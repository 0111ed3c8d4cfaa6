"""S3's own names, and where it sends requests for buckets that its DNS does not know yet."""

from __future__ import annotations

import re
from typing import Final

from s3_log_roller.aws.s3.xml import parse_fields

_AWS_HOST: Final = re.compile(r"(?:([a-z0-9._-]+)\.)?s3[a-z0-9.-]*\.amazonaws\.com(?:\.cn)?", re.IGNORECASE)


def is_aws_host(host: str) -> bool:
    """Whether S3 itself answers under that name, not one of the servers like it."""
    return _AWS_HOST.fullmatch(host) is not None


def moved_to(host: str, answer: bytes) -> str:
    """The host that a 307 sends requests to, if both it and `host` are S3's own names of the same bucket; else empty.

    S3 does so for some hours after a bucket was made. The requests carry a signature, so they go nowhere else.
    """
    fields = parse_fields(answer)
    ours, theirs = _AWS_HOST.fullmatch(host), _AWS_HOST.fullmatch(fields.get("Endpoint", ""))
    if fields.get("Code") != "TemporaryRedirect" or ours is None or theirs is None:
        return ""
    return theirs[0] if ours[1] and ours[1] == theirs[1] else ""
