"""How much is under way at once: it follows what the server grants."""

from __future__ import annotations

import pytest

from s3_log_roller.aws.s3.limit import AdaptiveLimit


def test_it_grows_by_what_goes_through_until_the_first_complaint() -> None:
    """Then by one for a whole round."""
    limit = AdaptiveLimit(4, 2, 100)
    for _ in range(4):
        limit.succeeded()
    assert limit.value == 8
    limit.succeeded(3)
    assert limit.value == 11
    limit.complained(limit.epoch)
    assert limit.value == 5.5
    limit.succeeded()
    assert limit.value == pytest.approx(5.5 + 1 / 5.5)


def test_growth_says_how_much_a_round_adds() -> None:
    """Where one more is too little."""
    limit = AdaptiveLimit(10, 1, 100, growth=5)
    limit.complained(0)
    limit.succeeded(2)
    assert limit.value == 5 + 2 * 5 / 5


def test_it_stays_between_floor_and_cap() -> None:
    """Also from the beginning, and where the floor is above the cap."""
    limit = AdaptiveLimit(50, 8, 20)
    assert limit.value == 20
    limit.succeeded(7)
    assert limit.value == 20
    for epoch in range(3):
        limit.complained(epoch)
    assert limit.value == 8
    low = AdaptiveLimit(3, 8, 2)
    low.complained(0)
    assert low.value == 2


def test_what_was_started_before_a_cut_says_nothing_new() -> None:
    """One congested moment fails many requests at once."""
    limit = AdaptiveLimit(64, 1, 64)
    begun = limit.epoch
    for _ in range(10):
        limit.complained(begun)
    assert (limit.value, limit.epoch) == (32, begun + 1)
    limit.complained(limit.epoch)
    assert limit.value == 16
