"""How much may be under way at once: learned from what the server grants."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Final

FIRST_REST_S: Final = 0.05
MAX_REST_S: Final = 1.6
REST_LEFT: Final = 0.8
"""A success leaves this share of the rest."""
PATIENCE_S: Final = 60.0
"""So long nothing at all may go through before that is an error."""

logger = logging.getLogger(__name__)


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
        """Something was refused that was started at that epoch. Says whether half of it is less than the floor."""
        # One congested moment fails many requests at once; only the first of those that started after the last cut
        # says anything new.
        if epoch != self.epoch:
            return False
        at_the_end = self.value < 2 * self._floor
        self.epoch += 1
        self._slow_start = False
        self.value = max(self._floor, self.value / 2)
        return at_the_end


class Rest:
    """Nothing starts for a while: where many share what the server grants, even one request at once may be too much.

    Twice as long with each complaint, and less again with each success.
    """

    def __init__(self, monotonic: Callable[[], float], jitter: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._jitter = jitter
        self._until_s = 0.0
        self._in_vain_since_s = math.inf
        self._told = False
        self.mean_s = 0.0

    def __bool__(self) -> bool:
        """Whether a complaint was followed by too few successes to forget it."""
        return self.mean_s > 0

    def complained(self, slowed_down_by: str = "") -> None:
        """Begin to rest; say once which host asked to slow down, if that was it."""
        if slowed_down_by and not self._told:
            self._told = True
            sentence = (
                f"{slowed_down_by} asks to slow down, though this run asks for little at a time. It goes on as "
                "fast as it may. Where several workers share the bucket, fewer of them would take no longer."
            )
            logger.warning("slowed_down", extra={"host": slowed_down_by, "sentence": sentence})
        now_s = self._monotonic()
        self.mean_s = min(MAX_REST_S, max(FIRST_REST_S, 2 * self.mean_s))
        self._until_s = now_s + 2 * self._jitter() * self.mean_s
        self._in_vain_since_s = min(self._in_vain_since_s, now_s)

    def succeeded(self) -> None:
        """Rest less the next time."""
        self._in_vain_since_s = math.inf
        self.mean_s = self.mean_s * REST_LEFT if self.mean_s > FIRST_REST_S / 4 else 0.0

    def gives_up(self) -> bool:
        """Whether resting has helped nothing for `PATIENCE_S`. With a yes patience begins anew."""
        if self._monotonic() - self._in_vain_since_s < PATIENCE_S:
            return False
        self._in_vain_since_s = math.inf
        return True

    def left_s(self) -> float:
        """So long nothing is to start."""
        return max(0.0, self._until_s - self._monotonic()) if self.mean_s else 0.0
