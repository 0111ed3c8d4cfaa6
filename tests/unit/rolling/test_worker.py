from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import date

import pytest
from tests.support.paging import PageByPage

from s3_log_roller.errors import QueueError, StorageError
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rolling import worker as worker_module
from s3_log_roller.rolling.figures import Figures
from s3_log_roller.rolling.outcome import PassOutcome, RollOutcome, keeping
from s3_log_roller.rolling.runner import InlineRunner, Result, Unfinished, attempt
from s3_log_roller.rolling.summary import Summary
from s3_log_roller.rolling.tasks import RangeTask, RollTask, ScanTask, Task, WorkTask, decode_task, encode_task
from s3_log_roller.rolling.window import Window
from s3_log_roller.rolling.worker import Worker
from s3_log_roller.store import ListedObject, Page

TODAY = date(2022, 7, 3)
WINDOW = Window(cutoff=TODAY, since=date(2022, 6, 1))


def roll_task(prefix: str = "p/", day: int = 1) -> RollTask:
    return RollTask(DayGroup("logs", prefix, date(2022, 7, day)), WINDOW)


class Message:
    def __init__(self, queue: Queue, body: str, number: int) -> None:
        self.queue, self.body, self.message_id = queue, body, f"m{number}"
        self.held = True
        self.receives = 1

    def acknowledge(self) -> None:
        if self.queue.refuse_acknowledge:
            raise QueueError("no")
        self.queue.events.append(f"ack {self.message_id}")

    def release(self) -> None:
        self.held = False
        self.queue.events.append(f"release {self.message_id}")

    def __enter__(self) -> Message:
        return self

    def __exit__(self, *_: object) -> None:
        self.held = False


class Queue:
    """What a queue did, in order, and what it still holds."""

    def __init__(self, *bodies: str | Task) -> None:
        self.waiting = deque(body if isinstance(body, str) else encode_task(body) for body in bodies)
        self.events: list[str] = []
        self.messages: list[Message] = []
        self.sent: list[Task] = []
        self.waits: list[int] = []
        self.refuse_acknowledge = False

    def send(self, tasks: Iterable[Task]) -> int:
        tasks = list(tasks)
        self.sent += tasks
        self.events += [f"send {decode_task(encode_task(task)).__class__.__name__}" for task in tasks]
        return len(tasks)

    def backlog(self) -> int | None:
        return None

    def receive(self, wait_seconds: int) -> Message | None:
        self.waits.append(wait_seconds)
        if not self.waiting:
            return None
        self.messages.append(Message(self, self.waiting.popleft(), len(self.messages) + 1))
        return self.messages[-1]


class OneBucket(PageByPage):
    """A store that lists these keys, and nothing else."""

    def __init__(self, *keys: str) -> None:
        self.bucket = "logs"
        self.keys = sorted(keys)

    def list_page(
        self, prefix: str, start_after: str = "", *, max_keys: int = 1000, continuation_token: str = ""
    ) -> Page:
        keys = [key for key in self.keys if key.startswith(prefix) and key > start_after]
        return Page([ListedObject(key, "e", 1, 0, False) for key in keys], False)

    @contextmanager
    def open(self, bucket: str, role: object, owner: object) -> Iterator[OneBucket]:
        if bucket != self.bucket:
            raise StorageError(f"no bucket {bucket}")
        yield self


def work(queue: Queue, roll, store: OneBucket | None = None, runner=None, **how) -> Summary:  # type: ignore[no-untyped-def]
    summary = Summary()
    opener = (store or OneBucket()).open
    Worker(queue, runner or InlineRunner(roll), opener, lambda: TODAY, summary).work(**how)  # type: ignore[arg-type]
    return summary


def done(task: RollTask) -> RollOutcome:
    return RollOutcome(task.group, Figures(rollups=1, packed=2, bytes_in=20, bytes_out=10), ("r",))


