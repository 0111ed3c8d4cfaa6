from __future__ import annotations

from datetime import date

import pytest

from s3_log_roller.errors import UsageError
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rolling.window import Window, parse_day

DAY = date(2022, 7, 1)


@pytest.mark.parametrize(
    ("exclude", "target_prefix", "excluded"),
    [
        ("old/", "old/a/", True),
        ("old", "older/", True),
        ("", "web/", True),
        ("web/2022-07-01", "web/", True),
        ("web/2022-06", "web/", False),
        ("web/2022-07-01-05", "web/", False),
        ("web/", "web", False),
    ],
)
def test_a_day_group_is_left_out_whole_or_not_at_all(exclude: str, target_prefix: str, excluded: bool) -> None:
    """An exclusion that begins inside a day leaves nothing out: a day is rolled up whole."""
    window = Window(date(2022, 7, 2), exclude=(exclude,))
    assert (DayGroup("logs", target_prefix, DAY) not in window) is excluded
    assert window.has_day(DAY)


def a_day(day: int) -> date:
    return date(2022, 7, day)


@pytest.mark.parametrize(
    ("min_age", "max_age", "since", "until", "first", "last"),
    [
        (1, None, None, None, None, 19),
        (3, None, None, None, None, 17),
        (1, None, a_day(5), None, 5, 19),
        (1, None, None, a_day(8), None, 8),
        (1, None, a_day(8), a_day(8), 8, 8),
        (3, None, None, a_day(19), None, 17),
        (1, 4, None, None, 16, 19),
        (1, 4, a_day(5), None, 16, 19),
        (1, 4, a_day(18), None, 18, 19),
        (4, 4, None, None, 16, 16),
    ],
)
def test_the_days_of_a_run(
    min_age: int, max_age: int | None, since: date | None, until: date | None, first: int | None, last: int
) -> None:
    """On the 20th: both ends are included, today and younger days than asked for never are."""
    window = Window.of_days(a_day(20), min_age_days=min_age, max_age_days=max_age, since=since, until=until)
    days = [day for day in range(1, 29) if window.has_day(a_day(day))]
    assert days == list(range(first or 1, last + 1))
    assert window.has_day(date(2006, 3, 14)) is (first is None)


@pytest.mark.parametrize(
    ("min_age", "max_age", "since", "until", "says"),
    [
        (1, None, a_day(20), None, "is 2022-07-20, the last day allowed is 2022-07-19 (today is 2022-07-20)"),
        (1, None, a_day(9), a_day(8), "is 2022-07-09, the last day allowed is 2022-07-08 (today is 2022-07-20)"),
        (5, 4, None, None, "is 2022-07-16, the last day allowed is 2022-07-15 (today is 2022-07-20)"),
    ],
)
def test_a_run_without_any_day_is_refused(
    min_age: int, max_age: int | None, since: date | None, until: date | None, says: str
) -> None:
    """It would find nothing and read like success."""
    with pytest.raises(UsageError) as refused:
        Window.of_days(a_day(20), min_age_days=min_age, max_age_days=max_age, since=since, until=until)
    assert says in str(refused.value)


@pytest.mark.parametrize("text", ["", "20220701", "2022-7-1", "2022-02-30", "2022-W26-5", "2022-07-01T00:00"])
def test_only_a_date_with_dashes_is_a_day(text: str) -> None:
    """Python reads other spellings, too; one that is not meant as a date must not roll anything up."""
    assert parse_day("2022-07-01") == a_day(1)
    with pytest.raises(UsageError, match="is not a date: write YYYY-MM-DD"):
        parse_day(text)
