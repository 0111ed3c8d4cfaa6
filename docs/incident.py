"""The logs of an incident, for the page of recipes: a bucket `audit-logs`, rolled up by nobody yet.

On a Tuesday somebody emptied a folder just before midnight. Others were refused, came over old TLS, or without
credentials.
"""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from random import Random
from typing import Final, NamedTuple

from s3_log_roller.demo.sample_logs import sample_key, sample_log

BUCKET: Final = "audit-logs"
TARGET_PREFIX: Final = "payroll/"
SOURCE: Final = "payroll"
TUESDAY: Final = datetime(2022, 7, 5, tzinfo=UTC)
_ACCOUNT: Final = "111122223333"
_APP: Final = f"arn:aws:sts::{_ACCOUNT}:assumed-role/app/i-0f3a"
_MALLORY: Final = f"arn:aws:iam::{_ACCOUNT}:user/mallory"
_REPORTS: Final = f"arn:aws:iam::{_ACCOUNT}:user/reports"
_STRANGER: Final = "arn:aws:iam::999988887777:user/eve"


class _Request(NamedTuple):
    """What a record says that is not the same for all."""

    when: datetime
    requester: str
    operation: str
    key: str
    status: int | str = 200
    error: str = "-"
    ip: str = "198.51.100.7"
    agent: str = "aws-cli/1.18.69 Python/3.8.10"
    tls: str = "TLSv1.3"


def incident_logs() -> dict[str, bytes]:
    """Keys and contents."""
    rng = Random("incident")
    logs = {}
    for hour in range(4, 48, 4):
        when = TUESDAY + timedelta(hours=hour, minutes=rng.randrange(60))
        logs[sample_key(TARGET_PREFIX, when, rng)] = sample_log(rng, when, SOURCE)
    for delivered, requests in _story():
        content = "".join(_record(rng, request) for request in requests)
        logs[sample_key(TARGET_PREFIX, TUESDAY + delivered, rng)] = content.encode()
    return logs


def _story() -> list[tuple[timedelta, list[_Request]]]:
    """When each log was delivered, counted from Tuesday's midnight, and what is in it."""

    def at(hours: int, minutes: int = 0, seconds: int = 0) -> datetime:
        return TUESDAY + timedelta(hours=hours, minutes=minutes, seconds=seconds)

    old_java = "aws-sdk-java/1.7.4 Linux/2.6.32 Java_HotSpot/1.7.0_80"
    browser = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Firefox/102.0"
    return [
        (
            timedelta(hours=9, minutes=41),
            [
                _Request(
                    at(9, 2, 11), _REPORTS, "REST.GET.OBJECT", "2022/q1.csv", ip="10.1.2.3", agent=old_java, tls="TLSv1"
                ),
                _Request(
                    at(9, 2, 15), _REPORTS, "REST.GET.OBJECT", "2022/q2.csv", ip="10.1.2.3", agent=old_java, tls="TLSv1"
                ),
                _Request(at(9, 7), _APP, "REST.DELETE.OBJECT", "tmp/upload-1", 204, ip="10.0.0.9"),
            ],
        ),
        (
            timedelta(hours=16, minutes=12),
            [
                _Request(
                    at(15, 30, 2), _STRANGER, "REST.GET.OBJECT", "2022/q2.csv", 403, "AccessDenied", "203.0.113.9"
                ),
                _Request(at(15, 30, 9), _STRANGER, "REST.GET.BUCKET", "-", 403, "AccessDenied", "203.0.113.9"),
                _Request(at(15, 44), _MALLORY, "REST.PUT.BUCKETPOLICY", "-", 403, "AccessDenied"),
                _Request(at(15, 58), "-", "REST.GET.OBJECT", "public/logo.png", ip="192.0.2.44", agent=browser),
                _Request(
                    at(15, 59),
                    "-",
                    "REST.GET.OBJECT",
                    "2022/q2.csv",
                    403,
                    "AccessDenied",
                    "192.0.2.44",
                    browser,
                    "TLSv1.1",
                ),
            ],
        ),
        (
            timedelta(hours=24, minutes=31),
            [
                _Request(at(23, 52, 40), _MALLORY, "REST.DELETE.OBJECT", "2022/q1.csv", 204),
                _Request(at(23, 52, 41), _MALLORY, "BATCH.DELETE.OBJECT", "2022/q2.csv", 204),
                _Request(at(23, 52, 41), _MALLORY, "BATCH.DELETE.OBJECT", "2022/q3.csv", 204),
                _Request(at(23, 58), "AmazonS3", "S3.EXPIRE.OBJECT", "tmp/upload-0", "-", ip="-", agent="-", tls="-"),
            ],
        ),
    ]


def _record(rng: Random, request: _Request) -> str:
    method = request.operation.split(".")[1]
    by_itself = request.operation.startswith("S3.")
    batch = request.operation.startswith("BATCH.")
    uri = "-" if by_itself else '"POST /?delete HTTP/1.1"' if batch else f'"{method} /{request.key} HTTP/1.1"'
    signed = "-" if request.requester == "-" or by_itself else "SigV4"
    host = "-" if by_itself else f"{SOURCE}.s3.us-west-2.amazonaws.com"
    cipher = "-" if by_itself else "ECDHE-RSA-AES128-SHA" if request.tls != "TLSv1.3" else "TLS_AES_128_GCM_SHA256"
    return (
        f"{sha256(SOURCE.encode()).hexdigest()} {SOURCE} [{request.when:%d/%b/%Y:%H:%M:%S +0000}] {request.ip} "
        f"{request.requester} {rng.getrandbits(64):016X} {request.operation} {request.key} {uri} {request.status} "
        f'{request.error} - - {rng.randrange(8, 90)} - "-" "{request.agent}" - {b64encode(rng.randbytes(56)).decode()} '
        f"{signed} {cipher} {'-' if signed == '-' else 'AuthHeader'} {host} {request.tls} - - us-west-2\n"
    )
