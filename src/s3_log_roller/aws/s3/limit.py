"""How much may be under way at once: learned from what the server grants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

FIRST_REST_S: Final = 0.05
MAX_REST_S: Final = 1.6
REST_LEFT: Final = 0.8
"""A success leaves this share of the rest."""


class AdaptiveLimit:
    """Grows with success, halves when the server or the network complains, and stays between its floor and its cap.

    It begins with a slow start: each success adds as much as went through, until the first complaint. From then on a
    whole round of successes adds `growth`.
    """

    def __init__(self, first: float, floor: float, cap: float, *, growth: float = 1.0) -> None:
        self._growth = growth
        self._cap = cap
        self._floor = min(floor, cap)
        self._slow_start = True
        self.value = min(first, cap)
        self.epoch = 0
        """How often it was cut. What was started is to remember it for `complained`."""

    def succeeded(self, amount: float = 1.0) -> None:
        """So much went through, and more could have been under way."""
        if self.value < self._cap:
            grown = amount if self._slow_start else amount * self._growth / self.value
            self.value = min(self._cap, self.value + grown)

    def complained(self, epoch: int) -> bool:
        """Something was refused that was started at that epoch. Says whether the floor is too much already."""
        # One congested moment fails many requests at once; only the first of those that started after the last cut
        # says anything new.
        if epoch != self.epoch:
            return False
        at_floor = self.value <= self._floor
        self.epoch += 1
        self._slow_start = False
        self.value = max(self._floor, self.value / 2)
        return at_floor


class Rest:
    """Nothing starts for a while: where many share what the server grants, even one request at once may be too much.

    Twice as long with each complaint, and less again with each success.
    """

    def __init__(self, monotonic: Callable[[], float], jitter: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._jitter = jitter
        self._until_s = 0.0
        self.mean_s = 0.0

    def __bool__(self) -> bool:
        """Whether a complaint was followed by too few successes to forget it."""
        return self.mean_s > 0

    def complained(self) -> None:
        """Begin to rest."""
        self.mean_s = min(MAX_REST_S, max(FIRST_REST_S, 2 * self.mean_s))
        self._until_s = self._monotonic() + 2 * self._jitter() * self.mean_s

    def succeeded(self) -> None:
        """Rest less the next time."""
        self.mean_s = self.mean_s * REST_LEFT if self.mean_s > FIRST_REST_S / 4 else 0.0

    def left_s(self) -> float:
        """So long nothing is to start."""
        return max(0.0, self._until_s - self._monotonic()) if self.mean_s else 0.0
