"""How rollups are stored: what S3 would refuse is refused before anything is asked of it."""

from __future__ import annotations

import json

import pytest

from s3_log_roller import stored_as
from s3_log_roller.errors import UsageError
from s3_log_roller.stored_as import (
    ARCHIVE_CLASSES,
    CHECKSUMS,
    ENCRYPTIONS,
    STORAGE_CLASSES,
    StoredAs,
    archiving_rule,
    check_checksum,
    check_key_id,
    parse_tag,
)


@pytest.mark.parametrize("name", STORAGE_CLASSES)
def test_the_classes_that_can_be_read_at_once_are_taken(name: str) -> None:
    """Each of them, and in S3's own spelling only."""
    assert StoredAs(name).storage_class == name
    with pytest.raises(UsageError, match="is not a storage class for rollups: write one of STANDARD, "):
        StoredAs(name.lower())


@pytest.mark.parametrize("name", ARCHIVE_CLASSES)
def test_archive_classes_are_refused_with_the_rule_that_does_it(name: str) -> None:
    """The error gives the reason, and a lifecycle configuration that can be used as it is."""
    with pytest.raises(UsageError, match="is read back before anything is deleted") as refused:
        StoredAs(name)
    _, _, rule = str(refused.value).partition("later: ")
    assert json.loads(rule)["Rules"][0]["Transitions"] == [{"Days": 30, "StorageClass": name}]


def test_the_rule_tells_rollups_from_logs_by_their_size() -> None:
    """Below any prefix, and in the whole bucket where none is given."""
    assert json.loads(archiving_rule("GLACIER", ["a/", "b/"]))["Rules"][1]["Filter"] == {
        "And": {"Prefix": "b/", "ObjectSizeGreaterThan": 131_072}
    }
    assert json.loads(archiving_rule("GLACIER"))["Rules"][0]["Filter"] == {"ObjectSizeGreaterThan": 131_072}


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("team=web logs", ("team", "web logs")),
        ("empty=", ("empty", "")),
        ("a=b=c", ("a", "b=c")),
        ("größe:/@._-+=ünï/é", ("größe:/@._-+", "ünï/é")),
        ("k" * 128 + "=" + "v" * 256, ("k" * 128, "v" * 256)),
    ],
)
def test_tags_may_be_whatever_s3_takes(text: str, tag: tuple[str, str]) -> None:
    """Letters of any script, digits, spaces and S3's signs; the first `=` ends the key."""
    assert parse_tag(text) == tag


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("key", "is not a tag: write KEY=VALUE"),
        ("=value", "its key has 0 characters"),
        ("k" * 129 + "=", "its key has 129 characters"),
        ("k=" + "v" * 257, "its value has 257 characters"),
        ("k=a,b", "not ','"),
        ("k=a\nb", r"not '\\n'"),
        ("k=a&b", "not '&'"),
        ("aws:x=1", "are AWS's own"),
        ("AWS:x=1", "are AWS's own"),
    ],
)
def test_tags_that_s3_would_refuse_are_refused(text: str, why: str) -> None:
    """Each with what is wrong with it."""
    with pytest.raises(UsageError, match=why):
        parse_tag(text)


def test_an_object_has_ten_tags_and_each_key_once() -> None:
    """Ten are taken, eleven are not, and neither are two values for a key."""
    ten = tuple((f"key{number}", "") for number in range(10))
    assert StoredAs(tags=ten).tags == ten
    with pytest.raises(UsageError, match="11 tags are given, but an object can have 10"):
        StoredAs(tags=(*ten, ("another", "")))
    with pytest.raises(UsageError, match="its key is given twice"):
        StoredAs(tags=(("a", "1"), ("b", "2"), ("a", "3")))


def test_a_checksum_needs_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it isn't installed, that is told at once, with what does it instead."""
    assert [check_checksum(name) for name in CHECKSUMS] == ["sha256", "crc64nvme"]
    monkeypatch.setattr(stored_as, "find_spec", lambda name: None)
    assert check_checksum("sha256") == "sha256"
    with pytest.raises(
        UsageError, match="needs awscrt, which isn't installed: install the extra crc64nvme, or use sha256"
    ):
        check_checksum("crc64nvme")
    with pytest.raises(UsageError, match="'md5' is not a checksum: write sha256 or crc64nvme"):
        check_checksum("md5")


def test_a_kms_key_needs_an_encryption_that_uses_it() -> None:
    """With SSE-S3, or where nothing is said, S3 would refuse it or take another key."""
    for sse in ENCRYPTIONS[:2]:
        assert StoredAs(sse=sse, kms_key_id="alias/logs").uses_kms
    for sse in ("AES256", ""):
        with pytest.raises(UsageError, match="a KMS key is used with aws:kms or aws:kms:dsse only"):
            StoredAs(sse=sse, kms_key_id="alias/logs")
    for text in ("", "a key", "key\r\nx-amz-acl: public-read"):
        with pytest.raises(UsageError, match="is not a KMS key"):
            check_key_id(text)
    for text in ("alias/logs", "arn:aws:kms:us-west-2:123456789012:key/0"):
        assert check_key_id(text) == text
