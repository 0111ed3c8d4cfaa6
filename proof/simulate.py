"""Simulated schedules by the million: is a log ever lost or deleted unproven, and how often is one packed twice?

    .venv/bin/python -m proof.simulate --schedules 1000000 --processes 2
    .venv/bin/python -m proof.simulate --trace 4711            one schedule, step by step
    .venv/bin/python -m proof.simulate --names content         rollups named after all they hold, as they once were

The schedules are those of tests/support/simulation; a seed is a schedule, the first is `--first`.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from unittest.mock import patch

from tests.support.simulation.ledger import Broken
from tests.support.simulation.world import play, traced

from s3_log_roller.rollup import stored
from s3_log_roller.rollup.originals import Originals
from s3_log_roller.store import ListedObject

CHUNK = 1_000


@dataclass
class Figures:
    """Of some schedules."""

    schedules: int = 0
    turns: int = 0
    deletes: int = 0
    restarts: int = 0
    doubled_logs: Counter[str] = field(default_factory=Counter)
    """Logs in more than one rollup, by cause."""
    doubled_schedules: Counter[str] = field(default_factory=Counter)
    """Schedules that have such logs."""
    broken: list[str] = field(default_factory=list)

    def __add__(self, other: Figures) -> Figures:
        return Figures(
            self.schedules + other.schedules,
            self.turns + other.turns,
            self.deletes + other.deletes,
            self.restarts + other.restarts,
            self.doubled_logs + other.doubled_logs,
            self.doubled_schedules + other.doubled_schedules,
            self.broken + other.broken,
        )


def run(first: int, count: int) -> Figures:
    """Play the schedules with those seeds."""
    figures = Figures(count)
    for seed in range(first, first + count):
        try:
            outcome = play(seed)
        except Broken as error:
            figures.broken.append(str(error))
            continue
        figures.turns += outcome.turns
        figures.deletes += outcome.deletes
        figures.restarts += outcome.restarts
        figures.doubled_logs += outcome.doubled
        figures.doubled_schedules.update(outcome.doubled.keys())
    return figures


@contextmanager
def named_after_content() -> Iterator[None]:
    """Names that begin the SHA-256 over all members, as they did before decision 0006 took the first member's key."""

    def name(originals: Originals, others: list[ListedObject]) -> str:
        return f"{originals.group.rollups_prefix}{originals.content_digest().hex()[:8]}.tgz"

    alone, in_a_pass = "s3_log_roller.rolling.packing.name", "s3_log_roller.rolling.wave.name"
    with patch(alone, name), patch(in_a_pass, name), patch(f"{stored.__name__}.parse_rollup_key", lambda key: None):
        yield


def _quiet(chunk: int, first: int, names: str) -> Figures:
    logging.disable(logging.CRITICAL)
    if names == "content":
        with named_after_content():
            return run(first + chunk * CHUNK, CHUNK)
    return run(first + chunk * CHUNK, CHUNK)


def main() -> int:
    """Print the figures; the exit code tells whether a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schedules", type=int, default=1_000_000, help=f"rounded up to a multiple of {CHUNK}")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--names", choices=["first", "content"], default="first")
    parser.add_argument("--trace", type=int)
    arguments = parser.parse_args()
    if arguments.trace is not None:
        print("\n".join(traced(arguments.trace)))
        return 0
    started = time.monotonic()
    chunks = -(-arguments.schedules // CHUNK)
    total = Figures()
    with multiprocessing.Pool(arguments.processes) as pool:
        for figures in pool.imap_unordered(
            partial(_quiet, first=arguments.first, names=arguments.names), range(chunks)
        ):
            total += figures
            print(f"{total.schedules:,} of {chunks * CHUNK:,}", end="\r", file=sys.stderr, flush=True)
    print(f"{total.schedules:,} schedules, {total.turns:,} turns, in {time.monotonic() - started:,.0f} s")
    print(f"{total.restarts:,} workers killed or ended by their queue; {total.deletes:,} originals deleted")
    print(f"promises broken (a log lost, or deleted unproven, or a day that does not converge): {len(total.broken)}")
    for said in total.broken[:20]:
        print(f"  {said}")
    for cause in sorted(total.doubled_logs):
        logs, schedules = total.doubled_logs[cause], total.doubled_schedules[cause]
        print(f"packed twice because of {cause}: {logs:,} logs in {schedules:,} schedules")
    return 1 if total.broken else 0


if __name__ == "__main__":
    sys.exit(main())