def test_a_task_is_acknowledged_last() -> None:
    """First the task runs, then what has to follow is sent, and only then is the message deleted."""
    queue = Queue(roll_task())

    def roll(task: RollTask) -> RollOutcome:
        queue.events.append("roll")
        return RollOutcome(task.group, Figures(packed=1), remaining=1)

    summary = work(queue, roll)
    assert queue.events == ["roll", "send RollTask", "ack m1"]
    assert queue.sent == [roll_task()]
    assert summary.day_groups_done == 0


def test_a_failing_task_stays_and_others_go_on() -> None:
    """A task that fails is neither acknowledged nor held on to; the next one is done all the same."""
    queue = Queue(roll_task("bad/"), roll_task("good/"))

    def roll(task: RollTask) -> RollOutcome:
        if task.group.target_prefix == "bad/":
            raise StorageError("s3:PutObject was refused")
        return done(task)

    summary = work(queue, roll)
    assert queue.events == ["ack m2"]
    assert not any(message.held for message in queue.messages)
    assert summary.failures == {"s3://logs/bad/2022-07-01": "s3:PutObject was refused"}
    assert (summary.day_groups_done, summary.figures.packed, summary.exit_code) == (1, 2, 3)


def test_a_bug_is_logged_with_its_traceback_and_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    """An error nobody thought of fails its own task only, and can be found in the log."""
    queue = Queue(roll_task("bad/"), roll_task("good/"))

    def roll(task: RollTask) -> RollOutcome:
        return done(task) if task.group.target_prefix == "good/" else 1 // 0  # type: ignore[return-value]

    with caplog.at_level(logging.INFO):
        summary = work(queue, roll)
    assert queue.events == ["ack m2"]
    assert "a bug in the roller, please report it: ZeroDivisionError" in summary.failures["s3://logs/bad/2022-07-01"]
    (record,) = [record for record in caplog.records if record.getMessage() == "failed"]
    assert "1 // 0" in record.traceback  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("no json", "not JSON"),
        ('{"v":1,"task":"drop","bucket":"logs","cutoff":"2022-07-03"}', "not 'scan', 'roll' or 'range'"),
        (encode_task(RollTask(DayGroup("logs", "", TODAY), Window(date(2022, 7, 4)))), "later than today"),
        (encode_task(ScanTask("logs", "", Window(date(2022, 7, 4)))), "later than today"),
    ],
)
def test_a_message_that_is_no_task_is_left_for_the_dead_letter_queue(body: str, why: str) -> None:
    """Malformed messages, and any that would touch a day that is not over, are refused; others go on."""
    queue = Queue(body, roll_task())
    summary = work(queue, done)
    assert queue.events == ["ack m2"]
    assert not queue.messages[0].held
    assert list(summary.failures) == ["message m1"]
    assert why in summary.failures["message m1"]


def test_day_groups_found_on_the_way_are_sent_if_their_day_may_be_touched() -> None:
    """Nested day groups become tasks of the same request, those outside its window do not."""
    inside = DayGroup("logs", "p/2022-07-01-x/", date(2022, 6, 30))
    outside = [DayGroup("logs", "p/2022-07-01-x/", day) for day in (TODAY, date(2022, 5, 31))]
    queue = Queue(roll_task())
    work(queue, lambda task: RollOutcome(task.group, Figures(packed=1), nested=frozenset([inside, *outside])))
    assert queue.sent == [RollTask(inside, WINDOW)]


def test_a_task_that_gets_no_further_is_not_sent_for_ever() -> None:
    """Originals remain and nothing was packed or deleted: the task fails, so that the queue's redrive policy counts."""
    queue = Queue(roll_task())
    summary = work(queue, lambda task: RollOutcome(task.group, remaining=5))
    assert queue.events == []
    assert "5 originals remain" in summary.failures["s3://logs/p/2022-07-01"]


def test_a_refused_acknowledgement_is_a_failure_of_that_task() -> None:
    """The figures of what was done count, and the user learns that the message will come again."""
    queue = Queue(roll_task(), roll_task(day=2))
    queue.refuse_acknowledge = True
    summary = work(queue, done)
    assert summary.figures.packed == 4
    assert summary.failed_count == 2


