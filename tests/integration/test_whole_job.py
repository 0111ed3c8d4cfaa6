"""The whole job as users run it: `main.py` against a real S3 server and a real SQS server."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import boto3
import pytest
from tests.support import faulty_proxy
from tests.support.faulty_proxy import FaultyProxy, Link
from tests.support.killing import finish, start
from tests.support.paths import MAIN
from tests.support.waiting import wait_for_midnight_to_pass

from s3_log_roller.aws import sessions
from s3_log_roller.aws_lambda import handler as lambda_handler
from s3_log_roller.cli.main import main
from s3_log_roller.demo.sample_logs import sample_log
from s3_log_roller.demo.servers import REGION, SeaweedFS
from s3_log_roller.errors import RollerError
from s3_log_roller.log_keys import DayGroup, parse_log_key, parse_rollup_key
from s3_log_roller.rolling.tasks import RollTask, encode_task
from s3_log_roller.rolling.window import Window
from s3_log_roller.uris import Role

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_sqs import SQSClient

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
    wait_for_midnight_to_pass()
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
    prefixes = [f"s3://{bucket}/a/", f"s3://{bucket}/b/"]
    sent = run("producer", "--queue-name", queue_name, "--s3-role", role, "--prefixes", *prefixes)
    assert sent.returncode == 0, sent.stderr
    waiting = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["ApproximateNumberOfMessages"])
    assert waiting["Attributes"]["ApproximateNumberOfMessages"] == "2"
    assert set(bodies) == set(keys_in(s3, bucket))
    one = run("worker", "--queue-name", queue_name, "--delete", "--count", "1", "--json")
    assert json.loads(one.stdout)["day_groups_done"] == 3
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
        (["roll", "--prefixes", "s3://bucket/", "--s3-role", "arn:aws:iam::1:user/x"], 2, ["the ARN of a role"]),
        (["roll", "--prefixes", "s3://bucket/", "--since", "yesterday"], 2, ["--since"]),
        (["roll"], 2, ["say what to roll up"]),
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
    seaweedfs: SeaweedFS,
    s3: S3Client,
    bucket: str,
    environment: dict[str, str],
    run: Run,
    tmp_path: Path,
    how: signal.Signals,
) -> None:
    """Ctrl-C, SIGTERM or kill -9 when rollups are written and not read back; the next run finishes the job."""
    bodies = fill(s3, bucket, [key for d in range(1, 7) for key in many_keys("x/", f"2022-07-{d:02}", 60)])
    there = ("roll", "--prefixes", f"s3://{bucket}/")
    read_back, signalled = threading.Event(), threading.Event()

    async def hold(link: Link) -> None:
        read_back.set()
        while not signalled.is_set():
            await asyncio.sleep(0.01)
        await link.send(await link.forward())

    with FaultyProxy(seaweedfs.port, lambda exchange: hold if exchange.operation == "GetRollup" else None) as proxy:
        process = start(environment | {"AWS_ENDPOINT_URL_S3": proxy.url}, *there, "--delete")
        assert read_back.wait(120)
        process.send_signal(how)
        signalled.set()
        code, errors = finish(process)
    assert code == (-how if how == signal.SIGKILL else 128 + how)
    assert how == signal.SIGKILL or "run again" in errors
    assert set(bodies) <= set(keys_in(s3, bucket))
    assert run(*there, "--delete").returncode == 0
    assert_rolled_up(s3, bucket, tmp_path, bodies)
    assert not [key for key in keys_in(s3, bucket) if parse_log_key(key)]
    assert not s3.list_multipart_uploads(Bucket=bucket).get("Uploads")


MARKED = b"79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be CONTENT-OF-A-LOG\n"
EXTERNAL_ID = "EXTERNAL-ID-NOBODY-SHALL-SEE"


class Secrets:
    """Runs the program in this process with one set of credentials or another, and searches all that it said."""

    def __init__(
        self, seaweedfs: SeaweedFS, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self._capfd = capfd
        self._monkeypatch = monkeypatch
        self.words = {"CONTENT-OF-A-LOG", EXTERNAL_ID, seaweedfs.secret_key}
        refresh = sessions._Refresher.__call__

        def noted(refresher: sessions._Refresher) -> dict[str, str]:
            fresh = refresh(refresher)
            self.words |= {fresh["secret_key"], fresh["token"]}
            return fresh

        monkeypatch.setattr(sessions._Refresher, "__call__", noted)

    def use(self, access_key: str, secret_key: str, token: str = "") -> None:
        """From now on the program's own credentials are these."""
        for name, value in (
            ("AWS_ACCESS_KEY_ID", access_key),
            ("AWS_SECRET_ACCESS_KEY", secret_key),
            ("AWS_SESSION_TOKEN", token),
        ):
            self._monkeypatch.setenv(name, value)
        self.words |= {secret_key, token} - {""}

    def search(self) -> str:
        """What was said since the last time, in which no secret and nothing of a log may stand."""
        said = "".join(self._capfd.readouterr())
        assert said
        assert not [word for word in self.words if word in said], said
        return said


