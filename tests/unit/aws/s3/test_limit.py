"""How much is under way at once: it follows what the server grants."""

from __future__ import annotations

import pytest

from s3_log_roller.aws.s3.limit import PATIENCE_S, AdaptiveLimit, Rest
from s3_log_roller.log_output import fields_of


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


def test_it_says_where_half_is_less_than_the_floor() -> None:
    """Once for all that was started before; a few successes since the last cut change nothing."""
    limit = AdaptiveLimit(8, 4, 100)
    assert not limit.complained(0)
    assert limit.value == 4
    assert not limit.complained(0)
    limit.succeeded()
    assert limit.complained(1)
    assert limit.value == 4
    assert not limit.complained(1)


def test_a_rest_is_twice_as_long_with_each_complaint_and_shorter_with_each_success() -> None:
    """Up to a bound, and by chance up to twice the mean, so that not all workers come back at once."""
    now_s, chance = 100.0, 0.5
    rest = Rest(lambda: now_s, lambda: chance)
    assert (bool(rest), rest.left_s()) == (False, 0)
    lefts = []
    for _ in range(8):
        rest.complained()
        lefts.append(rest.left_s())
    assert lefts == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 1.6, 1.6])
    now_s += 1
    assert rest.left_s() == pytest.approx(0.6)
    now_s += 1
    assert (bool(rest), rest.left_s()) == (True, 0)
    rest.succeeded()
    chance = 1.0
    rest.complained()
    assert rest.left_s() == pytest.approx(2 * 1.6)
    successes = 0
    while rest:
        rest.succeeded()
        successes += 1
    assert 10 < successes < 30
    assert rest.left_s() == 0


def test_resting_is_given_up_where_nothing_goes_through_for_long() -> None:
    """A success, or having given up, lets patience begin anew."""
    now_s = 100.0
    rest = Rest(lambda: now_s, lambda: 0.5)
    assert not rest.gives_up()
    rest.complained()
    now_s += PATIENCE_S - 1
    rest.complained()
    assert not rest.gives_up()
    rest.succeeded()
    now_s += 2
    assert not rest.gives_up()
    rest.complained()
    now_s += PATIENCE_S
    assert [rest.gives_up(), rest.gives_up()] == [True, False]
    now_s += PATIENCE_S
    rest.complained()
    assert not rest.gives_up()


def test_what_was_started_before_a_cut_says_nothing_new() -> None:
    """One congested moment fails many requests at once."""
    limit = AdaptiveLimit(64, 1, 64)
    begun = limit.epoch
    for _ in range(10):
        limit.complained(begun)
    assert (limit.value, limit.epoch) == (32, begun + 1)
    limit.complained(limit.epoch)
    assert limit.value == 16


def test_who_is_asked_to_slow_down_with_little_under_way_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    """With the host's name; of other trouble it says nothing here."""
    rest = Rest(lambda: 0.0, lambda: 0.5)
    rest.complained()
    assert caplog.messages == []
    for _ in range(3):
        rest.complained("logs.s3.us-west-2.amazonaws.com")
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert fields_of(record)["sentence"].startswith("logs.s3.us-west-2.amazonaws.com asks to slow down, though")
