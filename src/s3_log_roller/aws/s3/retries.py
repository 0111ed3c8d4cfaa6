"""Which failed requests are tried again, when, and when that ends."""

from __future__ import annotations

import heapq
import itertools
import logging
from collections.abc import Callable, Iterator
from typing import Final

from s3_log_roller.aws.s3.request import Request
from s3_log_roller.aws.s3.wire import Wire

BACKOFF_BASE_S: Final = 0.1
BACKOFF_CAP_S: Final = 20.0
MAX_SLOWED_DOWN_S: Final = 300.0
"""So long a single request may be asked to slow down while others go through."""
_SILENCE_SHARE: Final = 0.75
"""After this share of the time allowed for a silent server, another attempt could not end in time."""

logger = logging.getLogger(__name__)


class Retries:
    """Requests that wait for another attempt. An attempt counts unless it was only asked to slow down meanwhile."""

    def __init__(self, wire: Wire, monotonic: Callable[[], float], jitter: Callable[[], float]) -> None:
        self._wire = wire
        self._monotonic = monotonic
        self._jitter = jitter
        self._waiting: list[tuple[float, int, Request]] = []
        self._order = itertools.count()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def take(self, request: Request, *, others_go_on: bool, in_flight: int) -> None:
        """Try a failed request again later, or be `done` with it; a watched one is `put_off` instead.

        `others_go_on`: it was asked to slow down, and others went through since it started.
        """
        now = self._monotonic()
        request.first_start_s = request.first_start_s or now - request.took_s
        request.fruitless = 1 if others_go_on else request.fruitless + 1
        waited_s = now - request.first_start_s
        silent = not request.status and waited_s > _SILENCE_SHARE * self._wire.silence_s
        too_long = silent or (others_go_on and waited_s > MAX_SLOWED_DOWN_S)
        if request.hopeless or too_long or request.fruitless >= self._wire.max_attempts:
            request.done = True
            return
        wait_s = self.backoff_s(request.fruitless)
        _tell(request, wait_s, in_flight)
        if request.watched:
            request.put_off = request.done = True
        else:
            heapq.heappush(self._waiting, (now + wait_s, next(self._order), request))

    def due(self) -> Iterator[Request]:
        """Those whose time has come; they no longer wait here."""
        now = self._monotonic()
        while self._waiting and self._waiting[0][0] <= now:
            yield heapq.heappop(self._waiting)[2]

    def drop_all(self) -> list[Request]:
        """All that wait; they no longer do."""
        waiting = [request for _, _, request in self._waiting]
        self._waiting.clear()
        return waiting

    def wait_s(self, longest_s: float) -> float:
        """The time until the next one is due, if that is sooner."""
        return min(longest_s, max(0.0, self._waiting[0][0] - self._monotonic())) if self._waiting else longest_s

    def backoff_s(self, attempts: int) -> float:
        """How long to wait behind so many fruitless attempts: by chance, so that not all come back at once."""
        return self._jitter() * min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2.0**attempts)


def _tell(request: Request, wait_s: float, in_flight: int) -> None:
    if logger.isEnabledFor(logging.DEBUG):
        fields = {
            "operation": request.operation,
            "key": request.key,
            "attempt": request.attempts,
            "status": request.status,
            "why": request.fault,
            "wait_s": round(wait_s, 3),
            "in_flight": in_flight,
        }
        logger.debug("tried_again", extra=fields)
