"""The printed policy covers exactly the prefixes asked for, and what IAM can express of the program's promises."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.iam import allows

from s3_log_roller.aws.policy import (
    MAX_POLICY_CHARS,
    Grant,
    key_prefixes,
    key_statements,
    policies_for,
    policy_chars,
    queue_statement,
    roles_statement,
)
from s3_log_roller.cli.main import main
from s3_log_roller.errors import UsageError
from s3_log_roller.log_keys import DayGroup, parse_log_key
from s3_log_roller.stored_as import StoredAs
from s3_log_roller.uris import S3Uri

LOG = "2022-07-21-23-59-58-0123456789ABCDEF"
ROLLUP = "rollup-2022-07-21-0a1b2c3d.tgz"
IF_NOTHING_IS_THERE = {"s3:if-none-match": "*", "s3:ObjectCreationOperation": "true"}
IF_UNCHANGED = {"s3:if-match": "d41d8cd98f00b204e9800998ecf8427e"}
ACCOUNT = "123456789012"


def policy(*uris: str, delete: bool = False, account: str | None = None) -> dict[str, Any]:
    (one,) = policies_for([S3Uri.parse(uri) for uri in uris], Grant(delete, account=account))
    return one


def may(policy: dict[str, Any], action: str, key: str, **context: str) -> bool:
    return allows([policy], action, f"arn:aws:s3:::my-logs/{key}", context)


def test_a_policy_as_a_whole() -> None:
    """Five statements: list, read, write what is new, write parts of it, delete what is unchanged."""
    arn = "arn:aws:s3:::my-logs"
    rollups = [f"{arn}/example.com/*rollup-20??-??-??-????????.tgz"]
    logs = [f"{arn}/example.com/*20??-??-??-??-??-??-????????????????"]
    owner = {"StringEquals": {"aws:ResourceAccount": ACCOUNT}}
    assert policy("s3://my-logs/example.com/", delete=True, account=ACCOUNT)["Statement"] == [
        {
            "Effect": "Allow",
            "Action": ["s3:ListBucket"],
            "Resource": [arn],
            "Condition": {"StringLike": {"s3:prefix": ["example.com/*"]}} | owner,
        },
        {
            "Effect": "Allow",
            "Action": ["s3:AbortMultipartUpload", "s3:GetObject"],
            "Resource": [f"{arn}/example.com/*"],
            "Condition": owner,
        },
        {
            "Effect": "Allow",
            "Action": ["s3:PutObject"],
            "Resource": rollups,
            "Condition": {"Null": {"s3:if-none-match": "false"}} | owner,
        },
        {
            "Effect": "Allow",
            "Action": ["s3:PutObject"],
            "Resource": rollups,
            "Condition": {"Bool": {"s3:ObjectCreationOperation": "false"}} | owner,
        },
        {
            "Effect": "Allow",
            "Action": ["s3:DeleteObject"],
            "Resource": logs,
            "Condition": {"Null": {"s3:if-match": "false"}} | owner,
        },
    ]


class TestHowRollupsAreStored:
    """Each option brings the permission that it needs, for rollups, and nothing else does."""

    TAGS = (("team", "web logs"), ("cost", "12"))
    KEY = "arn:aws:kms:us-west-2:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"

    def statements(self, stored_as: StoredAs) -> list[dict[str, Any]]:
        """Those that are there for it."""
        (whole,) = policies_for([S3Uri("my-logs", "a/")], Grant(account=ACCOUNT, stored_as=stored_as))
        plain = policy("s3://my-logs/a/", account=ACCOUNT)["Statement"]
        return [statement for statement in whole["Statement"] if statement not in plain]

    def test_a_storage_class_and_sse_s3_need_none(self) -> None:
        """They are part of s3:PutObject."""
        assert self.statements(StoredAs("GLACIER_IR", sse="AES256")) == []

    def test_tags_need_s3_put_object_tagging(self) -> None:
        """Of rollups, and with these very tags only: a lifecycle rule may delete what has others."""
        assert [statement["Action"] for statement in self.statements(StoredAs(tags=self.TAGS))] == [
            ["s3:PutObjectTagging"]
        ]
        (whole,) = policies_for([S3Uri("my-logs", "a/")], Grant(account=ACCOUNT, stored_as=StoredAs(tags=self.TAGS)))
        context = {f"s3:RequestObjectTag/{key}": value for key, value in self.TAGS}
        context["aws:ResourceAccount"] = ACCOUNT
        assert may(whole, "s3:PutObjectTagging", f"a/{ROLLUP}", **context)
        assert not may(whole, "s3:PutObjectTagging", f"a/{LOG}", **context)
        assert not may(whole, "s3:PutObjectTagging", f"a/{ROLLUP}", **context | {"s3:RequestObjectTag/cost": "13"})
        assert not may(whole, "s3:PutObjectTagging", f"a/{ROLLUP}", **context | {"aws:ResourceAccount": "2" * 12})

    def test_an_acl_needs_s3_put_object_acl(self) -> None:
        """Of rollups only."""
        (statement,) = self.statements(StoredAs(acl="bucket-owner-full-control"))
        assert statement["Action"] == ["s3:PutObjectAcl"]
        assert statement["Resource"] == ["arn:aws:s3:::my-logs/a/*rollup-20??-??-??-????????.tgz"]

    def test_a_key_of_ones_own_needs_permissions_for_that_key(self) -> None:
        """Through S3 only, so that nobody decrypts anything else with it. AWS's own key needs none."""
        (statement,) = key_statements(StoredAs(sse="aws:kms", kms_key_id=self.KEY))
        assert statement["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]
        assert statement["Resource"] == [self.KEY]
        assert statement["Condition"] == {"StringLike": {"kms:ViaService": "s3.us-west-2.amazonaws.com*"}}
        assert key_statements(StoredAs(sse="aws:kms")) == []
        with pytest.raises(UsageError, match=r"a policy names a KMS key by its ARN, .* but 'alias/logs' is none"):
            key_statements(StoredAs(sse="aws:kms", kms_key_id="alias/logs"))

    def test_deleting_versions_needs_two_more_permissions(self) -> None:
        """Of logs only, and only where it is asked for."""
        plain = policy("s3://my-logs/a/", delete=True)
        (whole,) = policies_for([S3Uri("my-logs", "a/")], Grant(delete=True, delete_versions=True))
        assert may(whole, "s3:DeleteObjectVersion", f"a/{LOG}")
        assert not may(whole, "s3:DeleteObjectVersion", f"a/{ROLLUP}")
        assert not may(plain, "s3:DeleteObjectVersion", f"a/{LOG}")
        assert [whole["Statement"][0]["Action"], plain["Statement"][0]["Action"]] == [
            ["s3:ListBucket", "s3:ListBucketVersions"],
            ["s3:ListBucket"],
        ]

    def test_the_command_takes_the_options_of_roll(self, capsys: pytest.CaptureFixture[str]) -> None:
        """And prints what they need."""
        options = ["--tag", "team=web", "--acl", "bucket-owner-full-control", "--sse", "aws:kms"]
        assert main(["policy", "--prefixes", "s3://my-logs/", *options, "--sse-kms-key-id", self.KEY]) == 0
        printed = capsys.readouterr().out
        for action in ("s3:PutObjectTagging", "s3:PutObjectAcl", "kms:GenerateDataKey", "kms:Decrypt"):
            assert f'"{action}"' in printed


class TestStolenCredentials:
    """What somebody who has the worker's credentials can and cannot do with them."""

    POLICY = policy("s3://my-logs/a/", delete=True, account=ACCOUNT)

    def may(self, action: str, key: str, **context: str) -> bool:
        return may(self.POLICY, action, key, **{"aws:ResourceAccount": ACCOUNT} | context)

    def test_nothing_that_is_there_can_be_overwritten(self) -> None:
        """A write without If-None-Match is refused, under a rollup's name, too."""
        assert self.may("s3:PutObject", f"a/{ROLLUP}", **IF_NOTHING_IS_THERE)
        assert not self.may("s3:PutObject", f"a/{ROLLUP}", **{"s3:ObjectCreationOperation": "true"})
        if_match = {"s3:if-match": "e", "s3:ObjectCreationOperation": "true"}
        assert not self.may("s3:PutObject", f"a/{ROLLUP}", **if_match)

    def test_parts_of_an_upload_need_no_condition(self) -> None:
        """They cannot have one (CreateMultipartUpload, UploadPart); completing the upload can and must."""
        assert self.may("s3:PutObject", f"a/{ROLLUP}", **{"s3:ObjectCreationOperation": "false"})

    @pytest.mark.parametrize("key", [f"a/{LOG}", "a/index.html", f"a/{ROLLUP}.old", "a/rollup-2022.tgz", f"b/{ROLLUP}"])
    def test_only_rollups_can_be_written(self, key: str) -> None:
        """No log can be forged, and nothing be left beside them."""
        assert not self.may("s3:PutObject", key, **IF_NOTHING_IS_THERE)

    @pytest.mark.parametrize("key", [f"a/{ROLLUP}", "a/index.html", "a/b/other.tgz", f"b/{LOG}"])
    def test_nothing_but_logs_can_be_deleted(self, key: str) -> None:
        """Rollups least of all."""
        assert not self.may("s3:DeleteObject", key, **IF_UNCHANGED)

    def test_a_log_can_be_deleted_only_by_its_etag(self) -> None:
        """A delete that does not say what it deletes is refused."""
        assert self.may("s3:DeleteObject", f"a/b/{LOG}", **IF_UNCHANGED)
        assert not self.may("s3:DeleteObject", f"a/b/{LOG}")

    @pytest.mark.parametrize("action", ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"])
    def test_a_bucket_of_another_account_is_out_of_reach(self, action: str) -> None:
        """Somebody who registers the bucket's name anew gets and gives nothing."""
        context = IF_NOTHING_IS_THERE | IF_UNCHANGED | {"aws:ResourceAccount": "999999999999"}
        for key in (f"a/{LOG}", f"a/{ROLLUP}"):
            assert not self.may(action, key, **context)

    def test_without_delete_nothing_can_be_deleted(self) -> None:
        """s3:DeleteObject is there only when asked for."""
        assert not may(policy("s3://my-logs/a/"), "s3:DeleteObject", f"a/{LOG}", **IF_UNCHANGED)


def test_no_owner_is_asked_for_unless_given() -> None:
    """The condition would refuse everything where the account is not known."""
    assert "aws:ResourceAccount" not in json.dumps(policy("s3://my-logs/"))


def test_a_whole_bucket_needs_no_condition_on_listing() -> None:
    """HeadBucket has no prefix, so a condition on it would refuse it."""
    assert allows([policy("s3://my-logs/")], "s3:ListBucket", "arn:aws:s3:::my-logs")
    assert not allows([policy("s3://my-logs/a/")], "s3:ListBucket", "arn:aws:s3:::my-logs", {"s3:prefix": "b/"})


def test_a_covered_prefix_is_left_out() -> None:
    """A prefix inside another one needs no patterns of its own; buckets stay apart."""
    read = policy("s3://b-1/a/b", "s3://b-1/a", "s3://b-2/a")["Statement"][1]
    assert read["Resource"] == ["arn:aws:s3:::b-1/a*", "arn:aws:s3:::b-2/a*"]


def test_wildcards_in_a_prefix_are_literal() -> None:
    """A `*` in a prefix must not open what lies beside it."""
    granted = policy("s3://my-logs/a*?$/")
    assert granted["Statement"][1]["Resource"] == ["arn:aws:s3:::my-logs/a${*}${?}${$}/*"]
    assert may(granted, "s3:GetObject", f"a*?$/{LOG}")
    assert not may(granted, "s3:GetObject", f"abcd/{LOG}")


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("", [""]),
        ("logs/", ["logs/"]),
        ("logs-", ["logs-"]),
        ("logs/2022-07", ["logs/2022-07", "logs/rollup-2022-07"]),
        ("logs/2022-07-01-05-15", ["logs/2022-07-01-", "logs/rollup-2022-07-01-"]),
        ("logs/20", ["logs/20", "logs/rollup-20"]),
        ("web2", ["web2", "webrollup-2"]),
        ("logs/1999-", ["logs/1999-"]),
        ("logs/2022-13", ["logs/2022-13"]),
    ],
)
def test_a_prefix_that_ends_in_a_date_covers_its_rollups(prefix: str, expected: list[str]) -> None:
    """Rollups lie beside the date: `logs/rollup-2022-07-01-…` does not begin with `logs/2022-07`."""
    assert key_prefixes(prefix) == expected


