"""The printed policy covers exactly the prefixes asked for."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_log_roller.aws.policy import key_prefixes, storage_policy, with_statements
from s3_log_roller.cli.main import main
from s3_log_roller.log_keys import DayGroup, parse_log_key
from s3_log_roller.uris import S3Uri


def statements(*uris: str, delete: bool = False) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = storage_policy([S3Uri.parse(uri) for uri in uris], delete=delete)["Statement"]
    return found


def test_a_policy_as_a_whole() -> None:
    """Listing is bound to the prefix, reading and writing to the keys under it, deleting is left out."""
    assert statements("s3://my-logs/example.com/") == [
        {
            "Effect": "Allow",
            "Action": ["s3:ListBucket"],
            "Resource": ["arn:aws:s3:::my-logs"],
            "Condition": {"StringLike": {"s3:prefix": ["example.com/*"]}},
        },
        {
            "Effect": "Allow",
            "Action": ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"],
            "Resource": ["arn:aws:s3:::my-logs/example.com/*"],
        },
    ]


def test_deleting_is_allowed_only_when_asked_for() -> None:
    """`--delete` adds s3:DeleteObject and nothing else."""
    without, with_delete = statements("s3://my-logs/"), statements("s3://my-logs/", delete=True)
    assert with_delete[1].pop("Action") == sorted([*without[1].pop("Action"), "s3:DeleteObject"])
    assert without == with_delete


def test_a_covered_prefix_is_left_out() -> None:
    """A prefix inside another one needs no patterns of its own; buckets stay apart."""
    found = statements("s3://b-1/a/b", "s3://b-1/a", "s3://b-2/a")
    assert [one["Resource"] for one in found] == [
        ["arn:aws:s3:::b-1"],
        ["arn:aws:s3:::b-1/a*"],
        ["arn:aws:s3:::b-2"],
        ["arn:aws:s3:::b-2/a*"],
    ]


def test_wildcards_in_a_prefix_are_literal() -> None:
    """A `*` in a prefix must not open what lies beside it."""
    assert statements("s3://my-logs/a*?$/")[1]["Resource"] == ["arn:aws:s3:::my-logs/a${*}${?}${$}/*"]


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


@given(st.sampled_from(["", "logs/", "logs-", "a2022-", "2", "20/"]), st.integers(0, 40))
def test_every_key_a_run_touches_is_covered(target_prefix: str, cut: int) -> None:
    """Whatever part of a log key the prefix is, the whole day's logs and its rollups may be read and written."""
    key = f"{target_prefix}2022-07-21-23-59-58-0123456789ABCDEF"
    log = parse_log_key(key)
    assert log is not None
    group = DayGroup("my-logs", log.target_prefix, log.day)
    (*_, objects) = statements(f"s3://my-logs/{key[:cut]}")
    for touched in (key, group.logs_prefix + "00-00-00-AB", group.rollups_prefix + "0a1b2c3d.tgz"):
        assert any(fnmatchcase(f"arn:aws:s3:::my-logs/{touched}", pattern) for pattern in objects["Resource"])


def test_queue_and_roles_are_added() -> None:
    """The queue's actions are on that queue, sts:AssumeRole on those roles; no action holds a wildcard."""
    policy = with_statements(storage_policy([], delete=False), queue_arn="arn:queue", roles=["r2", "r1"])
    queue, roles = policy["Statement"]
    assert queue["Resource"] == ["arn:queue"]
    assert "*" not in str(queue["Action"])
    assert roles == {"Effect": "Allow", "Action": ["sts:AssumeRole"], "Resource": ["r1", "r2"]}


def test_the_command_prints_the_policy_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Its output can be handed to `aws iam create-policy` as it is."""
    assert main(["policy", "--prefixes", "s3://my-logs/", "--delete", "--partition", "aws-cn"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == storage_policy([S3Uri("my-logs", "")], delete=True, partition="aws-cn")


@pytest.mark.parametrize(
    "arguments",
    [[], ["--prefixes", "my-logs"], ["--prefixes", "s3://my-logs/", "--queue-arn", "q"], ["--s3-role", "admin"]],
)
def test_wrong_arguments_are_usage_errors(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is printed that might be taken for a policy."""
    assert main(["policy", *arguments]) == 2
    assert capsys.readouterr().out == ""
