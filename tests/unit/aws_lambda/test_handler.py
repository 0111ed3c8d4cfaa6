"""The Lambda function: which event starts what, what is refused, and how any backlog is worked off in short steps."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from hashlib import sha256
from itertools import count
from typing import Any

import pytest
from tests.support.logs import DAY, TODAY, log_key
from tests.support.memory_store import MemoryStore

from s3_log_roller.aws.buckets import Connection
from s3_log_roller.aws_lambda import handler, producing, working
from s3_log_roller.aws_lambda.batch import add_log_fields
from s3_log_roller.aws_lambda.handler import Function
from s3_log_roller.aws_lambda.manifest import LoggedManifest
from s3_log_roller.aws_lambda.payload import parse_payload
from s3_log_roller.aws_lambda.producing import ProducerFailed
from s3_log_roller.aws_lambda.settings import Settings
from s3_log_roller.aws_lambda.working import smaller_step
from s3_log_roller.errors import OutOfTime, QueueError, StorageError, UsageError
from s3_log_roller.log_keys import DayGroup, parse_log_key, parse_rollup_key
from s3_log_roller.log_output import JsonFormatter
from s3_log_roller.rolling import spans
from s3_log_roller.rolling.tasks import RangeTask, RollTask, ScanTask, Task, decode_task, encode_task
from s3_log_roller.rolling.window import Window
from s3_log_roller.rollup.manifest import parse_line
from s3_log_roller.store import ListedObject
from s3_log_roller.stored_as import StoredAs
from s3_log_roller.uris import Role

WINDOW = Window(TODAY)
ROLE = "arn:aws:iam::123456789012:role/access"
SETTINGS = Settings("q", allowed_roles=frozenset({ROLE}))


class Clock:
    """Time that passes only where a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Killed(BaseException):
    """What Lambda does at the time limit: nothing runs after it."""


class Context:
    """One invocation with a time limit."""

    def __init__(self, clock: Clock, limit_s: float = 900, request_id: str = "request-1") -> None:
        self.aws_request_id = request_id
        self._clock = clock
        self._ends = clock.now + limit_s

    def get_remaining_time_in_millis(self) -> int:
        if self._clock.now > self._ends:
            raise Killed
        return int(1000 * (self._ends - self._clock.now))


class Queue:
    """A queue that keeps what is sent, gives it out in batches, and sets aside what failed three times."""

    def __init__(self) -> None:
        self.waiting: list[tuple[str, str, int]] = []
        self._given: list[tuple[str, str, int]] = []
        self.dead: list[str] = []
        self.refuse = False
        self.room = 1_000_000
        self._ids = count(1)

    def send(self, tasks: Iterable[Task]) -> int:
        bodies = [encode_task(task) for task in tasks]
        if bodies and self.refuse:
            raise QueueError("the queue is gone")
        if len(bodies) > self.room:
            raise QueueError("the queue is full")
        self.room -= len(bodies)
        self.put(*bodies)
        return len(bodies)

    def put(self, *bodies: str) -> None:
        self.waiting += [(f"m{next(self._ids)}", body, 0) for body in bodies]

    def backlog(self) -> int | None:
        return len(self.waiting)

    def receive(self, wait_seconds: int) -> None:
        raise AssertionError("the mapping receives, not the function")

    @property
    def tasks(self) -> list[Task]:
        return [decode_task(body) for _, body, _ in self.waiting]

    def event(self, batch: int) -> dict[str, Any]:
        self._given, self.waiting = self.waiting[:batch], self.waiting[batch:]
        return {"Records": [record(body, name, receives + 1) for name, body, receives in self._given]}

    def settle(self, answer: dict[str, Any]) -> None:
        failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        for name, body, receives in self._given:
            if name in failed and receives + 1 == 3:
                self.dead.append(body)
            elif name in failed:
                self.waiting.append((name, body, receives + 1))


def record(body: str | Task, message_id: str, receives: int = 1) -> dict[str, Any]:
    text = body if isinstance(body, str) else encode_task(body)
    attributes = {"ApproximateReceiveCount": str(receives)}
    return {"eventSource": "aws:sqs", "messageId": message_id, "body": text, "attributes": attributes}


def fill(store: MemoryStore, prefix: str, day: date, logs: int) -> dict[str, bytes]:
    made = {log_key(18_000 + number, prefix, day): f"log {prefix} {day} {number}\n".encode() for number in range(logs)}
    for key, body in made.items():
        store.put(key, body)
    return made


class Machine:
    """A function, its queue and its buckets, on a clock of their own."""

    def __init__(self, *stores: MemoryStore, settings: Settings = SETTINGS, limit_s: float = 900) -> None:
        self.clock = Clock()
        self.queue = Queue()
        self.limit_s = limit_s
        self.invocations = 0
        self.opened: list[tuple[str, Role | None]] = []
        self.owners: list[str | None] = []
        self._stores = {store.bucket: store for store in stores}
        self._function = Function(settings, self.queue, self.open, lambda: TODAY, self.clock)

    @contextmanager
    def open(self, bucket: str, role: Role | None, owner: str | None) -> Iterator[MemoryStore]:
        self.opened.append((bucket, role))
        self.owners.append(owner)
        if bucket not in self._stores:
            raise StorageError(f"the bucket s3://{bucket} does not exist")
        yield self._stores[bucket]

    def invoke(self, event: Any) -> dict[str, Any]:
        self.invocations += 1
        return self._function.invoke(event, Context(self.clock, self.limit_s, f"request-{self.invocations}"))

    def work_off(self, batch: int = 1) -> None:
        """What the event source mapping does."""
        while self.queue.waiting:
            assert self.invocations < 1000, "it goes round in circles"
            self.queue.settle(self.invoke(self.queue.event(batch)))


