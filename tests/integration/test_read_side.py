"""The commands that read, as processes of their own, against a real S3 server that checks signatures."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest

from s3_log_roller.demo.sample_logs import sample_day
from s3_log_roller.demo.servers import SeaweedFS, isolated_environment

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

PREFIX = "example.com/"
DAYS = [datetime.now(UTC).date() - timedelta(days) for days in (4, 3, 2)]
LOGS = 100


def run(seaweedfs: SeaweedFS, *arguments: str, check: int = 0) -> tuple[bytes, str]:
    """Run the program; (standard output, standard error)."""
    program = "import sys; from s3_log_roller.cli.main import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=isolated_environment(seaweedfs),
        capture_output=True,
        check=False,
    )
    assert done.returncode == check, done.stderr.decode()
    return done.stdout, done.stderr.decode()


@pytest.fixture
def logs(s3: S3Client, bucket: str, seaweedfs: SeaweedFS) -> dict[str, bytes]:
    """Three days of logs: one rolled up and deleted, one rolled up and not, one with late logs."""
    bodies: dict[str, bytes] = {}

    def put(day: date, seed: int, count: int) -> None:
        for key, body in sample_day(Random(seed), day, "example.com", PREFIX, count):
            s3.put_object(Bucket=bucket, Key=key, Body=body)
            bodies[key] = body

    uri = f"s3://{bucket}/{PREFIX}"
    put(DAYS[0], 1, LOGS)
    run(seaweedfs, "roll", "--prefixes", uri, "--delete", "-q")
    put(DAYS[1], 2, LOGS)
    run(seaweedfs, "roll", "--prefixes", uri, "-q")
    put(DAYS[0], 3, LOGS // 10)
    put(DAYS[2], 4, LOGS // 10)
    return dict(sorted(bodies.items()))


def test_reading_searching_and_listing(logs: dict[str, bytes], bucket: str, seaweedfs: SeaweedFS) -> None:
    """Everything comes out once and in order, wherever it is; on several processes as on one."""
    uri = f"s3://{bucket}/{PREFIX}"
    whole = b"".join(logs.values())
    assert run(seaweedfs, "cat", uri)[0] == whole
    denied = [line for line in whole.splitlines() if b"NoSuchKey" in line]
    for processes in ("1", "2"):
        found, _ = run(seaweedfs, "grep", "-h", "NoSuchKey", uri, "--processes", processes)
        assert found.splitlines() == denied
    records, _ = run(seaweedfs, "grep", "--where", "status=404", "--output", "json", uri)
    assert [json.loads(line)["error_code"] for line in records.splitlines()] == ["NoSuchKey"] * len(denied)
    hour = f"{DAYS[1]}T05"
    expected = b"".join(body for key, body in logs.items() if key.startswith(f"{PREFIX}{DAYS[1]}-05-"))
    assert run(seaweedfs, "cat", uri, "--since", hour, "--until", hour)[0] == expected
    key = next(iter(logs))
    assert run(seaweedfs, "cat", f"s3://{bucket}/{key}")[0] == logs[key]
    listing, note = run(seaweedfs, "ls", uri)
    assert [line.split()[:2] for line in listing.decode().splitlines()[1:]] == [
        [str(day), str(LOGS)] for day in DAYS[:2]
    ]
    assert "3 days have logs that are not rolled up or not deleted" in note


def test_verifying_and_restoring(
    logs: dict[str, bytes], bucket: str, s3: S3Client, seaweedfs: SeaweedFS, tmp_path: Path
) -> None:
    """Rollups are proven against the originals that are left; originals come back into directories and buckets."""
    uri = f"s3://{bucket}/{PREFIX}"
    out, _ = run(seaweedfs, "verify", uri)
    assert out.count(b"ok ") == 2
    assert f"{LOGS} originals still there are the same" in out.decode()
    rolled = {key: body for key, body in logs.items() if str(DAYS[2]) not in key}
    begin = time.time()
    run(seaweedfs, "restore", uri, "--to", str(tmp_path / "logs"), "--processes", "2")
    restored = {PREFIX + path.name: path for path in (tmp_path / "logs").iterdir()}
    assert all(path.read_bytes() == rolled[key] for key, path in restored.items())
    assert len(restored) == 2 * LOGS
    assert all(path.stat().st_mtime <= begin for path in restored.values())
    run(seaweedfs, "restore", uri, "--to", uri)
    back = {
        entry["Key"]: entry["ETag"].strip('"')
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=PREFIX)
        for entry in page["Contents"]
        if "rollup" not in entry["Key"]
    }
    assert back == {key: hashlib.md5(body).hexdigest() for key, body in logs.items()}
    _, note = run(seaweedfs, "restore", uri, "--to", uri)
    assert f"0 logs (0 bytes) restored to {uri}, {2 * LOGS:,} were there already" in note


def test_damage_in_the_bucket(logs: dict[str, bytes], bucket: str, s3: S3Client, seaweedfs: SeaweedFS) -> None:
    """A rollup that was cut off, and one with a flipped byte: named, and the others are right."""
    uri = f"s3://{bucket}/{PREFIX}"
    page = s3.list_objects_v2(Bucket=bucket, Prefix=f"{PREFIX}rollup-")
    first, second = (entry["Key"] for entry in page["Contents"])
    body = bytearray(s3.get_object(Bucket=bucket, Key=first)["Body"].read())
    body[len(body) // 2] ^= 1
    s3.put_object(Bucket=bucket, Key=first, Body=bytes(body))
    out, err = run(seaweedfs, "verify", uri, check=3)
    assert first.encode() not in out
    assert second.encode() in out
    assert f"s3://{bucket}/{first} is damaged" in err
    assert f"of {LOGS} members: {DAYS[0]}-" in err
    assert run(seaweedfs, "cat", uri, check=3)[0].endswith(b"".join(logs.values())[-1000:])


def test_errors_are_one_line_each(bucket: str, seaweedfs: SeaweedFS, tmp_path: Path) -> None:
    """A bucket that is not there, nothing under a prefix, no access; grep exits with 2."""
    for command in ("cat", "ls", "verify"):
        _, err = run(seaweedfs, command, "s3://absent-bucket/", check=1)
        assert err.startswith("s3-log-roller: the bucket s3://absent-bucket does not exist")
    assert "no logs and no rollups" in run(seaweedfs, "cat", f"s3://{bucket}/x/", check=1)[1]
    assert "absent-bucket" in run(seaweedfs, "cat", f"s3://{bucket}/x/", "s3://absent-bucket/", check=3)[1]
    assert "absent-bucket" in run(seaweedfs, "grep", "x", "s3://absent-bucket/", check=3)[1]
    assert os.listdir(tmp_path) == []
