"""How many requests or keys a second a server grants."""

from __future__ import annotations

import time
from collections.abc import Callable


class TokenBucket:
    """Grants `rate` a second, and up to `burst` at once after a quiet time."""

    def __init__(self, rate: float, burst: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.rate = rate
        self.burst = burst
        self._monotonic = monotonic
        self._tokens = burst
        self._at = monotonic()

    def take(self, count: int = 1) -> bool:
        """Take so many, or none at all."""
        now = self._monotonic()
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self.rate)
        self._at = now
        if self._tokens < count:
            return False
        self._tokens -= count
        return True