def members(store: MemoryStore) -> list[str]:
    """The keys inside all rollups of the store, repeated where they are in several, as tar sees them."""
    found = []
    for key, stored in store.objects.items():
        if rollup := parse_rollup_key(key):
            with tarfile.open(fileobj=io.BytesIO(stored.body)) as tar:
                found += [rollup.target_prefix + name for name in tar.getnames()]
    return sorted(found)


def metrics_in(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines() if '"_aws"' in line]


class TestEvents:
    """Which mode an event starts."""

    @pytest.mark.parametrize(
        ("event", "said"),
        [
            ({}, "an object with the keys none"),
            ({"Records": []}, "an object with the keys Records"),
            ({"Records": [{"eventSource": "aws:s3", "body": "x", "messageId": "1"}]}, "the keys Records"),
            ({"detail-type": "secret value", "time": 1}, "an object with the keys detail-type, time"),
            ([1, 2], "a list"),
            ("secret text", "a str"),
            (None, "a NoneType"),
        ],
    )
    def test_anything_else_is_an_error_that_tells_its_shape_only(
        self, event: Any, said: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """No malformed event starts a run, and none of its contents gets into a log. An alarm can hear of it."""
        machine = Machine()
        with pytest.raises(UsageError, match=said) as error:
            machine.invoke(event)
        assert "secret" not in str(error.value)
        assert machine.opened == []
        (metrics,) = metrics_in(capsys.readouterr().out)
        assert (metrics["Failures"], "secret" in str(metrics)) == (1, False)

    def test_a_payload_sends_a_task_for_neighbouring_day_groups(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Producer mode scans the prefixes with the payload's role and answers with figures."""
        store = MemoryStore("logs")
        fill(store, "a/", date(2022, 7, 1), 2)
        fill(store, "b/", date(2022, 7, 9), 1)
        fill(store, "b/", TODAY, 1)
        machine = Machine(store)
        answer = machine.invoke({"prefixes": ["s3://logs/"], "s3_role": ROLE, "external_id": "id"})
        assert answer == {"prefixes_scanned": 1, "day_groups_found": 2, "tasks_sent": 1, "failures": []}
        (task,) = machine.queue.tasks
        assert isinstance(task, RangeTask)
        assert task.role == Role(ROLE, "id")
        (metrics,) = metrics_in(capsys.readouterr().out)
        assert (metrics["DayGroupsFound"], metrics["ScanFailures"], metrics["request_id"]) == (2, 0, "request-1")

    def test_a_producer_warns_of_tasks_that_earlier_runs_left(self, caplog: pytest.LogCaptureFixture) -> None:
        """Else a queue that grows from day to day is noticed when its messages expire."""
        store = MemoryStore("logs")
        fill(store, "a/", date(2022, 7, 1), 1)
        machine = Machine(store)
        for expected in ([], [1]):
            caplog.clear()
            machine.invoke({"prefixes": ["s3://logs/"]})
            told = [one.__dict__["tasks"] for one in caplog.records if one.message == "queue_not_empty"]
            assert told == expected

    def test_a_failed_prefix_is_answered_once_tasks_are_sent(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An error would have Lambda run the event again, twice, and 40 tasks become 120. A metric tells instead."""
        monkeypatch.setattr(spans, "SPAN_GROUPS", 1)
        store = MemoryStore("logs")
        for number in range(40):
            fill(store, f"{number:02}/", date(2022, 7, 1), 1)
        machine = Machine(store)
        answer = machine.invoke({"prefixes": ["s3://nowhere/", "s3://logs/"]})
        assert (answer["tasks_sent"], answer["prefixes_scanned"]) == (40, 1)
        assert answer["failures"] == [{"what": "s3://nowhere/", "why": "the bucket s3://nowhere does not exist"}]
        assert len(machine.queue.tasks) == 40
        (metrics,) = metrics_in(capsys.readouterr().out)
        assert (metrics["Failures"], metrics["ScanFailures"]) == (1, 1)

    def test_a_payload_of_which_nothing_could_be_done_fails_the_invocation(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """No task was sent, so running it again does no harm, and what failed goes to the queue of failed payloads."""
        machine = Machine(MemoryStore("empty"))
        with pytest.raises(ProducerFailed, match=r"1 of 2 prefixes .*s3://nowhere does not exist"):
            machine.invoke({"prefixes": ["s3://nowhere/", "s3://empty/"]})
        (metrics,) = metrics_in(capsys.readouterr().out)
        assert (metrics["Failures"], metrics["ScanFailures"]) == (1, 1)

    @pytest.mark.parametrize(("taken", "raises"), [(0, True), (10, False)])
    def test_a_queue_that_fails_midway_is_answered(
        self, taken: int, raises: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is in the queue already is not sent again; the next schedule finds the rest."""
        monkeypatch.setattr(spans, "SPAN_GROUPS", 1)
        store = MemoryStore("logs")
        for number in range(15):
            fill(store, f"{number:02}/", date(2022, 7, 1), 1)
        machine = Machine(store)
        machine.queue.room = taken
        if raises:
            with pytest.raises(QueueError):
                machine.invoke({"prefixes": ["s3://logs/"]})
            return
        answer = machine.invoke({"prefixes": ["s3://logs/"]})
        assert (answer["tasks_sent"], answer["failures"]) == (10, [{"what": "queue q", "why": "the queue is full"}])

    def test_what_a_schedule_found_is_counted_for_it(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A schedule that finds nothing is noticed beside others that do."""
        store = MemoryStore("logs", page_size=1)
        fill(store, "a/", date(2022, 7, 1), 1)
        machine = Machine(store)
        machine.invoke({"prefixes": ["s3://logs/a/"], "schedule": "right"})
        machine.invoke({"prefixes": ["s3://logs/typo/"], "schedule": "wrong"})
        machine.invoke({"prefixes": ["s3://logs/a/"]})
        right, wrong, none = metrics_in(capsys.readouterr().out)
        assert (right["Schedule"], right["DayGroupsFound"]) == ("right", 1)
        assert (wrong["Schedule"], wrong["DayGroupsFound"]) == ("wrong", 0)
        assert "Schedule" not in none

    def test_a_scan_that_goes_on_is_not_counted_as_one_that_found_nothing(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The alarm would ring for a listing that merely takes long."""
        store = MemoryStore("logs", page_size=1)
        for number in range(20):
            fill(store, f"{number:02}/", TODAY, 1)  # which is no day group yet
        machine = Machine(store)
        store.before = lambda step, key: setattr(machine.clock, "now", machine.clock.now + 100)
        machine.invoke({"prefixes": ["s3://logs/"], "schedule": "slow"})
        assert [type(task) for task in machine.queue.tasks] == [ScanTask]
        (metrics,) = metrics_in(capsys.readouterr().out)
        assert "Schedule" not in metrics

    def test_one_bad_message_does_not_repeat_its_neighbours(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The answer names the failed messages only; the others of the batch are done."""
        store = MemoryStore("logs")
        made = fill(store, "a/", date(2022, 7, 1), 3)
        machine = Machine(store)
        good = RollTask(DayGroup("logs", "a/", date(2022, 7, 1)), WINDOW)
        lost = RollTask(DayGroup("nowhere", "a/", date(2022, 6, 1)), WINDOW)
        event = {"Records": [record("{}", "bad"), record(good, "good"), record(lost, "lost")]}
        assert machine.invoke(event) == {"batchItemFailures": [{"itemIdentifier": "bad"}, {"itemIdentifier": "lost"}]}
        assert members(store) == sorted(made)
        (metrics,) = metrics_in(capsys.readouterr().out)
        figures = {name: metrics[name] for name in ("DayGroupsDone", "Logs", "Failures", "OldestUnrolledDayAge")}
        assert figures == {"DayGroupsDone": 1, "Logs": 3, "Failures": 2, "OldestUnrolledDayAge": 39}

    @pytest.mark.parametrize("batch", [1, 10])
    def test_one_bad_day_among_small_ones_fails_alone(self, batch: int) -> None:
        """Neighbouring days are one message, yet the dead-letter queue names just the one that is damaged."""
        store = MemoryStore("logs")
        days = [date(2022, 7, 1) + timedelta(days=number) for number in range(5)]
        made = {day: fill(store, "a/", day, 3) for day in days}
        store.put("a/rollup-2022-07-03-00000000.tgz", b"not a rollup")
        machine = Machine(store, settings=Settings("q", delete=True))
        assert machine.invoke({"prefixes": ["s3://logs/"]})["tasks_sent"] == 1
        machine.queue.put("{}")
        machine.work_off(batch)
        left = sorted(filter(parse_log_key, store.objects))
        assert left == sorted(made[date(2022, 7, 3)])
        junk, bad = sorted(machine.queue.dead, key=len)
        assert junk == "{}"
        task = decode_task(bad)
        assert isinstance(task, RollTask)
        assert task.group == DayGroup("logs", "a/", date(2022, 7, 3))

    @pytest.mark.parametrize("batch", [1, 10])
    def test_a_role_that_may_not_delete_makes_one_dead_letter(self, batch: int) -> None:
        """It is the range of all days, and what to send again once the role may; no day has a message of its own."""
        store = MemoryStore("logs")
        made: dict[str, bytes] = {}
        for number in range(9):
            made |= fill(store, "a/", date(2022, 7, 1) + timedelta(days=number), 3)
        store.undeletable.update(made)
        machine = Machine(store, settings=Settings("q", delete=True))
        assert machine.invoke({"prefixes": ["s3://logs/"]})["tasks_sent"] == 1
        machine.work_off(batch)
        (dead,) = machine.queue.dead
        assert isinstance(decode_task(dead), RangeTask)
        assert machine.invocations == 1 + 3
        assert members(store) == sorted(filter(parse_log_key, store.objects)) == sorted(made)
        store.undeletable.clear()
        machine.queue.put(dead)
        machine.work_off(batch)
        assert members(store) == sorted(made)
        assert not list(filter(parse_log_key, store.objects))
        assert machine.queue.dead == [dead]

    def test_it_deletes_only_when_set_to(self) -> None:
        """What decides is the function's setting, not the task."""
        for delete in (False, True):
            store = MemoryStore("logs")
            made = fill(store, "a/", date(2022, 7, 1), 3)
            machine = Machine(store, settings=Settings("q", delete=delete))
            machine.queue.send([RollTask(DayGroup("logs", "a/", date(2022, 7, 1)), WINDOW)])
            machine.work_off()
            assert members(store) == sorted(made)
            assert sorted(filter(parse_log_key, store.objects)) == ([] if delete else sorted(made))

    def test_its_setting_says_where_rollups_go(self) -> None:
        """Not the task: messages of before the setting go the same way. The role for it is not one of tasks."""
        logs, archive = MemoryStore("logs"), MemoryStore("archive")
        made = fill(logs, "a/", date(2022, 7, 1), 3) | fill(logs, "b/", date(2022, 7, 1), 3)
        environment = {
            "ROLLUP_QUEUE_NAME": "q",
            "ROLLUP_DELETE": "true",
            "ROLLUP_DESTINATION": "s3://archive/kept",
            "ROLLUP_DESTINATION_ROLE": ROLE,
            "ROLLUP_DESTINATION_OWNER": "210987654321",
        }
        machine = Machine(logs, archive, settings=Settings.from_environment(environment))
        machine.queue.send([RollTask(DayGroup("logs", "a/", date(2022, 7, 1)), WINDOW), RangeTask("logs", "", WINDOW)])
        machine.work_off()
        assert not logs.objects
        assert all(key.startswith("kept/logs/") for key in archive.objects)
        assert [key.removeprefix("kept/logs/") for key in members(archive)] == sorted(made)
        assert {*zip(machine.opened, machine.owners, strict=True)} == {
            (("logs", None), None),
            (("archive", Role(ROLE)), "210987654321"),
        }

    @pytest.mark.parametrize("name", ["ROLLUP_DESTINATION_ROLE", "ROLLUP_DESTINATION_OWNER"])
    def test_what_is_for_a_destination_needs_one(self, name: str) -> None:
        """A typing error must not send rollups elsewhere than meant."""
        value = ROLE if name.endswith("ROLE") else "210987654321"
        with pytest.raises(UsageError, match="need ROLLUP_DESTINATION"):
            Settings.from_environment({"ROLLUP_QUEUE_NAME": "q", name: value})


class TestManifest:
    """What an auditor takes out of the function's log."""

    def test_every_rollup_is_an_event_that_is_a_line_of_a_manifest(self, caplog: pytest.LogCaptureFixture) -> None:
        """With the rollup's own SHA-256; day groups of a pass and those that go alone alike."""
        store = MemoryStore("logs")
        fill(store, "a/", DAY, 3)
        fill(store, "b/", DAY, 3)
        machine = Machine(store)
        machine.queue.send([RangeTask("logs", "a/", WINDOW), RollTask(DayGroup("logs", "b/", DAY), WINDOW)])
        with caplog.at_level(logging.INFO, "s3_log_roller"):
            machine.work_off()
        written = [JsonFormatter().format(record) for record in caplog.records if record.message == "rollup_proven"]
        entries = [parse_line(line) for line in written]
        assert [(entry.key, entry.sha256) for entry in entries if entry is not None] == [
            (key, sha256(stored.body).hexdigest()) for key, stored in store.objects.items() if parse_rollup_key(key)
        ]
        assert len(entries) == 2
        assert {"members", "bytes", "content_digest", "etag", "time"} < json.loads(written[0]).keys()

    def test_a_rollup_that_is_proven_again_is_an_event_again(self, caplog: pytest.LogCaptureFixture) -> None:
        """With the same line: whoever collects them has every rollup on whose account something was deleted."""
        store = MemoryStore("logs")
        fill(store, "a/", DAY, 3)
        lines = []
        for delete in (False, True):
            caplog.clear()
            machine = Machine(store, settings=replace(SETTINGS, delete=delete))
            machine.queue.send([RollTask(DayGroup("logs", "a/", DAY), WINDOW)])
            with caplog.at_level(logging.INFO, "s3_log_roller"):
                machine.work_off()
            written = [JsonFormatter().format(record) for record in caplog.records if record.message == "rollup_proven"]
            lines += [parse_line(line) for line in written]
        first, second = lines
        assert first is not None
        assert second is not None
        assert (first.key, first.sha256) == (second.key, second.sha256)
        assert not list(filter(parse_log_key, store.objects))

    def test_an_old_rollup_is_not_read_again_for_an_event(self) -> None:
        """Nobody knows which events there were; without `ROLLUP_DELETE` each run would read all rollups."""
        assert LoggedManifest().lacks("logs", ListedObject("rollup", "e", 1, 0, False)) is False

    def test_nothing_is_hashed_where_nobody_gets_the_events(self, caplog: pytest.LogCaptureFixture) -> None:
        """With the log level WARNING."""
        store = MemoryStore("logs")
        fill(store, "a/", DAY, 3)
        machine = Machine(store)
        machine.queue.send([RangeTask("logs", "a/", WINDOW)])
        with caplog.at_level(logging.WARNING, "s3_log_roller"):
            assert not LoggedManifest().wants_sha256
            machine.work_off()
        assert [record for record in caplog.records if record.message == "rollup_proven"] == []


class TestRoles:
    """A role that nobody allowed is refused in both modes, before anything is opened."""

    def test_a_payload_with_another_role_is_refused(self) -> None:
        """Whoever can change a schedule cannot choose the role."""
        machine = Machine(MemoryStore("logs"))
        with pytest.raises(UsageError, match="ROLLUP_ALLOWED_ROLES"):
            machine.invoke({"prefixes": ["s3://logs/"], "s3_role": ROLE + "-2"})
        assert machine.opened == []

    def test_a_role_may_be_allowed_in_every_account(self) -> None:
        """`*` stands for the account and for nothing else."""
        store = MemoryStore("logs")
        machine = Machine(store, settings=Settings("q", allowed_roles=frozenset({"arn:aws:iam::*:role/access"})))
        machine.invoke({"prefixes": ["s3://logs/"], "s3_role": ROLE})
        assert machine.opened == [("logs", Role(ROLE))]
        for other in (
            ROLE + "-2",
            "arn:aws:iam::123456789012:role/x/access",
            "arn:aws-cn:iam::123456789012:role/access",
        ):
            with pytest.raises(UsageError, match="ROLLUP_ALLOWED_ROLES"):
                machine.invoke({"prefixes": ["s3://logs/"], "s3_role": other})

    @pytest.mark.parametrize("kind", ["roll", "scan"])
    def test_a_task_with_another_role_is_refused(self, kind: str) -> None:
        """Whoever can send to the queue cannot choose the role; the task ends in the dead-letter queue."""
        store = MemoryStore("logs")
        fill(store, "a/", date(2022, 7, 1), 1)
        machine = Machine(store)
        role = Role(ROLE + "-2")
        task = RollTask(DayGroup("logs", "a/", date(2022, 7, 1)), WINDOW, role)
        machine.queue.send([task if kind == "roll" else ScanTask("logs", "", WINDOW, role)])
        machine.work_off()
        assert machine.opened == []
        assert len(machine.queue.dead) == 1
        assert machine.invocations == 3


class TestPayload:
    """What a schedule may ask for."""

    def test_all_fields_are_honoured(self) -> None:
        """Days, age and role reach the tasks; null counts as not given."""
        payload = {"prefixes": ["s3://b-1/a", "s3://b-1/a/b"], "min_age_days": 3, "since": "2022-07-01"}
        (scan,) = parse_payload(payload | {"until": "2022-07-31", "s3_role": None}, SETTINGS, TODAY).scans
        assert scan == ScanTask("b-1", "a", Window(date(2022, 7, 8), date(2022, 7, 1)))

    def test_old_days_are_left_alone_if_asked(self) -> None:
        """`max_age_days` counts back from today; a later `since` goes before; ROLLUP_MAX_AGE_DAYS is the default."""
        payload = {"prefixes": ["s3://b-1/"], "max_age_days": 3}

        def since(payload: dict[str, Any], settings: Settings = SETTINGS) -> date | None:
            (scan,) = parse_payload(payload, settings, TODAY).scans
            return scan.window.since

        assert since(payload) == date(2022, 7, 7)
        assert since(payload | {"since": "2022-07-08"}) == date(2022, 7, 8)
        assert since(payload | {"since": "2022-07-01"}) == date(2022, 7, 7)
        assert since({"prefixes": ["s3://b-1/"]}) is None
        assert since({"prefixes": ["s3://b-1/"]}, Settings("q", max_age_days=5)) == date(2022, 7, 5)
        assert since(payload, Settings("q", max_age_days=5)) == date(2022, 7, 7)

    def test_the_expected_owner_reaches_every_request_for_the_bucket(self) -> None:
        """Scan and roll both ask S3 to refuse a bucket that somebody else registered anew."""
        store = MemoryStore("logs")
        fill(store, "a/", date(2022, 7, 1), 1)
        machine = Machine(store)
        machine.invoke({"prefixes": ["s3://logs/"], "expected_bucket_owner": "111111111111"})
        machine.work_off()
        assert len(members(store)) == 1
        assert machine.owners
        assert set(machine.owners) == {"111111111111"}

    def test_the_age_comes_from_the_environment_where_the_payload_is_silent(self) -> None:
        """ROLLUP_MIN_AGE_DAYS is the default of `min_age_days`."""
        (scan,) = parse_payload({"prefixes": ["s3://b-1/"]}, Settings("q", min_age_days=4), TODAY).scans
        assert scan.window == Window(date(2022, 7, 7))

    @pytest.mark.parametrize(
        ("wrong", "named"),
        [
            ({"prefixes": []}, "prefixes"),
            ({"prefixes": "s3://b-1/"}, "prefixes"),
            ({"prefixes": [1]}, "prefixes"),
            ({"prefixes": ["b-1"]}, "b-1"),
            ({"min_age_days": 0}, "min_age_days"),
            ({"min_age_days": True}, "min_age_days"),
            ({"max_age_days": 0}, "max_age_days"),
            ({"max_age_days": 1, "min_age_days": 2}, "no day to roll up"),
            ({"since": "yesterday"}, "since"),
            ({"until": 20220701}, "until"),
            ({"since": "2022-07-20"}, "no day to roll up: the first asked for is 2022-07-20"),
            ({"s3_role": "admin"}, "admin"),
            ({"external_id": "x1"}, "s3_role"),
            ({"delete": True}, "delete; it may have .*max_age_days, min_age_days, prefixes"),
            ({"schedule": "a b"}, "schedule"),
            ({"schedule": 1}, "schedule"),
            ({"expected_bucket_owner": "me"}, "'me' is not the id of an AWS account"),
            ({"expected_bucket_owner": 111111111111}, "expected_bucket_owner"),
        ],
    )
    def test_a_wrong_field_is_refused_by_name(self, wrong: dict[str, Any], named: str) -> None:
        """A typing mistake never passes as a default; in particular no payload can switch deleting on."""
        with pytest.raises(UsageError, match=named):
            parse_payload({"prefixes": ["s3://b-1/"]} | wrong, SETTINGS, TODAY)


class TestTimeLimit:
    """Work that needs many times the time limit gets done in steps, each of which ends in time."""

    @pytest.mark.heavy
    @pytest.mark.parametrize("delete", [False, True])
    @pytest.mark.parametrize("batch", [1, 5])
    def test_a_backlog_of_many_times_the_limit_is_worked_off(self, delete: bool, batch: int) -> None:
        """Scan and reconcile go on by themselves: nothing lost, nothing twice, nothing in the dead-letter queue.

        The work takes more than 400 seconds, at 60 a time; `Context` kills what runs over.
        """
        store = MemoryStore("logs", page_size=100)
        made: dict[str, bytes] = {}
        for number in range(25):
            made |= fill(store, f"site-{number:02}/", date(2022, 6, 1) + timedelta(days=number), 40)
        made |= fill(store, "huge/", date(2022, 7, 1), 3_000)
        machine = Machine(store, settings=Settings("q", delete=delete), limit_s=60)

        def take_time(step: str, key: str) -> None:
            machine.clock.now += {"list": 0.5, "fetch": 0.1}.get(step, 0.0)

        store.before = take_time
        machine.invoke({"prefixes": ["s3://logs/"]})
        machine.work_off(batch)
        assert machine.clock.now > 400
        assert machine.queue.dead == []
        assert members(store) == sorted(made)
        assert store.open_uploads == 0
        assert sorted(filter(parse_log_key, store.objects)) == ([] if delete else sorted(made))

    def test_a_scan_near_its_deadline_sends_itself(self) -> None:
        """What was found by then is in the queue, with a scan task that says where to go on."""
        store = MemoryStore("logs", page_size=1)
        for number in range(30):
            fill(store, f"{number:02}/", date(2022, 7, 1), 1)
        machine = Machine(store, limit_s=100)

        def take_time(step: str, key: str) -> None:
            machine.clock.now += 10

        store.before = take_time
        machine.invoke({"prefixes": ["s3://logs/"]})
        found, rest = machine.queue.tasks
        assert isinstance(found, RangeTask)
        assert isinstance(rest, ScanTask)
        assert found.end == rest.start_after > "00/"

    def test_prefixes_there_is_no_time_for_become_scan_tasks(self) -> None:
        """A payload with very many prefixes is no reason to be killed."""
        stores = [MemoryStore(f"logs-{number:03}") for number in range(150)]
        machine = Machine(*stores, limit_s=60)
        for store in stores:
            fill(store, "", date(2022, 7, 1), 1)
            store.before = lambda step, key: setattr(machine.clock, "now", machine.clock.now + 0.5)
        machine.invoke({"prefixes": [f"s3://{store.bucket}/" for store in stores]})
        assert {type(task) for task in machine.queue.tasks} == {RollTask, ScanTask}
        for store in stores:
            store.before = lambda step, key: None
        machine.work_off()
        assert all(len(members(store)) == 1 for store in stores)

    def test_a_step_in_which_nothing_was_packed_is_followed_by_fifty_logs(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """As good a guess as any, and the day counts as one that is not rolled up."""

        def out_of_time(*_: object, **__: object) -> None:
            raise OutOfTime("no time left to start")

        monkeypatch.setattr(working, "roll", out_of_time)
        machine = Machine(MemoryStore("logs"))
        machine.queue.send([RollTask(DayGroup("logs", "a/", DAY), WINDOW)])
        assert machine.invoke(machine.queue.event(1)) == {"batchItemFailures": []}
        assert machine.queue.tasks == [RollTask(DayGroup("logs", "a/", DAY), WINDOW, max_members=50)]
        (metrics,) = metrics_in(capsys.readouterr().out)
        assert metrics["OldestUnrolledDayAge"] == (TODAY - DAY).days

    @pytest.mark.parametrize("batch", [1, 2])
    def test_the_age_of_days_that_had_something_to_roll_up_is_told(
        self, batch: int, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The oldest of them; none once all is in rollups."""
        store = MemoryStore("logs")
        fill(store, "a/", date(2022, 7, 2), 1)
        fill(store, "a/", date(2022, 7, 1), 1)
        machine = Machine(store)
        for told in (9, None):
            machine.queue.send([RangeTask("logs", "a/", WINDOW)] if batch == 1 else [
                RollTask(DayGroup("logs", "a/", date(2022, 7, day)), WINDOW) for day in (2, 1)
            ])  # fmt: skip
            machine.queue.settle(machine.invoke(machine.queue.event(batch)))
            (metrics,) = metrics_in(capsys.readouterr().out)
            assert metrics.get("OldestUnrolledDayAge") == told

    def test_all_prefixes_are_scanned_while_there_is_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """However many at once."""
        monkeypatch.setattr(producing, "SCANS_AT_ONCE", 1)
        stores = [MemoryStore(f"logs-{number:03}") for number in range(3)]
        for store in stores:
            fill(store, "", date(2022, 7, 1), 1)
        machine = Machine(*stores)
        answer = machine.invoke({"prefixes": [f"s3://{store.bucket}/" for store in stores]})
        assert (answer["prefixes_scanned"], [type(task) for task in machine.queue.tasks]) == (3, [RollTask] * 3)

    def test_a_step_that_runs_short_is_sent_again_smaller(self) -> None:
        """The rollup begun is dropped, the task comes back with half of what was packed, and then grows again."""
        store = MemoryStore("logs")
        made = fill(store, "a/", date(2022, 7, 1), 3_000)
        machine = Machine(store, limit_s=20)

        def take_time(step: str, key: str) -> None:
            machine.clock.now += 0.02 if step == "fetch" else 0.0  # slower than assumed

        store.before = take_time
        machine.queue.send([RollTask(DayGroup("logs", "a/", date(2022, 7, 1)), WINDOW)])
        machine.queue.settle(machine.invoke(machine.queue.event(1)))
        assert members(store) == []
        assert store.open_uploads == 0
        smaller = machine.queue.tasks[-1]
        assert isinstance(smaller, RollTask)
        assert smaller.max_members is not None
        assert 100 <= smaller.max_members <= 500
        machine.work_off()
        assert members(store) == sorted(made)
        assert machine.queue.dead == []

    def test_what_does_not_fit_at_all_fails_and_does_not_circle(self) -> None:
        """A day group whose single log takes longer than the limit ends in the dead-letter queue."""
        store = MemoryStore("logs")
        made = fill(store, "a/", date(2022, 7, 1), 3)
        machine = Machine(store, limit_s=20)

        def take_time(step: str, key: str) -> None:
            if step == "fetch":
                machine.clock.now += 19 - machine.clock.now % 20 if machine.clock.now % 20 < 19 else 0

        store.before = take_time
        machine.queue.send([RollTask(DayGroup("logs", "a/", date(2022, 7, 1)), WINDOW)])
        while machine.queue.waiting:
            machine.clock.now = 20.0 * machine.invocations
            machine.queue.settle(machine.invoke(machine.queue.event(1)))
            assert machine.invocations < 30
        assert len(machine.queue.dead) == 1
        assert sorted(store.objects) == sorted(made)

    def test_messages_there_is_no_time_for_are_sent_again(self) -> None:
        """They do not count as failed attempts; if sending fails they come back as failures instead."""
        store = MemoryStore("logs")
        days = [date(2022, 7, 1) + timedelta(days=number) for number in range(4)]
        for day in days:
            fill(store, "a/", day, 1)
        machine = Machine(store, limit_s=100)
        store.before = lambda step, key: setattr(machine.clock, "now", machine.clock.now + 10 * (step == "fetch"))
        tasks = [RollTask(DayGroup("logs", "a/", day), WINDOW) for day in days]
        event = {"Records": [record(task, task.group.day.isoformat()) for task in tasks]}
        assert machine.invoke(event) == {"batchItemFailures": []}
        done = {parse_log_key(key).day for key in members(store)}  # type: ignore[union-attr]
        put_off = [task.group.day for task in machine.queue.tasks if isinstance(task, RollTask)]
        assert put_off
        assert sorted([*done, *put_off]) == days

        machine.queue.refuse = True
        store.objects.clear()
        for day in days:
            fill(store, "a/", day, 1)
        failures = machine.invoke(event)["batchItemFailures"]
        assert [failure["itemIdentifier"] for failure in failures] == [day.isoformat() for day in sorted(put_off)]

    @pytest.mark.parametrize(
        ("max_members", "packed", "expected"),
        [(None, 1000, 500), (None, 0, 50), (None, 1, 1), (64, 0, 32), (64, 10, 5), (2, 0, 1), (2, 1, 1)],
    )
    def test_a_smaller_step_is_half_of_what_was_packed(
        self, max_members: int | None, packed: int, expected: int
    ) -> None:
        """Every next step is smaller than the one before, and asks for the same in all else, the role included."""
        task = RollTask(DayGroup("logs", "a/", date(2022, 7, 1)), WINDOW, Role(ROLE, "external"), max_members)
        assert smaller_step(task, packed, OutOfTime("no")) == replace(task, max_members=expected)

    def test_there_is_nothing_smaller_than_one(self) -> None:
        """The error says what to do."""
        task = RollTask(DayGroup("logs", "a/", date(2022, 7, 1)), WINDOW, None, 1)
        with pytest.raises(OutOfTime, match="timeout or memory"):
            smaller_step(task, 0, OutOfTime("no"))


class Flushed(io.StringIO):
    """Standard output, and what of it was flushed."""

    flushed = ""

    def flush(self) -> None:
        self.flushed = self.getvalue()


def test_metrics_are_written_before_lambda_freezes_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in a buffer then may never come out."""
    output = Flushed()
    monkeypatch.setattr(sys, "stdout", output)
    Machine(MemoryStore("logs")).invoke({"prefixes": ["s3://logs/"]})
    (metrics,) = metrics_in(output.flushed)
    assert time.time() - 100 < metrics["_aws"]["Timestamp"] / 1000 < time.time() + 1


def test_every_event_of_the_log_names_its_request_and_its_message(caplog: pytest.LogCaptureFixture) -> None:
    """An invocation that has no messages does not name those of the one before."""
    store = MemoryStore("logs")
    fill(store, "a/", DAY, 1)
    fill(store, "b/", DAY, 1)
    machine = Machine(store)
    machine.queue.send([RollTask(DayGroup("logs", prefix, DAY), WINDOW) for prefix in ("a/", "b/")])
    caplog.handler.addFilter(add_log_fields)
    try:
        with caplog.at_level(logging.INFO, "s3_log_roller"):
            machine.invoke(machine.queue.event(2))
            machine.invoke({"prefixes": ["s3://logs/none/"]})
    finally:
        caplog.handler.removeFilter(add_log_fields)
    fields = [(one.message, one.__dict__["request_id"], one.__dict__.get("message_id")) for one in caplog.records]
    assert [one for one in fields if one[0] in {"rolled", "produced"}] == [
        ("rolled", "request-1", "m1"), ("rolled", "request-1", "m2"), ("produced", "request-2", None),
    ]  # fmt: skip


def test_the_way_in_is_set_up_once_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings reach the connection, the queue, the log and how rollups are stored."""
    environment = {
        "ROLLUP_QUEUE_NAME": "tasks", "ROLLUP_MAX_IN_FLIGHT": "7", "ROLLUP_ALLOW_CROSS_REGION": "true",
        "ROLLUP_EXPECTED_BUCKET_OWNER": "111111111111", "ROLLUP_LOG_LEVEL": "WARNING",
        "ROLLUP_STORAGE_CLASS": "GLACIER_IR",
    }  # fmt: skip
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    made: list[tuple[object, ...]] = []

    class Sessions:
        def get(self) -> str:
            return "session"

    class Buckets:
        def __init__(self, connection: Connection, sessions: object, stored_as: StoredAs) -> None:
            made.append((connection, stored_as.storage_class))
            self.lease = Machine().open

    def queue(session: str, name: str) -> Queue:
        made.append((session, name))
        return Queue()

    log_handler = logging.NullHandler()
    monkeypatch.setattr(logging.getLogger(), "handlers", [log_handler])
    monkeypatch.setattr(handler, "configure_logging", lambda *how: made.append(how))
    monkeypatch.setattr(handler, "Sessions", Sessions)
    monkeypatch.setattr(handler, "Buckets", Buckets)
    monkeypatch.setattr(handler, "SqsQueue", queue)
    handler._function.cache_clear()
    try:
        for _ in range(2):
            answer = handler.lambda_handler({"Records": [record("{}", "bad")]}, Context(Clock()))
            assert answer == {"batchItemFailures": [{"itemIdentifier": "bad"}]}
    finally:
        handler._function.cache_clear()
    connection = Connection(allow_cross_region=True, max_in_flight=7, expected_bucket_owner="111111111111")
    assert made == [("json", logging.WARNING), ("session", "tasks"), (connection, "GLACIER_IR")]
    assert log_handler.filters == [add_log_fields]


def test_the_handler_is_imported_quickly() -> None:
    """`main.lambda_handler` loads few modules before the first event: boto3 and libcurl wait. It takes 120 ms."""
    code = "import sys; before = {*sys.modules}; import main; main.lambda_handler; print(*{*sys.modules} - before)"
    loaded = set(subprocess.check_output([sys.executable, "-c", code], text=True).split())
    assert {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names == {
        *("main", "s3_log_roller"),
        *("isal", "zlib_ng"),
    }
    assert len(loaded) < 250