@given(st.sampled_from(["", "logs/", "logs-", "a2022-", "2", "20/", "a*b/"]), st.integers(0, 44))
def test_everything_a_run_does_is_covered(target_prefix: str, cut: int) -> None:
    """Whatever part of a log key the prefix is, that whole day's logs and rollups may be handled."""
    key = f"{target_prefix}{LOG}"
    log = parse_log_key(key)
    assert log is not None
    group = DayGroup("my-logs", log.target_prefix, log.day)
    granted = policy(f"s3://my-logs/{key[:cut]}", delete=True)
    other = group.logs_prefix + "00-00-00-0123456789ABCDEF"
    for original in (key, other):
        assert may(granted, "s3:GetObject", original)
        assert may(granted, "s3:DeleteObject", original, **IF_UNCHANGED)
    rollup = group.rollup_key(key)
    assert may(granted, "s3:GetObject", rollup)
    assert may(granted, "s3:PutObject", rollup, **IF_NOTHING_IS_THERE)
    assert not may(granted, "s3:DeleteObject", rollup, **IF_UNCHANGED)
    for prefix in (group.logs_prefix, group.rollups_prefix, key[:cut]):
        assert allows([granted], "s3:ListBucket", "arn:aws:s3:::my-logs", {"s3:prefix": prefix})


