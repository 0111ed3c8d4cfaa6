"""How much of a day group fits the time left.

AWS Lambda ends a function after 15 minutes at most. A rollup's name is a function of its members, so how many of them
to take on has to be settled before the upload starts: as many as the rate measured so far allows.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

FIRST_LOGS_PER_S: Final = 500.0
"""Assumed until something was measured: slow on purpose, a first step that is too small costs one more rollup."""
SHARE: Final = 0.5
"""The share of the time left that a step may be planned to take. The rest is for what is slower than measured."""
_MIN_MEASURED_LOGS: Final = 200
"""A day group of a few logs tells about latencies, not about the rate."""


class Pace:
    """Plans steps against a deadline; shared by the tasks of one process, so that it learns."""

    def __init__(
        self,
        time_left_s: Callable[[], float] | None = None,
        *,
        reserve_s: float = 20.0,
        monotonic: Callable[[], float] | None = None,
    ) -> None:
        """Without `time_left_s` there is no deadline. `reserve_s` is what cleaning up may take.

        Without `monotonic`, a steady clock in seconds, nothing is measured.
        """
        self._time_left_s = time_left_s or (lambda: math.inf)
        self._reserve_s = reserve_s
        self._monotonic = monotonic
        self._logs_per_s = FIRST_LOGS_PER_S

    def allowance(self, max_members: int | None) -> int:
        """How many originals to take on now, at most."""
        most = sys.maxsize if max_members is None else max_members
        left_s = self._time_left_s()
        if math.isinf(left_s):
            return most
        return max(0, min(most, int((left_s - self._reserve_s) * SHARE * self._logs_per_s)))

    @property
    def is_short(self) -> bool:
        """Whether the time is so short that unfinished work must be dropped."""
        return self._time_left_s() < self._reserve_s

    def stopwatch(self) -> Callable[[int], None]:
        """Begin to measure. Call what this returns with how many logs went from fetching to deleting since."""
        began = self._monotonic() if self._monotonic is not None else 0.0

        def stop(logs: int) -> None:
            if self._monotonic is not None and logs >= _MIN_MEASURED_LOGS:
                self._logs_per_s = logs / max(1e-3, self._monotonic() - began)

        return stop

    @contextmanager
    def measuring(self, logs: int) -> Iterator[None]:
        """Measure a step of so many logs, from fetching to deleting."""
        stop = self.stopwatch()
        yield
        stop(logs)
