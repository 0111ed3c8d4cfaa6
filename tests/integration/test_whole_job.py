"""The whole job as users run it: `main.py` against a real S3 server and a real SQS server."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest

from s3_log_roller.demo.sample_logs import sample_log
from s3_log_roller.demo.servers import Ministack, SeaweedFS, isolated_environment
from s3_log_roller.log_keys import parse_log_key, parse_rollup_key

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_sqs import SQSClient

MAIN = Path(__file__).parents[2] / "main.py"
NINE_KEYS = [
    "example.com/2022-07-01-05-15-43-42117B9A70B0F1BA",
    "example.com/2022-07-01-05-21-46-66A49E4B82CEA312",
    "example.com/2022-07-01-05-33-13-3AB0E9F3E7A6C6D2",
    "example.com/2022-07-01-23-59-59-FFFFFFFFFFFFFFFF",
    "example.com/2022-07-02-00-00-00-0000000000000000",
    "example.com/2022-07-02-00-15-31-5D1B1A2B8AAC7A1B",
    "example.com/2022-07-02-06-19-59-42117B9A70B0F1BA",
    "example.com/2022-07-02-06-20-01-BDC2E2D0AF2A62F7",
    "example.com/2022-07-02-18-01-02-A0B1C2D3E4F50617",
]

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def environment(seaweedfs: SeaweedFS, ministack: Ministack) -> dict[str, str]:
    """A user's environment that leads to both servers."""
    return isolated_environment(seaweedfs, ministack)


@pytest.fixture
def run(environment: dict[str, str]) -> Run:
    """Run `main.py` with arguments, as a user does."""

    def run_main(*arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(MAIN), *arguments]
        return subprocess.run(
            command, env=environment | changes, capture_output=True, text=True, timeout=120, check=False
        )

    return run_main


def fill(s3: S3Client, bucket: str, keys: list[str], seed: int = 1) -> dict[str, bytes]:
    """Put an access log under every key."""
    rng = Random(seed)
    now = datetime(2022, 7, 1, 5, tzinfo=UTC)
    bodies = {key: sample_log(rng, now, bucket, rng.randint(1, 9)) for key in keys}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda item: s3.put_object(Bucket=bucket, Key=item[0], Body=item[1]), bodies.items()))
    return bodies


def keys_in(s3: S3Client, bucket: str) -> list[str]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return sorted(entry["Key"] for page in pages for entry in page.get("Contents", []))


def many_keys(prefix: str, day: str, count: int) -> list[str]:
    return [f"{prefix}{day}-{n // 3600:02}-{n // 60 % 60:02}-{n % 60:02}-{n:016X}" for n in range(count)]


def unpacked(s3: S3Client, bucket: str, directory: Path) -> Iterator[tuple[str, bytes]]:
    """(key, body) of every member of every rollup in the bucket."""
    for key in keys_in(s3, bucket):
        if parse_rollup_key(key):
            path = directory / "rollup.tgz"
            s3.download_file(bucket, key, str(path))
            folder = key[: key.rfind("/") + 1]
            with tarfile.open(path) as tar:
                for member in tar:
                    file = tar.extractfile(member)
                    assert file is not None
                    yield folder + member.name, file.read()


def assert_rolled_up(s3: S3Client, bucket: str, directory: Path, bodies: dict[str, bytes]) -> None:
    """Every original is in exactly one rollup, byte for byte."""
    assert sorted(unpacked(s3, bucket, directory)) == sorted(bodies.items())