def realistic(number: int) -> Iterator[S3Uri]:
    for bucket in range(number):
        yield S3Uri(f"acme-prod-team-{bucket:02}-access-logs-us-east-1-123456789012", f"AWSLogs/team-{bucket:02}/")


@pytest.mark.parametrize(("buckets", "policies"), [(5, 1), (20, 3), (40, 6)])
def test_many_buckets_take_several_policies(buckets: int, policies: int) -> None:
    """Each of them fits a managed policy, and together they allow everything that was asked for."""
    others = [queue_statement("arn:queue"), roles_statement(["r1"])]
    made = policies_for(realistic(buckets), Grant(True, account=ACCOUNT), others)
    assert len(made) == policies
    assert all(policy_chars(policy) <= MAX_POLICY_CHARS for policy in made)
    for uri in realistic(buckets):
        arn, owner = f"arn:aws:s3:::{uri.bucket}", {"aws:ResourceAccount": ACCOUNT}
        assert allows(made, "s3:ListBucket", arn, owner | {"s3:prefix": uri.prefix})
        assert allows(made, "s3:PutObject", f"{arn}/{uri.prefix}{ROLLUP}", owner | IF_NOTHING_IS_THERE)
        assert not allows(made, "s3:ListBucket", arn, owner | {"s3:prefix": "AWSLogs/"})
    assert made[0]["Statement"][:2] == others
    assert sum("sqs" in json.dumps(policy) for policy in made) == 1