def test_a_scan_task_sends_roll_tasks_and_is_acknowledged_last() -> None:
    """What a scan in the queue finds goes to the same queue, with the request's own window and role."""
    store = OneBucket("p/2022-07-01-01-02-03-0123456789ABCDEF", "p/2022-07-03-01-02-03-0123456789ABCDEF", "p/x")
    queue = Queue(ScanTask("logs", "p/", WINDOW))
    summary = work(queue, done, store)
    assert queue.events == ["send RollTask", "ack m1"]
    assert queue.sent == [roll_task()]
    assert (summary.prefixes_scanned, summary.tasks_sent) == (1, 1)


def test_a_failing_scan_task_stays() -> None:
    """A scan of a bucket that is not there fails once, named, and is not acknowledged."""
    queue = Queue(ScanTask("gone", "p/", WINDOW), roll_task())
    summary = work(queue, done)
    assert queue.events == ["ack m2"]
    assert summary.failures == {"s3://gone/p/": "no bucket gone"}


def test_count_ends_after_so_many_tasks() -> None:
    """No message beyond the count is even received."""
    queue = Queue(roll_task(day=1), roll_task(day=2), roll_task("q/"))
    summary = work(queue, done, max_tasks=2)
    assert (summary.day_groups_done, summary.tasks_received) == (2, 2)
    assert len(queue.waiting) == 1


def test_it_ends_when_the_queue_is_empty_and_not_before() -> None:
    """One poll of a few seconds decides, short enough for a person to wait for."""
    queue = Queue()
    assert work(queue, done).exit_code == 0
    assert queue.waits == [3]


def test_forever_polls_until_interrupted() -> None:
    """An empty queue does not end it; Ctrl-C does."""

    class Patience(Queue):
        def receive(self, wait_seconds: int) -> Message | None:
            if len(self.waits) == 3:
                raise KeyboardInterrupt
            return super().receive(wait_seconds)

    queue = Patience()
    with pytest.raises(KeyboardInterrupt):
        work(queue, done, forever=True)
    assert queue.waits == [20, 20, 20]


def test_an_interrupted_task_is_given_back() -> None:
    """Ctrl-C leaves the message for other workers at once, and nothing is recorded as failed."""
    queue = Queue(roll_task(), roll_task(day=2))

    def roll(task: WorkTask) -> RollOutcome:
        raise KeyboardInterrupt

    summary = Summary()
    worker = Worker(queue, InlineRunner(roll), OneBucket().open, lambda: TODAY, summary)  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        worker.work()
    assert queue.events == ["release m1"]
    assert (summary.tasks_interrupted, summary.failed_count) == (1, 0)


class ThreadRunner:
    def __init__(self, capacity: int, roll) -> None:  # type: ignore[no-untyped-def]
        self.capacity, self._roll, self._pool = capacity, roll, ThreadPoolExecutor(capacity)
        self.interrupted = False

    def submit(self, task: RollTask) -> Future:  # type: ignore[type-arg]
        return self._pool.submit(attempt, self._roll, task)

    def interrupt(self) -> None:
        self.interrupted = True


def test_no_more_messages_are_held_than_are_worked_on() -> None:
    """With two at a time, never a third is received before one of them is settled."""
    queue = Queue(*(roll_task(f"{number}/") for number in range(9)))
    most_held = 0

    def roll(task: RollTask) -> RollOutcome:
        nonlocal most_held
        most_held = max(most_held, sum(message.held for message in queue.messages))
        return done(task)

    summary = work(queue, roll, runner=ThreadRunner(2, roll))
    assert summary.day_groups_done == 9
    assert most_held <= 2


