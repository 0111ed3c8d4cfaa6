"""How much may be under way at once: learned from what the server grants."""

from __future__ import annotations


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

    def complained(self, epoch: int) -> None:
        """Something was refused that was started at that epoch."""
        # One congested moment fails many requests at once; only the first of those that started after the last cut
        # says anything new.
        if epoch == self.epoch:
            self.epoch += 1
            self._slow_start = False
            self.value = max(self._floor, self.value / 2)
