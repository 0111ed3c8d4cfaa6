"""One schedule from a seed: a day's logs, a producer, workers, and what happens to the bucket meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from random import Random

from tests.support.logs import DAY, TODAY, log_key
from tests.support.simulation.faults import Odds
from tests.support.simulation.ledger import Broken, Ledger
from tests.support.simulation.schedule import Schedule
from tests.support.simulation.server import Bucket, Connection
from tests.support.simulation.task_queue import SimulatedQueue

from s3_log_roller.errors import OutOfTime, QueueError
from s3_log_roller.log_keys import DayGroup, parse_log_key
from s3_log_roller.mirrored import MirroredStore, place_in
from s3_log_roller.rolling.destination import Destination
from s3_log_roller.rolling.options import RollOptions
from s3_log_roller.rolling.outcome import done_before
from s3_log_roller.rolling.pace import Pace
from s3_log_roller.rolling.producer import find_tasks
from s3_log_roller.rolling.reconcile import reconcile
from s3_log_roller.rolling.roll import roll
from s3_log_roller.rolling.runner import Failed, Outcome, Result, Unfinished, failure_of
from s3_log_roller.rolling.summary import Summary
from s3_log_roller.rolling.tasks import RollTask, ScanTask, WorkTask
from s3_log_roller.rolling.window import Window
from s3_log_roller.rolling.worker import Worker
from s3_log_roller.uris import Role, S3Uri

PREFIXES = ("a-", "a/")
SHAPES = (
    *[(2, 1), (3, 1), (2, 2)] * 7,
    *[(1, 3), (3, 2), (4, 1)] * 2,
    (6, 2),
    (2, 9),
    (14, 2),
)
"""The most logs of a day, and the days: what goes wrong between workers needs few of either, so most have few."""
WINDOW = Window(TODAY)
YOUNG = 1_657_400_000
OLD = 1_656_800_000
CALM = Odds(*[0.0] * 10)
MAX_WORKERS_STARTED = 12
DESTINATION = Destination(S3Uri("archive", "logs/"))


@dataclass
class Played:
    """What became of one schedule."""

    turns: int = 0
    deletes: int = 0
    restarts: int = 0
    """Workers that were killed, or ended because the queue failed."""
    rollups: int = 0
    doubled: Counter[str] = field(default_factory=Counter)
    """Logs in more than one rollup, by cause."""


class World:
    """Everything of one schedule; `run` plays it and checks the promises."""

    def __init__(self, seed: int, *, trace: bool = False, odds: Odds | None = None) -> None:
        self.rng = Random(seed)
        self.schedule = Schedule(self.rng)
        if trace:
            self.schedule.trace = []
        self.ledger = Ledger()
        self.odds = odds or Odds.drawn(self.rng)
        self.bucket = Bucket(self.rng.choice((1, 2, 3, 1000, 1000, 1000)), remembers=self.odds.stale_listing > 0)
        self.archive: Bucket | None = None
        """Where rollups go, if not beside their logs."""
        self.queue = SimulatedQueue(self.schedule, self.odds)
        self.mtime = self.rng.choice((YOUNG, OLD))
        self._workers_started = 0
        self._restarts = 0

    def run(self) -> Played:
        """Play the schedule, then let one worker finish in peace; raises `Broken` if a promise was broken."""
        self.set_up()
        self.schedule.run()
        self._finish_in_peace()
        return self._outcome()

    def set_up(self) -> None:
        """Draw the logs and the actors."""
        rng = self.rng
        most_logs, days = rng.choice(SHAPES)
        for prefix in PREFIXES[: rng.choice((1, 1, 1, 2))]:
            for day in (DAY + timedelta(number) for number in range(days)):
                for number in rng.sample(range(1, 3 * most_logs + 1), rng.randint(1, most_logs)):
                    self.deliver(number, prefix, day)
        for _ in range(rng.choice((1, 1, 2, 3))):
            self.start_producer()
        for _ in range(rng.choice((0, 0, 1, 2))):
            self.schedule.add("deliverer", self._deliver_late)
        if rng.random() < 0.3:
            self.schedule.add("lifecycle", self._expire)
        if rng.random() < 0.2:
            self.schedule.add("archiver", self._archive)
        deleting = rng.choice(([True], [True], [False], [True, False]))
        for _ in range(rng.choice((2, 2, 3, 4))):
            self.start_worker(rng.choice(deleting))
        if rng.random() < 0.3:
            self.choose_destination()

    def choose_destination(self) -> None:
        """From now on rollups go elsewhere; some days have some beside their logs already."""
        for log in sorted({log for log in map(parse_log_key, self.bucket.logs()) if log}):
            if self.rng.random() < 0.4:
                task = RollTask(DayGroup(self.bucket.name, log.target_prefix, log.day), WINDOW)
                some = replace(task, max_members=self.rng.choice((1, 3, None)))
                reconcile(self._connect(CALM), some, RollOptions(level=1), today=TODAY)
        folder = f"logs/{self.bucket.name}/"
        self.archive = Bucket(
            self.rng.choice((1, 2, 1000)), remembers=self.odds.stale_listing > 0, name="archive", folder=folder
        )

    def _rollups(self) -> list[tuple[str, str, bytes]]:
        """(key in the logs' bucket, ETag, content) of each, wherever it is."""
        return [rollup for bucket in self._buckets() for rollup in bucket.rollups()]

    def _buckets(self) -> list[Bucket]:
        return [self.bucket] if self.archive is None else [self.bucket, self.archive]

    def deliver(self, number: int, prefix: str, day: date) -> str:
        """A log is delivered; returns its key."""
        key = log_key(number, prefix, day)
        body = f"log {number} of {prefix} {day}\n".encode()
        self.ledger.delivered[key] = body
        self.bucket.put(key, body, OLD)
        return key

    def _deliver_late(self) -> None:
        """A log that comes while others work; often it sorts before all of them."""
        for _ in range(int(self.rng.random() * 60)):
            self.schedule.pause()
        number = self.rng.choice((0, self.rng.randrange(40), self.rng.randrange(40, 60)))
        prefix = self.rng.choice(PREFIXES)
        self.deliver_late(number, prefix)

    def deliver_late(self, number: int, prefix: str) -> None:
        """A log is delivered while others work, unless it was before."""
        if log_key(number, prefix, DAY) not in self.ledger.delivered:
            self.schedule.note(f"delivers log {number} of {prefix}")
            self.ledger.late.add(self.deliver(number, prefix, DAY))

    def _expire(self) -> None:
        """A lifecycle rule deletes originals, rolled up or not; the first of the day, most likely."""
        for _ in range(int(self.rng.random() * 80)):
            self.schedule.pause()
        for key in sorted(self.bucket.logs())[: self.rng.choice((1, 2, 3))]:
            self.schedule.note(f"expires {key}")
            self.ledger.expired.add(key)
            self.bucket.remove(key)
            self.schedule.pause()

    def _archive(self) -> None:
        """A lifecycle rule archives the rollups of that moment."""
        for _ in range(int(self.rng.random() * 120)):
            self.schedule.pause()
        for bucket in self._buckets():
            for key in bucket.rollup_keys():
                self.schedule.note(f"archives {key}")
                bucket.archive(key, archived=True)
                self.schedule.pause()

    def start_producer(self) -> None:
        """Add an actor that scans and sends tasks."""
        self.queue.senders.append(self.schedule.add(f"producer {len(self.queue.senders)}", self._produce))

    def _produce(self) -> None:
        connection = self._connect(self.odds)
        scans = [ScanTask(self.bucket.name, "", WINDOW)]
        try:
            tasks = find_tasks(
                scans, _opener(connection), scanned=lambda outcome: None, failed=lambda what, error: None
            )
            self.queue.send(tasks)
        except QueueError:
            pass

    def start_worker(self, delete: bool) -> None:
        """Add an actor that works until the queue is empty."""
        self._workers_started += 1
        kind = "deleter" if delete else "keeper"
        self.schedule.add(f"{kind} {self._workers_started}", lambda: self._work(delete))

    def _work(self, delete: bool) -> None:
        ended = False
        try:
            worker, _ = self._worker(self.odds, delete)
            worker.work()
            ended = True
        except QueueError:
            pass
        finally:
            if not ended and self._workers_started < MAX_WORKERS_STARTED:
                self._restarts += 1
                self.start_worker(delete)

    def _worker(self, odds: Odds, delete: bool) -> tuple[Worker, Summary]:
        connection = self._connect(odds)
        summary = Summary()
        runner = _Runner(connection, RollOptions(delete=delete, level=1), self.ledger, self.rng, odds.short_of_time)
        return Worker(self.queue, runner, _opener(connection), _today, summary), summary

    def _connect(self, odds: Odds) -> Connection:
        connection = Connection(self.bucket, self.schedule, odds, self.ledger, self.mtime)
        if self.archive is not None:
            connection.destination = Connection(self.archive, self.schedule, odds, self.ledger, self.mtime)
        return connection

    def _finish_in_peace(self) -> None:
        """What a day's next plain run does: one worker, alone, deleting, nothing archived, with nothing going wrong."""
        self.ledger.check_end(self.bucket.logs(), self._rollups())
        for bucket in self._buckets():
            for key in bucket.rollup_keys():
                bucket.archive(key, archived=False)
        connection = self._connect(CALM)
        options = RollOptions(delete=True, level=1)
        for log in sorted({log for log in map(parse_log_key, self.bucket.logs()) if log}):
            connection.begin_task()
            task = RollTask(DayGroup(self.bucket.name, log.target_prefix, log.day), WINDOW)
            outcome = reconcile(connection, task, options, today=TODAY, rollups=place_of(connection))
            if outcome.remaining:
                raise Broken(f"{outcome.remaining} originals remain after a run in peace")
        self.ledger.check_end(self.bucket.logs(), self._rollups())
        if left := self.bucket.logs():
            raise Broken(f"a deleting run in peace left {sorted(left)}")

    def _outcome(self) -> Played:
        rollups = self._rollups()
        firsts = self.ledger.doubled(rollups)
        doubled = Counter(self.ledger.cause(one, firsts) for one in firsts.values())
        return Played(self.schedule.turns, self.ledger.deletes, self._restarts, len(rollups), doubled)


def roll_once(store: Connection, task: WorkTask, options: RollOptions, pace: Pace) -> Outcome:
    """The one place where the simulation calls the rolling core."""
    rollups = place_of(store)
    if rollups is not None:
        options = replace(options, destination=DESTINATION)
    return roll(store, task, options, today=TODAY, rollups=rollups, pace=pace)


def place_of(store: Connection) -> MirroredStore | None:
    """Where rollups go from that connection's bucket, if not beside their logs."""
    there = store.destination
    return None if there is None else MirroredStore(there, place_in(DESTINATION.uri, store.bucket))


class _ShortPace(Pace):
    """Time for some logs only, and perhaps not even for those."""

    def __init__(self, rng: Random) -> None:
        super().__init__()
        self._rng = rng
        self._logs = rng.randint(1, 3)

    def allowance(self, max_members: int | None) -> int:
        return min(self._logs, max_members or self._logs)

    @property
    def is_short(self) -> bool:
        return self._rng.random() < 0.1


class _Runner:
    """`worker.Runner` that runs each task at once, on a connection of its own."""

    capacity = 1

    def __init__(
        self, connection: Connection, options: RollOptions, ledger: Ledger, rng: Random, short_of_time: float
    ) -> None:
        self._connection = connection
        self._ledger = ledger
        self._options = options
        self._rng = rng
        self._short_of_time = short_of_time

    def submit(self, task: WorkTask) -> Future[Result]:
        future: Future[Result] = Future()
        result = self._run(task)
        if isinstance(result, Failed) and result.traceback:
            self._ledger.broken.append(result.traceback)
        future.set_result(result)
        return future

    def _run(self, task: WorkTask) -> Result:
        self._connection.begin_task()
        is_short = self._short_of_time > 0 and self._rng.random() < self._short_of_time
        pace = _ShortPace(self._rng) if is_short else Pace()
        try:
            return roll_once(self._connection, task, self._options, pace)
        except OutOfTime as error:
            if isinstance(task, RollTask) and task.max_members != 1:
                return Unfinished(replace(task, max_members=1), done_before(error))
            return failure_of(error)
        except Exception as error:
            return failure_of(error)

    def interrupt(self) -> None:
        """Nothing runs."""


def _opener(connection: Connection) -> Callable[[str, Role | None, str | None], AbstractContextManager[Connection]]:
    @contextmanager
    def opened(bucket: str, role: Role | None, owner: str | None) -> Iterator[Connection]:
        yield connection

    return opened


def _today() -> date:
    return TODAY


def play(seed: int) -> Played:
    """One schedule; raises `Broken` with its seed if a promise was broken."""
    try:
        return World(seed).run()
    except Exception as error:
        raise Broken(f"schedule {seed}: {error}") from error


def traced(seed: int) -> list[str]:
    """What happens in a schedule, step by step."""
    world = World(seed, trace=True)
    assert world.schedule.trace is not None
    try:
        world.run()
    except Exception as error:
        world.schedule.trace.append(f"{type(error).__name__}: {error}")
    return world.schedule.trace
