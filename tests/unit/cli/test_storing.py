"""Options that say how rollups are stored: from the command line or variables to what is asked of S3."""

from __future__ import annotations

import pytest

from s3_log_roller.cli.parser import parse
from s3_log_roller.cli.storing import roll_options_from
from s3_log_roller.errors import UsageError
from s3_log_roller.rolling.options import RollOptions
from s3_log_roller.stored_as import StoredAs

ROLL = ["roll", "--prefixes", "s3://logs/a/", "s3://logs/b/"]
COMMANDS = (ROLL, ["worker", "--queue-name", "q"], ["plan", "s3://logs/a/"])


def options(*arguments: str, environment: dict[str, str] | None = None) -> RollOptions:
    return roll_options_from(parse([*ROLL, *arguments], environment or {}))


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_every_command_that_rolls_takes_them(command: list[str]) -> None:
    """`roll`, `worker` and `plan` alike; without them everything is left to the bucket."""
    given = "--storage-class GLACIER_IR --tag a=1 --tag b=2 --sse aws:kms --sse-kms-key-id alias/logs"
    args = parse([*command, *given.split(), "--acl", "bucket-owner-full-control"], {})
    assert roll_options_from(args).stored_as == StoredAs(
        "GLACIER_IR", (("a", "1"), ("b", "2")), "aws:kms", "alias/logs", "bucket-owner-full-control"
    )
    assert roll_options_from(parse(command, {})) == RollOptions()


def test_variables_set_them_too() -> None:
    """Tags are separated by commas, which no tag can have; those of the command line come on top."""
    environment = {"S3_LOG_ROLLER_STORAGE_CLASS": "STANDARD_IA", "S3_LOG_ROLLER_TAG": "a=1,b=2"}
    assert options("--tag", "c=3", environment=environment).stored_as == StoredAs(
        "STANDARD_IA", (("a", "1"), ("b", "2"), ("c", "3"))
    )
    with pytest.raises(UsageError, match="S3_LOG_ROLLER_TAG: 'b' is not a tag"):
        options(environment={"S3_LOG_ROLLER_TAG": "a=1,b"})


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--storage-class", "FROZEN"], "'FROZEN' is not a storage class for rollups"),
        (["--tag", "key"], "'key' is not a tag: write KEY=VALUE"),
        (["--tag", "aws:key=1"], "are AWS's own"),
        (["--tag", "a=1", "--tag", "a=2"], "its key is given twice"),
        ([word for n in range(11) for word in ("--tag", f"k{n}=")], "11 tags are given, but an object can have 10"),
        (["--sse", "rot13"], "rot13"),
        (["--sse-kms-key-id", "alias/logs"], "a KMS key is used with aws:kms or aws:kms:dsse only"),
        (["--sse", "aws:kms", "--sse-kms-key-id", "my key"], "'my key' is not a KMS key"),
        (["--acl", "public-read"], "public-read"),
        (["--delete-versions"], "--delete-versions needs --delete"),
    ],
)
def test_bad_values_are_usage_errors(arguments: list[str], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    """All of them are found from the command line alone, before there is anything to send a request with."""
    with pytest.raises((UsageError, SystemExit)) as refused:
        options(*arguments)
    assert refused.type is UsageError or refused.value.args == (2,)
    assert why in str(refused.value) + capsys.readouterr().err


def test_versions_are_deleted_only_where_asked_for() -> None:
    """It is off by default, and no variable switches it on."""
    assert not options("--delete").delete_versions
    assert options("--delete", "--delete-versions").delete_versions
    with pytest.raises(UsageError, match="S3_LOG_ROLLER_DELETE_VERSIONS is not a variable"):
        options(environment={"S3_LOG_ROLLER_DELETE_VERSIONS": "true"})


def test_the_rule_for_an_archive_class_is_for_the_prefixes_given() -> None:
    """It can be used as it is."""
    with pytest.raises(UsageError, match=r'"Prefix": "a/", .*"Prefix": "b/", .*"StorageClass": "DEEP_ARCHIVE"'):
        options("--storage-class", "DEEP_ARCHIVE")
