"""How rollups are stored: the headers that go out, for one PUT and for an upload in parts, and nowhere else."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256

import pytest
from awscrt.checksums import crc64nvme
from bench import s3_api
from bench.s3_api import Call
from tests.support.answers import a_bucket

from s3_log_roller.aws.s3 import S3Bucket, uploads
from s3_log_roller.errors import StorageError
from s3_log_roller.store import NewObject, Upload
from s3_log_roller.stored_as import BUCKET_DEFAULTS, StoredAs

KEY = "arn:aws:kms:us-west-2:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
SSE = "x-amz-server-side-encryption"
HEADERS: dict[StoredAs, dict[str, str]] = {
    BUCKET_DEFAULTS: {},
    StoredAs("GLACIER_IR"): {"x-amz-storage-class": "GLACIER_IR"},
    StoredAs(tags=(("team", "web logs"), ("größe", "a+b=c/d"))): {
        "x-amz-tagging": "team=web%20logs&gr%C3%B6%C3%9Fe=a%2Bb%3Dc%2Fd"
    },
    StoredAs(sse="AES256"): {SSE: "AES256"},
    StoredAs(sse="aws:kms"): {SSE: "aws:kms", f"{SSE}-bucket-key-enabled": "true"},
    StoredAs(sse="aws:kms", kms_key_id=KEY): {
        SSE: "aws:kms",
        f"{SSE}-bucket-key-enabled": "true",
        f"{SSE}-aws-kms-key-id": KEY,
    },
    StoredAs(sse="aws:kms:dsse", kms_key_id="alias/logs"): {
        SSE: "aws:kms:dsse",
        f"{SSE}-aws-kms-key-id": "alias/logs",
    },
    StoredAs(acl="bucket-owner-full-control"): {"x-amz-acl": "bucket-owner-full-control"},
}
EVER = sorted(set().union(*HEADERS.values()))
STORED_AS = pytest.mark.parametrize("stored_as", HEADERS, ids=lambda one: str(one) if one else "nothing")


def said(call: Call) -> dict[str, str]:
    """What a request says of how its object is to be stored."""
    found = {name: call.header(name.encode()).decode() for name in EVER}
    return {name: value for name, value in found.items() if value}


def put_small(client: S3Bucket) -> None:
    """A small upload alone, and small objects together."""
    upload = client.upload("one", 10)
    upload.write(b"content")
    upload.finish()
    objects = {"two": NewObject(b"2"), "three": NewObject(b"3")}
    assert client.publish_all(objects, lambda keys: keys).keys() == objects.keys()


@STORED_AS
def test_a_put_says_it_all(stored_as: StoredAs) -> None:
    """Whether it is one object or many at once."""
    with a_bucket(stored_as=stored_as) as (client, stored, intruder):
        put_small(client)
        assert [said(call) for call in intruder.calls if call.method == "PUT"] == [HEADERS[stored_as]] * 3
        assert stored.find("one") is not None


@STORED_AS
def test_in_parts_the_first_request_says_it_all(stored_as: StoredAs, monkeypatch: pytest.MonkeyPatch) -> None:
    """CreateMultipartUpload says how; S3 refuses these headers with parts, or ignores them."""
    monkeypatch.setattr(uploads, "PART_BYTES", 1000)
    monkeypatch.setattr(s3_api, "MIN_PART_BYTES", 1)
    with a_bucket(stored_as=stored_as) as (client, stored, intruder):
        upload = client.upload("key", 2_500)
        upload.write(bytes(2_500))
        upload.finish()
        created, *others = intruder.calls
        assert (created.method, created.query) == ("POST", "uploads=")
        assert said(created) == HEADERS[stored_as]
        assert len(others) == 4
        assert [said(call) for call in others] == [{}] * 4
        assert stored.find("key") is not None


@STORED_AS
def test_reading_and_deleting_say_nothing_of_it(stored_as: StoredAs) -> None:
    """Only what creates a rollup does."""
    with a_bucket(stored_as=stored_as) as (client, stored, intruder):
        etag = stored.put("key", b"content", 0).etag
        client.list_page("")
        client.delete([("key", etag)])
        assert [said(call) for call in intruder.calls] == [{}, {}]


def refusal(message: str) -> bytes:
    """S3's answer to a request that it doesn't allow."""
    body = f"<Error><Code>AccessDenied</Code><Message>{message}</Message></Error>".encode()
    return b"HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def write_all(upload: Upload, body: bytes) -> None:
    upload.write(body)
    upload.finish()


WHO = "User: arn:aws:sts::1:assumed-role/roller/s is not authorized to perform: "


@pytest.mark.parametrize(
    ("message", "advice"),
    [
        (
            f"{WHO}s3:PutObject on resource: x with an explicit deny in a resource-based policy",
            r"a policy denies it, so more permissions for the role don't help\. Look at the bucket policy: it may",
        ),
        (f"{WHO}kms:GenerateDataKey on resource: y because no", "the credentials need kms:GenerateDataKey there$"),
        (f"{WHO}s3:PutObjectTagging on resource: x because no", "the credentials need s3:PutObjectTagging there$"),
        (
            "Access Denied",
            r"need s3:PutObject there, and s3:PutObjectTagging, or the bucket policy .*\(--sse, --tag, --acl\)$",
        ),
    ],
)
@pytest.mark.parametrize("size", [7, 2_500])
def test_a_refusal_says_whether_it_may_be_the_bucket_policy(
    message: str, advice: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An explicit deny can't be cured by the role; S3's own word for the missing action goes before ours."""
    monkeypatch.setattr(uploads, "PART_BYTES", 1000)
    with a_bucket(stored_as=StoredAs(tags=(("team", "web"),))) as (client, _, intruder):
        intruder.change = lambda call, answer: refusal(message)
        upload = client.upload("key", size)
        with pytest.raises(StorageError, match=advice):
            write_all(upload, bytes(size))


