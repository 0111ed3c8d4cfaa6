"""Whose a rollup will be: in somebody else's bucket nothing is written that its owner can't read."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from bench.s3_api import Call
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError
from tests.support.answers import a_bucket, with_body

from s3_log_roller.aws.s3.ownership import (
    ENFORCED,
    OBJECT_WRITER,
    PREFERRED,
    UNKNOWN,
    AskAws,
    check_ownership,
)
from s3_log_roller.errors import StorageError
from s3_log_roller.store import NewObject
from s3_log_roller.stored_as import BUCKET_DEFAULTS, StoredAs

OURS, THEIRS = "111111111111", "222222222222"
WITH_ACL = StoredAs(acl="bucket-owner-full-control")


@dataclass
class Answers:
    """What is said of the bucket; notes what was asked."""

    owner: str = THEIRS
    ownership: str = ENFORCED
    me: str = OURS
    asked: list[str] = field(default_factory=list)

    def account(self) -> str:
        self.asked.append("account")
        return self.me

    def belongs_to(self, account: str, key: str) -> bool | None:
        self.asked.append(f"belongs_to {key}")
        return self.owner == account if self.owner else None

    def setting(self) -> str:
        self.asked.append("setting")
        return self.ownership


@pytest.mark.parametrize("ownership", [ENFORCED, PREFERRED, OBJECT_WRITER, UNKNOWN])
@pytest.mark.parametrize("answers", [Answers(owner=OURS), Answers(owner=""), Answers(me="")])
def test_an_own_bucket_is_written_to_whatever_its_setting(answers: Answers, ownership: str) -> None:
    """And one of which nobody says whose it is; the setting, which takes a permission, is not asked for."""
    check_ownership("logs", "key", BUCKET_DEFAULTS, Answers(answers.owner, ownership, answers.me))
    check_ownership("logs", "key", BUCKET_DEFAULTS, answers)
    assert "setting" not in answers.asked


@pytest.mark.parametrize(
    ("ownership", "stored_as"),
    [(ENFORCED, BUCKET_DEFAULTS), (ENFORCED, WITH_ACL), (PREFERRED, WITH_ACL), (UNKNOWN, WITH_ACL)],
)
def test_a_bucket_of_another_account_is_written_to_if_its_owner_gets_the_rollups(
    ownership: str, stored_as: StoredAs
) -> None:
    """ACLs are off, or the ACL gives them away."""
    check_ownership("logs", "key", stored_as, Answers(ownership=ownership))


@pytest.mark.parametrize(
    ("ownership", "stored_as", "why"),
    [
        (PREFERRED, BUCKET_DEFAULTS, "would belong to the writer .*; give --acl bucket-owner-full-control;"),
        (OBJECT_WRITER, BUCKET_DEFAULTS, "would belong to the writer .*; have its owner set it to BucketOwnerEnforced"),
        (OBJECT_WRITER, WITH_ACL, "would belong to the writer .*; have its owner set it to BucketOwnerEnforced"),
        (UNKNOWN, BUCKET_DEFAULTS, "is not known: allow s3:GetBucketOwnershipControls, or give --acl"),
    ],
)
def test_where_the_writer_would_own_it_nothing_is_written(ownership: str, stored_as: StoredAs, why: str) -> None:
    """One rollup, an upload in parts and many at once are refused before their first request."""
    answers = Answers(ownership=ownership)
    with a_bucket(stored_as=stored_as, ask_owner=lambda calls: answers) as (client, _, intruder):
        with pytest.raises(StorageError, match=why) as refused:
            client.upload("key", 10)
        assert "nothing was written or deleted" in str(refused.value)
        with pytest.raises(StorageError, match=why):
            client.publish_all({"key": NewObject(b"1")}, lambda keys: keys)
        assert intruder.calls == []


def test_it_is_asked_once_and_not_by_those_who_only_read() -> None:
    """Before the first write."""
    answers = Answers(owner=OURS)
    with a_bucket(ask_owner=lambda calls: answers) as (client, _, _):
        client.list_page("")
        client.delete([("key", "0" * 32)])
        assert answers.asked == []
        client.publish_all({"a": NewObject(b"1"), "b": NewObject(b"2")}, lambda keys: keys)
        client.upload("c", 10)
        assert answers.asked == ["account", "belongs_to a"]


@pytest.mark.parametrize(("status", "belongs"), [("200 OK", True), ("403 Forbidden", False), ("400 Bad Request", None)])
def test_whose_a_bucket_is_follows_from_a_listing_that_names_an_owner(status: str, belongs: bool | None) -> None:
    """S3 refuses it unless the bucket is of that account. It is of a key that the program may list in any case."""
    import boto3

    with a_bucket() as (client, _, intruder):
        answer = with_body(b"<ListBucketResult/>").replace(b"200 OK", status.encode(), 1)
        intruder.change = lambda call, _: answer
        ask = AskAws(boto3.Session(), client._calls, "us-west-2", None)
        assert ask.belongs_to(OURS, "a/rollup") is belongs
        (call,) = intruder.calls
        assert _said(call) == (OURS, "encoding-type=url&list-type=2&max-keys=1&prefix=a%2Frollup")


def _said(call: Call) -> tuple[str, str]:
    return call.header(b"x-amz-expected-bucket-owner").decode(), call.query


def test_an_expected_owner_needs_no_request() -> None:
    """S3 holds every request to it already."""
    import boto3

    with a_bucket() as (client, _, intruder):
        ask = AskAws(boto3.Session(), client._calls, "us-west-2", OURS)
        assert [ask.belongs_to(OURS, "key"), ask.belongs_to(THEIRS, "key")] == [True, False]
        assert intruder.calls == []


class Asked:
    """Stands in for a session: clients that answer so, or fail so."""

    def __init__(self, answer: dict[str, object] | Exception) -> None:
        self.answer = answer
        self.clients: list[tuple[str, str, int]] = []

    def client(self, service: str, *, region_name: str, config: Config) -> Asked:
        retries = config.retries  # type: ignore[attr-defined]
        self.clients.append((service, region_name, retries["total_max_attempts"]))
        return self

    def get_caller_identity(self) -> dict[str, object]:
        return self.get_bucket_ownership_controls(Bucket="bucket")

    def get_bucket_ownership_controls(self, *, Bucket: str) -> dict[str, object]:
        assert Bucket == "bucket"
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "Get")


@pytest.mark.parametrize(
    ("answer", "account"),
    [({"Account": "1"}, "1"), (refusal("AccessDenied"), ""), (EndpointConnectionError(endpoint_url="x"), "")],
)
def test_the_account_is_asked_for_once_and_may_stay_unknown(answer: Any, account: str) -> None:
    """Networks without a way to STS are common: a rollup does not wait for it."""
    session = Asked(answer)
    calls = SimpleNamespace(bucket="bucket")
    assert AskAws(session, calls, "eu-west-1", None).account() == account  # type: ignore[arg-type]
    assert session.clients == [("sts", "eu-west-1", 1)]


@pytest.mark.parametrize(
    ("answer", "setting"),
    [
        ({"OwnershipControls": {"Rules": [{"ObjectOwnership": ENFORCED}]}}, ENFORCED),
        ({"OwnershipControls": {"Rules": []}}, OBJECT_WRITER),
        (refusal("OwnershipControlsNotFoundError"), OBJECT_WRITER),
        (refusal("AccessDenied"), UNKNOWN),
        (EndpointConnectionError(endpoint_url="x"), UNKNOWN),
    ],
)
def test_a_bucket_without_a_setting_is_one_with_acls(answer: Any, setting: str) -> None:
    """What is not told is unknown, and not taken for the good case."""
    session = Asked(answer)
    calls = SimpleNamespace(bucket="bucket")
    assert AskAws(session, calls, "eu-west-1", None).setting() == setting  # type: ignore[arg-type]
    assert session.clients == [("s3", "eu-west-1", 1)]
