"""Which logs are wanted: by the time in their names, or by name."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from tests.support.logs import DAY, PREFIX, log_key

from s3_log_roller.errors import UsageError
from s3_log_roller.reading.selection import Selection, iso_time

NOON = 12 * 3600
A_DAY = 24 * 3600
DAY_AT = 1_656_633_600
"""The beginning of `DAY`."""


def name(second: int, day: date = DAY) -> str:
    return log_key(second, day=day)[len(PREFIX) :]


@pytest.mark.parametrize(
    ("since", "until", "wanted"),
    [
        (None, None, [0, 1, 2, 3]),
        (f"{DAY}", None, [1, 2, 3]),
        (None, f"{DAY}", [0, 1, 2]),
        (f"{DAY}", f"{DAY}", [1, 2]),
        (f"{DAY}T12:00", None, [2, 3]),
        (None, f"{DAY}T11", [0, 1]),
        (None, f"{DAY}T12:00:00", [0, 1, 2]),
        (f"{DAY}T12:00:01", f"{DAY}T23", []),
    ],
)
@pytest.mark.parametrize("by_mtime", [False, True])
def test_logs_are_wanted_by_their_time(since: str | None, until: str | None, wanted: list[int], by_mtime: bool) -> None:
    """Both ends are included, all of what they name. Where a name tells no time, that of its writing counts."""
    selection = Selection.parse(since, until, None)
    names = [name(NOON, DAY - timedelta(1)), name(0), name(NOON), name(0, DAY + timedelta(1))]
    times = [DAY_AT - NOON, DAY_AT, DAY_AT + NOON, DAY_AT + A_DAY]
    found = [
        number
        for number, (one, mtime) in enumerate(zip(names, times, strict=True))
        if selection.has("no-log.txt" if by_mtime else one, mtime if by_mtime else 0)
    ]
    assert found == wanted
    assert selection.is_all is (since is None and until is None)


def test_a_time_that_no_calendar_has_is_before_all_others() -> None:
    """A header may claim any number."""
    assert not Selection.parse(f"{DAY}", None, None).has("no-log.txt", 1 << 60)
    assert Selection.parse(None, f"{DAY}", None).has("no-log.txt", 1 << 60)


def test_a_log_that_is_named_is_wanted_on_its_day_alone() -> None:
    """Whole keys and URIs are names, too; what does not look like a log may be of any day."""
    selection = Selection.parse(None, None, [f"s3://bucket/{log_key(1)}"])
    assert selection.has(name(1), 0)
    assert not selection.has(name(2), 0)
    assert not selection.is_all
    assert [selection.has_day(DAY + timedelta(days)) for days in (-1, 0, 1)] == [False, True, False]
    either = Selection.parse(None, None, [name(1), "some.txt"])
    assert either.has_day(DAY + timedelta(1))


def test_days_are_wanted_as_far_as_logs_of_them_can_be() -> None:
    """From the day of the first time up to that of the last."""
    selection = Selection.parse(f"{DAY}T12", f"{DAY + timedelta(1)}T05", None)
    assert [selection.has_day(DAY + timedelta(days)) for days in (-1, 0, 1, 2)] == [False, True, True, False]


@pytest.mark.parametrize(
    ("since", "until", "low", "high"),
    [
        (None, None, "", "~"),
        ("2022-07-01T05:15", None, "2022-07-01", "~"),
        (None, "2022-07-01T05:15", "", "2022-07-03:"),
        ("2022-06-30T05:15:43", "2022-07-01T05:15", "2022-06-30", "2022-07-03:"),
        ("2022-07-01", "2022-07-01", "2022-07-01", "2022-07-03:"),
    ],
)
def test_requests_are_looked_for_where_they_can_have_been_delivered(
    since: str | None, until: str | None, low: str, high: str
) -> None:
    """From the beginning of their day, up to two days after."""
    assert Selection().delivered_for(since, until) == Selection(low, high)
    narrow = Selection.parse("2022-07-02", "2022-07-02", None).delivered_for(since, until)
    assert (narrow.low, narrow.high) == ("2022-07-02", "2022-07-02:")


def test_times_the_wrong_way_round_are_refused() -> None:
    """Else nothing would be found, and nobody would know why."""
    with pytest.raises(UsageError, match="--since 2022-07-02 is later than --until 2022-07-01"):
        Selection.parse("2022-07-02", "2022-07-01", None)
    with pytest.raises(UsageError, match="--record-since 2022-07-01T06 is later than --record-until 2022-07-01T05"):
        Selection().delivered_for("2022-07-01T06", "2022-07-01T05")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2022-07-01", "2022-07-01"),
        ("2022-07-01 05", "2022-07-01T05"),
        ("2022-07-01T0515Z", "2022-07-01T05:15"),
        ("2022-07-01T05:15:43", "2022-07-01T05:15:43"),
    ],
)
def test_times_are_written_as_records_have_them(text: str, written: str) -> None:
    """Whichever way they were given."""
    assert iso_time(text) == written
