"""What ten billion logs a day come to: an event simulation on the program's own step rules.

    .venv/bin/python -m proof.simulate_scale                          the tables of docs/evidence/scale.md
    .venv/bin/python -m proof.simulate_scale --logs 1e9 --groups 5000 --concurrency 50 --rate 2000

A day's logs become one roll task per day group. The program's own code decides how large a window is and how much a
step takes on (`pace.Pace`), what is sent again after it ran short (`working.smaller_step`) and what after it
ended with logs left (`worker._grown`). What this file models is `reconcile` around them: how long listing, reading the
indexes of earlier rollups, packing, proving and deleting take, and what they hold in memory. Times are assumptions, and
options; sizes are the program's constants.
"""

from __future__ import annotations

import argparse
import heapq
import math
import random
from collections import deque
from dataclasses import dataclass, field, replace
from datetime import date

from s3_log_roller.aws.s3.uploads import PART_BYTES
from s3_log_roller.aws_lambda.handler import RESERVE_S
from s3_log_roller.aws_lambda.invocation import reserve
from s3_log_roller.aws_lambda.working import smaller_step
from s3_log_roller.errors import OutOfTime
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rolling.pace import Pace
from s3_log_roller.rolling.reconcile import MIN_WINDOW_KEYS
from s3_log_roller.rolling.tasks import RollTask
from s3_log_roller.rolling.window import Window
from s3_log_roller.rolling.worker import _grown
from s3_log_roller.rollup import originals
from s3_log_roller.rollup.footer import BLOCK_BYTES
from s3_log_roller.rollup.stored import MAX_TAIL_BYTES, READ_BYTES, TAIL_BYTES

PAGE_KEYS = 1_000
ORIGINAL_BYTES = originals._RECORD.size
"""Of memory per original in a table; there is a second table where only some of them are taken."""
HOLDER_BYTES = 6
"""Of memory per original listed while earlier rollups are looked through: holder, odd, mask (`_find_holders`)."""
INDEX_BYTES = 15
"""Of a rollup's index per member (a test measures it)."""
BLOCK_ENTRY_BYTES = 500
"""Of memory per block of a rollup that is read back."""
TAR_OVERHEAD_BYTES = 900
"""Of tar per log: header and padding."""
BASE_MIB = 80
"""Interpreter, libraries, what is read ahead, one part and the one on its way."""
PACK_SHARE = 0.6
"""Of a step's time, until the rollup is published; the rest is proving and deleting."""
SLOW = 4
"""How many times slower an invocation in a slow spell is."""
GETS_PER_S = 5_500
"""That S3 serves at least, per prefix."""
VISIBILITY = 6
"""Times the time limit: when a message that failed comes again."""
SQS_IN_FLIGHT = 120_000
PRICES = {"GET": 0.0004 / 1000, "LIST": 0.005 / 1000, "PUT": 0.005 / 1000, "GB-s": 0.0000133334, "SQS": 0.40 / 1e6}
"""us-east-1, USD. DELETE is free."""

_TASK = RollTask(DayGroup("bucket", "prefix/", date(2022, 7, 1)), Window(date(2022, 7, 2)))


@dataclass(frozen=True)
class World:
    """What is assumed."""

    logs_per_day: float = 1e10
    groups: int = 1_000
    """Day groups a day: target prefixes in use."""
    accounts: int = 3
    concurrency: int = 200
    """Of the function, in each account (MaxConcurrency)."""
    limit_s: float = 900.0
    memory_mib: int = 1_769
    rate: float = 3_000.0
    """Logs a second that one invocation fetches, packs, proves and deletes."""
    slow_share: float = 0.0
    """Of the invocations, those that run at a quarter of the rate."""
    list_page_s: float = 0.10
    index_s: float = 0.10
    """To have the first bytes of a rollup's index."""
    index_bytes_per_s: float = 50e6
    matched_per_s: float = 500_000.0
    """Members of earlier rollups decoded, and originals compared with them."""
    cold_start_s: float = 1.5
    log_bytes: int = 3_700
    ratio: float = 0.22
    max_receives: int = 5
    deleting: bool = True
    spread: float = 0.3
    """Day groups differ in size by so much: standard deviation of a log-normal distribution."""


