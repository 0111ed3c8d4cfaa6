from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

import pytest
from tests.support.paging import PageByPage
from tests.support.ranges import groups_in_range

from s3_log_roller.errors import RollerError, StorageError
from s3_log_roller.rolling import spans
from s3_log_roller.rolling.outcome import ScanOutcome
from s3_log_roller.rolling.producer import find_tasks
from s3_log_roller.rolling.tasks import RangeTask, RollTask, ScanTask
from s3_log_roller.rolling.window import Window
from s3_log_roller.store import ListedObject, Page
from s3_log_roller.uris import Role, S3Uri, merge_prefixes

ROLE = Role("arn:aws:iam::123456789012:role/r")
WINDOW = Window(date(2022, 7, 3))


class Buckets:
    """Buckets that hold some log days under each prefix; counts what is open and listed."""

    def __init__(self, **days: dict[str, list[int]]) -> None:
        self.days = days
        self.listed: list[str] = []
        self.open_now = 0

    @contextmanager
    def lease(self, bucket: str, role: Role | None, owner: str | None = None) -> Iterator[_Bucket]:
        assert role == ROLE
        if bucket not in self.days:
            raise StorageError(f"the bucket {bucket} does not exist")
        self.open_now += 1
        yield _Bucket(self, bucket)
        self.open_now -= 1


class _Bucket(PageByPage):
    def __init__(self, buckets: Buckets, bucket: str) -> None:
        self.bucket = bucket
        self._buckets = buckets

    def list_page(
        self, prefix: str, start_after: str = "", *, max_keys: int = 1000, continuation_token: str = ""
    ) -> Page:
        """One key a page, so that scans have something to do between two day groups."""
        self._buckets.listed.append(f"{self.bucket}/{prefix}")
        keys = [
            f"{target}2022-06-{day:02}-00-00-00-0123456789ABCDEF"
            for target, days in sorted(self._buckets.days[self.bucket].items())
            for day in days
        ]
        keys = [key for key in keys if key.startswith(prefix) and key > start_after]
        return Page([ListedObject(key, "", 1, 0, False) for key in keys[:1]], len(keys) > 1)


def find(buckets: Buckets, *uris: str, **more: object):  # type: ignore[no-untyped-def]
    scans = [ScanTask(uri.bucket, uri.prefix, WINDOW, ROLE) for uri in map(S3Uri.parse, uris)]
    outcomes: list[ScanOutcome] = []
    failures: dict[str, RollerError] = {}
    tasks = find_tasks(scans, buckets.lease, scanned=outcomes.append, failed=failures.__setitem__, **more)  # type: ignore[arg-type]
    return tasks, outcomes, failures


def test_prefixes_mix() -> None:
    """Workers that take tasks in order do not all end up at one prefix."""
    tasks, outcomes, failures = find(Buckets(one={"a/": [1, 2, 3]}, two={"": [1, 2, 3]}), "s3://one/a/", "s3://two/")
    assert [task.bucket for task in tasks] == ["one", "two"]
    assert [outcome.day_groups for outcome in outcomes] == [3, 3]
    assert not failures


def test_large_prefixes_mix_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the first of two prefixes alone would fill the mixer."""
    many = {f"{number:03}/": [1] for number in range(150)}
    monkeypatch.setattr(spans, "SPAN_GROUPS", 2)
    tasks, _, _ = find(Buckets(one=many, two=many), "s3://one/", "s3://two/")
    assert {next(tasks).bucket for _ in range(10)} == {"one", "two"}


def test_a_day_group_alone_becomes_a_task_with_window_and_role() -> None:
    """The task says what the command asked for."""
    tasks, _, _ = find(Buckets(one={"a/": [1]}), "s3://one/")
    (task,) = tasks
    assert isinstance(task, RollTask)
    assert (str(task.group), task.window, task.role) == ("s3://one/a/2022-06-01", WINDOW, ROLE)


def test_neighbouring_day_groups_become_one_task() -> None:
    """A range of keys that holds them all, with what the command asked for."""
    buckets = Buckets(one={"a/": [1], "b-": [1]})
    tasks, outcomes, _ = find(buckets, "s3://one/")
    (task,) = tasks
    assert task == RangeTask("one", "", WINDOW, ROLE, groups=2)
    assert outcomes[0].day_groups == 2
    with buckets.lease("one", ROLE) as store:
        alone = [str(one) for one in groups_in_range(store, task)]  # type: ignore[arg-type]
    assert alone == ["s3://one/a/2022-06-01", "s3://one/b-2022-06-01"]


def test_a_failing_prefix_does_not_stop_the_others() -> None:
    """The missing bucket is named, the tasks of the others come."""
    tasks, outcomes, failures = find(Buckets(one={"": [1, 2]}), "s3://gone/x/", "s3://one/")
    assert len(list(tasks)) == 1
    assert [str(error) for error in failures.values()] == ["the bucket gone does not exist"]
    assert list(failures) == ["s3://gone/x/"]
    assert len(outcomes) == 1


def test_only_some_scans_are_begun_at_a_time() -> None:
    """Thousands of prefixes do not mean thousands of open buckets; in the end all were scanned."""
    buckets = Buckets(one={f"{number:03}/": [1] for number in range(100)})
    tasks, outcomes, _ = find(buckets, *(f"s3://one/{number:03}/" for number in range(100)))
    most_open = 0
    for _ in tasks:
        most_open = max(most_open, buckets.open_now)
    assert most_open <= 16
    assert len(outcomes) == 100


def test_where_time_ran_short_a_scan_task_says_where_to_go_on() -> None:
    """After the deadline the rest of the scan becomes a task of its own, and nothing is lost."""
    buckets = Buckets(one={"a/": [1, 2, 3]})
    tasks, _, _ = find(buckets, "s3://one/", time_left_s=lambda: 1.0, reserve_s=5.0)
    first, rest = tasks
    assert str(first.group) == "s3://one/a/2022-06-01"
    assert isinstance(rest, ScanTask)
    tasks = find_tasks([rest], buckets.lease, scanned=lambda _: None, failed=lambda *_: None)  # type: ignore[arg-type]
    assert list(tasks) == [RangeTask("one", "", WINDOW, ROLE, rest.start_after, groups=2)]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("s3://bbb/x/ s3://bbb/ s3://aaa/y", "s3://bbb/ s3://aaa/y"),
        ("s3://bbb/x s3://bbb/x s3://bbb/x/y s3://bbb/w", "s3://bbb/x s3://bbb/w"),
        ("s3://bbb/ s3://bbbb/", "s3://bbb/ s3://bbbb/"),
    ],
)
def test_overlapping_prefixes_are_scanned_once(given: str, kept: str) -> None:
    """Duplicates and prefixes within prefixes are merged, the order stays, other buckets are other buckets."""
    assert [str(uri) for uri in merge_prefixes(map(S3Uri.parse, given.split()))] == kept.split()