BODY = bytes(range(250)) * 10


def base64_of(algorithm: str, body: bytes) -> str:
    """Made apart from the program's own code, as far as there is another one."""
    if algorithm == "sha256":
        return b64encode(sha256(body).digest()).decode()
    return b64encode(crc64nvme(body).to_bytes(8, "big")).decode()


def checksums_said(call: Call) -> dict[str, str]:
    names = ("algorithm", "type", "sha256", "crc64nvme")
    found = {name: call.header(f"x-amz-checksum-{name}".encode()).decode() for name in names}
    return {name: value for name, value in found.items() if value}


def test_the_crc_is_the_one_that_s3_means() -> None:
    """CRC-64/NVME of `123456789`, as the catalogue of CRCs has it."""
    assert base64_of("crc64nvme", b"123456789") == b64encode(bytes.fromhex("ae8b14860a799888")).decode()


@pytest.mark.parametrize("algorithm", ["sha256", "crc64nvme"])
def test_a_put_has_the_checksum_of_its_body(algorithm: str) -> None:
    """One object or many at once, and Content-MD5 as ever."""
    with a_bucket(stored_as=StoredAs(checksum=algorithm)) as (client, _, intruder):
        put_small(client)
        puts = [call for call in intruder.calls if call.method == "PUT"]
        assert [checksums_said(put) for put in puts] == [{algorithm: base64_of(algorithm, put.body)} for put in puts]
        assert all(put.header(b"content-md5") for put in puts)


@pytest.mark.parametrize(
    ("algorithm", "kind", "whole"),
    [
        ("sha256", "COMPOSITE", {}),
        ("crc64nvme", "FULL_OBJECT", {"crc64nvme": base64_of("crc64nvme", BODY), "type": "FULL_OBJECT"}),
    ],
)
def test_every_part_has_its_checksum_and_the_completion_all_of_them(
    algorithm: str, kind: str, whole: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CRC is of the whole object as well; the SHA-256 of the whole can't be made from those of parts."""
    monkeypatch.setattr(uploads, "PART_BYTES", 1000)
    monkeypatch.setattr(s3_api, "MIN_PART_BYTES", 1)
    with a_bucket(stored_as=StoredAs(checksum=algorithm)) as (client, stored, intruder):
        write_all(client.upload("key", len(BODY)), BODY)
        created, *parts, completed = intruder.calls
        parts.sort(key=lambda part: part.query)  # they are sent beside each other, and their numbers stand in front
        assert checksums_said(created) == {"algorithm": algorithm.upper(), "type": kind}
        expected = [base64_of(algorithm, part.body) for part in parts]
        assert [checksums_said(part) for part in parts] == [{algorithm: checksum} for checksum in expected]
        assert checksums_said(completed) == whole
        name = f"Checksum{algorithm.upper()}"
        assert re.findall(f"</PartNumber><{name}>([^<]*)</{name}></Part>", completed.body.decode()) == expected
        found = stored.find("key")
        assert found is not None
        assert found.body == BODY