def test_what_fits_no_policy_is_refused_with_the_numbers() -> None:
    """A hundred prefixes of one bucket cannot be split."""
    places = [S3Uri("my-logs", f"some/where/rather/far/down/the/tree/{number}/") for number in range(100)]
    with pytest.raises(UsageError, match=r"arn:aws:s3:::my-logs take 29,933 characters, .* holds 6,144"):
        policies_for(places, Grant())


def test_queue_and_roles_are_added() -> None:
    """The queue's actions are on that queue, sts:AssumeRole on those roles; no action holds a wildcard."""
    (policy,) = policies_for([], Grant(), [queue_statement("arn:queue"), roles_statement(["r2", "r1"])])
    queue, roles = policy["Statement"]
    assert queue["Resource"] == ["arn:queue"]
    assert "*" not in str(queue["Action"])
    assert roles == {"Effect": "Allow", "Action": ["sts:AssumeRole"], "Resource": ["r1", "r2"]}


def test_the_command_prints_the_policy_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Its output can be handed to `aws iam create-policy` as it is."""
    arguments = ["--prefixes", "s3://my-logs/", "--delete", "--partition", "aws-cn", "--expected-bucket-owner", ACCOUNT]
    assert main(["policy", *arguments]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [printed] == policies_for([S3Uri("my-logs", "")], Grant(True, "aws-cn", ACCOUNT))


def test_a_role_may_be_named_for_all_accounts(capsys: pytest.CaptureFixture[str]) -> None:
    """One role name in many accounts needs one line."""
    assert main(["policy", "--s3-role", "arn:aws:iam::*:role/access"]) == 0
    (statement,) = json.loads(capsys.readouterr().out)["Statement"]
    assert statement["Resource"] == ["arn:aws:iam::*:role/access"]


def test_the_command_prints_one_of_several_policies(capsys: pytest.CaptureFixture[str]) -> None:
    """Without --part it says how many there are: the first alone would not do."""
    arguments = ["policy", "--prefixes", *map(str, realistic(20)), "--delete"]
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "this takes 3 policies" in printed.err
    parts = []
    for number in ("1", "2", "3"):
        assert main([*arguments, "--part", number]) == 0
        parts.append(json.loads(capsys.readouterr().out))
    assert parts == policies_for(realistic(20), Grant(True))
    assert main([*arguments, "--part", "4"]) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--prefixes", "my-logs"],
        ["--prefixes", "s3://my-logs/", "--queue-arn", "q"],
        ["--s3-role", "admin"],
        ["--s3-role", "arn:aws:iam::*:role/*"],
        ["--prefixes", "s3://my-logs/", "--expected-bucket-owner", "me"],
    ],
)
def test_wrong_arguments_are_usage_errors(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is printed that might be taken for a policy."""
    assert main(["policy", *arguments]) == 2
    assert capsys.readouterr().out == ""


