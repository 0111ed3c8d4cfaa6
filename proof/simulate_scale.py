#!/usr/bin/env python3
"""What ten billion logs a day come to: the program's own step rules in an event simulation. Needs nothing but Python.

    python3 proof/simulate_scale.py                          the table of docs/scale.md
    python3 proof/simulate_scale.py --logs 1e9 --groups 5000 --concurrency 50 --rate 2000

A day's logs become one roll task per day group. An invocation lists a window of the day group (one page after another),
takes on what fits half of its time left at the rate it measured, packs, proves and deletes that, and sends the task
again if logs are left. That is `reconcile` under `pace.Pace`; the constants below are theirs, the latencies and rates
are assumptions to be changed by option.
"""

from __future__ import annotations

import argparse
import heapq
import math
import random
from dataclasses import dataclass, field

FIRST_LOGS_PER_S = 500.0
SHARE = 0.5
RESERVE_S = 20.0
MIN_WINDOW_KEYS = 10_000
"""pace.FIRST_LOGS_PER_S, pace.SHARE, lambda_handler.RESERVE_S, reconcile.MIN_WINDOW_KEYS; a test compares them."""
PAGE_KEYS = 1_000
DELETE_KEYS = 1_000
ORIGINAL_BYTES = 44
"""Of memory per original listed, twice where some of them are taken (rollup/originals.py)."""
INDEX_BYTES = 16
"""Of memory per member in the index being written."""
BASE_MIB = 110
"""Interpreter, libraries, buffers."""
GETS_PER_S = 5_500
"""That S3 serves at least, per prefix."""
SQS_IN_FLIGHT = 120_000
PRICES = {"GET": 0.0004 / 1000, "LIST": 0.005 / 1000, "PUT": 0.005 / 1000, "GB-s": 0.0000133334, "SQS": 0.40 / 1e6}
"""us-east-1, USD. DELETE is free."""


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
    list_page_s: float = 0.10
    cold_start_s: float = 1.5
    log_bytes: int = 3_700
    part_bytes: int = 8 << 20
    ratio: float = 0.22
    max_receives: int = 3
    deleting: bool = True
    whole_listing: bool = False
    """A pass lists its whole day group first, as it would without windows."""
    spread: float = 0.3
    """Day groups differ in size by so much: standard deviation of a log-normal distribution."""


@dataclass
class Result:
    """What came of one day."""

    done_logs: float = 0.0
    stuck_groups: int = 0
    stuck_logs: float = 0.0
    invocations: int = 0
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
class _Group:
    left: float
    gone: float = 0.0
    """Members of rollups already; still listed where nothing is deleted."""
    receives: int = 0


def simulate(world: World, seed: int = 1) -> Result:
    """One day's tasks, all sent at once, until every one is done or in the dead-letter queue."""
    rng = random.Random(seed)
    mean = world.logs_per_day / world.groups
    sizes = [rng.lognormvariate(0.0, world.spread) for _ in range(world.groups)]
    scale = mean * world.groups / sum(sizes)
    total = Result()
    for account in range(world.accounts):
        mine = sizes[account :: world.accounts]
        _run_account(world, [_Group(size * scale) for size in mine], total)
    return total


def _run_account(world: World, groups: list[_Group], total: Result) -> None:
    waiting = groups[::-1]
    rates = [FIRST_LOGS_PER_S] * world.concurrency
    """What each warm container has measured."""
    cold = [True] * world.concurrency
    idle = list(range(world.concurrency))
    busy: list[tuple[float, int, _Group, bool]] = []
    now = 0.0
    while waiting or busy:
        while waiting and idle:
            group = waiting.pop()
            container = idle.pop()
            ends, again = _invoke(world, group, container, rates, cold, total)
            heapq.heappush(busy, (now + ends, container, group, again))
            total.busy_s += ends
            total.peak_busy = max(total.peak_busy, len(busy) * world.accounts)
        now, container, group, again = heapq.heappop(busy)
        idle.append(container)
        if again:
            waiting.insert(0, group)
    total.ended_s = max(total.ended_s, now)


