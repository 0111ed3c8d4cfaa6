"""How many logs a large day has, estimated from some pages of its listing.

A page that begins at a random place tells how densely keys lie there: in time where a key holds the time of delivery,
among the unique strings where all times are 00-00-00. The day is cut into parts of the same length, with a page in
each. What neighbouring parts differ by bounds the error: plus or minus three standard deviations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Final

from s3_log_roller.log_keys import SUFFIX_CHARS, DayGroup, parse_log_key
from s3_log_roller.store import ListedObject, ReadStore

PARTS: Final = 16
_SECONDS_A_DAY: Final = 86_400
_UNIQUE: Final = 1 << 64


@dataclass(frozen=True, slots=True)
class Estimate:
    """What lies behind some key of a day."""

    logs: int
    seen: tuple[ListedObject, ...]
    """Those of the logs that pages showed: the others are taken to be like them."""
    variance: float
    """The variance of the number of logs."""


def estimate_rest(store: ReadStore, group: DayGroup, last_key: str, rng: Random) -> Estimate:
    """Estimate how many logs of the day lie behind `last_key`, with `PARTS` LISTs."""
    begin = _place(last_key)
    end = 1.0 if begin < 1.0 else float(_SECONDS_A_DAY)
    part = (end - begin) / PARTS
    densities, seen = [], []
    for number in range(PARTS):
        start = begin + (number + rng.random()) * part
        page = store.list_page(group.logs_prefix, group.target_prefix + _suffix(group, start))
        logs = [entry for entry in page.objects if _is_of(entry.key, group)]
        reached = _place(logs[-1].key) if page.truncated and logs else end
        densities.append(len(logs) / max(reached - start, 1e-9))
        seen += logs
    mean = sum(densities) / PARTS
    # Of neighbours, not from the mean: days have busy hours, which are not an error.
    spread = sum((one - other) ** 2 for one, other in pairwise(densities)) / 2 / (PARTS - 1)
    return Estimate(round(mean * (end - begin)), tuple(seen), spread * part**2 * PARTS)


def plus_minus(variance: float) -> int:
    """What an estimate may be off by: three standard deviations, since so few parts say little of their own spread."""
    return math.ceil(3 * math.sqrt(variance))


def _place(key: str) -> float:
    """Where a log key stands in its day, in seconds; the unique string is the fraction."""
    suffix = key[-SUFFIX_CHARS:]
    seconds = int(suffix[11:13]) * 3600 + int(suffix[14:16]) * 60 + int(suffix[17:19])
    return seconds + int(suffix[20:], 16) / _UNIQUE


def _suffix(group: DayGroup, place: float) -> str:
    fraction, second = math.modf(place)
    minutes, seconds = divmod(int(second), 60)
    unique = min(int(fraction * _UNIQUE), _UNIQUE - 1)
    return f"{group.day}-{minutes // 60:02}-{minutes % 60:02}-{seconds:02}-{unique:016X}"


def _is_of(key: str, group: DayGroup) -> bool:
    log = parse_log_key(key)
    return log is not None and log.target_prefix == group.target_prefix
