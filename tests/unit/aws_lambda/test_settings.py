"""The environment of the Lambda function becomes one validated object, or one clear error."""

from __future__ import annotations

import pytest

from s3_log_roller.aws_lambda.settings import Settings
from s3_log_roller.errors import UsageError
from s3_log_roller.rolling.options import RollOptions
from s3_log_roller.rollup.compression import MAX_LEVEL
from s3_log_roller.stored_as import StoredAs
from s3_log_roller.uris import Role

ROLE = "arn:aws:iam::123456789012:role/access"


def test_the_defaults_delete_nothing_and_allow_no_role() -> None:
    """With just a queue, originals stay, no role may be assumed, and other regions are off limits."""
    assert Settings.from_environment({"ROLLUP_QUEUE_NAME": "q", "PATH": "/bin"}) == Settings("q")
    assert not Settings("q").delete
    assert not Settings("q").allow_cross_region
    with pytest.raises(UsageError, match="ROLLUP_ALLOWED_ROLES"):
        Settings("q").check_role(Role(ROLE))
    Settings("q").check_role(None)


def test_every_variable_is_read() -> None:
    """Each setting has its variable; the sts form of a role's ARN is read as the iam form."""
    environment = {
        "ROLLUP_QUEUE_NAME": " q ",
        "ROLLUP_DELETE": "TRUE",
        "ROLLUP_ALLOWED_ROLES": f"{ROLE}, arn:aws:sts::123456789012:role/other,",
        "ROLLUP_MIN_AGE_DAYS": "3",
        "ROLLUP_MAX_AGE_DAYS": "14",
        "ROLLUP_EXPECTED_BUCKET_OWNER": "111111111111",
        "ROLLUP_LEVEL": "6",
        "ROLLUP_MAX_IN_FLIGHT": "64",
        "ROLLUP_ALLOW_CROSS_REGION": "1",
        "ROLLUP_LOG_LEVEL": "debug",
        "ROLLUP_STORAGE_CLASS": "GLACIER_IR",
        "ROLLUP_TAGS": "team=web logs,cost=12",
        "ROLLUP_SSE": "aws:kms",
        "ROLLUP_SSE_KMS_KEY_ID": "alias/logs",
        "ROLLUP_ACL": "bucket-owner-full-control",
        "ROLLUP_CHECKSUM": "sha256",
        "ROLLUP_DELETE_VERSIONS": "true",
    }
    roles = frozenset({ROLE, "arn:aws:iam::123456789012:role/other"})
    settings = Settings.from_environment(environment)
    tags = (("team", "web logs"), ("cost", "12"))
    stored = ("GLACIER_IR", tags, "aws:kms", "alias/logs", "bucket-owner-full-control", "sha256")
    assert settings == Settings("q", True, roles, 3, 14, "111111111111", 6, 64, True, "DEBUG", *stored, True)
    assert settings.roll_options() == RollOptions(True, 6, StoredAs(*stored), True)
    settings.check_role(Role(ROLE, "any external id"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", True), ("true", True), ("Yes", True), ("on", True),
        ("0", False), ("false", False), ("No", False), ("OFF", False),
    ],
)  # fmt: skip
def test_a_switch_is_on_or_off_in_many_words(text: str, value: bool) -> None:
    """`ROLLUP_DELETE=false` above all deletes nothing."""
    assert Settings.from_environment({"ROLLUP_QUEUE_NAME": "q", "ROLLUP_DELETE": text}).delete is value


@pytest.mark.parametrize(("name", "least", "most"), [("level", 1, MAX_LEVEL), ("min_age_days", 1, 36_500)])
def test_the_bounds_of_a_number_are_allowed(name: str, least: int, most: int) -> None:
    """And nothing beyond them."""
    variable = f"ROLLUP_{name.upper()}"
    for number in (least, most):
        assert getattr(Settings.from_environment({"ROLLUP_QUEUE_NAME": "q", variable: str(number)}), name) == number
    for number in (least - 1, most + 1):
        with pytest.raises(UsageError, match=f"{variable}.*from {least} to {most:,}"):
            Settings.from_environment({"ROLLUP_QUEUE_NAME": "q", variable: str(number)})


def test_an_empty_variable_counts_as_not_set() -> None:
    """Templates set variables to nothing where nothing was asked for."""
    environment = {"ROLLUP_QUEUE_NAME": "q", "ROLLUP_ALLOWED_ROLES": "", "ROLLUP_MAX_IN_FLIGHT": " "}
    assert Settings.from_environment(environment) == Settings("q")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ROLLUP_DELETE", "maybe"),
        ("ROLLUP_ALLOWED_ROLES", "admin"),
        ("ROLLUP_MIN_AGE_DAYS", "0"),
        ("ROLLUP_EXPECTED_BUCKET_OWNER", "me"),
        ("ROLLUP_MAX_AGE_DAYS", "0"),
        ("ROLLUP_LEVEL", "13"),
        ("ROLLUP_LEVEL", "nine"),
        ("ROLLUP_MAX_IN_FLIGHT", "-1"),
        ("ROLLUP_ALLOW_CROSS_REGION", "2"),
        ("ROLLUP_LOG_LEVEL", "loud"),
        ("ROLLUP_DELETES", "true"),
        ("ROLLUP_STORAGE_CLASS", "DEEP_ARCHIVE"),
        ("ROLLUP_TAGS", "team"),
        ("ROLLUP_TAGS", "a=1,a=2"),
        ("ROLLUP_SSE", "rot13"),
        ("ROLLUP_ACL", "public-read"),
        ("ROLLUP_CHECKSUM", "md5"),
        ("ROLLUP_DELETE_VERSIONS", "true"),  # and ROLLUP_DELETE is not
    ],
)
def test_a_wrong_setting_is_refused_by_name(name: str, value: str) -> None:
    """A typing mistake, in a value or in a variable's name, never passes as a default."""
    with pytest.raises(UsageError, match=name):
        Settings.from_environment({"ROLLUP_QUEUE_NAME": "q", name: value})


def test_a_queue_is_needed() -> None:
    """Nothing works without one."""
    with pytest.raises(UsageError, match="ROLLUP_QUEUE_NAME"):
        Settings.from_environment({})


def test_a_kms_key_alone_is_refused() -> None:
    """When the function starts, not when the first rollup is written."""
    with pytest.raises(UsageError, match="a KMS key is used with aws:kms or aws:kms:dsse only"):
        Settings.from_environment({"ROLLUP_QUEUE_NAME": "q", "ROLLUP_SSE_KMS_KEY_ID": "alias/logs"})
