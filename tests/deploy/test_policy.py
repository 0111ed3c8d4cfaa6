"""The printed policy is enough and not more: held against a server that enforces it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import boto3
import pytest
from botocore.exceptions import ClientError
from tests.support.faulty_proxy import FaultyProxy
from tests.support.iam import enforcing
from tests.support.paths import ROOT
from tests.support.sample_bucket import members, put_logs
from tests.support.servers import client

from s3_log_roller.aws.policy import (
    PARTS_OF_AN_UPLOAD,
    QUEUEING,
    Grant,
    policies_for,
    queue_statement,
    roles_statement,
)
from s3_log_roller.aws.s3 import open_bucket
from s3_log_roller.aws.s3.request import Request
from s3_log_roller.aws.s3.transport import Transport
from s3_log_roller.aws.sqs import SqsQueue
from s3_log_roller.demo.servers import REGION, Ministack, SeaweedFS, isolated_environment
from s3_log_roller.errors import StorageError
from s3_log_roller.log_keys import DayGroup, parse_log_key, parse_rollup_key
from s3_log_roller.rolling.tasks import RollTask, ScanTask, encode_task
from s3_log_roller.rolling.window import Window
from s3_log_roller.stored_as import StoredAs
from s3_log_roller.uris import S3Uri

PREFIX = S3Uri("policed", "logs/")
ACTIONS = ("s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:ListBucket", "s3:PutObject")


UNKNOWN_TO_THE_SERVER = ("Null", "Bool")
"""Operators on S3's own condition keys, which SeaweedFS 4.48 takes for absent. `enforcing` stands in for it there."""


def document(without: str = "") -> dict[str, Any]:
    """The policy for deleting as the server can enforce it, or what is left of it without one action."""
    policy = whole_policy()
    for statement in policy["Statement"]:
        statement["Action"] = [action for action in statement["Action"] if action != without]
        statement["Condition"] = {
            operator: tests
            for operator, tests in statement.get("Condition", {}).items()
            if operator not in UNKNOWN_TO_THE_SERVER
        }
    policy["Statement"] = [statement for statement in policy["Statement"] if statement["Action"]]
    return policy


def whole_policy() -> dict[str, Any]:
    (policy,) = policies_for([PREFIX], Grant(delete=True))
    return policy


class PolicedSeaweedFS(SeaweedFS):
    """A server whose identities have the printed policy itself, whole or without one action."""

    POLICIES: ClassVar = {"exact": frozenset(ACTIONS)} | {
        f"without-{action.partition(':')[2]}": frozenset(ACTIONS) - {action} for action in ACTIONS
    }

    def _roles(self) -> dict[str, Any]:
        roles = super()._roles()
        for policy in roles["policies"]:
            action = policy["name"].partition("-")[2]
            policy["document"] = document(f"s3:{action}" if action else "")
        return roles


@pytest.fixture(scope="module")
def policed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    with PolicedSeaweedFS(tmp_path_factory.mktemp("policed")) as server:
        client(server, "s3").create_bucket(Bucket=PREFIX.bucket)
        yield server


@pytest.fixture
def s3(policed: SeaweedFS) -> Iterator[Any]:
    s3 = client(policed, "s3")
    yield s3
    for entry in s3.list_objects_v2(Bucket=PREFIX.bucket).get("Contents", []):
        s3.delete_object(Bucket=PREFIX.bucket, Key=entry["Key"])


