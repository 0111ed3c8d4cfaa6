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


FULL_WINDOW = Window(date(2022, 7, 2), date(2022, 6, 1), ("p/not/", "p/nor/"))
ROLE = Role("arn:aws:iam::123456789012:role/r", "external:id")


@pytest.mark.parametrize(
    "task",
    [
        ScanTask("bucket", "p/", FULL_WINDOW, ROLE, "p/a", "210987654321", "p/z"),
        RollTask(DayGroup("bucket", "p/\u00e9", date(2022, 7, 1)), FULL_WINDOW, ROLE, 1, "210987654321"),
        RangeTask("bucket", "p/", FULL_WINDOW, replace(ROLE, external_id=None), groups=1),
        RangeTask("bucket", "", FULL_WINDOW, borders=tuple(f"{number:03}" for number in range(100))),
    ],
)
def test_no_field_of_a_task_is_lost_in_its_message(task: Task) -> None:
    """The smallest figures and the most borders among them."""
    assert decode_task(encode_task(task)) == task


RANGE = {"v": 1, "task": "range", "bucket": "bucket", "prefix": "p", "cutoff": "2022-07-02"}


@pytest.mark.parametrize(
    ("good", "change", "reason"),
    [
        (GOOD, {"v": 2}, "not a task of version 1"),
        (GOOD, {"task": "delete"}, "not 'scan', 'roll' or 'range' but 'delete'"),
        (GOOD, {"bucket": "../x"}, "not a valid bucket name"),
        (GOOD, {"bucket": 7}, "'bucket' is missing, or not a text"),
        (GOOD, {"target_prefix": None}, "'target_prefix' is missing, or not a text"),
        (GOOD, {"target_prefix": "p\udc80/"}, "lone surrogate"),
        (GOOD, {"day": "2022-02-30"}, "day is not a date"),
        (GOOD, {"day": "20220701"}, "day is not written as YYYY-MM-DD"),
        (GOOD, {"day": "2022-07-02"}, "outside the task's own window"),
        (GOOD, {"since": "2022-07-02"}, "outside the task's own window"),
        (GOOD, {"max_members": 0}, "max_members is not a positive number"),
        (GOOD, {"max_members": True}, "max_members is not a positive number"),
        (GOOD, {"owner": "me"}, "me"),
        (GOOD, {"role": "arn:aws:iam::1:user/me"}, "arn:aws:iam::1:user/me"),
        (GOOD, {"keys": ["a"]}, "fields this version does not know: keys"),
        (RANGE, {"start_after": "pb", "end": "pa"}, "not in order"),
        (RANGE, {"borders": ["pb", "pa"]}, "not in order"),
        (RANGE, {"borders": ["pa", "pa"]}, "not in order"),
        (RANGE, {"prefix": "p\ud800"}, "lone surrogate"),
        (RANGE, {"groups": 0}, "groups is not a positive number"),
        (RANGE, {"borders": [f"{number:03}" for number in range(101)]}, "101 borders, more than 100"),
        (RANGE, {"borders": "pa"}, "'borders' is not a list of texts"),
        (RANGE, {"exclude": [7]}, "'exclude' is missing, or not a text"),
    ],
)
def test_a_message_that_is_no_task_is_refused(good: dict[str, object], change: dict[str, object], reason: str) -> None:
    """Wrong versions, kinds, types, days outside the window and unknown fields are malformed, with the reason."""
    decode_task(json.dumps(good))
    with pytest.raises(MalformedTask, match=reason):
        decode_task(json.dumps(good | change))


@pytest.mark.parametrize(
    ("body", "reason"),
    [("", "not JSON"), ("{", "not JSON"), ("[" * 9_999, "not JSON"), ("[]", "not a JSON object"), ("null", "object")],
)
def test_what_is_not_a_json_object_is_malformed(body: str, reason: str) -> None:
    """Whatever else it is."""
    with pytest.raises(MalformedTask, match=reason):
        decode_task(body)


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
    task = RangeTask("bucket", "p", Window(date(2022, 8, 1)), end="p9", borders=("p2", "p4"), groups=7, tries=2)
    for start_after, borders in (("p1", ("p2", "p4")), ("p2", ("p4",)), ("p3", ("p4",)), ("p4", ())):
        rest = task.rest(start_after)
        assert (rest.start_after, rest.end, rest.borders) == (start_after, "p9", borders)
        assert rest.groups == rest.tries == 0
        assert decode_task(encode_task(rest)) == rest


def test_a_task_for_a_day_group_is_for_its_bucket() -> None:
    """Whose credentials are then taken."""
    assert RollTask(DayGroup("logs", "p/", date(2022, 7, 1)), Window(date(2022, 8, 1))).bucket == "logs"
