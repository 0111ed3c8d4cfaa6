"""`discover` on a server that knows bucket logging, regions and pages of buckets (ministack)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO

import boto3
import pytest

from s3_log_roller.aws import accounts
from s3_log_roller.cli.main import run_command
from s3_log_roller.demo.servers import REGION, Ministack

ACCOUNT = "000000000000"
"""ministack's."""


@pytest.fixture
def account(ministack: Ministack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    """An account of the test's own settings; its buckets are deleted afterwards."""
    for name, value in ministack.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", ministack.endpoint)
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    made = Account()
    yield made
    made.clear()


class Account:
    """Buckets in several regions, and what is set on them."""

    def __init__(self) -> None:
        self._buckets: dict[str, str] = {}

    def create(self, name: str, region: str = REGION) -> None:
        where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        self.s3(region).create_bucket(Bucket=name, **where)
        self._buckets[name] = region

    def s3(self, region: str = REGION):  # type: ignore[no-untyped-def]
        return boto3.client("s3", region_name=region)

    def log(self, source: str, target: str, prefix: str, **key_format: object) -> None:
        enabled: dict[str, object] = {"TargetBucket": target, "TargetPrefix": prefix}
        if key_format:
            enabled["TargetObjectKeyFormat"] = key_format
        s3 = self.s3(self._buckets[source])
        s3.put_bucket_logging(Bucket=source, BucketLoggingStatus={"LoggingEnabled": enabled})

    def let_logs_in(self, target: str) -> None:
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "logging.s3.amazonaws.com"},
            "Action": "s3:PutObject",
            "Resource": f"arn:aws:s3:::{target}/*",
            "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}},
        }
        self.s3().put_bucket_policy(Bucket=target, Policy=json.dumps({"Statement": [statement]}))

    def clear(self) -> None:
        for name, region in self._buckets.items():
            s3 = self.s3(region)
            for entry in s3.list_objects_v2(Bucket=name).get("Contents", []):
                s3.delete_object(Bucket=name, Key=entry["Key"])
            s3.delete_bucket(Bucket=name)


def a_log(prefix: str, *, folder: bool = False) -> str:
    """The key of a log delivered yesterday; in a folder of its day where keys are date-partitioned."""
    yesterday = datetime.now(UTC) - timedelta(days=1)
    day = f"{yesterday:%Y/%m/%d/}" if folder else ""
    return f"{prefix}{day}{yesterday:%Y-%m-%d-%H-%M-%S}-0123456789ABCDEF"


def run(capsys: pytest.CaptureFixture[str], line: str) -> str:
    capsys.readouterr()
    assert run_command(line.split()) == 0
    return capsys.readouterr().out


def test_an_account_with_every_kind_of_logging(
    account: Account, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All pages of buckets, in all regions, with their key formats, and what is wrong with them."""
    monkeypatch.setattr(accounts, "PAGE", 2)
    account.create("disc-logs")
    account.let_logs_in("disc-logs")
    for name in ("disc-simple", "disc-event", "disc-delivery", "disc-quiet", "disc-lost"):
        account.create(name)
    account.create("disc-far", "eu-west-1")
    account.create("disc-silent", "us-east-1")
    account.log("disc-simple", "disc-logs", "simple-")
    account.log("disc-event", "disc-logs", "p/", PartitionedPrefix={"PartitionDateSource": "EventTime"})
    account.log("disc-delivery", "disc-logs", "p/", PartitionedPrefix={"PartitionDateSource": "DeliveryTime"})
    account.log("disc-quiet", "disc-logs", "quiet/", SimplePrefix={})
    account.log("disc-lost", "disc-gone", "")
    account.log("disc-far", "disc-logs", "simple-")
    for key in (
        a_log("simple-"),
        a_log(f"p/{ACCOUNT}/{REGION}/disc-event/", folder=True),
        a_log(f"p/{ACCOUNT}/{REGION}/disc-delivery/", folder=True),
        "quiet/2022-07-01-05-15-43-42117B9A70B0F1BA",
    ):
        account.s3().put_object(Bucket="disc-logs", Key=key, Body=b"x")

    document = json.loads(run(capsys, "discover --json"))
    found = {bucket["name"]: bucket for bucket in document["buckets"] if bucket["name"].startswith("disc-")}
    assert {name: (bucket["region"], bucket["key_format"]) for name, bucket in found.items()} == {
        "disc-delivery": (REGION, "partitioned by delivery time"),
        "disc-event": (REGION, "partitioned by event time"),
        "disc-far": ("eu-west-1", "simple"),
        "disc-logs": (REGION, None),
        "disc-lost": (REGION, "simple"),
        "disc-quiet": (REGION, "simple"),
        "disc-silent": ("us-east-1", None),
        "disc-simple": (REGION, "simple"),
    }
    assert {"bucket": "disc-logs", "prefix": "p/", "sources": ["disc-delivery", "disc-event"]} in document["targets"]
    problems = {(one["bucket"], one["kind"]) for one in document["problems"] if one["bucket"].startswith("disc-")}
    assert problems == {
        ("disc-far", "other_region"),
        ("disc-gone", "target_gone"),
        ("disc-quiet", "no_delivery"),
        ("disc-silent", "no_logging"),
    }
    lines = [line for line in run(capsys, "discover --prefixes-only").splitlines() if "disc-" in line]
    assert lines == [f"s3://disc-logs/{prefix} region={REGION}" for prefix in ("p/", "quiet/", "simple-")]
    text = " ".join(run(capsys, "discover").split())
    assert "s3://disc-quiet has logging on, but no log came to s3://disc-logs/quiet/ since" in text

    monkeypatch.setattr("sys.stdin", StringIO("\n".join(lines)))
    plan = json.loads(run(capsys, "plan --json --delete --prefixes-from -"))
    assert plan["total"]["logs"] == 4


def test_a_target_that_takes_no_logs(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    """Its policy says nothing of log delivery, and Object Lock keeps whatever comes."""
    account.create("disc-source")
    account.s3().create_bucket(
        Bucket="disc-locked",
        ObjectLockEnabledForBucket=True,
        CreateBucketConfiguration={"LocationConstraint": REGION},
    )
    retention = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
    account.s3().put_object_lock_configuration(
        Bucket="disc-locked", ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": retention}
    )
    account.log("disc-source", "disc-locked", "")
    document = json.loads(run(capsys, "discover --json"))
    account.s3().delete_bucket(Bucket="disc-locked")
    kinds = {one["kind"] for one in document["problems"] if one["bucket"] == "disc-source"}
    assert kinds == {"not_allowed_to_deliver", "default_retention", "no_delivery"}