def _invoke(
    world: World, group: _Group, container: int, rates: list[float], cold: list[bool], total: Result
) -> tuple[float, bool]:
    """(seconds it took, whether the task comes again)."""
    total.invocations += 1
    total.sqs += 3  # send, receive, delete
    spent = world.cold_start_s if cold[container] else 0.0
    cold[container] = False
    window = max(MIN_WINDOW_KEYS, int((world.limit_s - spent - RESERVE_S) * SHARE * rates[container]))
    if world.whole_listing:
        window = math.ceil(group.left + group.gone) + 1
    fresh = min(group.left, window)
    pages = math.ceil((group.gone + fresh) / PAGE_KEYS)
    spent += pages * world.list_page_s
    held = group.gone + fresh if world.whole_listing else fresh
    mib = BASE_MIB + held * ORIGINAL_BYTES / 2**20
    out_of_memory = mib > world.memory_mib
    allowance = int((world.limit_s - spent - RESERVE_S) * SHARE * rates[container])
    if out_of_memory or allowance < 1:
        total.why.add("memory" if out_of_memory else "listing takes longer than the time limit")
        total.lists += min(pages, world.limit_s / world.list_page_s)
        total.killed += 1
        group.receives += 1
        if group.receives >= world.max_receives:
            total.stuck_groups += 1
            total.stuck_logs += group.left
            return min(spent, world.limit_s), False
        return min(spent, world.limit_s), True
    total.lists += pages + 2
    taken = min(fresh, float(allowance))
    rate = min(world.rate, GETS_PER_S)
    spent += taken / rate
    rates[container] = rate
    compressed = taken * world.log_bytes * world.ratio
    total.gets += taken + compressed / (4 << 20) + 2
    total.puts += compressed / world.part_bytes + 2
    total.rollups += 1
    total.peak_mib = max(total.peak_mib, mib + taken * (ORIGINAL_BYTES * (taken < held) + INDEX_BYTES) / 2**20)
    group.left -= taken
    if not world.deleting:
        group.gone += taken
    total.done_logs += taken
    group.receives = 0
    return spent, group.left >= 1


def scan_seconds(world: World, page_s: float = 0.10) -> tuple[float, float]:
    """(LIST requests, seconds) of finding a day's groups: two pages for each, prefixes shared among the accounts."""
    requests = 2.0 * world.groups
    return requests, requests / world.accounts * page_s


def row(name: str, world: World, result: Result) -> str:
    """A line of the table."""
    cost = result.cost(world)
    done = "all" if not result.stuck_groups else f"{result.done_logs / world.logs_per_day:.0%}"
    why = "; ".join(sorted(result.why)) or "–"
    return (
        f"| {name} | {world.groups:,} | {world.logs_per_day / world.groups:,.0f} | {done} | "
        f"{result.ended_s / 3600:.1f} | {result.invocations:,} | {result.rollups / world.groups:.1f} | "
        f"{result.peak_busy} | {result.busy_s / 86_400:.0f} | {result.peak_mib:,.0f} | "
        f"{result.done_logs / max(1.0, result.ended_s):,.0f} | "
        f"{cost['GET']:,.0f} + {cost['LIST, PUT']:,.0f} + {cost['Lambda']:,.0f} + {cost['SQS']:,.2f} | {why} |"
    )


HEADER = (
    "| what | day groups | logs each | done | hours | invocations | rollups per group | most at once | "
    "busy on average over a day | largest, MiB | logs/s | $ a day: GET + LIST, PUT + Lambda + SQS | in the way |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|---|---|"
)


def scenarios(base: World) -> dict[str, World]:
    """The rows of docs/scale.md."""

    def but(**changes: float) -> World:
        return World(**{**base.__dict__, **changes})

    return {
        "10¹⁰ logs, 1,000 prefixes": but(),
        "the same, 1,000 at once in each account": but(concurrency=1_000),
        "the same, listing twice as slow": but(list_page_s=0.2),
        "the same, half the rate": but(rate=base.rate / 2),
        "the same, not deleting": but(deleting=False),
        "the same, if passes listed the whole day": but(whole_listing=True),
        "10¹⁰ logs, 10,000 target prefixes": but(groups=10_000),
        "10,000 target prefixes, not deleting": but(groups=10_000, deleting=False),
        "10,000 target prefixes, 20 at once": but(groups=10_000, concurrency=20),
        "10⁹ logs, 1,000 prefixes, 20 at once": but(logs_per_day=1e9, concurrency=20),
        "10⁸ logs, 1,000 prefixes, 10 at once": but(logs_per_day=1e8, concurrency=10),
    }


def main() -> None:
    """Print the table, or one row of it."""
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
        print(row(name, scenario, simulate(scenario)))
    requests, seconds = scan_seconds(world)
    print(f"\nScan: {requests:,.0f} LIST requests, {seconds:,.0f} s in each account.")
    print(f"Tasks waiting at once: {world.groups:,} at most; SQS holds {SQS_IN_FLIGHT:,} in flight.")


if __name__ == "__main__":
    main()