@pytest.fixture
def secrets(
    seaweedfs: SeaweedFS,
    aws_environment: None,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Secrets]:
    """See `Secrets`; logging and signals are as before afterwards."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    before = signal.getsignal(signal.SIGTERM)
    yield Secrets(seaweedfs, capfd, monkeypatch)
    signal.signal(signal.SIGTERM, before)
    logging.basicConfig(force=True)


def fill_with_marked(s3: S3Client, bucket: str) -> None:
    """Two days of marked logs, the second with a file that is no rollup."""
    for key in NINE_KEYS:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode() + MARKED)
    s3.put_object(Bucket=bucket, Key="example.com/rollup-2022-07-02-00000000.tgz", Body=MARKED)


def session_of(seaweedfs: SeaweedFS) -> tuple[str, str, str]:
    """Access key, secret key and session token of a role."""
    sts = boto3.client(
        "sts",
        endpoint_url=seaweedfs.endpoint,
        region_name=REGION,
        aws_access_key_id=seaweedfs.access_key,
        aws_secret_access_key=seaweedfs.secret_key,
    )
    fresh = sts.assume_role(RoleArn=seaweedfs.role_arn("roller"), RoleSessionName="test")["Credentials"]
    return fresh["AccessKeyId"], fresh["SecretAccessKey"], fresh["SessionToken"]


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_log_contents_and_secrets_stay_out_of_the_programs_own_log(
    s3: S3Client,
    seaweedfs: SeaweedFS,
    bucket: str,
    queue_name: str,
    secrets: Secrets,
    monkeypatch: pytest.MonkeyPatch,
    log_format: str,
) -> None:
    """Of roll, producer and worker with -v, with a session token and with a role: damaged rollups and logs, refused
    credentials and a refused role included."""
    fill_with_marked(s3, bucket)
    prefixes = ["--prefixes", f"s3://{bucket}/"]
    said_as = ["-v", "--log-format", log_format]
    queue = ["--queue-name", queue_name]
    role = ["--s3-role", seaweedfs.role_arn("roller"), "--external-id", EXTERNAL_ID]

    def run(*arguments: str) -> tuple[int, str]:
        code = main([*arguments, *said_as])
        return code, secrets.search()

    # With a session token: a log that comes damaged, then a sound day beside one with a damaged rollup.
    token = session_of(seaweedfs)
    secrets.use(*token)
    flipped = faulty_proxy.flip_answer(0.5)
    with FaultyProxy(seaweedfs.port, lambda exchange: flipped if exchange.operation == "GetObject" else None) as proxy:
        with monkeypatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL_S3", proxy.url)
            code, said = run("roll", *prefixes)
        assert code == 3
        assert "damaged on the way" in said
    code, said = run("roll", *prefixes, "--delete")
    assert code == 3
    assert "is damaged" in said
    assert "rolled" in said

    # With a role and its external id, which travels in the message.
    secrets.use(seaweedfs.access_key, seaweedfs.secret_key)
    assert run("producer", *queue, *prefixes, *role)[0] == 0
    assert run("worker", *queue, "--count", "1")[0] == 3
    assert len(secrets.words) == 9  # secret and token: of the session above, and of the role, twice

    # Refused: the role, the secret key, the session token.
    assert run("roll", *prefixes, *role[:1], seaweedfs.role_arn("nobody"), *role[2:])[0] == 1
    secrets.use(seaweedfs.access_key, "WRONG-SECRET-KEY")
    assert run("roll", *prefixes)[0] == 1
    secrets.use(token[0], token[1], "WRONG-SESSION-TOKEN")
    assert run("roll", *prefixes)[0] == 1


@pytest.mark.parametrize("level", ["DEBUG", "ERROR"])
def test_log_contents_and_secrets_stay_out_of_the_functions_log(
    s3: S3Client,
    seaweedfs: SeaweedFS,
    bucket: str,
    queue_name: str,
    secrets: Secrets,
    monkeypatch: pytest.MonkeyPatch,
    level: str,
) -> None:
    """Of the Lambda function in both modes: a sound day, a damaged rollup, an allowed role, a refused one."""
    fill_with_marked(s3, bucket)
    role = seaweedfs.role_arn("roller")
    for name, value in (("QUEUE_NAME", queue_name), ("ALLOWED_ROLES", role), ("LOG_LEVEL", level), ("DELETE", "true")):
        monkeypatch.setenv(f"ROLLUP_{name}", value)

    class Context:
        aws_request_id = "request"

        def get_remaining_time_in_millis(self) -> int:
            return 900_000

    def invoke(event: object) -> str:
        lambda_handler._function.cache_clear()
        try:
            lambda_handler.lambda_handler(event, Context())
        except RollerError as error:
            sys.stderr.write(f"{error}\n")  # as the runtime does
        finally:
            lambda_handler._function.cache_clear()
        return secrets.search()

    invoke({"prefixes": [f"s3://{bucket}/"], "s3_role": role, "external_id": EXTERNAL_ID})
    tasks = [
        RollTask(DayGroup(bucket, "example.com/", date(2022, 7, day)), Window(date(2022, 8, 1)), Role(arn, EXTERNAL_ID))
        for day, arn in ((1, role), (2, role), (1, seaweedfs.role_arn("no-list")))
    ]
    records = [
        {"eventSource": "aws:sqs", "messageId": f"m{number}", "body": encode_task(task)}
        for number, task in enumerate(tasks)
    ]
    said = invoke({"Records": records})
    assert "is damaged" in said
    assert "not one of ROLLUP_ALLOWED_ROLES" in said
    assert len([key for key in keys_in(s3, bucket) if parse_rollup_key(key)]) == 2
    assert "ROLLUP_ALLOWED_ROLES" in invoke(
        {"prefixes": [f"s3://{bucket}/"], "s3_role": seaweedfs.role_arn("no-list"), "external_id": EXTERNAL_ID}
    )
    secrets.use(seaweedfs.access_key, "WRONG-SECRET-KEY")
    invoke({"prefixes": [f"s3://{bucket}/"], "s3_role": role, "external_id": EXTERNAL_ID})
    token = session_of(seaweedfs)
    secrets.use(*token)
    invoke({"prefixes": [f"s3://{bucket}/"]})


def test_main_runs_from_anywhere(tmp_path: Path) -> None:
    """`main.py` works whatever the current folder is."""
    done = subprocess.run(
        [str(MAIN), "--version"], cwd=tmp_path, capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.startswith("s3-log-roller ")
