"""A manifest against a real S3 server: written by a run that deletes, kept elsewhere, held against what is there."""

from __future__ import annotations

import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.real_day import RealDay

from s3_log_roller.demo.servers import SeaweedFS, isolated_environment

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

PROGRAM = "import sys; from s3_log_roller.cli.main import main; sys.exit(main())"


def run(environment: dict[str, str], *arguments: str) -> tuple[int, str]:
    """(exit code, standard error)."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr


def test_a_manifest_proves_later_that_every_rollup_is_still_there(
    s3: S3Client, bucket: str, seaweedfs: SeaweedFS, tmp_path: Path
) -> None:
    """Lines of several processes, of day groups large and small; then one is deleted, and one replaced."""
    environment = isolated_environment(seaweedfs)
    path = tmp_path / "rollups.jsonl"
    day = RealDay(s3, bucket, "web/")
    day.fill(30, days=5)
    day.fill_in_parts(6)
    rolled = ["roll", f"s3://{bucket}/", "--delete", "--processes", "2", "--manifest", str(path), "-q"]
    assert run(environment, *rolled) == (0, "")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert {line["key"] for line in lines} == set(day.rollups()) == set(day.keys())
    for line in lines:
        body = day.body(line["key"])
        assert (line["bytes"], line["sha256"]) == (len(body), sha256(body).hexdigest())
        assert line["etag"] == s3.head_object(Bucket=bucket, Key=line["key"])["ETag"].strip('"')
    assert sum(line["members"] for line in lines) == len(day.bodies)

    verify = ["verify", "--manifest", str(path), f"s3://{bucket}/web/"]
    assert run(environment, *verify)[0] == 0
    first, second, *_ = day.rollups()
    s3.delete_object(Bucket=bucket, Key=first)
    assert run(environment, "verify", f"s3://{bucket}/web/")[0] == 0  # which cannot know
    code, errors = run(environment, *verify)
    assert code == 3
    assert f"s3://{bucket}/{first} is in the manifest, but not there any more\n" in errors
    s3.put_object(Bucket=bucket, Key=second, Body=day.body(second)[:-1])
    code, errors = run(environment, *verify)
    assert code == 3
    assert f"s3://{bucket}/{second} is damaged" in errors
    assert "4 of 5 rollups are right" in errors


def test_a_full_disk_stops_the_deletes_and_a_later_run_catches_up(
    s3: S3Client, bucket: str, seaweedfs: SeaweedFS, tmp_path: Path
) -> None:
    """The limit on file sizes refuses writes as a full disk does, in the middle of a line."""
    environment = isolated_environment(seaweedfs)
    path = tmp_path / "rollups.jsonl"
    day = RealDay(s3, bucket, "web/")
    day.fill(20, days=5)
    arguments = [f"s3://{bucket}/", "--delete", "--manifest", str(path), "-q"]
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)); {PROGRAM}"
    done = subprocess.run(
        [sys.executable, "-c", limited, "roll", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert "the manifest" in done.stderr
    assert "cannot be written: File too large; nothing was deleted on account of a rollup that it does" in done.stderr
    assert path.read_text().count("\n") == path.read_text().count("{") == 2
    day.assert_untouched()
    assert run(environment, "roll", *arguments) == (0, "")
    assert {json.loads(line)["key"] for line in path.read_text().splitlines()} == set(day.rollups())
    day.assert_done(deleted=True)
