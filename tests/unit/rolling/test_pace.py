"""How many logs a step under a deadline takes on."""

from __future__ import annotations

import pytest

from s3_log_roller.rolling.pace import FIRST_LOGS_PER_S, SHARE, Pace

LEFT_S = 120.0
RESERVE_S = 20.0


class Clock:
    """It stands still until it is turned on."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.mark.parametrize(
    ("logs", "took_s", "logs_per_s"),
    [(200, 10.0, 20.0), (1000, 10.0, 100.0), (199, 10.0, FIRST_LOGS_PER_S), (1000, 0.0, 1_000_000.0)],
)
def test_a_step_is_as_large_as_the_rate_measured_last_allows(logs: int, took_s: float, logs_per_s: float) -> None:
    """Of the time left, without the reserve, half; a step of few logs tells nothing of the rate."""
    clock = Clock()
    pace = Pace(lambda: LEFT_S, reserve_s=RESERVE_S, monotonic=clock)
    with pace.measuring(logs):
        clock.now_s += took_s
    assert pace.allowance(None) == int((LEFT_S - RESERVE_S) * SHARE * logs_per_s)
    assert pace.allowance(7) == 7


@pytest.mark.parametrize(("left_s", "is_short"), [(RESERVE_S, False), (RESERVE_S - 0.1, True)])
def test_the_time_is_short_once_it_is_less_than_the_reserve(left_s: float, is_short: bool) -> None:
    """Up to then, unfinished work is gone on with; nothing new is begun."""
    pace = Pace(lambda: left_s, reserve_s=RESERVE_S)
    assert pace.is_short is is_short
    assert pace.allowance(None) == 0
