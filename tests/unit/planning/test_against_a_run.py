"""What a plan says beforehand, held to what a run then does, as a counting server saw it."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, date, datetime
from random import Random
from typing import Any

import pytest
from bench.buckets import Bucket
from bench.logs import LogSet
from bench.s3_server import S3Server

from s3_log_roller.cli.main import run_command
from s3_log_roller.demo.sample_logs import sample_key, sample_log
from s3_log_roller.log_keys import parse_rollup_key

PARTITIONS = tuple(f"AWSLogs/111122223333/us-east-1/web/2022/07/{day:02}/" for day in range(1, 9))


def run(server: S3Server, capsys: pytest.CaptureFixture[str], line: str) -> tuple[dict[str, Any], Counter[str]]:
    """The JSON that a command prints, and the requests that it made."""
    server.api.requests.clear()
    capsys.readouterr()
    arguments = [*line.split(), "--prefixes", "s3://logs/", "--endpoint-url", server.url, "--json"]
    assert run_command(arguments) == 0
    return json.loads(capsys.readouterr().out), Counter(server.api.requests)


def fill_small(bucket: Bucket) -> None:
    bucket.fill(LogSet(prefixes=tuple(f"site-{number}/" for number in range(12)), days=3, logs=9, records=2))


def fill_large(bucket: Bucket) -> None:
    bucket.fill(LogSet(prefixes=("web/",), logs=6_500))


def fill_partitioned(bucket: Bucket) -> None:
    rng = Random(5)
    for prefix in PARTITIONS:
        day = date(2022, 7, int(prefix[-3:-1]))
        when = datetime(2022, 7, day.day, tzinfo=UTC)
        for _ in range(60):
            bucket.put(sample_key(prefix, when, rng), sample_log(rng, when, "web", 5), 1_656_652_543)


def fill_with_huge_logs(bucket: Bucket) -> None:
    bucket.fill(LogSet(prefixes=("web/",), days=2, logs=30, huge_bytes=11 << 20))


def fill_with_spans(bucket: Bucket) -> None:
    """Days of one page exactly, of several pages, too large for a pass, and enough small ones for several ranges."""
    bucket.fill(LogSet(prefixes=("a/",), days=2, logs=1_000, records=1))
    bucket.fill(LogSet(prefixes=("b/",), days=2, logs=2_600, records=1))
    bucket.fill(LogSet(prefixes=("c/", "d/"), days=30, logs=30, records=1))
    bucket.fill(LogSet(prefixes=("e/",), logs=8_100, records=1))


BUCKETS = {
    "small": fill_small,
    "large": fill_large,
    "partitioned": fill_partitioned,
    "huge logs": fill_with_huge_logs,
    "spans": fill_with_spans,
}


def assert_requests(planned: dict[str, int], made: Counter[str], prefixes: int) -> None:
    """GETs within 5 %, LISTs and PUTs within 10 % or two a target prefix."""
    puts = sum(made[name] for name in ("PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"))
    assert planned["get"] == pytest.approx(made["GetObject"], rel=0.05)
    assert planned["list"] == pytest.approx(made["ListObjectsV2"], rel=0.10, abs=2 * prefixes)
    assert planned["put"] == pytest.approx(puts, rel=0.10, abs=2 * prefixes)
    assert planned["delete"] == made["DeleteObjects"]


def rollup_bytes(server: S3Server) -> int:
    return sum(len(stored.body) for key, stored in server.api.buckets["logs"].entries("", "") if parse_rollup_key(key))


@pytest.mark.parametrize("delete", ["", " --delete"])
@pytest.mark.parametrize("fill", BUCKETS.values(), ids=BUCKETS)
@pytest.mark.heavy
def test_a_run_makes_the_requests_that_its_plan_said(
    server: S3Server, capsys: pytest.CaptureFixture[str], fill: Any, delete: str
) -> None:
    """For the first run and for the one after it, and the plan itself only lists."""
    fill(server.api.buckets["logs"])
    plan, made = run(server, capsys, "plan" + delete)
    assert set(made) == {"HeadBucket", "ListObjectsV2"}
    assert made["ListObjectsV2"] == plan["own_requests"]["list"]
    summary, made = run(server, capsys, "roll" + delete)
    places = len(plan["target_prefixes"])
    assert_requests(plan["total"]["requests"], made, places)
    assert plan["total"]["logs"] == plan["total"]["to_pack"] == summary["logs_packed"]
    assert plan["total"]["rollups"] == summary["rollups"]
    assert plan["total"]["rollup_bytes"] == pytest.approx(rollup_bytes(server), rel=0.25)

    plan, made = run(server, capsys, "plan --delete")
    assert made["GetObject"] == plan["own_requests"]["get"]
    assert plan["total"]["to_pack"] == 0
    summary, made = run(server, capsys, "roll --delete")
    assert_requests(plan["total"]["requests"], made, places)
    assert plan["total"]["leftovers"] == summary["originals_deleted"]


def test_a_partly_rolled_bucket(server: S3Server, capsys: pytest.CaptureFixture[str]) -> None:
    """Leftovers, late logs and new days are told apart, and a run agrees."""
    bucket = server.api.buckets["logs"] = Bucket()
    bucket.fill(LogSet(prefixes=("api/", "web/"), days=3, logs=40))
    run(server, capsys, "roll --until 2022-07-02")
    bucket.fill(LogSet(prefixes=("api/",), days=1, logs=7, seed=11))
    plan, _ = run(server, capsys, "plan")
    total = plan["total"]
    assert (total["logs"], total["leftovers"], total["late"], total["to_pack"]) == (247, 160, 7, 87)
    assert {(day["leftovers"], day["late"]) for day in plan["day_groups"]} == {(40, 7), (40, 0), (0, 0)}
    summary, made = run(server, capsys, "roll")
    assert_requests(total["requests"], made, 2)
    assert (summary["logs_packed"], summary["leftovers"]) == (87, 160)


def test_days_with_archived_rollups(server: S3Server, capsys: pytest.CaptureFixture[str]) -> None:
    """They are done in a pass, with a GET and a HEAD for each of these rollups, and late logs are packed."""
    bucket = server.api.buckets["logs"] = Bucket()
    bucket.fill(LogSet(prefixes=("api/", "web/"), days=20, logs=5))
    run(server, capsys, "roll --delete")
    for key, stored in list(bucket.entries("", "")):
        if parse_rollup_key(key):
            stored.storage_class = "DEEP_ARCHIVE"
    bucket.fill(LogSet(prefixes=("api/", "web/"), days=15, logs=1, seed=11))
    plan, _ = run(server, capsys, "plan --delete")
    summary, made = run(server, capsys, "roll --delete")
    made["GetObject"] += made["HeadObject"]
    assert_requests(plan["total"]["requests"], made, 2)
    assert made["ListObjectsV2"] < 10
    assert plan["total"]["to_pack"] == summary["logs_packed"] >= 28


@pytest.mark.parametrize("fill", [fill_small, fill_large, fill_partitioned])
@pytest.mark.heavy
def test_measured_sizes_are_within_a_tenth(server: S3Server, capsys: pytest.CaptureFixture[str], fill: Any) -> None:
    """Some logs of each target prefix are read for it."""
    fill(server.api.buckets["logs"])
    plan, made = run(server, capsys, "plan --measure")
    assert made["GetObject"] == plan["own_requests"]["get"] > 0
    run(server, capsys, "roll")
    assert plan["total"]["rollup_bytes"] == pytest.approx(rollup_bytes(server), rel=0.10)


def test_logs_unlike_the_model_are_measured(server: S3Server, capsys: pytest.CaptureFixture[str]) -> None:
    """What hardly compresses fools the model, not the measuring."""
    rng = Random(3)
    when = datetime(2022, 7, 1, tzinfo=UTC)
    for _ in range(600):
        server.api.buckets["logs"].put(sample_key("", when, rng), rng.randbytes(2_000), 1_656_652_543)
    guessed, _ = run(server, capsys, "plan")
    measured, _ = run(server, capsys, "plan --measure")
    run(server, capsys, "roll")
    real = rollup_bytes(server)
    assert guessed["total"]["rollup_bytes"] < real / 2
    assert measured["total"]["rollup_bytes"] == pytest.approx(real, rel=0.10)
