"""`query`, as a process of its own, against a real S3 server, over logs that are rolled up and logs that are not."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from s3_log_roller.demo.sample_logs import sample_day
from s3_log_roller.demo.servers import SeaweedFS, isolated_environment
from s3_log_roller.reading.records import parse_record

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

DAYS = [datetime.now(UTC).date() - timedelta(days) for days in (3, 2)]


def run(seaweedfs: SeaweedFS, *arguments: str, check: int = 0) -> tuple[str, str]:
    """Run the program; (standard output, standard error)."""
    program = "import sys; from s3_log_roller.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, env=isolated_environment(seaweedfs), capture_output=True, check=False)
    assert done.returncode == check, done.stderr.decode()
    return done.stdout.decode(), done.stderr.decode()


def test_questions_over_rolled_up_and_loose_logs(s3: S3Client, bucket: str, seaweedfs: SeaweedFS) -> None:
    """Every record counts once, wherever it is, on one process and on two; a window reads its days alone."""
    bodies: dict[str, bytes] = {}
    uri = f"s3://{bucket}/logs/"
    for seed, day in enumerate(DAYS):
        for key, body in sample_day(Random(seed), day, "example.com", "logs/", 60):
            s3.put_object(Bucket=bucket, Key=key, Body=body)
            bodies[key] = body
        if seed == 0:
            run(seaweedfs, "roll", "--prefixes", uri, "--delete", "-q")
    odd = f"logs/{DAYS[1]}-23-59-59-{1:016X}"
    s3.put_object(Bucket=bucket, Key=odd, Body=b"not a record\n")
    records = [parse_record(line.decode()) for body in bodies.values() for line in body.splitlines()]
    statuses = [record["http_status"] for record in records if record is not None]
    sql = "SELECT http_status AS s, count(*) AS n FROM logs WHERE raw IS NULL GROUP BY s ORDER BY s"
    for processes in ("1", "2"):
        answer, said = run(seaweedfs, "query", sql, uri, "--output", "json", "--processes", processes)
        counts = {row["s"]: row["n"] for row in map(json.loads, answer.splitlines())}
        assert counts == {status: statuses.count(status) for status in set(statuses)}
        assert "1 line cannot be read as log records: see the column raw" in said
    first = str(DAYS[0])
    answer, _ = run(
        seaweedfs, "query", "SELECT count(DISTINCT source) AS n FROM logs", uri, "--until", first, "--output", "csv"
    )
    assert answer == f"n\n{sum(first in key for key in bodies)}\n"
    deletes = sum(b"REST.DELETE.OBJECT" in line for body in bodies.values() for line in body.splitlines())
    answer, _ = run(seaweedfs, "query", "--name", "who-deleted", uri, "--output", "json")
    assert len(answer.splitlines()) == deletes > 0
    _, said = run(seaweedfs, "query", "SELECT 1 FROM logs", uri, "--since", str(datetime.now(UTC).date()), check=1)
    assert "none of this time" in said


def test_rollups_are_exported_once(s3: S3Client, bucket: str, seaweedfs: SeaweedFS) -> None:
    """On two processes, into a bucket: each record of each rollup once, and the next run writes nothing."""
    uri, target = f"s3://{bucket}/logs/", f"s3://{bucket}/parquet/"
    lines = 0
    for seed, day in enumerate(DAYS):
        for key, body in sample_day(Random(seed), day, "example.com", "logs/", 60):
            s3.put_object(Bucket=bucket, Key=key, Body=body)
            lines += body.count(b"\n")
    run(seaweedfs, "roll", "--prefixes", uri, "--delete", "-q")
    _, said = run(seaweedfs, "export", uri, "--to", target, "--processes", "2")
    assert f"2 rollups exported to {target} (2 files, {lines:,} records" in said
    listed = s3.list_objects_v2(Bucket=bucket, Prefix="parquet/")["Contents"]
    assert [entry["Key"].rpartition("/")[0] for entry in listed] == [
        f"parquet/bucket=example.com/day={day}" for day in sorted(DAYS)
    ]
    rows = 0
    for entry in listed:
        rows += pq.read_table(io.BytesIO(s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read())).num_rows
    assert rows == lines
    _, said = run(seaweedfs, "export", uri, "--to", target)
    assert "0 rollups exported" in said
    assert s3.list_objects_v2(Bucket=bucket, Prefix="parquet/")["Contents"] == listed
