"""Names as users write them: `s3://` URIs, bucket names and role ARNs."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from s3_log_roller.errors import UsageError

logger = logging.getLogger(__name__)

_BUCKET: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{1,253}[a-zA-Z0-9]")
_SEVERAL: Final = re.compile(r"[,;]\s*s3://")
_AWS_HOST: Final = r"s3[a-z0-9.-]*\.amazonaws\.com(?:\.cn)?"
_OTHER_FORMS: Final = tuple(
    map(
        re.compile,
        (
            r"arn:aws[a-z-]*:s3:::(.+)",
            r"S3://(.+)",
            rf"https?://{_AWS_HOST}/(.+)",
            rf"https?://([a-z0-9.-]+)\.{_AWS_HOST}/?(.*)",
        ),
    )
)
"""Other ways to name a bucket and a prefix: ARNs, and URLs with the bucket in the path or in the host."""
_ROLE: Final = re.compile(r"arn:(aws[a-z-]*):(?:iam|sts)::([0-9]{12}):role/([\w+=,.@/-]+)", re.ASCII)
_ROLES: Final = re.compile(r"arn:(aws[a-z-]*):(?:iam|sts)::([0-9]{12}|\*):role/([\w+=,.@/-]+)", re.ASCII)
_ACCOUNT: Final = re.compile(r"[0-9]{12}", re.ASCII)
_EXTERNAL_ID: Final = re.compile(r"[\w+=,.@:/-]{2,1224}", re.ASCII)


def check_bucket_name(bucket: str) -> str:
    """Return the name if S3 allows it, old us-east-1 names with capitals and underscores included.

    Raises `UsageError`.
    """
    if not _BUCKET.fullmatch(bucket) or ".." in bucket:
        raise UsageError(f"{bucket!r} is not a valid bucket name: {_advice_on_bucket(bucket)}")
    return bucket


def is_utf8(text: str) -> bool:
    """Whether the text is one at all: bytes of a command line that are not UTF-8 come as lone surrogates."""
    return not any("\ud800" <= char <= "\udfff" for char in text)


@dataclass(frozen=True, slots=True)
class S3Uri:
    """`s3://bucket/prefix`. The prefix may be empty and need not end in a slash."""

    bucket: str
    prefix: str

    @classmethod
    def parse(cls, text: str) -> S3Uri:
        """Parse the text literally: nothing is percent-decoded, and `//` and `?` are part of the prefix.

        Raises `UsageError`.
        """
        scheme, separator, rest = text.partition("://")
        if not separator or scheme != "s3":
            raise UsageError(f"{text!r} is not an S3 URI: write {_probable_uri(text)}")
        if not is_utf8(rest):
            raise UsageError(f"{text!r} is not valid UTF-8: keys in S3 are; check how the prefix was typed or stored")
        if _SEVERAL.search(rest):
            raise UsageError(f"{text!r} holds several URIs: separate them by spaces")
        bucket, _, prefix = rest.partition("/")
        return cls(check_bucket_name(bucket), prefix)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"


@dataclass(frozen=True, slots=True)
class Role:
    """A role to assume for S3, with the external id if its trust policy asks for one."""

    arn: str
    external_id: str | None = None

    @classmethod
    def parse(cls, arn: str, external_id: str | None = None) -> Role:
        """Parse a role ARN. The form `arn:aws:sts::…:role/…` is accepted and becomes the iam form.

        Raises `UsageError`.
        """
        match = _ROLE.fullmatch(arn)
        if match is None:
            raise UsageError(f"{arn!r} is not the ARN of a role: write arn:aws:iam::123456789012:role/NAME")
        if external_id is not None and not _EXTERNAL_ID.fullmatch(external_id):
            raise UsageError(
                "the external id is not valid: it must have 2 to 1,224 characters, only letters, digits and _+=,.@:/-"
            )
        return cls(f"arn:{match[1]}:iam::{match[2]}:role/{match[3]}", external_id)


@dataclass(frozen=True, slots=True)
class RolePattern:
    """One role, or the roles of one name in every account: `arn:aws:iam::*:role/NAME`."""

    arn: str

    @classmethod
    def parse(cls, text: str) -> RolePattern:
        """Parse the ARN of a role; its account may be `*`."""
        match = _ROLES.fullmatch(text)
        if match is None:
            raise UsageError(
                f"{text!r} is not the ARN of a role: write arn:aws:iam::123456789012:role/NAME, "
                "or arn:aws:iam::*:role/NAME for the role of that name in every account"
            )
        return cls(f"arn:{match[1]}:iam::{match[2]}:role/{match[3]}")

    def covers(self, role: Role) -> bool:
        """Whether the role is one of these."""
        before, _, after = self.arn.partition("*")
        fields = role.arn.split(":")
        return role.arn == self.arn or (bool(after) and role.arn == f"{before}{fields[4]}{after}")


def check_account(account: str) -> str:
    """The id of an AWS account, 12 digits. Raises `UsageError` for anything else."""
    if not _ACCOUNT.fullmatch(account):
        raise UsageError(f"{account!r} is not the id of an AWS account: 12 digits")
    return account


def merge_prefixes(uris: Iterable[S3Uri]) -> list[S3Uri]:
    """Leave out prefixes that another one covers, so that nothing is scanned twice. Keeps the order."""
    unique = dict.fromkeys(uris)
    kept: set[S3Uri] = set()
    cover: S3Uri | None = None
    for uri in sorted(unique, key=lambda uri: (uri.bucket, uri.prefix)):
        if cover is not None and uri.bucket == cover.bucket and uri.prefix.startswith(cover.prefix):
            sentence = f"{uri} is left out, because {cover} covers it"
            logger.info("prefix_merged", extra={"prefix": str(uri), "into": str(cover), "sentence": sentence})
        else:
            cover = uri
            kept.add(uri)
    return [uri for uri in unique if uri in kept]


def _advice_on_bucket(bucket: str) -> str:
    if "*" in bucket:
        return "* stands for nothing in a bucket's name: name each bucket"
    if bucket.startswith("arn:"):
        return f"write the name alone, s3://{bucket.rpartition(':')[2]}/"
    return "3 to 63 characters, lower-case letters, digits, dots and hyphens"


def _probable_uri(text: str) -> str:
    """The URI that somebody meant who wrote an ARN or a URL of S3, or the general form."""
    for form in _OTHER_FORMS:
        if match := form.fullmatch(text):
            return f"s3://{'/'.join(match.groups())}"
    return "s3://BUCKET/PREFIX"


def describe_empty(uri: S3Uri) -> str:
    """The message about a prefix under which there is no object: what may be wrong with it."""
    text = f"there is no object at all under {uri}"
    for sign in "*?":
        if sign in uri.prefix:
            return f"{text}: {sign} is an ordinary character there, and a prefix covers all that begins with it"
    return f"{text}: check its spelling"