def run(
    policed: SeaweedFS, identity: str, *arguments: str, queues: Sequence[Ministack] = (), endpoint: str = ""
) -> subprocess.CompletedProcess[str]:
    environment = isolated_environment(*queues, policed)
    environment["AWS_ENDPOINT_URL_S3"] = endpoint or policed.endpoint
    environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"] = policed.credentials(identity)
    command = [sys.executable, str(ROOT / "main.py"), *arguments, "--quiet"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def session(policed: SeaweedFS, identity: str) -> boto3.Session:
    access_key, secret_key = policed.credentials(identity)
    return boto3.Session(access_key, secret_key, region_name=REGION)


def begin_upload_and_abort(policed: SeaweedFS, identity: str, endpoint: str = "") -> None:
    """A rollup of several parts that is dropped, as when time runs short."""
    store = open_bucket(session(policed, identity), PREFIX.bucket, endpoint_url=endpoint or policed.endpoint)
    upload = store.upload("logs/rollup-2022-07-01-00000000.tgz", 30_000_000)
    upload.write(Random(1).randbytes(20_000_000))
    upload.abort()
    store.close()


def test_with_exactly_its_actions_every_step_works(policed: SeaweedFS, s3: Any) -> None:
    """Scan, pack, upload in parts, verify, delete, and dropping an upload: all with the policy and nothing else."""
    keys = put_logs(s3, PREFIX.bucket, PREFIX.prefix, days=2, logs=10)
    result = run(policed, "exact", "roll", "--prefixes", str(PREFIX), "--delete")
    assert result.returncode == 0, result.stderr
    assert sorted(members(s3, PREFIX.bucket, PREFIX.prefix)) == sorted(keys)
    assert s3.list_objects_v2(Bucket=PREFIX.bucket, Prefix="logs/2")["KeyCount"] == 0
    begin_upload_and_abort(policed, "exact")
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=PREFIX.bucket)


@pytest.mark.parametrize("action", [action for action in ACTIONS if action != "s3:AbortMultipartUpload"])
def test_none_of_its_actions_is_unused(action: str, policed: SeaweedFS, s3: Any) -> None:
    """Without any one of them the run fails, says which it was, and every log is still there."""
    keys = put_logs(s3, PREFIX.bucket, PREFIX.prefix, days=1, logs=3)
    result = run(policed, f"without-{action.partition(':')[2]}", "roll", "--prefixes", str(PREFIX), "--delete")
    assert result.returncode in (1, 3)
    assert action in result.stderr
    left = {entry["Key"] for entry in s3.list_objects_v2(Bucket=PREFIX.bucket).get("Contents", [])}
    assert keys <= left


@pytest.mark.parametrize("uri", ["s3://policed/other/", "s3://policed/"])
def test_it_opens_nothing_beside_the_prefix(uri: str, policed: SeaweedFS, s3: Any) -> None:
    """Neighbouring prefixes can be neither listed nor read."""
    put_logs(s3, PREFIX.bucket, "other/", days=1, logs=1)
    result = run(policed, "exact", "roll", "--prefixes", uri)
    assert result.returncode == 1
    assert "s3:ListBucket" in result.stderr


@pytest.mark.parametrize(
    ("action", "key"),
    [
        ("s3:PutObject", "logs/index.html"),
        ("s3:PutObject", "logs/2022-07-01-05-15-43-42117B9A70B0F1BA"),
        ("s3:PutObject", "logs/rollup-2022-07-01-e26daa03.tgz.old"),
        ("s3:DeleteObject", "logs/rollup-2022-07-01-e26daa03.tgz"),
        ("s3:DeleteObject", "logs/index.html"),
        ("s3:DeleteObject", "other/2022-07-01-05-15-43-42117B9A70B0F1BA"),
    ],
)
def test_stolen_credentials_write_rollups_and_delete_logs_only(
    action: str, key: str, policed: SeaweedFS, s3: Any
) -> None:
    """With the roller's credentials no log can be forged and no rollup deleted."""
    s3.put_object(Bucket=PREFIX.bucket, Key=key, Body=b"mine")
    thief = session(policed, "exact").client("s3", endpoint_url=policed.endpoint)
    call = thief.put_object if action == "s3:PutObject" else thief.delete_object
    with pytest.raises(ClientError, match="AccessDenied"):
        call(Bucket=PREFIX.bucket, Key=key)
    assert s3.get_object(Bucket=PREFIX.bucket, Key=key)["Body"].read() == b"mine"


