"""Sample logs of the last days in a bucket, and what became of them."""

from __future__ import annotations

import io
import tarfile
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from s3_log_roller.demo.sample_logs import sample_day


def put_logs(s3: Any, bucket: str, prefix: str, days: int, logs: int) -> set[str]:
    """Put so many sample logs on each of the last days; their keys."""
    rng = Random(prefix)
    today = datetime.now(UTC).date()
    keys = set()
    for age in range(1, days + 1):
        for key, body in sample_day(rng, today - timedelta(days=age), "site", prefix, logs):
            s3.put_object(Bucket=bucket, Key=key, Body=body)
            keys.add(key)
    return keys


def members(s3: Any, bucket: str, prefix: str) -> list[str]:
    """The keys of all members of the rollups under the prefix."""
    found = []
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}rollup-"):
        for entry in page.get("Contents", []):
            body = s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
            with tarfile.open(fileobj=io.BytesIO(body)) as tar:
                found += [prefix + name for name in tar.getnames()]
    return found
