"""What rolling up saves: the demo's own figures, and S3's prices for a million logs like its.

Prices are those of us-east-1 in USD (https://aws.amazon.com/s3/pricing/).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from s3_log_roller.rolling.summary import size

STANDARD_GB_MONTH: Final = 0.023
GLACIER_IR_GB_MONTH: Final = 0.004
GLACIER_IR_MIN_BYTES: Final = 128 * 1024
"""A smaller object is billed as if it were so large."""
TRANSITION_TO_GLACIER_IR: Final = 0.02 / 1000
GET: Final = 0.0004 / 1000
LIST_OR_PUT: Final = 0.005 / 1000

KEYS_A_PAGE: Final = 1000
GETS_A_ROLLUP: Final = 2
"""Reading a small one back: its index, then the whole."""
LISTS_A_ROLLUP: Final = 4
"""One of the scan; one of the originals and two of the rollups by the worker."""

GB: Final = 1 << 30
"""As AWS bills it."""
SCALE: Final = 1_000_000


def render_savings(logs: Sequence[int], rollups: Sequence[int]) -> list[str]:
    """The table's lines, for logs and rollups of these sizes in bytes."""
    factor = SCALE / len(logs)
    rows = [
        ("", "logs", "rollups"),
        ("objects", f"{len(logs):,}", f"{len(rollups):,}"),
        ("bytes", size(sum(logs)), size(sum(rollups))),
        (f"{SCALE:,} such logs, in USD:", "", ""),
        *(
            (f"  {what}", _usd(factor * before), _usd(factor * after))
            for (what, before), (_, after) in zip(_costs(logs), _costs(rollups), strict=True)
        ),
        ("  rolling them up, once", "", _usd(factor * rolling_cost(len(logs), len(rollups)))),
    ]
    return [f"{what:<48}{before:>12}{after:>12}".rstrip() for what, before, after in rows]


def _costs(sizes: Sequence[int]) -> list[tuple[str, float]]:
    """What objects of these sizes cost, in USD."""
    billed = sum(max(n_bytes, GLACIER_IR_MIN_BYTES) for n_bytes in sizes)
    return [
        ("reading every object once", len(sizes) * GET),
        ("a month in S3 Standard", sum(sizes) / GB * STANDARD_GB_MONTH),
        ("moving to Glacier Instant Retrieval", len(sizes) * TRANSITION_TO_GLACIER_IR),
        ("a month there, 128 KB billed at least", billed / GB * GLACIER_IR_GB_MONTH),
    ]


def rolling_cost(logs: int, rollups: int) -> float:
    """What the requests of rolling up cost, in USD; deletes are free."""
    gets = logs + GETS_A_ROLLUP * rollups
    lists_and_puts = logs / KEYS_A_PAGE + (LISTS_A_ROLLUP + 1) * rollups
    return gets * GET + lists_and_puts * LIST_OR_PUT


def _usd(amount: float) -> str:
    return f"{amount:,.2f}" if amount >= 0.005 else "under 0.01"
