"""Made-up S3 server access logs that look and compress like real ones.

The same seed gives the same bytes. One record is some 530 bytes.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256
from random import Random
from typing import Final

RECORDS_PER_LOG: Final = 7
"""The average number of records in a log, which makes logs of 3.7 KB."""

_OPERATIONS: Final = (
    ("REST.GET.OBJECT", "GET", 200),
    ("REST.GET.OBJECT", "GET", 200),
    ("REST.GET.OBJECT", "GET", 206),
    ("REST.GET.OBJECT", "GET", 404),
    ("REST.HEAD.OBJECT", "HEAD", 200),
    ("REST.PUT.OBJECT", "PUT", 200),
    ("REST.DELETE.OBJECT", "DELETE", 204),
)
_USER_AGENTS: Final = (
    *(f"aws-sdk-java/1.11.{n} Linux/5.4 OpenJDK_64-Bit_Server_VM/25.{n + 40}" for n in range(200, 230)),
    *(f"Boto3/1.26.{n} Python/3.11.4 Linux/5.10 Botocore/1.29.{n}" for n in range(20)),
    *(f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/{n}.0.0.0" for n in range(90, 110)),
)
_EXTENSIONS: Final = ("parquet", "json.gz", "jpg", "html", "csv")


def sample_log(rng: Random, when: datetime, bucket: str, records: int = RECORDS_PER_LOG) -> bytes:
    """The content of a log of requests to `bucket`, delivered at `when`: that many records of 27 fields.

    The fields are those of the S3 User Guide, "Amazon S3 server access log format".
    """
    bits, choice = rng.getrandbits, rng.choice
    # The rest of a record's fields is the same for all of a bucket's records.
    owner = sha256(bucket.encode()).hexdigest()
    account = "111122223333"
    ending = f"{bucket}.s3.us-west-2.amazonaws.com TLSv1.3 - - us-west-2\n"
    moment = when.astimezone(UTC) - timedelta(minutes=40)
    lines = []
    for _ in range(records):
        moment += timedelta(seconds=bits(8))
        operation, method, status = choice(_OPERATIONS)
        key = f"{moment:%Y/%m/%d}/{bits(40):010x}.{choice(_EXTENSIONS)}"
        error = "NoSuchKey" if status == 404 else "-"
        size = bits(23)
        address = bits(16)
        milliseconds = bits(8)
        host_id = b64encode(rng.randbytes(56)).decode()
        lines.append(
            f"{owner} {bucket} [{moment:%d/%b/%Y:%H:%M:%S +0000}] 10.0.{address >> 8}.{address & 255} "
            f"arn:aws:sts::{account}:assumed-role/app/i-{bits(40):010x} {bits(64):016X} {operation} {key} "
            f'"{method} /{key} HTTP/1.1" {status} {error} {size if method == "GET" else "-"} {size} '
            f'{milliseconds + bits(5)} {milliseconds} "-" "{choice(_USER_AGENTS)}" - {host_id} SigV4 '
            f"TLS_AES_128_GCM_SHA256 AuthHeader {ending}"
        )
    return "".join(lines).encode()


def sample_key(target_prefix: str, when: datetime, rng: Random) -> str:
    """A log key as S3 makes them, for a log delivered at `when`."""
    return f"{target_prefix}{when.astimezone(UTC):%Y-%m-%d-%H-%M-%S}-{rng.getrandbits(64):016X}"


def sample_day(rng: Random, day: date, bucket: str, target_prefix: str, logs: int) -> Iterator[tuple[str, bytes]]:
    """A day's logs of requests to `bucket`, spread over the day: keys and contents, in key order."""
    midnight = datetime.combine(day, time(), UTC)
    keys = sorted(
        sample_key(target_prefix, midnight + timedelta(seconds=rng.randrange(86_400)), rng) for _ in range(logs)
    )
    for key in keys:
        when = datetime.strptime(key[-36:-17], "%Y-%m-%d-%H-%M-%S").replace(tzinfo=UTC)
        yield key, sample_log(rng, when, bucket, rng.randint(RECORDS_PER_LOG - 4, RECORDS_PER_LOG + 4))