def test_roll_makes_one_tarball_a_day_and_ordinary_tools_read_it(
    s3: S3Client, bucket: str, run: Run, tmp_path: Path
) -> None:
    """The README's nine keys become two rollups that GNU tar, bsdtar, busybox and tarfile extract exactly."""
    bodies = fill(s3, bucket, NINE_KEYS)
    done = run("roll", "--prefixes", f"s3://{bucket}/", "--delete", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["logs_packed"] == 9
    first, second = keys_in(s3, bucket)
    assert first.startswith("example.com/rollup-2022-07-01-")
    assert second.startswith("example.com/rollup-2022-07-02-")
    assert_rolled_up(s3, bucket, tmp_path, bodies)

    archive = tmp_path / "second.tgz"
    s3.download_file(bucket, second, str(archive))
    expected = {Path(key).name: body for key, body in bodies.items() if "2022-07-02" in key}
    extractors = {"tar": ["tar", "xzf"], "bsdtar": ["bsdtar", "xzf"], "busybox": ["busybox", "tar", "xzf"]}
    for tool, command in extractors.items():
        if shutil.which(tool) is None:
            continue
        target = tmp_path / tool
        target.mkdir()
        result = subprocess.run([*command, str(archive)], cwd=target, capture_output=True, text=True, check=True)
        assert result.stderr == "", tool
        assert {path.name: path.read_bytes() for path in target.iterdir()} == expected, tool


def test_every_layout_of_keys_is_rolled_up_and_the_rest_is_left_alone(
    s3: S3Client, bucket: str, run: Run, tmp_path: Path
) -> None:
    """Flat, slashless, partitioned and odd prefixes at any depth; what is no log or of today stays as it is."""
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    yesterday = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"
    bodies = fill(
        s3,
        bucket,
        [
            *many_keys("", "2022-07-01", 3),
            *many_keys("x/a-", "2022-07-01", 3),
            *many_keys("x/b-", "2022-07-01", 3),
            *many_keys("p/123456789012/us-west-2/src/2022/07/01/", "2022-07-01", 3),
            *many_keys("odd é +%#&'\"/", "2022-07-01", 3),
            *(key for n in range(40) for key in many_keys(f"many/{n:03}/", "2022-07-01", 1)),
            *many_keys("young/", yesterday, 2),
        ],
    )
    bystanders = fill(
        s3,
        bucket,
        [
            *many_keys("young/", today, 2),
            "x/2022-02-30-00-00-00-0000000000000000",
            "x/2022-07-01-00-00-00-0000000000000000.gz",
            "x/2022-07-01/readme.txt",
        ],
    )
    done = run("roll", "--prefixes", f"s3://{bucket}/", "--delete")
    assert done.returncode == 0, done.stderr
    left = [key for key in keys_in(s3, bucket) if not parse_rollup_key(key)]
    assert left == sorted(bystanders)
    assert_rolled_up(s3, bucket, tmp_path, bodies)
    again = run("roll", "--prefixes", f"s3://{bucket}/", "--delete")
    assert again.returncode == 0
    assert "othing to do" in again.stdout


def test_producer_and_worker_do_the_job_over_sqs_through_a_role(
    s3: S3Client,
    sqs: SQSClient,
    bucket: str,
    queue_name: str,
    queue_url: str,
    run: Run,
    tmp_path: Path,
) -> None:
    """The two commands of the README: a task per day group, worked off, originals gone, the queue empty."""
    days = ("2022-07-01", "2022-07-02", "2022-07-03")
    bodies = fill(s3, bucket, [key for p in ("a/", "b/") for day in days for key in many_keys(p, day, 5)])
    role = SeaweedFS.role_arn("roller")
    sent = run("producer", "--queue-name", queue_name, "--s3-role", role, "--prefixes", f"s3://{bucket}/")
    assert sent.returncode == 0, sent.stderr
    waiting = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["ApproximateNumberOfMessages"])
    assert waiting["Attributes"]["ApproximateNumberOfMessages"] == "6"
    assert set(bodies) == set(keys_in(s3, bucket))
    one = run("worker", "--queue-name", queue_name, "--delete", "--count", "1", "--json")
    assert json.loads(one.stdout)["day_groups_done"] == 1
    rest = run("worker", "--queue-name", queue_name, "--delete", "--processes", "2")
    assert rest.returncode == 0, rest.stderr
    assert_rolled_up(s3, bucket, tmp_path, bodies)
    assert all(parse_rollup_key(key) for key in keys_in(s3, bucket))
    assert not sqs.receive_message(QueueUrl=queue_url).get("Messages")


