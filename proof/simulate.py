"""Simulated schedules by the million: is a log ever lost or deleted unproven, and how often is one packed twice?

    .venv/bin/python -m proof.simulate --schedules 1000000 --processes 2
    .venv/bin/python -m proof.simulate --trace 4711            one schedule, step by step
    .venv/bin/python -m proof.simulate --changed "rollups are replaced"       what a broken program comes to

The schedules are those of tests/support/simulation; a seed is a schedule, the first is `--first`. It may be stopped at
any time: `--figures` names a file that always has the figures of the schedules so far.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from unittest.mock import patch

from tests.support.simulation.breaking import BREAKS
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


def _chunk(number: int, first: int, changed: str) -> Figures:
    """A thousand schedules of the program, or of a changed one."""
    logging.disable(logging.CRITICAL)
    with CHANGED[changed]():
        return run(first + number * CHUNK, CHUNK)


CHANGED: dict[str, Callable[[], AbstractContextManager[None]]] = {
    "": nullcontext,
    "rollups are named after all they hold": named_after_content,
    **{what: broken for what, (broken, _) in BREAKS.items()},
}


def main() -> int:
    """Print the figures; the exit code tells whether a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schedules", type=int, default=1_000_000, help=f"rounded up to a multiple of {CHUNK}")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--changed", choices=CHANGED, default="", help="a program that is not ours any more")
    parser.add_argument("--figures", type=Path, help="a file for the figures so far")
    parser.add_argument("--trace", type=int)
    arguments = parser.parse_args()
    if arguments.trace is not None:
        print("\n".join(traced(arguments.trace)))
        return 0
    started = time.monotonic()
    chunks = -(-arguments.schedules // CHUNK)
    total = Figures()
    with multiprocessing.Pool(arguments.processes) as pool:
        # In order, so that the figures are those of all seeds up to some one.
        for figures in pool.imap(partial(_chunk, first=arguments.first, changed=arguments.changed), range(chunks)):
            total += figures
            print(f"{total.schedules:,} of {chunks * CHUNK:,}", end="\r", file=sys.stderr, flush=True)
            if arguments.figures:
                arguments.figures.write_text(report(total, arguments.first, time.monotonic() - started))
    print(report(total, arguments.first, time.monotonic() - started), end="")
    return 1 if total.broken else 0


def report(total: Figures, first: int, seconds: float) -> str:
    """The figures, line by line."""
    seeds = f"seeds {first:,} to {first + total.schedules - 1:,}"
    lines = [
        f"{total.schedules:,} schedules ({seeds}), {total.turns:,} turns, in {seconds:,.0f} s",
        f"{total.restarts:,} workers killed or ended by their queue; {total.deletes:,} originals deleted",
        f"promises broken (a log lost, or deleted unproven, or a day that does not converge): {len(total.broken)}",
        *(f"  {said}" for said in total.broken[:20]),
    ]
    for cause in sorted(total.doubled_logs):
        logs, schedules = total.doubled_logs[cause], total.doubled_schedules[cause]
        lines.append(f"packed twice because of {cause}: {logs:,} logs in {schedules:,} schedules")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
