"""Which failed requests are tried again, when, and when that ends."""

from __future__ import annotations

import logging

import pytest

from s3_log_roller.aws.s3.request import Request
from s3_log_roller.aws.s3.retries import BACKOFF_CAP_S, Retries
from s3_log_roller.aws.s3.wire import Wire


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def retries(clock: Clock) -> Retries:
    """Of three attempts, to a server that may be silent for a minute; the chance is a half."""
    return Retries(Wire("http://127.0.0.1", max_attempts=3, silence_s=60), clock, lambda: 0.5)


def failed(status: int = 500, **changes: object) -> Request:
    request = Request("s3:GetObject", "GET", "/k")
    request.status = status
    for name, value in changes.items():
        setattr(request, name, value)
    return request


def test_a_failed_request_is_due_when_its_time_has_come(clock: Clock, retries: Retries) -> None:
    """A while by chance around a doubled base; one that fails later and waits less comes first, and each comes once."""
    first, second = failed(fruitless=1), failed()
    retries.take(first, others_go_on=False, in_flight=1)
    assert bool(retries)
    assert not first.done
    assert retries.wait_s(60) == pytest.approx(0.5 * 0.1 * 4)
    assert retries.wait_s(0.01) == 0.01
    retries.take(second, others_go_on=False, in_flight=1)
    assert retries.wait_s(60) == pytest.approx(0.5 * 0.1 * 2)
    assert list(retries.due()) == []
    clock.now_s += retries.wait_s(60)
    assert list(retries.due()) == [second]
    clock.now_s += 5
    assert retries.wait_s(60) == 0
    assert list(retries.due()) == [first]
    assert not retries
    assert retries.wait_s(60) == 60


def test_those_that_are_due_together_come_in_the_order_in_which_they_failed(clock: Clock, retries: Retries) -> None:
    """So nobody waits longer than those who came later."""
    requests = [failed() for _ in range(5)]
    for request in requests:
        retries.take(request, others_go_on=False, in_flight=1)
    clock.now_s += 1
    assert list(retries.due()) == requests


def test_backoff_doubles_up_to_a_bound(retries: Retries) -> None:
    """And is as long as chance has it."""
    assert [retries.backoff_s(attempts) for attempts in (0, 1, 2)] == pytest.approx([0.05, 0.1, 0.2])
    assert retries.backoff_s(40) == 0.5 * BACKOFF_CAP_S


def test_a_request_is_given_up_after_the_attempts_allowed(clock: Clock, retries: Retries) -> None:
    """The third failure is the last."""
    request = failed()
    for _ in range(2):
        retries.take(request, others_go_on=False, in_flight=1)
        assert not request.done
        clock.now_s += 10
        assert list(retries.due()) == [request]
    retries.take(request, others_go_on=False, in_flight=1)
    assert request.done
    assert not retries


def test_being_asked_to_slow_down_while_others_go_on_does_not_count_as_an_attempt(
    clock: Clock, retries: Retries
) -> None:
    """For five minutes; then it is given up."""
    request = failed(503)
    for _ in range(30):
        retries.take(request, others_go_on=True, in_flight=1)
        assert not request.done
        clock.now_s += 10
        assert list(retries.due()) == [request]
    retries.take(request, others_go_on=True, in_flight=1)
    assert not request.done
    clock.now_s += 1
    retries.take(request, others_go_on=True, in_flight=1)
    assert request.done


def test_the_patience_with_a_busy_server_is_not_for_other_failures(clock: Clock, retries: Retries) -> None:
    """A request that was slowed down for long has its attempts left."""
    request = failed(503)
    retries.take(request, others_go_on=True, in_flight=1)
    clock.now_s += 400
    request.status = 500
    retries.take(request, others_go_on=False, in_flight=1)
    assert not request.done


@pytest.mark.parametrize(("status", "took_s", "given_up"), [(0, 45, False), (0, 46, True), (500, 46, False)])
def test_a_silent_server_is_given_up_when_another_attempt_could_not_end_in_time(
    retries: Retries, status: int, took_s: float, given_up: bool
) -> None:
    """The time of the first attempt counts; one that answers is not silent."""
    request = failed(status, took_s=took_s)
    retries.take(request, others_go_on=False, in_flight=1)
    assert request.done == given_up


def test_the_time_of_a_silent_server_counts_from_the_first_attempt(clock: Clock, retries: Retries) -> None:
    """Not from the last one."""
    request = failed(0, took_s=20)
    retries.take(request, others_go_on=False, in_flight=1)
    assert not request.done
    clock.now_s += 26
    retries.take(request, others_go_on=False, in_flight=1)
    assert request.done


def test_what_is_hopeless_is_not_tried_again(retries: Retries) -> None:
    """Whatever it was."""
    request = failed(hopeless=True)
    retries.take(request, others_go_on=False, in_flight=1)
    assert request.done
    assert not request.put_off


def test_a_watched_request_is_put_off(retries: Retries) -> None:
    """Who watches it looks again first."""
    request = failed(watched=True)
    retries.take(request, others_go_on=False, in_flight=1)
    assert request.put_off
    assert request.done
    assert not retries


def test_another_attempt_is_told_of_at_the_debug_level(retries: Retries, caplog: pytest.LogCaptureFixture) -> None:
    """With the reason, and how long it waits."""
    with caplog.at_level(logging.DEBUG):
        retries.take(failed(0, fault="reset", attempts=1), others_go_on=False, in_flight=7)
    fields = caplog.records[0].__dict__
    assert caplog.messages == ["tried_again"]
    assert (fields["why"], fields["attempt"], fields["wait_s"], fields["in_flight"]) == ("reset", 1, 0.1, 7)
