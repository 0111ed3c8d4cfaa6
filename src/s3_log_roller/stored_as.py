"""How S3 is asked to store a rollup: storage class, tags, encryption, ACL, checksum. How that is said on the wire is in
`aws.s3.storing`.

The rules are S3's (API_PutObject, object tagging, "Using S3 storage classes"), checked before anything is done.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final
from unicodedata import category

from s3_log_roller.errors import UsageError

STORAGE_CLASSES: Final = ("STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR")
ARCHIVE_CLASSES: Final = ("GLACIER", "DEEP_ARCHIVE")
"""Classes whose objects must be restored before they can be read."""
AES256: Final = "AES256"
KMS: Final = "aws:kms"
DSSE: Final = "aws:kms:dsse"
ENCRYPTIONS: Final = (KMS, DSSE, AES256)
OWNER_CONTROL: Final = "bucket-owner-full-control"
ACLS: Final = (OWNER_CONTROL,)
SHA256: Final = "sha256"
CRC64NVME: Final = "crc64nvme"
CHECKSUMS: Final = (SHA256, CRC64NVME)

MAX_TAGS: Final = 10
MAX_TAG_KEY_CHARS: Final = 128
MAX_TAG_VALUE_CHARS: Final = 256
RULE_MIN_BYTES: Final = 128 << 10
"""Hardly any log is as large; a smaller rollup isn't worth the price of moving it."""
RULE_DAYS: Final = 30

_TAG_SIGNS: Final = frozenset("+-=._:/@")
_KEY_ID: Final = re.compile(r"[A-Za-z0-9:/_-]{1,2048}")


@dataclass(frozen=True, slots=True)
class StoredAs:
    """What is asked of S3 for every rollup. What is empty is not asked for: the bucket's defaults hold."""

    storage_class: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    """(key, value) pairs."""
    sse: str = ""
    """How S3 encrypts it: one of `ENCRYPTIONS`."""
    kms_key_id: str = ""
    """The KMS key, by id, ARN or alias; empty for the AWS managed key."""
    acl: str = ""
    checksum: str = ""
    """The algorithm of the checksum that S3 holds the upload to and keeps, beside its MD5: one of `CHECKSUMS`."""

    def __post_init__(self) -> None:
        """Raise `UsageError` for what S3 would refuse."""
        if self.storage_class:
            check_storage_class(self.storage_class)
        check_tags(self.tags)
        if self.kms_key_id and self.sse not in (KMS, DSSE):
            raise UsageError(f"a KMS key is used with {KMS} or {DSSE} only: ask for one of them, or leave the key out")

    @property
    def uses_kms(self) -> bool:
        """Whether S3 asks KMS for a key."""
        return self.sse in (KMS, DSSE)


def check_storage_class(name: str, prefixes: Sequence[str] = ()) -> str:
    """The class. Raises `UsageError` for any other; for an archive class it says what does it instead."""
    if name in STORAGE_CLASSES:
        return name
    if name in ARCHIVE_CLASSES:
        raise UsageError(
            f"rollups can't be written to {name}: a rollup is read back before anything is deleted, and again when "
            "late logs come, and an object of that class can't be read without a restore. Let a lifecycle rule move "
            f"the rollups there later: {archiving_rule(name, prefixes)}"
        )
    raise UsageError(f"{name!r} is not a storage class for rollups: write one of {', '.join(STORAGE_CLASSES)}")


def archiving_rule(storage_class: str, prefixes: Sequence[str] = ()) -> str:
    """A lifecycle configuration as JSON that archives rollups, but no logs.

    A prefix can't tell them apart where the logs lie deeper, and in date-partitioned keys never; the size does.
    """
    rules = [
        {
            "ID": f"archive-rollups-{number}",
            "Status": "Enabled",
            "Filter": {"And": {"Prefix": prefix, "ObjectSizeGreaterThan": RULE_MIN_BYTES}}
            if prefix
            else {"ObjectSizeGreaterThan": RULE_MIN_BYTES},
            "Transitions": [{"Days": RULE_DAYS, "StorageClass": storage_class}],
        }
        for number, prefix in enumerate(prefixes or [""], start=1)
    ]
    return json.dumps({"Rules": rules})


def parse_tag(text: str) -> tuple[str, str]:
    """A tag from KEY=VALUE; the value may be empty. Raises `UsageError`."""
    key, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"{text!r} is not a tag: write KEY=VALUE")
    check_tags([(key, value)])
    return key, value


def parse_tags(text: str) -> tuple[tuple[str, str], ...]:
    """Tags that are separated by commas, which no tag can have. Raises `UsageError`."""
    tags = tuple(map(parse_tag, text.split(",")))
    check_tags(tags)
    return tags


def check_tags(tags: Sequence[tuple[str, str]]) -> None:
    """Raise `UsageError` for tags that S3 would refuse."""
    if len(tags) > MAX_TAGS:
        raise UsageError(f"{len(tags)} tags are given, but an object can have {MAX_TAGS}: leave some out")
    keys = [key for key, _ in tags]
    for number, (key, value) in enumerate(tags):
        tag = f"the tag {key}={value}"
        if not 1 <= len(key) <= MAX_TAG_KEY_CHARS:
            raise UsageError(f"{tag}: its key has {len(key)} characters, but S3 takes 1 to {MAX_TAG_KEY_CHARS}")
        if len(value) > MAX_TAG_VALUE_CHARS:
            raise UsageError(f"{tag}: its value has {len(value)} characters, but S3 takes up to {MAX_TAG_VALUE_CHARS}")
        if odd := next((char for char in key + value if not _is_tag_char(char)), ""):
            raise UsageError(f"{tag}: S3 takes letters, digits, spaces and + - = . _ : / @ in a tag, not {odd!r}")
        if key.lower().startswith("aws:"):
            raise UsageError(f"{tag}: keys that begin with aws: are AWS's own; choose another key")
        if key in keys[:number]:
            raise UsageError(f"{tag}: its key is given twice, and an object has one value for a key")


def _is_tag_char(char: str) -> bool:
    """AWS's own pattern for tags: letters, separators and digits of any script, and some signs."""
    return char in _TAG_SIGNS or category(char)[0] in "LZN"


def check_encryption(name: str) -> str:
    """The name of an encryption. Raises `UsageError`."""
    return _one_of(ENCRYPTIONS, name, "an encryption")


def check_acl(name: str) -> str:
    """The name of a canned ACL. Raises `UsageError`."""
    return _one_of(ACLS, name, "an ACL for rollups")


def check_checksum(name: str) -> str:
    """The name of a checksum algorithm that is at hand. Raises `UsageError`."""
    if name == CRC64NVME and find_spec("awscrt") is None:
        raise UsageError(
            f"{CRC64NVME} needs awscrt, which isn't installed: install the extra {CRC64NVME}, or use {SHA256}. S3 "
            f"itself computes and keeps {CRC64NVME} where no checksum is named"
        )
    return _one_of(CHECKSUMS, name, "a checksum")


def check_key_id(text: str) -> str:
    """The id of a KMS key. Raises `UsageError`."""
    if not _KEY_ID.fullmatch(text):
        raise UsageError(f"{text!r} is not a KMS key: write its id, its ARN or alias/NAME")
    return text


def _one_of(known: Sequence[str], name: str, what: str) -> str:
    if name not in known:
        raise UsageError(f"{name!r} is not {what}: write {' or '.join(known)}")
    return name


BUCKET_DEFAULTS: Final = StoredAs()
"""Nothing is asked for."""