@dataclass
class Result:
    """What came of one day."""

    done_logs: int = 0
    stuck_groups: int = 0
    invocations: int = 0
    smaller_steps: int = 0
    killed: int = 0
    busy_s: float = 0.0
    gets: float = 0.0
    lists: float = 0.0
    puts: float = 0.0
    sqs: float = 0.0
    rollups: int = 0
    ended_s: float = 0.0
    peak_busy: int = 0
    peak_mib: float = 0.0
    why: set[str] = field(default_factory=set)

    def cost(self, world: World) -> dict[str, float]:
        """USD for the day."""
        gib_s = self.busy_s * world.memory_mib / 1024
        return {
            "GET": self.gets * PRICES["GET"],
            "LIST, PUT": self.lists * PRICES["LIST"] + self.puts * PRICES["PUT"],
            "Lambda": gib_s * PRICES["GB-s"],
            "SQS": self.sqs * PRICES["SQS"],
        }


@dataclass
class Group:
    """A day group as it stands."""

    left: int
    """Logs in no rollup yet. They sort behind the others, since each step takes the first there are."""
    packed: int = 0
    """Logs that are members of a rollup and still listed."""
    rollups: list[int] = field(default_factory=list)
    """The members of each."""
    task: RollTask = _TASK
    receives: int = 0


class Killed(Exception):
    """The time limit, or out of memory."""


class Container:
    """A warm function: it keeps its pace from one invocation to the next."""

    def __init__(self, world: World) -> None:
        self.cold = True
        self.spent_s = 0.0
        self.reserve_s = reserve(RESERVE_S, world.limit_s)
        self._limit_s = world.limit_s
        self.pace = Pace(self.left_s, reserve_s=self.reserve_s, monotonic=lambda: self.spent_s)

    def spend(self, seconds: float) -> None:
        """Let time pass. Raises `Killed` at the time limit."""
        self.spent_s += seconds
        if self.spent_s > self._limit_s:
            self.spent_s = self._limit_s
            raise Killed("the time limit")

    def left_s(self) -> float:
        """What Lambda says is left of the invocation."""
        return self._limit_s - self.spent_s


