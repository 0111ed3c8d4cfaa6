from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest

from s3_log_roller.cli.commands.discover import to_json
from s3_log_roller.cli.discovery_view import render_discovery
from s3_log_roller.errors import StorageError
from s3_log_roller.planning.delivery import Delivery, may_deliver
from s3_log_roller.planning.discovery import Discovery, FoundBucket, Logging, discover

TODAY = date(2022, 7, 10)
ACCOUNT = "111122223333"
LOG = "2022-07-09-01-02-03-0123456789ABCDEF"


def allowing(target: str = "logs", **changed: Any) -> dict[str, Any]:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{target}/*",
    }
    return {"Version": "2012-10-17", "Statement": [statement | changed]}


class FakeAccount:
    """Two buckets that log to a third; nothing is wrong."""

    partition = "aws"

    def __init__(self) -> None:
        self.buckets = {"api": "us-east-1", "web": "us-east-1", "logs": "us-east-1"}
        self.configured = {"api": Logging("logs", "api-", ""), "web": Logging("logs", "web/", "event time")}
        self.policies: dict[str, Mapping[str, Any]] = {"logs": allowing()}
        self.acls: set[str] = set()
        self.locked: set[str] = set()
        self.payers: set[str] = set()
        self.strangers: set[str] = set()
        self.keys = [f"api-{LOG}", f"web/{ACCOUNT}/us-east-1/web/2022/07/09/{LOG}"]
        self.forbidden: set[str] = set()

    def _ask(self, call: str) -> None:
        if call in self.forbidden:
            raise StorageError(f"s3:{call}: not allowed")

    def account_id(self) -> str:
        self._ask("GetCallerIdentity")
        return ACCOUNT

    def list_buckets(self) -> list[FoundBucket]:
        self._ask("ListAllMyBuckets")
        return [FoundBucket(name, region) for name, region in self.buckets.items()]

    def logging(self, bucket: FoundBucket) -> Logging | None:
        self._ask("GetBucketLogging")
        return self.configured.get(bucket.name)

    def policy(self, bucket: FoundBucket) -> Mapping[str, Any]:
        self._ask("GetBucketPolicy")
        return self.policies.get(bucket.name, {})

    def acl_lets_logs_in(self, bucket: FoundBucket) -> bool:
        self._ask("GetBucketAcl")
        return bucket.name in self.acls

    def keeps_by_default(self, bucket: FoundBucket) -> bool:
        self._ask("GetBucketObjectLockConfiguration")
        return bucket.name in self.locked

    def requester_pays(self, bucket: FoundBucket) -> bool:
        self._ask("GetBucketRequestPayment")
        return bucket.name in self.payers

    def is_there(self, bucket: str) -> bool:
        self._ask("HeadBucket")
        return bucket in self.strangers

    def first_keys(self, bucket: FoundBucket, prefix: str, start_after: str) -> list[str]:
        self._ask("ListBucket")
        return sorted(key for key in self.keys if key.startswith(prefix) and key > start_after)[:1000]


def kinds(found: Discovery) -> list[tuple[str, str]]:
    return [(problem.bucket, problem.kind) for problem in found.problems]


def test_a_sound_account_is_told_both_ways() -> None:
    """Source to target, target to its sources, and nothing is wrong: a target need not log itself."""
    account = FakeAccount()
    account.buckets["shop"] = "us-east-1"
    account.configured["shop"] = Logging("logs", "api-", "")
    found = discover(account, TODAY)
    assert found.targets == {("logs", "api-"): ["api", "shop"], ("logs", "web/"): ["web"]}
    assert found.prefixes == ["s3://logs/api-", "s3://logs/web/"]
    assert kinds(found) == []
    assert found.refused == []


def test_buckets_that_do_not_log_are_named() -> None:
    """But not those that logs go to."""
    account = FakeAccount()
    account.buckets["quiet"] = "eu-west-1"
    assert kinds(discover(account, TODAY)) == [("quiet", "no_logging")]


def wrong_logs_into_itself(account: FakeAccount) -> None:
    account.configured["logs"] = Logging("logs", "api-", "")


def wrong_target_gone(account: FakeAccount) -> None:
    account.configured["api"] = Logging("nowhere", "", "")


def wrong_target_elsewhere(account: FakeAccount) -> None:
    account.configured["api"] = Logging("theirs", "", "")
    account.strangers.add("theirs")


def wrong_region(account: FakeAccount) -> None:
    account.buckets["api"] = "eu-west-1"


def wrong_policy(account: FakeAccount) -> None:
    account.policies["logs"] = allowing(Resource="arn:aws:s3:::logs/web/*")


def wrong_lock(account: FakeAccount) -> None:
    account.locked.add("logs")


def wrong_payer(account: FakeAccount) -> None:
    account.payers.add("logs")


def wrong_silence(account: FakeAccount) -> None:
    account.keys = [
        "api-2022-07-06-23-59-59-0123456789ABCDEF",  # too old
        f"api-b-{LOG}",  # of another target prefix
        f"web/{ACCOUNT}/us-east-1/other/2022/07/09/{LOG}",
    ]


@pytest.mark.parametrize(
    ("go_wrong", "expected"),
    [
        (wrong_logs_into_itself, [("logs", "logs_into_itself")]),
        (wrong_target_gone, [("nowhere", "target_gone")]),
        (wrong_target_elsewhere, [("theirs", "target_elsewhere")]),
        (wrong_region, [("api", "other_region")]),
        (wrong_policy, [("api", "not_allowed_to_deliver")]),
        (wrong_lock, [("api", "default_retention"), ("web", "default_retention")]),
        (wrong_payer, [("api", "requester_pays"), ("web", "requester_pays")]),
        (wrong_silence, [("api", "no_delivery"), ("web", "no_delivery")]),
    ],
)
def test_what_is_wrong_is_found_and_told(go_wrong: Any, expected: list[tuple[str, str]]) -> None:
    """Each kind by itself, with the buckets it is about."""
    account = FakeAccount()
    go_wrong(account)
    found = discover(account, TODAY)
    assert kinds(found) == expected
    text = " ".join(render_discovery(found, width=80, colours=False).split())
    for problem in found.problems:
        assert f"s3://{problem.bucket} {problem.text}." in text
    assert "s3://nowhere/" not in found.prefixes


@pytest.mark.parametrize(
    "call",
    [
        "GetBucketLogging",
        "GetBucketPolicy",
        "GetBucketAcl",
        "GetBucketObjectLockConfiguration",
        "GetBucketRequestPayment",
        "ListBucket",
        "GetCallerIdentity",
    ],
)
def test_a_missing_permission_is_named_and_the_rest_is_told(call: str) -> None:
    """What could not be asked is not taken for an answer."""
    account = FakeAccount()
    account.forbidden.add(call)
    wrong_lock(account)
    wrong_payer(account)
    found = discover(account, TODAY)
    assert found.refused == [f"s3:{call}: not allowed"]
    assert len(found.buckets) == 3
    if call == "GetBucketLogging":
        assert kinds(found) == []  # nobody knows that they do not log
    else:
        lost = {"GetBucketObjectLockConfiguration": "default_retention", "GetBucketRequestPayment": "requester_pays"}
        assert {kind for _, kind in kinds(found)} == {"default_retention", "requester_pays"} - {lost.get(call)}
    assert f"Not known: s3:{call}: not allowed" in render_discovery(found, width=80, colours=False)


def test_without_a_list_of_buckets_there_is_nothing_to_tell() -> None:
    """That is an error."""
    account = FakeAccount()
    account.forbidden.add("ListAllMyBuckets")
    with pytest.raises(StorageError, match="ListAllMyBuckets"):
        discover(account, TODAY)


def test_an_acl_may_let_logs_in_as_well() -> None:
    """The old way, without a policy."""
    account = FakeAccount()
    account.policies.clear()
    assert [kind for _, kind in kinds(discover(account, TODAY))] == ["not_allowed_to_deliver"] * 2
    account.acls.add("logs")
    assert kinds(discover(account, TODAY)) == []


DELIVERY = Delivery("aws", ACCOUNT, "web", "logs", "web/")
ARN = "arn:aws:s3:::web"


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"Principal": "*"},
        {"Principal": {"AWS": "*"}},
        {"Principal": {"Service": ["cloudtrail.amazonaws.com", "logging.s3.amazonaws.com"]}},
        {"Action": ["s3:GetObject", "s3:put*"]},
        {"Action": "*"},
        {"Resource": ["arn:aws:s3:::logs/web/*"]},
        {"Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:s3:::w?b"}}},
        {"Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}, "ArnEquals": {"aws:sourceArn": [ARN, "x"]}}},
        {"Condition": {"Bool": {"aws:SecureTransport": "true"}}},
        {"Condition": {"ArnLikeIfExists": {"aws:SourceArn": ARN}, "StringLike": {"aws:SourceAccount": "1*3"}}},
        {"Condition": {"StringNotEqualsIfExists": {"aws:SourceAccount": "999988887777"}}},
        {"Condition": {"Null": {"aws:SourceArn": "false"}}},
        {"Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1234567890"}}},
    ],
)
def test_policies_that_let_logs_in(changed: dict[str, Any]) -> None:
    """Whatever else they say."""
    assert may_deliver(allowing(**changed), DELIVERY, acl_allows=False) == ""


@pytest.mark.parametrize(
    "changed",
    [
        {"Effect": "Deny"},
        {"Principal": {"Service": "cloudtrail.amazonaws.com"}},
        {"Principal": {"AWS": "arn:aws:iam::111122223333:root"}},
        {"Action": "s3:GetObject"},
        {"Resource": "arn:aws:s3:::logs/api/*"},
        {"Resource": "arn:aws:s3:::logs"},
        {"Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:s3:::other"}}},
        {"Condition": {"StringEquals": {"aws:SourceAccount": "999988887777"}}},
        {"Condition": {"StringNotEquals": {"aws:SourceAccount": [ACCOUNT]}}},
        {"Condition": {"StringNotLikeIfExists": {"aws:SourceAccount": "1*3"}}},
        {"Condition": {"StringEqualsIfExists": {"aws:SourceAccount": "999988887777"}}},
        {"Principal": {"Service": []}},
        {"NotAction": "s3:*"},
    ],
)
def test_policies_that_keep_logs_out(changed: dict[str, Any]) -> None:
    """Nothing else allows it, or something denies it."""
    assert may_deliver(allowing(**changed), DELIVERY, acl_allows=False) != ""


def test_a_denial_goes_before_everything() -> None:
    """Before other statements and before the ACL, unless it is for other sources."""
    policy = allowing()
    denying = allowing(Effect="Deny", Principal="*")["Statement"]
    both = {"Statement": policy["Statement"] + denying}
    assert "denies s3:PutObject" in may_deliver(both, DELIVERY, acl_allows=True)
    others = [denying[0] | {"Condition": {"ArnNotLike": {"aws:SourceArn": ARN}}}]
    assert may_deliver({"Statement": policy["Statement"] + others}, DELIVERY, acl_allows=False) == ""
    insecure = [denying[0] | {"Condition": {"Bool": {"aws:SecureTransport": "false"}}}]
    assert may_deliver({"Statement": policy["Statement"] + insecure}, DELIVERY, acl_allows=False) == ""


@pytest.mark.parametrize(
    ("all_but", "is_denied"),
    [
        ({"AWS": "arn:aws:iam::111122223333:root"}, True),
        ({"Service": "cloudtrail.amazonaws.com"}, True),
        ({"Service": "logging.s3.amazonaws.com"}, False),
        ({"Service": ["logging.s3.amazonaws.com", "cloudtrail.amazonaws.com"]}, False),
        ("*", False),
    ],
)
def test_a_denial_to_all_but_some_keeps_logs_out_unless_s3_is_one_of_them(all_but: Any, is_denied: bool) -> None:
    """A common way to lock a bucket, which stops the delivery of logs as well."""
    denying = allowing(Effect="Deny", NotPrincipal=all_but)["Statement"][0]
    del denying["Principal"]
    policy = {"Statement": [*allowing()["Statement"], denying]}
    assert ("denies s3:PutObject" in may_deliver(policy, DELIVERY, acl_allows=True)) is is_denied


def test_the_json_has_sources_targets_and_problems() -> None:
    """Under names that stay."""
    account = FakeAccount()
    wrong_payer(account)
    document = to_json(discover(account, TODAY))
    assert document["buckets"][2] == {
        "name": "web",
        "region": "us-east-1",
        "target_bucket": "logs",
        "target_prefix": "web/",
        "key_format": "partitioned by event time",
    }
    assert document["targets"][0] == {"bucket": "logs", "prefix": "api-", "sources": ["api"]}
    assert document["problems"][0]["kind"] == "requester_pays"


def test_the_whole_output_at_80_columns() -> None:
    """Word for word."""
    account = FakeAccount()
    account.buckets |= {"quiet": "us-east-1", "eu-shop": "eu-west-1"}
    account.configured["eu-shop"] = Logging("gone", "shop/", "delivery time")
    wrong_silence(account)
    account.forbidden.add("GetBucketAcl")
    text = render_discovery(discover(account, TODAY), width=80, colours=False)
    assert max(map(len, text.splitlines())) <= 80
    assert text == WHOLE_OUTPUT


WHOLE_OUTPUT = """\
 bucket    region      logs to           keys
──────────────────────────────────────────────────────────────────────
 api       us-east-1   s3://logs/api-    simple
 eu-shop   eu-west-1   s3://gone/shop/   partitioned by delivery time
 web       us-east-1   s3://logs/web/    partitioned by event time

 target prefix     logs of
───────────────────────────
 s3://gone/shop/   eu-shop
 s3://logs/api-    api
 s3://logs/web/    web

 s3://api has logging on, but no log came to s3://logs/api- since 2022-07-07.
 s3://gone is a target, but does not exist: logs for it are lost.
 s3://web has logging on, but no log came to
 s3://logs/web/111122223333/us-east-1/web/ since 2022-07-07.
 1 bucket does not log: s3://quiet.
 Not known: s3:GetBucketAcl: not allowed
 5 buckets, 3 of which log, to 3 target prefixes.
"""


def test_where_no_bucket_logs_it_says_so() -> None:
    """Not "0 of which log, to 0 target prefixes"."""
    account = FakeAccount()
    account.buckets = {"quiet": "us-west-2"}
    account.configured = {}
    text = render_discovery(discover(account, TODAY), width=80, colours=False)
    assert text.endswith("1 bucket, none of which logs.\n")