def test_every_request_meets_the_conditions(policed: SeaweedFS, s3: Any) -> None:
    """Enforced as S3 documents it, the whole policy with its conditions lets every step through."""
    keys = put_logs(s3, PREFIX.bucket, PREFIX.prefix, days=2, logs=10)
    with FaultyProxy(policed.port, enforcing([whole_policy()])) as proxy:
        result = run(policed, "exact", "roll", "--prefixes", str(PREFIX), "--delete", endpoint=proxy.url)
        begin_upload_and_abort(policed, "exact", proxy.url)
    assert result.returncode == 0, result.stderr
    assert sorted(members(s3, PREFIX.bucket, PREFIX.prefix)) == sorted(keys)
    assert s3.list_objects_v2(Bucket=PREFIX.bucket, Prefix="logs/2")["KeyCount"] == 0


@pytest.mark.parametrize("number", range(len(whole_policy()["Statement"])))
def test_none_of_its_statements_is_unused(number: int, policed: SeaweedFS, s3: Any) -> None:
    """Without any one of them a step is refused, and the error names the action."""
    put_logs(s3, PREFIX.bucket, PREFIX.prefix, days=1, logs=3)
    policy = whole_policy()
    missing = policy["Statement"].pop(number)
    with FaultyProxy(policed.port, enforcing([policy])) as proxy:
        if missing.get("Condition") == PARTS_OF_AN_UPLOAD:
            with pytest.raises(StorageError, match="s3:PutObject"):
                begin_upload_and_abort(policed, "exact", proxy.url)
            return
        result = run(policed, "exact", "roll", "--prefixes", str(PREFIX), "--delete", endpoint=proxy.url)
    assert result.returncode in (1, 3)
    assert missing["Action"][-1] in result.stderr


TAGS = (("team", "web logs"), ("cost", "12"))
STORING = ["--tag", "team=web logs", "--tag", "cost=12", "--acl", "bucket-owner-full-control", "--delete-versions"]
ALSO = ("s3:PutObjectTagging", "s3:PutObjectAcl", "s3:ListBucketVersions", "s3:DeleteObjectVersion")
"""What `STORING` takes on top."""


@pytest.fixture
def versioned(policed: SeaweedFS) -> Iterator[S3Uri]:
    """A versioned bucket with two days of logs."""
    s3 = client(policed, "s3")
    s3.create_bucket(Bucket="versioned")
    s3.put_bucket_versioning(Bucket="versioned", VersioningConfiguration={"Status": "Enabled"})
    put_logs(s3, "versioned", PREFIX.prefix, days=2, logs=3)
    yield S3Uri("versioned", PREFIX.prefix)
    s3.delete_bucket(Bucket="versioned")


@pytest.mark.parametrize("missing", ["", *ALSO])
def test_what_storing_options_take_is_allowed_and_needed(missing: str, policed: SeaweedFS, versioned: S3Uri) -> None:
    """With the printed policy every step goes through; without any one of its actions the run says which it was."""
    stored_as = StoredAs(tags=TAGS, acl="bucket-owner-full-control")
    (policy,) = policies_for([versioned], Grant(delete=True, stored_as=stored_as, delete_versions=True))
    for statement in policy["Statement"]:
        statement["Action"] = [action for action in statement["Action"] if action != missing]
    with FaultyProxy(policed.port, enforcing([policy])) as proxy:
        result = run(policed, "admin", "roll", str(versioned), "--delete", *STORING, endpoint=proxy.url)
    assert result.returncode == (3 if missing else 0), result.stderr
    if missing:
        assert missing in result.stderr
        return
    s3 = client(policed, "s3")
    left = s3.list_object_versions(Bucket=versioned.bucket)
    assert "DeleteMarkers" not in left
    assert all(parse_rollup_key(one["Key"]) for one in left["Versions"])
    tags = s3.get_object_tagging(Bucket=versioned.bucket, Key=left["Versions"][0]["Key"])["TagSet"]
    assert sorted((tag["Key"], tag["Value"]) for tag in tags) == sorted(TAGS)


