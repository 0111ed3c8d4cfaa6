"""Rows of what a million logs cost on Lambda, by how many logs a day has: the handler itself, without AWS around it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from bench.logs import LogSet
from bench.measure import BUCKET, ROOT, BenchmarkFailed, Sample, Server, repeat, run
from bench.report import LAMBDA_PER_GB_S, PER_1000_READS, PER_1000_WRITES, VCPU_GB
from bench.rows import Effort, Row
from bench.small_days import DELAY_MS

SQS_PER_MILLION: Final = 0.4
INVOCATIONS_PER_MILLION: Final = 0.2
LOG_PER_GB: Final = 0.5
MESSAGES_SENT_AT_ONCE: Final = 10
DAYS_ALONE: Final = 20
"""So many of the days are enough to see what a message for each costs."""

_SHAPES: Final = (
    # logs, GB-seconds and USD per million logs to reach
    (LogSet(days=1_000, logs=10), 1_000, 1.60),
    (LogSet(days=200, logs=50), 600, 0.68),
    (LogSet(days=20, logs=500), 450, 0.44),
    (LogSet(days=4, logs=5_000), 400, 0.44),
)


@dataclass(frozen=True, slots=True)
class _Bill:
    """What a million logs cost."""

    gb_s: float
    usd: float
    invocations: float

    @classmethod
    def of(cls, sample: Sample, logs: int, memory_gb: float = VCPU_GB) -> _Bill:
        """From one sample; with less memory, the CPU time of each invocation grows as the share of the core shrinks."""
        figures: dict[str, Any] = json.loads(sample.output)
        runs = [figures["producer"], *figures["workers"]]
        share = min(1.0, memory_gb / VCPU_GB)
        seconds = sum(one["wall_s"] + one["cpu_s"] * (1 / share - 1) for one in runs)
        writes = sum(sample.requests.get(name, 0) for name in _WRITES)
        reads = sum(sample.requests.get(name, 0) for name in _READS)
        sqs = figures["messages"] * (1 / MESSAGES_SENT_AT_ONCE + 2)
        usd = (
            writes * PER_1000_WRITES / 1e3
            + reads * PER_1000_READS / 1e3
            + seconds * memory_gb * LAMBDA_PER_GB_S
            + len(runs) * INVOCATIONS_PER_MILLION / 1e6
            + sqs * SQS_PER_MILLION / 1e6
            + figures["log_bytes"] / 1e9 * LOG_PER_GB
        )
        million = 1e6 / logs
        return cls(seconds * memory_gb * million, usd * million, len(runs) * million)


_WRITES: Final = ("ListObjectsV2", "PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload")
_READS: Final = ("GetObject", "HeadBucket", "HeadObject")
_SMALLER_GB: Final = (0.5, 1.0)


def lambda_cost(effort: Effort) -> list[Row]:
    """GB-seconds and dollars per million logs, in messages as the producer makes them, and one message a day group."""
    rows = []
    with Server(delay_ms=DELAY_MS) as server:
        for logs, gb_s, usd in _SHAPES:
            samples = repeat(min(3, effort.times), lambda logs=logs: _take(server, logs))  # type: ignore[misc]
            some = replace(logs, days=min(logs.days, DAYS_ALONE))
            before = _Bill.of(_take(server, some, alone=True), len(some))
            rows += _rows_of(logs, gb_s, usd, sorted(samples, key=lambda sample: sample.wall_s), before)
    return rows


def _rows_of(logs: LogSet, gb_s: float, usd: float, samples: list[Sample], before: _Bill) -> list[Row]:
    middle = samples[len(samples) // 2]
    bill = _Bill.of(middle, len(logs))
    smaller = ", ".join(
        f"{_Bill.of(middle, len(logs), gb).gb_s:,.0f} GB-s and {_Bill.of(middle, len(logs), gb).usd:.2f} $ "
        f"at {gb * 1024:,.0f} MB"
        for gb in _SMALLER_GB
    )
    note = (
        f"{bill.invocations:,.0f} invocations, {bill.usd:.3f} $, peak {max(one.peak_mb for one in samples):.0f} MB; "
        f"a message for each day group: {before.gb_s:,.0f} GB-s, {before.usd:.2f} $; with less memory, computed from "
        f"CPU and waiting: {smaller}"
    )
    name = f"lambda_{logs.logs}x{logs.days}"
    title = f"per million logs, days of {logs.logs:,}, answers delayed {DELAY_MS} ms, one message an invocation"
    as_json = [one.as_json() for one in samples]
    return [
        Row(
            f"{name}_gb_s",
            f"Lambda GB-seconds at 1,769 MB {title}",
            bill.gb_s,
            "GB-s",
            gb_s,
            note=note,
            samples=as_json,
        ),
        Row(f"{name}_usd", f"USD for requests, Lambda, SQS and its log {title}", bill.usd, "$", usd),
    ]


def _take(server: Server, logs: LogSet, *, alone: bool = False) -> Sample:
    server.fill(logs)
    child = ROOT / "bench" / "lambda_child.py"
    sample = run([sys.executable, child, f"s3://{BUCKET}/", "1", "alone" if alone else "together"], server)
    left, groups = server.stats()["objects"][BUCKET], logs.days * len(logs.prefixes)
    if left != groups:
        raise BenchmarkFailed(f"the handler left {left} objects, not {groups} rollups")
    return sample


LAMBDA_COST: Final[dict[str, Callable[[Effort], list[Row]]]] = {"lambda_cost": lambda_cost}