def index_read(world: World, members: int) -> tuple[int, int]:
    """(requests, bytes) of reading the index of a rollup of so many members: `stored.read_rollup`."""
    index_bytes = members * INDEX_BYTES
    size = int(members * world.log_bytes * world.ratio) + index_bytes
    reads = [min(size, TAIL_BYTES + size // 16, MAX_TAIL_BYTES)]
    if reads[0] < index_bytes:
        reads.append(index_bytes)
    return sum(math.ceil(read / READ_BYTES) for read in reads), sum(reads)


def memory_mib(world: World, listed: int, loose: int, taken: int, largest_rollup: int) -> float:
    """The most that a pass holds: looking through earlier rollups, or reading its own one back."""
    tables = listed * ORIGINAL_BYTES + (listed * HOLDER_BYTES if largest_rollup else 0)
    # The section that is being left, and the next one's tail before and after it is cut.
    looking = 3 * largest_rollup * INDEX_BYTES
    copies = (loose if loose < listed else 0) + (taken if taken < loose else 0)
    blocks = taken * (world.log_bytes + TAR_OVERHEAD_BYTES) / BLOCK_BYTES
    first_tail = min(MAX_TAIL_BYTES, taken * world.log_bytes * world.ratio / 16)
    proving = copies * ORIGINAL_BYTES + taken + 2 * taken * INDEX_BYTES + first_tail + blocks * BLOCK_ENTRY_BYTES
    return BASE_MIB + (tables + max(looking, proving)) / 2**20


def simulate(world: World, seed: int = 1) -> Result:
    """One day's tasks, all sent at once, until every one is done or in the dead-letter queue."""
    rng = random.Random(seed)
    sizes = [rng.lognormvariate(0.0, world.spread) for _ in range(world.groups)]
    scale = world.logs_per_day / sum(sizes)
    total = Result()
    for account in range(world.accounts):
        mine = sizes[account :: world.accounts]
        _run_account(world, [Group(round(size * scale)) for size in mine], total, rng)
    return total


def _run_account(world: World, groups: list[Group], total: Result, rng: random.Random) -> None:
    waiting = deque(groups)
    later: list[tuple[float, int, Group]] = []
    """Messages that failed and are not visible yet."""
    idle = [Container(world) for _ in range(min(world.concurrency, len(groups)))]
    busy: list[tuple[float, int, Container, Group, str]] = []
    now, number, peak = 0.0, 0, 0
    while waiting or busy or later:
        while later and later[0][0] <= now:
            waiting.append(heapq.heappop(later)[2])
        while waiting and idle:
            group, container = waiting.popleft(), idle.pop()
            ends = invoke(world, group, container, total, slow=rng.random() < world.slow_share)
            number += 1
            heapq.heappush(busy, (now + container.spent_s, number, container, group, ends))
            total.busy_s += container.spent_s
            peak = max(peak, len(busy))
        if later and (not busy or (idle and later[0][0] < busy[0][0])):
            now = later[0][0]
            continue
        now, _, container, group, ends = heapq.heappop(busy)
        idle.append(container)
        if ends == "again":
            waiting.append(group)
        elif ends == "failed":
            number += 1
            heapq.heappush(later, (now + VISIBILITY * world.limit_s, number, group))
    total.ended_s = max(total.ended_s, now)
    # All accounts start at once, with as many as there can be; none has more at any later time.
    total.peak_busy += peak


def invoke(world: World, group: Group, container: Container, total: Result, *, slow: bool = False) -> str:
    """One task in one invocation, as `lambda_handler` and `worker` end it: done, again, failed or stuck."""
    total.invocations += 1
    container.spent_s = world.cold_start_s if container.cold else 0.0
    container.cold = False
    total.sqs += 3  # send, receive, delete
    rate = min(world.rate, GETS_PER_S) / (SLOW if slow else 1)
    step = _Step(world, group, container, total, rate)
    try:
        remaining = step.look()
        if remaining:
            group.task = replace(_TASK, max_members=_grown(group.task.max_members, remaining))
        group.receives = 0
        return "again" if remaining else "done"
    except OutOfTime as error:
        try:
            group.task = smaller_step(group.task, step.counted, error)
        except OutOfTime:
            why = "no time left behind what is listed first"
        else:
            total.smaller_steps += 1
            group.receives = 0
            return "again"
    except Killed as killed:
        container.cold = True
        total.killed += 1
        why = str(killed)
    group.receives += 1
    if group.receives < world.max_receives:
        return "failed"
    total.stuck_groups += 1
    total.why.add(why)
    return "stuck"


class _Step:
    """`reconcile` of one task: what it does, in time, requests and memory."""

    def __init__(self, world: World, group: Group, container: Container, total: Result, rate: float) -> None:
        self.world = world
        self.group = group
        self.container = container
        self.pace = container.pace
        self.total = total
        self.rate = rate
        self.counted = 0

    def look(self) -> int:
        """`_Reconciler.look`: one window after another; how many logs remain."""
        group = self.group
        behind, deleted = 0, 0
        while True:
            window = max(MIN_WINDOW_KEYS, self.pace.allowance(None))
            listed = min(window, group.packed + group.left - behind)
            leftovers = max(0, min(listed, group.packed - behind))
            loose = listed - leftovers
            more = behind + listed < group.packed + group.left
            pages = math.ceil((listed + more) / PAGE_KEYS) or 1
            self.total.lists += pages + 1
            self.container.spend((pages + 1) * self.world.list_page_s)
            self._read_indexes(listed)
            remaining = self._roll_up(listed, loose) if loose else 0
            if self.world.deleting and leftovers:
                self._prove_and_delete(leftovers)
                group.packed -= leftovers
                deleted += leftovers
            else:
                behind += leftovers
            if not more:
                return remaining
            if loose or (deleted and self.pace.is_short):
                return remaining + 1
            if self.pace.is_short:
                raise OutOfTime("more logs than can be looked through in the time there is")

    def _read_indexes(self, listed: int) -> None:
        for members in self.group.rollups if listed else []:
            requests, size = index_read(self.world, members)
            self.total.gets += requests
            seconds = self.world.index_s + size / self.world.index_bytes_per_s
            self.container.spend(seconds + (members + listed) / self.world.matched_per_s)

    def _roll_up(self, listed: int, loose: int) -> int:
        world, group, total = self.world, self.group, self.total
        allowance = self.pace.allowance(group.task.max_members)
        if allowance < 1:
            raise OutOfTime("no time left to start")
        taken = min(loose, allowance)
        mib = memory_mib(world, listed, loose, taken, max(group.rollups, default=0))
        total.peak_mib = max(total.peak_mib, mib)
        if mib > world.memory_mib:
            raise Killed("memory")
        with self.pace.measuring(taken):
            packing_s = PACK_SHARE * taken / self.rate
            left_s = self.container.left_s() - self.container.reserve_s
            if packing_s > left_s:
                self.counted = int(taken * left_s / packing_s)
                total.gets += self.counted
                self.container.spend(left_s)
                raise OutOfTime("a smaller step is needed")
            compressed = taken * world.log_bytes * world.ratio
            total.gets += taken
            total.puts += compressed // PART_BYTES + (3 if compressed > PART_BYTES else 1)
            total.lists += 1
            total.rollups += 1
            total.done_logs += taken
            group.left -= taken
            group.packed += taken
            group.rollups.append(taken)
            self.container.spend(packing_s)
            self._prove_and_delete(taken)
            if world.deleting:
                group.packed -= taken
        return loose - taken

    def _prove_and_delete(self, members: int) -> None:
        compressed = members * self.world.log_bytes * self.world.ratio
        self.total.gets += math.ceil(compressed / READ_BYTES) + index_read(self.world, members)[0]
        self.container.spend((1 - PACK_SHARE) * members / self.rate)


def scan_seconds(world: World) -> tuple[int, float]:
    """(LIST requests, seconds) of finding a day's groups: one for each at most (docs/decisions/0004-scan.md)."""
    return world.groups, world.groups / world.accounts * world.list_page_s


def rerun(world: World, logs: int) -> tuple[Result, float]:
    """(requests, seconds) of a task for a day group of so many logs that is rolled up and still listed."""
    world = replace(world, deleting=False, cold_start_s=0.0)
    container = Container(world)
    first = Result()
    group = Group(logs)
    while invoke(world, group, container, first) == "again":
        pass
    again = Result()
    if invoke(world, group, container, again) != "done":
        raise ValueError(f"a day group of {logs:,} logs does not get done without deleting")
    return again, container.spent_s


def largest_kept(world: World) -> int:
    """The largest day group, in tens of thousands of logs, that gets done without deleting."""
    low, high = 0, 10_000
    while high - low > 1:
        middle = (low + high) // 2
        one = replace(world, logs_per_day=middle * 1e4, groups=1, accounts=1, concurrency=1, deleting=False, spread=0.0)
        low, high = (middle, high) if not simulate(one).stuck_groups else (low, middle)
    return low * 10_000


def row(name: str, world: World, result: Result) -> str:
    """A line of the table."""
    cost = result.cost(world)
    done = "all" if not result.stuck_groups else f"{result.done_logs / world.logs_per_day:.0%}"
    why = "; ".join(sorted(result.why)) or "–"
    return (
        f"| {name} | {world.groups:,} | {world.logs_per_day / world.groups:,.0f} | {done} | "
        f"{result.ended_s / 3600:.1f} | {result.invocations:,} | {result.smaller_steps:,} | "
        f"{result.rollups / world.groups:.1f} | "
        f"{result.peak_busy:,} | {result.busy_s / 86_400:.0f} | {result.peak_mib:,.0f} | "
        f"{result.done_logs / max(1.0, result.ended_s):,.0f} | "
        f"{cost['GET']:,.0f} + {cost['LIST, PUT']:,.0f} + {cost['Lambda']:,.0f} + {cost['SQS']:,.2f} | {why} |"
    )


HEADER = (
    "| what | day groups | logs each | done | hours | invocations | of them run short | rollups per group | "
    "most at once | busy on average over a day | largest, MiB | logs/s | "
    "$ a day: GET + LIST, PUT + Lambda + SQS | in the way |\n|" + "---|" * 14
)


def scenarios(base: World) -> dict[str, World]:
    """The rows of docs/evidence/scale.md."""

    def but(**changes: float) -> World:
        return World(**{**base.__dict__, **changes})

    return {
        "10¹⁰ logs, 1,000 prefixes": but(),
        "the same, 1,000 at once in each account": but(concurrency=1_000),
        "the same, listing twice as slow": but(list_page_s=0.2),
        "the same, half the rate": but(rate=base.rate / 2),
        "the same, one invocation in ten at a quarter of it": but(slow_share=0.1),
        "the same, not deleting": but(deleting=False),
        "10¹⁰ logs, 10,000 target prefixes": but(groups=10_000),
        "10,000 target prefixes, not deleting": but(groups=10_000, deleting=False),
        "10,000 target prefixes, 20 at once": but(groups=10_000, concurrency=20),
        "10⁹ logs, 1,000 prefixes, 20 at once": but(logs_per_day=1e9, concurrency=20),
        "10⁸ logs, 1,000 prefixes, 10 at once": but(logs_per_day=1e8, concurrency=10),
    }


def print_reruns(world: World) -> None:
    """What a day group that stays listed costs with every further run."""
    print("\n| logs in the day group | LIST | GET | seconds | $ a year: 1,000 new day groups a day, kept 30 days |")
    print("|---|---|---|---|---|")
    for logs in (1_000, 10_000, 100_000, 1_000_000, 3_000_000):
        result, seconds = rerun(world, logs)
        result.busy_s = seconds
        a_year = sum(result.cost(world).values()) * 1_000 * 30 * 365
        print(f"| {logs:,} | {result.lists:,.0f} | {result.gets:,.0f} | {seconds:.1f} | {a_year:,.0f} |")


def main() -> None:
    """Print the tables, or one row."""
    parser = argparse.ArgumentParser(description="Ten billion logs a day, simulated.")
    for name, value in World().__dict__.items():
        if isinstance(value, bool):
            parser.add_argument(f"--{name.replace('_', '-')}", type=lambda text: text == "yes", metavar="yes|no")
        else:
            parser.add_argument(
                f"--{name.replace('_', '-').replace('logs-per-day', 'logs')}", dest=name, type=type(value)
            )
    given = {name: value for name, value in vars(parser.parse_args()).items() if value is not None}
    world = World(**{**World().__dict__, **given})
    changed = world != World()
    print(HEADER)
    for name, scenario in ({"as asked": world} if changed else scenarios(world)).items():
        print(row(name, scenario, simulate(scenario)), flush=True)
    requests, seconds = scan_seconds(world)
    print(f"\nScan: {requests:,} LIST requests at most, {seconds:,.0f} s in each account.")
    print(f"Tasks waiting at once: {world.groups:,} at most; SQS holds {SQS_IN_FLIGHT:,} in flight.")
    print(f"The largest day group that gets done without deleting: {largest_kept(world):,} logs.")
    print_reruns(world)


if __name__ == "__main__":
    main()