def test_bad_messages_and_bad_day_groups_do_not_stop_the_others(
    s3: S3Client, sqs: SQSClient, bucket: str, queue_name: str, queue_url: str, run: Run, tmp_path: Path
) -> None:
    """A malformed message and a day with a damaged rollup are errors of their own: exit code 3, the rest is done."""
    bodies = fill(s3, bucket, [*many_keys("good/", "2022-07-01", 4), *many_keys("bad/", "2022-07-01", 4)])
    s3.put_object(Bucket=bucket, Key="bad/rollup-2022-07-01-00000000.tgz", Body=b"damaged")
    run("producer", "--queue-name", queue_name, "--prefixes", f"s3://{bucket}/")
    sqs.send_message(QueueUrl=queue_url, MessageBody='{"v":1,"task":"delete everything"}')
    done = run("worker", "--queue-name", queue_name, "--delete")
    assert done.returncode == 3
    assert "bad/rollup-2022-07-01-00000000.tgz" in done.stderr
    assert "move it out of this prefix" in done.stderr
    left = keys_in(s3, bucket)
    assert [key for key in left if parse_log_key(key)] == many_keys("bad/", "2022-07-01", 4)
    assert len([key for key in left if key.startswith("good/rollup-")]) == 1
    assert bodies


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["roll", "--prefixes", "s3://no-such-bucket/"], 1, ["s3://no-such-bucket does not exist"]),
        (["roll", "--prefixes", "/tmp/logs"], 2, ["not an S3 URI"]),
        (["worker", "--queue-name", "no-such-queue"], 1, ["no-such-queue"]),
        (["producer", "--queue-name", "no-such-queue", "--prefixes", "s3://b/"], 2, ["'b'"]),
        (["roll", "--prefixes", "s3://bucket/", "--s3-role", "arn:aws:iam::1:user/x"], 2, ["role ARN"]),
        (["roll", "--prefixes", "s3://bucket/", "--since", "yesterday"], 2, ["--since"]),
        (["roll"], 2, ["--prefixes"]),
    ],
)
def test_bad_input_is_one_clear_line_and_an_exit_code(
    run: Run, arguments: list[str], code: int, words: list[str]
) -> None:
    """What is wrong is named; there is no traceback."""
    done = run(*arguments)
    assert done.returncode == code, done.stderr
    for word in words:
        assert word in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_missing_permission_to_delete_fails_and_loses_nothing(
    s3: S3Client, seaweedfs: SeaweedFS, bucket: str, run: Run, tmp_path: Path
) -> None:
    """Exit code 3, the call is named, the rollup is there, the originals too; run with permission it converges."""
    bodies = fill(s3, bucket, NINE_KEYS)
    access_key, secret_key = seaweedfs.credentials("no-delete")
    keys = {"AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": secret_key}
    refused = run("roll", "--prefixes", f"s3://{bucket}/", "--delete", **keys)
    assert refused.returncode == 3
    assert "s3:DeleteObject" in refused.stderr
    assert set(NINE_KEYS) < set(keys_in(s3, bucket))
    assert run("roll", "--prefixes", f"s3://{bucket}/", "--delete").returncode == 0
    assert_rolled_up(s3, bucket, tmp_path, bodies)
    assert len(keys_in(s3, bucket)) == 2


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_stopped_half_way_and_run_again_nothing_is_lost(
    s3: S3Client, bucket: str, environment: dict[str, str], run: Run, tmp_path: Path, how: signal.Signals
) -> None:
    """Ctrl-C, SIGTERM or kill -9 in the middle of a run; the next one finishes the job."""
    bodies = fill(s3, bucket, [key for d in range(1, 7) for key in many_keys("x/", f"2022-07-{d:02}", 60)])
    command = [sys.executable, str(MAIN), "roll", "--prefixes", f"s3://{bucket}/", "--delete"]
    with subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        while process.poll() is None and not any(map(parse_rollup_key, keys_in(s3, bucket))):
            time.sleep(0.01)
        process.send_signal(how)
        _, errors = process.communicate(timeout=30)
    if process.returncode != 0:
        assert process.returncode in (128 + how, -how)
        assert how == signal.SIGKILL or "run again" in errors
    assert run("roll", "--prefixes", f"s3://{bucket}/", "--delete").returncode == 0
    assert_rolled_up(s3, bucket, tmp_path, bodies)
    assert not [key for key in keys_in(s3, bucket) if parse_log_key(key)]
    assert not s3.list_multipart_uploads(Bucket=bucket).get("Uploads")


def test_log_contents_and_secrets_stay_out_of_the_programs_own_log(
    s3: S3Client, bucket: str, environment: dict[str, str], run: Run
) -> None:
    """Even with -v and JSON logs, and with failures, neither a record nor a key's secret shows."""
    fill(s3, bucket, NINE_KEYS)
    marked = b"79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be SECRET-RECORD\n"
    s3.put_object(Bucket=bucket, Key=NINE_KEYS[0], Body=marked)
    s3.put_object(Bucket=bucket, Key="example.com/rollup-2022-07-02-00000000.tgz", Body=marked)
    done = run("roll", "--prefixes", f"s3://{bucket}/", "-v", "--log-format", "json", "--delete")
    output = done.stdout + done.stderr
    assert "SECRET-RECORD" not in output
    assert environment["AWS_SECRET_ACCESS_KEY"] not in output
    assert all(json.loads(line)["event"] for line in done.stderr.splitlines())


def test_main_runs_from_anywhere(tmp_path: Path) -> None:
    """`main.py` works whatever the current folder is."""
    done = subprocess.run(
        [str(MAIN), "--version"], cwd=tmp_path, capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.startswith("s3-log-roller ")
