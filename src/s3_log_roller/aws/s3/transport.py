"""Many HTTP requests at once, driven by one thread of libcurl multi.

Bounded and adaptive: what is in flight grows with success while the program waits for the network, halves when the
server or the network complains, and never exceeds the cap; where the least is too much still, it rests in between.
Failed requests are tried again with full jitter.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

import pycurl

from s3_log_roller.aws.s3.handles import Handles
from s3_log_roller.aws.s3.limit import AdaptiveLimit, Rest
from s3_log_roller.aws.s3.request import Request
from s3_log_roller.aws.s3.retries import Retries
from s3_log_roller.aws.s3.signing import Signer
from s3_log_roller.aws.s3.wire import Wire
from s3_log_roller.store import MAX_IN_FLIGHT

FIRST_IN_FLIGHT: Final = 64
MIN_IN_FLIGHT: Final = 4

_RETRIED_STATUS: Final = frozenset({429, 500, 502, 503, 504})
_FINAL_CURL_ERRORS: Final = frozenset(
    {
        pycurl.E_URL_MALFORMAT,
        pycurl.E_PEER_FAILED_VERIFICATION,
        pycurl.E_SSL_CACERT_BADFILE,
        pycurl.E_SSL_CERTPROBLEM,
        pycurl.E_SSL_CIPHER,
    }
)


class Transport:
    """Submit requests, then `step` until they are `done`. Not thread-safe; one per thread."""

    def __init__(
        self,
        wire: Wire,
        signer: Signer,
        max_in_flight: int,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._signer = signer
        self.max_in_flight = max(1, min(max_in_flight, MAX_IN_FLIGHT))
        """The cap on requests under way at once."""
        self.wire = wire
        self._multi = _new_multi(self.max_in_flight)
        self._handles = Handles(wire, signer)
        self._waiting: deque[Request] = deque()
        self._retries = Retries(wire, monotonic, jitter)
        self._in_flight: dict[Any, Request] = {}
        self._limit = AdaptiveLimit(FIRST_IN_FLIGHT, MIN_IN_FLIGHT, self.max_in_flight)
        self._starving = False
        self._rest = Rest(monotonic, jitter)
        self._successes = 0
        self.requests_sent = 0

    def backoff_s(self, attempts: int) -> float:
        """How long to wait behind so many fruitless attempts."""
        return self._retries.backoff_s(attempts)

    def submit(self, request: Request) -> None:
        """Queue a request; it starts when there is room."""
        self._waiting.append(request)
        if len(self._in_flight) < self._limit.value:
            self._start_waiting()

    def run(self, request: Request) -> Request:
        """Submit one request and wait for it."""
        self.submit(request)
        while not request.done:
            self.step()
        return request

    def run_watched(self, request: Request, look: Callable[[], object]) -> Request:
        """As `run`, with a look right before every attempt; what it raises is the end of the request."""
        request.watched = True
        while True:
            look()
            self.run(request)
            if not request.put_off:
                return request
            self.wait_out([request])

    def run_each(self, requests: Iterable[Request]) -> None:
        """Submit requests and wait for all of them."""
        waiting = list(requests)
        for request in waiting:
            self.submit(request)
        for request in waiting:
            while not request.done:
                self.step()

    def wait_out(self, requests: Iterable[Request]) -> None:
        """Wait until the requests that were put off can be run again."""
        delays = []
        for request in requests:
            delays.append(self.backoff_s(request.fruitless))
            request.put_off = request.done = False
        time.sleep(max(delays, default=0.0))

    def step(self, max_wait_s: float = 1.0) -> None:
        """Move everything on; wait for the network only if nothing was finished."""
        self._start_waiting()
        self._multi.perform()
        if self._reap() or max_wait_s <= 0:
            self._starving = False
            return
        rest_s = self._rest.left_s()
        wait_s = min(max_wait_s, rest_s) if rest_s else self._retries.wait_s(max_wait_s)
        if self._in_flight:
            self._starving = True
            self._multi.select(wait_s)
        elif rest_s or self._retries:
            time.sleep(wait_s)
        elif not self._waiting:
            raise RuntimeError("waiting for a request that was never submitted")

    def cancel(self, request: Request) -> None:
        """Forget a request, under way or not."""
        request.cancelled = True
        for handle, other in self._in_flight.items():
            if other is request:
                self._multi.remove_handle(handle)
                del self._in_flight[handle]
                self._handles.drop(handle)
                return

    def disconnect(self) -> None:
        """Close all connections; call it when nothing is under way."""
        self._multi.close()
        self._multi = _new_multi(self.max_in_flight)

    def close(self) -> None:
        """Drop everything under way and close all connections."""
        for handle in self._in_flight:
            self._multi.remove_handle(handle)
            self._handles.drop(handle)
        self._in_flight.clear()
        self._handles.close()
        self._multi.close()

    def _start_waiting(self) -> None:
        if self._rest.left_s():
            return
        self._waiting.extendleft(self._retries.due())
        while self._waiting and len(self._in_flight) < self._limit.value:
            request = self._waiting.popleft()
            if not request.cancelled:
                self._start(request)

    def _start(self, request: Request) -> None:
        request.begin(self._limit.epoch, self._successes)
        self.requests_sent += 1
        handle = self._handles.take(request)
        self._in_flight[handle] = request
        self._multi.add_handle(handle)

    def _reap(self) -> int:
        finished = 0
        while True:
            queued, succeeded, failed = self._multi.info_read(256)
            for handle in succeeded:
                self._multi.remove_handle(handle)
                request = self._in_flight.pop(handle)
                self._handles.give_back(handle, request)
                self._finish(request)
            for handle, code, message in failed:
                self._multi.remove_handle(handle)
                request = self._in_flight.pop(handle)
                request.took_s = handle.getinfo(pycurl.TOTAL_TIME)
                self._handles.drop(handle)
                self._fail(request, f"{message or 'the transfer failed'} (curl error {code})", code)
            finished += len(succeeded) + len(failed)
            if not queued:
                return finished

    def _finish(self, request: Request) -> None:
        status = request.status
        if status < 300:
            fault = request.check(request) if request.check else None
            if fault is None:
                self._succeed(request)
            else:
                self._retry_or_give_up(request, fault)
        elif status in _RETRIED_STATUS or (status == 400 and b"<Code>RequestTimeout</Code>" in request.answer):
            self._retry_or_give_up(request, "")
        elif status == 307 and request.attempts < self.wire.max_attempts and self._handles.move(request.answer):
            self._waiting.appendleft(request)
        else:
            request.expected_owner = self._signer.expected_owner
            request.done = True

    def _succeed(self, request: Request) -> None:
        request.done = True
        self._successes += 1
        # More in flight than keeps this program busy only costs: connections, handshakes, descriptors to look at.
        if self._rest:
            self._rest.succeeded()
        elif self._starving:
            self._limit.succeeded()

    def _fail(self, request: Request, fault: str, curl_code: int) -> None:
        request.status = 0
        request.answer = b""
        if curl_code in _FINAL_CURL_ERRORS:
            request.fault = fault
            request.tls_fault = True
            request.done = True
        else:
            self._retry_or_give_up(request, fault)

    def _retry_or_give_up(self, request: Request, fault: str) -> None:
        if self._limit.complained(request.epoch):
            self._rest.complained(self._signer.host if request.slowed_down else "")
        request.digest = b""
        request.fault = fault
        if request.in_vain or self._rest.gives_up():
            self._give_up(request)
            return
        others_go_on = request.slowed_down and request.successes != self._successes
        self._retries.take(request, others_go_on=others_go_on, in_flight=int(self._limit.value))

    def _give_up(self, refused: Request) -> None:
        """Nothing at all goes through: all that waits fails as this request, and what is under way is not repeated."""
        for request in (refused, *self._retries.drop_all(), *self._waiting):
            request.fail_as(refused)
        self._waiting.clear()
        for request in self._in_flight.values():
            request.in_vain = True


def _new_multi(max_in_flight: int) -> Any:
    multi = pycurl.CurlMulti()
    multi.setopt(pycurl.M_MAXCONNECTS, max_in_flight + 8)
    return multi
