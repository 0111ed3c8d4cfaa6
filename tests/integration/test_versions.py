"""`--delete-versions` on three servers: the version that was proven goes for good, and nothing else does."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.paths import ROOT
from tests.support.servers import client

from s3_log_roller.demo.servers import REGION, LocalServer, isolated_environment

PREFIX = "a/2022-07-01-00-00-"
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Versioned:
    """A bucket with three logs of a day, the second with an older version; `keys` are theirs."""

    server: LocalServer
    s3: Any
    bucket: str
    keys: list[str]

    def roll(self, *arguments: str) -> tuple[dict[str, Any], str]:
        """Roll up and delete; the summary, and what went to standard error."""
        command = [sys.executable, str(ROOT / "main.py"), "roll", f"s3://{self.bucket}/", "--delete", "--json"]
        environment = isolated_environment(self.server) | {"AWS_ENDPOINT_URL_S3": self.server.endpoint}
        done = subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode in (0, 3), done.stderr
        return json.loads(done.stdout), done.stderr

    def left(self) -> dict[str, list[str]]:
        """What is left of the logs: the bodies of the versions by key, and `marker` for each delete marker."""
        listed = self.s3.list_object_versions(Bucket=self.bucket, Prefix=PREFIX)
        found: dict[str, list[str]] = {}
        for one in listed.get("Versions", []):
            got = self.s3.get_object(Bucket=self.bucket, Key=one["Key"], VersionId=one["VersionId"])
            found.setdefault(one["Key"], []).append(got["Body"].read().decode())
        for one in listed.get("DeleteMarkers", []):
            found.setdefault(one["Key"], []).append("marker")
        return found


def make(server: LocalServer, *, lock: bool = False, versioned: bool = True) -> Versioned:
    s3, bucket = client(server, "s3"), f"versions-{next(_numbers)}"
    s3.create_bucket(
        Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION}, ObjectLockEnabledForBucket=lock
    )
    if versioned:
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    keys = [f"{PREFIX}0{number}-0123456789ABCDEF" for number in range(3)]
    s3.put_object(Bucket=bucket, Key=keys[1], Body=b"older")
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    return Versioned(server, s3, bucket, keys)


@pytest.fixture(params=["seaweedfs", "ministack", "moto"])
def server(request: pytest.FixtureRequest) -> LocalServer:
    server: LocalServer = request.getfixturevalue(request.param)
    return server


def test_the_proven_versions_go_and_older_ones_stay_hidden(server: LocalServer) -> None:
    """Nothing of the logs is left but the older version, below a marker, and the run tells of it."""
    day = make(server)
    summary, _ = day.roll("--delete-versions")
    assert day.left() == {day.keys[1]: ["older", "marker"]}
    told = ("originals_deleted", "versions_deleted", "delete_markers", "other_versions", "failed")
    assert [summary[name] for name in told] == [3, 3, 0, 1, 0]
    again, _ = day.roll("--delete-versions")
    assert (again["failed"], again["originals_deleted"]) == (0, 0)
    assert day.left() == {day.keys[1]: ["older", "marker"]}


def test_without_the_option_every_version_stays(server: LocalServer) -> None:
    """Below a marker, as ever."""
    day = make(server)
    summary, _ = day.roll()
    assert day.left() == {key: [key, "marker"] for key in day.keys} | {day.keys[1]: [day.keys[1], "older", "marker"]}
    assert (summary["versions_deleted"], summary["delete_markers"], summary["other_versions"]) == (0, 3, 0)


def test_without_versioning_it_changes_nothing(server: LocalServer) -> None:
    """The same requests, and everything is gone."""
    day = make(server, versioned=False)
    summary, _ = day.roll("--delete-versions")
    assert day.left() == {}
    assert (summary["originals_deleted"], summary["versions_deleted"], summary["delete_markers"]) == (3, 0, 0)


def test_what_object_lock_holds_stays_and_is_told(server: LocalServer) -> None:
    """The locked version stays below its marker, the day group fails with the key, and the other versions go."""
    day = make(server, lock=True)
    day.s3.put_object_retention(
        Bucket=day.bucket,
        Key=day.keys[0],
        Retention={"Mode": "GOVERNANCE", "RetainUntilDate": datetime.now(UTC) + timedelta(days=1)},
    )
    summary, log = day.roll("--delete-versions")
    assert day.left() == {day.keys[0]: [day.keys[0], "marker"], day.keys[1]: ["older", "marker"]}
    assert [summary[name] for name in ("originals_deleted", "versions_deleted", "delete_markers", "failed")] == [
        3,
        2,
        1,
        1,
    ]
    assert "what Object Lock holds stays until its retention ends" in summary["failures"][0]["why"]
    assert f"{day.keys[0]} got a delete marker, but its version stays: AccessDenied" in log
