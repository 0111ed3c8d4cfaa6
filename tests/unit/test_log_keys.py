"""What is a log, what is a rollup, and what is neither."""

from __future__ import annotations

from datetime import date, datetime
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_log_roller.log_keys import DayGroup, LogKey, after_day, parse_log_key, parse_rollup_key

TARGET_PREFIXES = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.sampled_from(
    ["", "logs-", "example.com/", "123456789012/us-west-2/bucket/2022/07/01/", "a//b/", "2022-07-01-"]
)
MOMENTS = st.datetimes(datetime(2006, 1, 1), datetime(2099, 12, 31))  # noqa: DTZ001 - Hypothesis wants naive bounds
UNIQUE = st.text("0123456789ABCDEF", min_size=16, max_size=16)


def key_at(target_prefix: str, moment: datetime, unique: str) -> str:
    return f"{target_prefix}{moment:%Y-%m-%d-%H-%M-%S}-{unique}"


@given(TARGET_PREFIXES, MOMENTS, UNIQUE)
def test_every_log_key_parses_whatever_its_target_prefix(target_prefix: str, moment: datetime, unique: str) -> None:
    """Any target prefix, empty or not, with or without a slash, comes back exactly."""
    assert parse_log_key(key_at(target_prefix, moment, unique)) == LogKey(target_prefix, moment.date())


@pytest.mark.parametrize(
    "key",
    [
        "",
        "example.com/",
        "2022-02-30-05-15-43-42117B9A70B0F1BA",  # no such day
        "2022-13-01-05-15-43-42117B9A70B0F1BA",  # no such month
        "0000-01-01-05-15-43-42117B9A70B0F1BA",  # no such year
        "2022-07-01-24-15-43-42117B9A70B0F1BA",  # no such hour
        "2022-07-01-05-60-43-42117B9A70B0F1BA",  # no such minute
        "2022-07-01-05-15-60-42117B9A70B0F1BA",  # no such second
        "2022-07-01-05-15-43-42117B9A70B0F1BA.gz",
        "2022-07-01-05-15-43-42117B9A70B0F1BA/",
        "2022-07-01-05-15-43-42117b9a70b0f1ba",
        "2022-07-01-05-15-43-42117B9A70B0F1B",
        "2022-07-01-05-15-43-42117B9A70B0F1BA\n",
        "\u0662\u0660\u0662\u0662-07-01-05-15-43-42117B9A70B0F1BA",  # Arabic digits
        "2022-07-01/report.csv",
        "rollup-2022-07-01-e26daa03.tgz",
    ],
)
def test_anything_else_is_simply_no_log(key: str) -> None:
    """Impossible dates and times, other suffixes, folders and rollups are no logs, and raise nothing."""
    assert parse_log_key(key) is None


@given(TARGET_PREFIXES, MOMENTS, UNIQUE)
def test_a_rollup_key_names_its_day_group_and_first_member(target_prefix: str, moment: datetime, unique: str) -> None:
    """The key parses back to them, and is never taken for a log."""
    group = DayGroup("bucket", target_prefix, moment.date())
    first = key_at(target_prefix, moment, unique)
    key = group.rollup_key(first[len(target_prefix) :])
    parsed = parse_rollup_key(key)
    assert parsed == (target_prefix, moment.date(), sha256(first.encode()).hexdigest()[:8])
    assert key.startswith(group.rollups_prefix)
    assert parse_log_key(key) is None


def test_the_next_digits_make_the_name_when_one_is_taken() -> None:
    """All 64 digits of the SHA-256, 8 after the other; then there is no name left."""
    group = DayGroup("bucket", "example.com/\udcff", date(2022, 7, 1))
    suffix = "2022-07-01-05-15-43-42117B9A70B0F1BA"
    digits = sha256(b"example.com/\xff" + suffix.encode()).hexdigest()
    taken: list[str] = []
    for start in range(0, 64, 8):
        taken.append(group.rollup_key(suffix, taken))
        assert taken[-1].endswith(f"rollup-2022-07-01-{digits[start : start + 8]}.tgz")
    with pytest.raises(ValueError, match="taken"):
        group.rollup_key(suffix, taken)


@given(TARGET_PREFIXES, MOMENTS, UNIQUE, MOMENTS, UNIQUE)
def test_skipping_a_day_skips_that_day_only(
    target_prefix: str, moment: datetime, unique: str, other: datetime, other_unique: str
) -> None:
    """`after_day` is above every log of the day and below every log of a later one, in S3's order."""
    skip = after_day(key_at(target_prefix, moment, unique))
    skipped = key_at(target_prefix, other, other_unique).encode("utf-8") <= skip.encode("utf-8")
    assert skipped == (other.date() <= moment.date())