def test_more_is_taken_while_something_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message that comes later is not kept waiting for the end of those before it."""
    monkeypatch.setattr(worker_module, "BUSY_POLL_SECONDS", 0.01)
    later = threading.Event()

    class Late(Queue):
        def receive(self, wait_seconds: int) -> Message | None:
            if len(self.waits) == 2:
                self.waiting.append(encode_task(roll_task(day=2)))
            return super().receive(wait_seconds)

    def roll(task: RollTask) -> RollOutcome:
        if task == roll_task(day=1):
            assert later.wait(60)
        later.set()
        return done(task)

    assert work(Late(roll_task(day=1)), roll, runner=ThreadRunner(2, roll)).exit_code == 0


def test_a_failing_queue_ends_the_work_after_what_runs_is_done() -> None:
    """Tasks that were running are still accounted for and acknowledged."""

    class Breaking(Queue):
        def receive(self, wait_seconds: int) -> Message | None:
            if not self.waiting:
                raise QueueError("sqs:ReceiveMessage: no answer")
            return super().receive(wait_seconds)

    queue = Breaking(roll_task())
    summary = Summary()
    worker = Worker(queue, ThreadRunner(2, done), OneBucket().open, lambda: TODAY, summary)  # type: ignore[arg-type]
    with pytest.raises(QueueError):
        worker.work()
    assert queue.events == ["ack m1"]
    assert summary.day_groups_done == 1


def test_interrupting_stops_running_tasks_and_gives_them_back() -> None:
    """Ctrl-C while other tasks run: the runner is told, then every held message is released."""

    class Interrupted(Queue):
        def receive(self, wait_seconds: int) -> Message | None:
            if not self.waiting:
                raise KeyboardInterrupt
            return super().receive(wait_seconds)

    queue = Interrupted(roll_task())
    runner = ThreadRunner(2, done)
    worker = Worker(queue, runner, OneBucket().open, lambda: TODAY, Summary())  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        worker.work()
    assert runner.interrupted
    assert queue.events == ["release m1"]


class HasMoreRoom(InlineRunner):
    """Two at a time: what has run is settled only when the queue has nothing more."""

    capacity = 2


class Interrupting(Queue):
    """Ctrl-C comes when the queue is empty."""

    def receive(self, wait_seconds: int) -> Message | None:
        message = super().receive(wait_seconds)
        if message is None:
            raise KeyboardInterrupt
        return message


def a_failure_with(figures: Figures) -> Exception:
    error = StorageError("refused")
    try:
        with keeping(lambda: [RollOutcome(roll_task().group, figures, remaining=1)]):
            raise error
    except StorageError:
        return error


@pytest.mark.parametrize("ended", ["day group", "pass", "failed", "raised"])
def test_what_ended_just_before_an_interruption_is_counted(ended: str) -> None:
    """Its message goes back, for it was not acknowledged, but the summary says what is done."""
    one = RollOutcome(roll_task().group, Figures(packed=2))
    other = RollOutcome(roll_task(day=2).group, Figures(packed=3), remaining=1)

    def roll(task: WorkTask) -> RollOutcome | PassOutcome:
        if ended == "failed":
            raise a_failure_with(Figures(packed=5))
        return one if ended == "day group" else PassOutcome((one,), partly=(other,))

    class Raising(HasMoreRoom):
        def submit(self, task: WorkTask) -> Future[Result]:
            future: Future[Result] = Future()
            future.set_exception(a_failure_with(Figures(packed=7)))
            return future

    queue = Interrupting(roll_task())
    summary = Summary()
    runner = (Raising if ended == "raised" else HasMoreRoom)(roll)
    worker = Worker(queue, runner, OneBucket().open, lambda: TODAY, summary)  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        worker.work()
    assert queue.events == ["release m1"]
    assert queue.waits == [3, 1]
    assert summary.figures.packed == {"day group": 2, "pass": 5, "failed": 5, "raised": 7}[ended]
    assert summary.tasks_interrupted == 1


def test_what_was_done_before_a_failure_is_counted_and_told(caplog: pytest.LogCaptureFixture) -> None:
    """The failure is told, too, in a sentence, and the message comes again."""
    queue = Queue(roll_task())

    def roll(task: RollTask) -> RollOutcome:
        raise a_failure_with(Figures(packed=5))

    with caplog.at_level(logging.INFO, "s3_log_roller"):
        summary = work(queue, roll)
    assert (summary.figures.packed, summary.day_groups_done, summary.exit_code) == (5, 0, 3)
    assert queue.events == []
    rolled, failed = caplog.records
    assert (rolled.message, failed.message) == ("rolled", "failed")
    assert "another step" not in rolled.__dict__["sentence"]
    assert failed.__dict__["sentence"] == "s3://logs/p/2022-07-01: refused"


def test_a_step_that_came_to_no_end_is_followed_by_a_smaller_one(caplog: pytest.LogCaptureFixture) -> None:
    """It is sent before the message is acknowledged; what was done before counts."""
    queue = Queue(roll_task())
    smaller = replace(roll_task(), max_members=5)

    class ShortOfTime(InlineRunner):
        def submit(self, task: WorkTask) -> Future[Result]:
            future: Future[Result] = Future()
            future.set_result(Unfinished(smaller, (RollOutcome(roll_task().group, Figures(deleted=4), remaining=1),)))
            return future

    with caplog.at_level(logging.WARNING, "s3_log_roller"):
        summary = work(queue, done, runner=ShortOfTime(done), max_tasks=1)  # type: ignore[arg-type]
    assert queue.events == ["send RollTask", "ack m1"]
    assert queue.sent == [smaller]
    assert (summary.figures.deleted, summary.day_groups_done, summary.exit_code) == (4, 0, 0)
    (record,) = caplog.records
    assert (record.message, record.__dict__["next_max_members"]) == ("ran_short", 5)


@pytest.mark.parametrize(
    ("max_members", "remaining", "next_max"), [(None, 100, None), (10, 100, 20), (10, 21, 20), (10, 20, None)]
)
def test_a_step_that_was_made_small_grows_again(max_members: int | None, remaining: int, next_max: int | None) -> None:
    """Twice as large each time, until the rest of the day fits."""
    queue = Queue(replace(roll_task(), max_members=max_members))
    work(queue, lambda task: RollOutcome(task.group, Figures(packed=10), remaining=remaining))
    assert queue.sent == [replace(roll_task(), max_members=next_max)]


def test_a_day_group_is_told_of_when_something_was_done_or_it_is_done(caplog: pytest.LogCaptureFixture) -> None:
    """Not when a pass only leaves it to a task of its own."""
    left, partly, nothing_new = (roll_task(day=day).group for day in (1, 2, 1))
    nothing_new = replace(nothing_new, target_prefix="q/")
    outcomes = (
        RollOutcome(left, remaining=1), RollOutcome(partly, Figures(packed=2), remaining=1), RollOutcome(nothing_new),
    )  # fmt: skip
    with caplog.at_level(logging.INFO, "s3_log_roller"):
        work(Queue(RANGE), lambda task: PassOutcome(outcomes))
    told = [(record.message, record.__dict__["target_prefix"], record.__dict__["day"]) for record in caplog.records]
    assert told == [("rolled", "p/", "2022-07-02"), ("nothing_new", "q/", "2022-07-01")]


RANGE = RangeTask("logs", "p/", WINDOW)


def a_pass(*outcomes: RollOutcome, start_after: str | None = None) -> PassOutcome:
    return PassOutcome(outcomes, start_after)


def test_a_pass_that_misses_day_groups_fails_after_all_others_are_done() -> None:
    """Its figures count, what it left is sent, and the message comes again; in one process the exit code is 3."""
    queue = Queue(RANGE)
    good, bad = roll_task(day=1), roll_task(day=2)
    outcomes = RollOutcome(good.group, Figures(rollups=1, packed=2)), RollOutcome(bad.group, remaining=1)
    summary = work(queue, lambda task: PassOutcome(outcomes, absent=3))
    assert queue.events == ["send RollTask"]
    assert (summary.figures.packed, summary.exit_code) == (2, 3)
    assert "3 day groups that a scan found here are gone" in summary.failures[str(RANGE)]


def test_a_pass_is_acknowledged_after_what_it_left_was_sent() -> None:
    """The day groups that have to go alone, and where the range goes on, each as a task of its own."""
    queue = Queue(RANGE)
    good, bad = roll_task(day=1), roll_task(day=2)

    def roll(task: RollTask | RangeTask) -> PassOutcome:
        assert task == RANGE
        figures = Figures(rollups=1, packed=2)
        return a_pass(
            RollOutcome(good.group, figures), RollOutcome(bad.group, remaining=1), start_after="p/2022-07-02-"
        )

    summary = work(queue, roll)
    assert queue.events == ["send RollTask", "send RangeTask", "ack m1"]
    assert queue.sent == [bad, RangeTask("logs", "p/", WINDOW, start_after="p/2022-07-02-")]
    assert (summary.day_groups_done, summary.figures.packed, summary.exit_code) == (1, 2, 0)


def test_a_pass_that_fails_stays_and_is_named_by_its_range() -> None:
    """Nothing of it was done; the message comes again."""
    queue = Queue(RANGE)

    def roll(task: RollTask | RangeTask) -> PassOutcome:
        raise StorageError("refused")

    assert work(queue, roll).failures == {"s3://logs/p/": "refused"}
    assert queue.events == []


@pytest.mark.parametrize("receives", [2, 3])
def test_a_range_that_comes_again_is_tried_in_small(receives: int) -> None:
    """The pass hears how often it failed, and is not held to what a scan found long ago; then all is acknowledged."""
    queue = Queue(RANGE)
    receive = queue.receive

    def again(wait_seconds: int) -> Message | None:
        message = receive(wait_seconds)
        if message is not None:
            message.receives = receives
        return message

    queue.receive = again  # type: ignore[method-assign]
    asked: list[RollTask | RangeTask] = []

    def roll(task: RollTask | RangeTask) -> PassOutcome:
        asked.append(task)
        return a_pass(RollOutcome(roll_task(day=1).group), RollOutcome(roll_task(day=2).group, remaining=1))

    summary = work(queue, roll)
    assert asked == [replace(RANGE, groups=0, tries=receives - 1)]
    assert queue.sent == [roll_task(day=2)]
    assert queue.events[-1] == "ack m1"
    assert (summary.day_groups_done, summary.exit_code) == (1, 0)


def test_a_range_that_failed_and_is_done_later_takes_its_failure_back() -> None:
    """Also where the second receive leaves each of its day groups to a message of its own."""
    queue = Queue(RANGE, RANGE)
    errors = [StorageError("refused")]

    def roll(task: RollTask | RangeTask) -> PassOutcome:
        if errors:
            raise errors.pop()
        return a_pass(RollOutcome(roll_task(day=1).group, remaining=1))

    summary = work(queue, roll)
    assert queue.sent == [roll_task(day=1)]
    assert summary.failures == {}


def test_a_message_with_a_lone_surrogate_is_left_for_the_dead_letter_queue() -> None:
    """It is malformed, not a bug: no key of S3 has one."""
    body = encode_task(roll_task()).replace("p/", "p\\udc80/")
    queue = Queue(body)
    summary = work(queue, done)
    (why,) = summary.failures.values()
    assert "lone surrogate" in why
    assert queue.events == []


def test_a_worker_is_idle_only_while_nothing_runs_and_it_asks_for_more() -> None:
    """So a terminal can tell waiting from working."""
    seen: list[tuple[str, bool]] = []
    summary = Summary()

    class Watched(Queue):
        def receive(self, wait_seconds: int) -> Message | None:
            seen.append(("receive", summary.idle))
            return super().receive(wait_seconds)

    def roll(task: RollTask) -> RollOutcome:
        seen.append(("roll", summary.idle))
        return done(task)

    queue = Watched(roll_task())
    Worker(queue, InlineRunner(roll), OneBucket().open, lambda: TODAY, summary).work()  # type: ignore[arg-type]
    assert seen[:2] == [("receive", True), ("roll", False)]
    assert seen[-1] == ("receive", True)
    assert not summary.idle