def test_tasks_for_places_outside_of_it_fail_alone_and_touch_nothing(
    policed: SeaweedFS, ministack: Ministack, s3: Any
) -> None:
    """Whoever can send messages can name any bucket and prefix; the worker's own policy is what refuses them."""
    mine = put_logs(s3, PREFIX.bucket, PREFIX.prefix, days=1, logs=3)
    others = put_logs(s3, PREFIX.bucket, "other/", days=1, logs=3)
    s3.create_bucket(Bucket="elsewhere")
    others_elsewhere = put_logs(s3, "elsewhere", PREFIX.prefix, days=1, logs=3)
    sqs = client(ministack, "sqs")
    sqs.create_queue(QueueName="strangers", Attributes={"VisibilityTimeout": "30"})
    day = next(log.day for log in map(parse_log_key, mine) if log)
    places = [(PREFIX.bucket, "other/"), ("elsewhere", PREFIX.prefix), (PREFIX.bucket, PREFIX.prefix)]
    url = sqs.get_queue_url(QueueName="strangers")["QueueUrl"]
    for bucket, prefix in places:
        task = RollTask(DayGroup(bucket, prefix, day), Window(day + timedelta(days=1)))
        sqs.send_message(QueueUrl=url, MessageBody=encode_task(task))
    result = run(policed, "exact", "worker", "--queue-name", "strangers", "--delete", queues=[ministack])
    assert result.returncode == 3, result.stderr
    assert "s3:ListBucket on s3://policed/other/" in result.stderr
    assert "elsewhere" in result.stderr
    keys = {entry["Key"] for entry in s3.list_objects_v2(Bucket=PREFIX.bucket)["Contents"]}
    assert others <= keys
    assert not mine & keys
    assert {entry["Key"] for entry in s3.list_objects_v2(Bucket="elsewhere")["Contents"]} == others_elsewhere


def test_every_call_the_program_makes_is_in_the_policy(
    policed: SeaweedFS, ministack: Ministack, s3: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Recorded from producer and worker with a role: the calls are the policy's actions, no more and no fewer.

    The server does not enforce s3:AbortMultipartUpload, ministack enforces nothing: here those actions are shown used.
    """
    put_logs(s3, PREFIX.bucket, PREFIX.prefix, days=1, logs=3)
    sqs = client(ministack, "sqs")
    sqs.create_queue(QueueName="recorded", Attributes={"VisibilityTimeout": "3"})
    made = set(record(policed, ministack, monkeypatch))
    role = policed.role_arn("exact")
    (policy,) = policies_for([PREFIX], Grant(delete=True), [queue_statement("arn"), roles_statement([role])])
    allowed = {action for statement in policy["Statement"] for action in statement["Action"]}
    assert made == allowed
    assert set(QUEUEING) <= allowed


IAM_ACTIONS = {"s3:HeadBucket": "s3:ListBucket", "sqs:SendMessageBatch": "sqs:SendMessage"}
"""Where the call and the action that allows it have different names."""


def record(policed: SeaweedFS, ministack: Ministack, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The actions of a producer and a worker run in this process."""
    from s3_log_roller.cli.main import run_command

    made: list[str] = []
    for name, value in isolated_environment(ministack, policed).items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "admin")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "admin-secret")
    submit, create = Transport.submit, boto3.Session.client

    def recording_submit(transport: Transport, request: Request) -> None:
        made.append(request.operation)
        submit(transport, request)

    def recording_client(session: boto3.Session, service: str, *args: Any, **kwargs: Any) -> Any:
        made_client = create(session, service, *args, **kwargs)  # type: ignore[call-overload]
        made_client.meta.events.register("before-call.*.*", lambda model, **_: made.append(f"{service}:{model.name}"))
        return made_client

    monkeypatch.setattr(Transport, "submit", recording_submit)
    monkeypatch.setattr(boto3.Session, "client", recording_client)
    role = policed.role_arn("exact")
    queue = ["--queue-name", "recorded", "--quiet"]
    assert run_command(["producer", *queue, "--prefixes", str(PREFIX), "--s3-role", role]) == 0
    assert run_command(["worker", *queue, "--delete"]) == 0
    # An upload is dropped, and a message given back, only when something goes wrong.
    begin_upload_and_abort(policed, "exact")
    returned = SqsQueue(boto3.Session(), "recorded")
    returned.send([ScanTask(PREFIX.bucket, PREFIX.prefix, Window(date(2022, 7, 1)))])
    delivery = returned.receive(1)
    assert delivery is not None
    delivery.release()
    return (IAM_ACTIONS.get(action, action) for action in made)
