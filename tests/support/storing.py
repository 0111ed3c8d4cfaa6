"""How rollups can be stored, each way tried on a real server: what went out, and what the server made of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from random import Random
from types import MappingProxyType
from typing import Any, Final
from unittest.mock import patch

import boto3
from botocore.exceptions import ClientError
from tests.support.servers import client

from s3_log_roller.aws.s3 import checksums, open_bucket
from s3_log_roller.aws.s3.signing import Headers, Signer
from s3_log_roller.demo.servers import REGION, LocalServer
from s3_log_roller.errors import StorageError
from s3_log_roller.stored_as import BUCKET_DEFAULTS, StoredAs

KEY_ARN: Final = f"arn:aws:kms:{REGION}:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab"
SMALL: Final = b"a rollup in one request"
LARGE: Final = Random(17).randbytes(11 << 20)
BODIES: Final = MappingProxyType({"PUT": SMALL, "in parts": LARGE})


def unchecked(**fields: Any) -> StoredAs:
    """What the program itself would refuse to ask for."""
    made = StoredAs()
    for name, value in fields.items():
        object.__setattr__(made, name, value)
    return made


ASKED: Final[Mapping[str, StoredAs]] = MappingProxyType(
    {
        "nothing": BUCKET_DEFAULTS,
        "--storage-class GLACIER_IR": StoredAs("GLACIER_IR"),
        "storage class FROZEN": unchecked(storage_class="FROZEN"),
        "--tag team=web logs --tag cost=": StoredAs(tags=(("team", "web logs"), ("cost", ""))),
        "tag aws:x=1": unchecked(tags=(("aws:x", "1"),)),
        "--sse AES256": StoredAs(sse="AES256"),
        "--sse aws:kms": StoredAs(sse="aws:kms"),
        "--sse aws:kms --sse-kms-key-id KEY": StoredAs(sse="aws:kms", kms_key_id=KEY_ARN),
        "--sse aws:kms:dsse": StoredAs(sse="aws:kms:dsse"),
        "--acl bucket-owner-full-control": StoredAs(acl="bucket-owner-full-control"),
        "ACL public-read": unchecked(acl="public-read"),
        "--checksum sha256": StoredAs(checksum="sha256"),
        "--checksum crc64nvme": StoredAs(checksum="crc64nvme"),
        "a wrong sha256": StoredAs(checksum="sha256"),
        "a wrong crc64nvme": StoredAs(checksum="crc64nvme"),
    }
)
"""By what a user would say; what no user can ask for is there to see who checks it."""


@dataclass(frozen=True, slots=True)
class Tried:
    """An upload that was tried."""

    sent: tuple[Headers, ...]
    """The headers about storing of each request."""
    answer: str
    """What the server keeps of it, or its refusal."""


def make_bucket(server: LocalServer, name: str) -> None:
    """A bucket with ACLs off, as S3 makes them."""
    s3 = client(server, "s3")
    s3.create_bucket(
        Bucket=name,
        CreateBucketConfiguration={"LocationConstraint": REGION},
        ObjectOwnership="BucketOwnerEnforced",
    )


def try_it(server: LocalServer, bucket: str, asked: str, kind: str) -> Tried:
    """Upload what is of that kind, read it back with the program, and see how it is stored."""
    session = boto3.Session(server.access_key, server.secret_key, region_name=REGION)
    key, body = f"{asked}/{kind}", BODIES[kind]
    sent: list[Headers] = []
    opening = open_bucket(session, bucket, endpoint_url=server.endpoint, stored_as=ASKED[asked])
    with closing(opening) as store, _recording(sent), _wrong(asked):
        try:
            upload = store.upload(key, len(body))
            upload.write(body)
            upload.finish()
        except StorageError as error:
            return Tried(tuple(sent), f"refused: {error.code}")
    s3 = client(server, "s3")
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == body
    return Tried(tuple(sent), ", ".join(_kept(s3, bucket, key)) or "stored")


def _kept(s3: Any, bucket: str, key: str) -> Iterator[str]:
    """What the server says of the object."""
    head = s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    if head.get("StorageClass", "STANDARD") != "STANDARD":
        yield head["StorageClass"]
    for name in ("ServerSideEncryption", "SSEKMSKeyId"):
        if head.get(name):
            yield head[name].rpartition("/")[2]
    if head.get("BucketKeyEnabled"):
        yield "bucket key"
    try:
        tags = s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
        yield from sorted(f"tag {tag['Key']}={tag['Value']}" for tag in tags)
    except ClientError:
        pass
    for name in ("SHA256", "CRC64NVME"):
        if value := head.get(f"Checksum{name}"):
            parts = value.partition("-")[2]
            yield name.lower() + (f" of {parts} parts" if parts else "")


@contextmanager
def _recording(sent: list[Headers]) -> Iterator[None]:
    """Note the headers about storing of every request that is signed meanwhile."""
    sign = Signer.sign

    def recorded(signer: Signer, method: str, path: str, query: str, headers: Headers, payload: str) -> list[str]:
        sent.append(tuple(header for header in headers if header[0].startswith("x-amz-")))
        return sign(signer, method, path, query, headers, payload)

    with patch.object(Signer, "sign", recorded):
        yield


@contextmanager
def _wrong(asked: str) -> Iterator[None]:
    """Where a wrong checksum is to be tried: one of other bytes."""
    if "wrong" not in asked:
        yield
        return
    encoded = checksums._encoded
    with patch.object(checksums, "_encoded", lambda algorithm, body: encoded(algorithm, body + b"!")):
        yield
