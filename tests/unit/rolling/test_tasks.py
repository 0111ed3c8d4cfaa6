"""Messages: what goes in comes out, and nothing else comes out."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_log_roller.errors import MalformedTask, RollerError
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rolling.tasks import RangeTask, RollTask, ScanTask, Task, decode_task, encode_task
from s3_log_roller.rolling.window import Window
from s3_log_roller.uris import Role

BUCKETS = st.from_regex(r"[a-z0-9][a-z0-9-]{1,20}[a-z0-9]", fullmatch=True)
PREFIXES = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
ROLES = st.none() | st.builds(
    Role,
    st.just("arn:aws:iam::123456789012:role/path/name"),
    st.none() | st.just("external:id"),
)
OWNERS = st.none() | st.just("210987654321")
WINDOWS = st.builds(Window, st.dates(date(2020, 1, 2)), st.none() | st.just(date(2010, 1, 1)))
ROLL_TASKS = st.builds(
    lambda bucket, prefix, window, role, most, owner: RollTask(
        DayGroup(bucket, prefix, window.cutoff - timedelta(days=1)), window, role, most, owner
    ),
    BUCKETS,
    PREFIXES,
    WINDOWS,
    ROLES,
    st.none() | st.integers(1),
    OWNERS,
)
EXCLUDING_WINDOWS = st.builds(
    lambda window, exclude: replace(window, exclude=tuple(exclude)), WINDOWS, st.lists(PREFIXES, max_size=3)
)
SCAN_TASKS = st.builds(ScanTask, BUCKETS, PREFIXES, EXCLUDING_WINDOWS, ROLES, PREFIXES, OWNERS)

RANGE_TASKS = st.builds(
    lambda bucket, prefix, window, role, start_after, more, owner, groups: RangeTask(
        bucket, prefix, window, role, start_after, start_after + more if more else "", owner, groups=groups
    ),
    BUCKETS,
    PREFIXES,
    EXCLUDING_WINDOWS,
    ROLES,
    PREFIXES,
    PREFIXES,
    OWNERS,
    st.integers(0, 1_000),
)


@given(ROLL_TASKS | SCAN_TASKS | RANGE_TASKS)
def test_a_task_survives_its_message(task: Task) -> None:
    """Every task is exactly what its message decodes to, and the message is one line of ASCII."""
    body = encode_task(task)
    assert body.isascii()
    assert "\n" not in body
    assert decode_task(body) == task


GOOD = {"v": 1, "task": "roll", "bucket": "bucket", "target_prefix": "p/", "day": "2022-07-01", "cutoff": "2022-07-02"}


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"task": "delete"},
        {"bucket": "../x"},
        {"bucket": 7},
        {"target_prefix": None},
        {"day": "2022-02-30"},
        {"day": "20220701"},
        {"day": "2022-07-02"},
        {"since": "2022-07-02"},
        {"max_members": 0},
        {"owner": "me"},
        {"max_members": True},
        {"target_prefix": "p\udc80/"},
        {"task": "range", "prefix": "", "start_after": "b", "end": "a"},
        {"task": "range", "prefix": "p\ud800"},
        {"task": "range", "prefix": "", "groups": 0},
        {"task": "range", "prefix": "", "borders": [f"{number:03}" for number in range(101)]},
        {"role": "arn:aws:iam::1:user/me"},
        {"keys": ["a"]},
    ],
)
def test_a_message_that_is_no_task_is_refused(change: dict[str, object]) -> None:
    """Wrong versions, kinds, types, days outside the window and unknown fields are malformed, with a reason."""
    decode_task(json.dumps(GOOD))
    with pytest.raises(MalformedTask):
        decode_task(json.dumps(GOOD | change))


@given(
    st.text()
    | st.recursive(st.none() | st.booleans() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)).map(
        json.dumps
    )
)
@pytest.mark.heavy
def test_any_text_decodes_or_is_malformed(body: str) -> None:
    """Whatever is in a message, nothing but `MalformedTask` comes of it."""
    with contextlib.suppress(MalformedTask):
        decode_task(body)


def test_the_sts_form_of_a_role_is_read_as_the_iam_form() -> None:
    """The form of this project's usage example names the same role; other partitions stay what they are."""
    assert Role.parse("arn:aws:sts::123456789012:role/x").arn == "arn:aws:iam::123456789012:role/x"
    assert Role.parse("arn:aws-cn:iam::123456789012:role/a/b").arn == "arn:aws-cn:iam::123456789012:role/a/b"
    with pytest.raises(RollerError):
        Role.parse("arn:aws:iam::123456789012:user/x")


def test_a_message_of_more_than_16_kib_is_no_task() -> None:
    """Whatever else is right about it: this program never writes one."""
    body = encode_task(ScanTask("logs", "p/", Window(date(2022, 7, 3))))
    assert decode_task(body.ljust(16 * 1024)) == decode_task(body)
    with pytest.raises(MalformedTask, match="has 16385 characters, a task at most 16384"):
        decode_task(body.ljust(16 * 1024 + 1))


def test_a_message_with_a_lone_surrogate_is_malformed() -> None:
    """JSON may hold one; no key in S3 can, so nothing is asked of S3 with it."""
    task = encode_task(RollTask(DayGroup("bucket", "p-", date(2022, 7, 1)), Window(date(2022, 8, 1))))
    with pytest.raises(MalformedTask, match="lone surrogate"):
        decode_task(task.replace("p-", "p\\ud800-"))


def test_the_rest_of_a_range_is_a_task_wherever_it_begins() -> None:
    """Also at a border, which lies behind it then no more."""
    task = RangeTask("bucket", "p", Window(date(2022, 8, 1)), end="p9", borders=("p2", "p4"))
    for start_after, borders in (("p1", ("p2", "p4")), ("p2", ("p4",)), ("p3", ("p4",)), ("p4", ())):
        rest = task.rest(start_after)
        assert (rest.start_after, rest.end, rest.borders) == (start_after, "p9", borders)
        assert decode_task(encode_task(rest)) == rest


def test_a_task_for_a_day_group_is_for_its_bucket() -> None:
    """Whose credentials are then taken."""
    assert RollTask(DayGroup("logs", "p/", date(2022, 7, 1)), Window(date(2022, 8, 1))).bucket == "logs"