THERE = Grant(delete=True, account=ACCOUNT, destination=S3Uri("archive", "logs/"), destination_account="210987654321")


def allowed(grant: Grant, action: str, bucket: str, key: str, account: str, **context: str) -> bool:
    """Whether the policy for s3://my-logs/web/ allows that call on a bucket of that account."""
    policies = policies_for([S3Uri("my-logs", "web/")], grant)
    arn = f"arn:aws:s3:::{bucket}/{key}" if key else f"arn:aws:s3:::{bucket}"
    return allows(policies, action, arn, {"aws:ResourceAccount": account} | context)


def test_with_a_destination_rollups_are_written_there_and_not_beside_the_logs() -> None:
    """Below the name of the logs' bucket only; there nothing is deleted; each account is held to its own buckets."""
    folder, other = "logs/my-logs/web/", "210987654321"
    assert allowed(THERE, "s3:PutObject", "archive", folder + ROLLUP, other, **IF_NOTHING_IS_THERE)
    assert allowed(THERE, "s3:GetObject", "archive", folder + ROLLUP, other)
    assert allowed(THERE, "s3:AbortMultipartUpload", "archive", folder + ROLLUP, other)
    assert allowed(THERE, "s3:ListBucket", "archive", "", other, **{"s3:prefix": folder + "rollup-2022-07-21-"})
    assert allowed(THERE, "s3:GetObject", "my-logs", "web/" + LOG, ACCOUNT)
    assert allowed(THERE, "s3:GetObject", "my-logs", "web/" + ROLLUP, ACCOUNT)
    assert allowed(THERE, "s3:DeleteObject", "my-logs", "web/" + LOG, ACCOUNT, **IF_UNCHANGED)
    assert not allowed(THERE, "s3:PutObject", "my-logs", "web/" + ROLLUP, ACCOUNT, **IF_NOTHING_IS_THERE)
    assert not allowed(THERE, "s3:PutObject", "archive", "logs/others/" + ROLLUP, other, **IF_NOTHING_IS_THERE)
    assert not allowed(THERE, "s3:PutObject", "archive", folder + ROLLUP, ACCOUNT, **IF_NOTHING_IS_THERE)
    assert not allowed(THERE, "s3:ListBucket", "archive", "", other, **{"s3:prefix": ""})
    for key in (ROLLUP, LOG):
        assert not allowed(THERE, "s3:DeleteObject", "archive", folder + key, other, **IF_UNCHANGED)


def test_the_two_roles_of_a_destination_have_policies_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    """The caller's lets it work on the logs and assume the other role; that role's is for the destination alone."""
    there = ["--destination", "s3://archive/logs/"]
    role = "arn:aws:iam::210987654321:role/archive"
    call = ["policy", "--prefixes", "s3://my-logs/web/", "--delete", *there]
    printed = []
    for more in ([], ["--destination-role", role], ["--only-destination"]):
        assert main([*call, *more]) == 0
        printed.append(json.loads(capsys.readouterr().out)["Statement"])
    both, callers, theirs = printed
    assert [one for one in callers if one["Action"] != ["sts:AssumeRole"]] + theirs == both
    assert {"Effect": "Allow", "Action": ["sts:AssumeRole"], "Resource": [role]} in callers
    assert all("archive" in resource for one in theirs for resource in one["Resource"])
    assert not any("archive" in resource for one in callers[1:] for resource in one["Resource"])
    assert main(["policy", "--prefixes", "s3://my-logs/", "--only-destination"]) == 2
