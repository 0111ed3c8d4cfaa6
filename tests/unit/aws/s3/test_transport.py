"""Many requests at once: bounded, adaptive, tried again, and given up with a reason."""

from __future__ import annotations

import math
import socket
import ssl
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.waiting import wait_for

from s3_log_roller.aws.s3 import handles, wire
from s3_log_roller.aws.s3 import transport as transport_module
from s3_log_roller.aws.s3.limit import FIRST_REST_S, PATIENCE_S, REST_LEFT
from s3_log_roller.aws.s3.request import Request
from s3_log_roller.aws.s3.retries import BACKOFF_CAP_S
from s3_log_roller.aws.s3.signing import Credentials, Signer
from s3_log_roller.aws.s3.transport import FIRST_IN_FLIGHT, Transport
from s3_log_roller.aws.s3.wire import Handle, Wire, new_handle
from s3_log_roller.store import MAX_IN_FLIGHT


class Server(ThreadingHTTPServer):
    """Answers 200 `ok`, unless `script` has something else for the next request; holds answers back if told to."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self) -> None:
        self.script: deque[int] = deque()
        self.answers_left = math.inf
        """So many answers that are not in `script` are sent; those behind them wait for `let_go`."""
        self.together = threading.Barrier(1)
        """So many requests with something in `script` are waited for before the first of them is answered."""
        self.told: Queue[int] = Queue()
        """See `Told`."""
        self.in_flight = 0
        self.most_in_flight = 0
        self.requests = 0
        self.lock = threading.Condition()
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def let_go(self, answers: float = math.inf) -> None:
        """Send so many more answers."""
        with self.lock:
            self.answers_left += answers
            self.lock.notify_all()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        server = self.server
        with server.lock:
            server.requests += 1
            server.in_flight += 1
            server.most_in_flight = max(server.most_in_flight, server.in_flight)
            scripted = bool(server.script)
            status = server.script.popleft() if scripted else 200
        if scripted:
            server.together.wait(60)
        with server.lock:
            if not scripted:
                server.lock.wait_for(lambda: server.answers_left > 0)
                server.answers_left -= 1
            server.in_flight -= 1
        if status == 0:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        pass


class Told(Handler):
    """Answers `/busy` when the test says so, and with the status that it says."""

    def do_GET(self) -> None:
        if self.path == "/busy":
            self.server.script.append(self.server.told.get(timeout=60))
        super().do_GET()


@pytest.fixture
def server() -> Iterator[Server]:
    """A local HTTP server that does as it is told."""
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.let_go()
        running.shutdown()
        thread.join()


A_MOMENT_S = 0.01
"""What a step waits for the network where the server holds answers back: only the test can tell when it goes on."""
STORM = 32
"""Requests that are refused at once; fewer than may be in flight, so that none of them waits for a retry."""


def transport(
    origin: str,
    max_in_flight: int = 64,
    max_attempts: int = 4,
    jitter: Callable[[], float] = lambda: 0.05,
    monotonic: Callable[[], float] = time.monotonic,
    **changes: Any,
) -> Transport:
    signer = Signer(origin.partition("//")[2], "us-west-2", lambda: Credentials("a", "s", None))
    wire = Wire(origin, max_attempts=max_attempts, **changes)
    return Transport(wire, signer, max_in_flight, jitter=jitter, monotonic=monotonic)


def get_all(transport: Transport, count: int) -> list[Request]:
    requests = [Request("s3:GetObject", "GET", "/k") for _ in range(count)]
    for request in requests:
        transport.submit(request)
    while not all(request.done for request in requests):
        transport.step()
    transport.close()
    return requests


def step_until(driver: Transport, reached: Callable[[], bool]) -> None:
    def step() -> bool:
        driver.step(A_MOMENT_S)
        return reached()

    wait_for(step, every=0)


@pytest.mark.heavy
def test_what_is_in_flight_grows_up_to_the_cap_and_no_further(server: Server) -> None:
    """It starts low, grows by one with each success, and never exceeds `--max-in-flight`."""
    server.answers_left = 0
    driver = transport(server.origin, max_in_flight=96)
    first = [Request("s3:GetObject", "GET", "/k") for _ in range(150)]
    for request in first:
        driver.submit(request)
    for under_way in range(FIRST_IN_FLIGHT, 97):
        step_until(driver, lambda: server.in_flight >= under_way)  # noqa: B023 - it is called at once
        assert server.most_in_flight == under_way
        server.let_go(1)
    server.let_go()
    requests = get_all(driver, 300)
    assert all(request.answer == b"ok" for request in (*first, *requests))
    assert server.most_in_flight == 96


@pytest.mark.heavy
def test_complaints_halve_what_is_in_flight_and_success_lets_it_grow_again(server: Server) -> None:
    """A storm of 503s costs one halving per round, not one per request; all requests succeed in the end."""
    driver = transport(server.origin, max_attempts=10)
    server.script.extend([503] * STORM)
    server.together = threading.Barrier(STORM)
    server.answers_left = 0
    first = [Request("s3:GetObject", "GET", "/k") for _ in range(STORM)]
    for request in first:
        driver.submit(request)
    step_until(driver, lambda: all(request.attempts == 2 for request in first))
    assert driver._limit.value == FIRST_IN_FLIGHT / 2
    server.let_go()
    requests = get_all(driver, 600)
    assert all(request.status == 200 for request in (*first, *requests))
    assert driver._limit.value > FIRST_IN_FLIGHT / 2


def test_where_few_in_flight_are_too_many_it_rests(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """Behind a complaint nothing starts for a while, be it new or tried again; then everything goes through."""
    server.script.append(503)
    driver = transport(server.origin, max_in_flight=2, jitter=lambda: 1.0)
    refused, new = (Request("s3:GetObject", "GET", "/k") for _ in range(2))
    driver.submit(refused)
    while not driver._rest:
        driver.step()
    rested_until_s = time.monotonic() + driver._rest.left_s()
    driver.submit(new)
    while not new.done:
        assert server.requests == 1 or time.monotonic() > rested_until_s
        driver.step()
    while not refused.done:
        driver.step()
    assert driver._rest.mean_s == FIRST_REST_S * REST_LEFT**2
    assert (refused.status, refused.attempts, new.status, new.attempts) == (200, 2, 200, 1)
    assert caplog.messages == ["slowed_down"]
    driver.close()


def test_where_nothing_goes_through_all_that_waits_is_given_up_together(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A minute after the first rest, and not when each of many requests has been sent eight times between rests. Those
    that were not sent yet have the answer of the one that was refused last, and none of them is sent any more."""
    now_s = 1000.0

    def sleep(seconds: float) -> None:
        nonlocal now_s
        now_s += seconds

    monkeypatch.setattr(transport_module, "time", SimpleNamespace(sleep=sleep))
    server.script.extend([503] * 10_000)
    driver = transport(server.origin, 2, max_attempts=1000, jitter=lambda: 0.5, monotonic=lambda: now_s)
    requests = [Request("s3:GetObject", "GET", "/k") for _ in range(300)]
    driver.run_each(requests)
    assert {(request.status, request.in_vain) for request in requests} == {(503, True)}
    assert PATIENCE_S <= now_s - 1000 < PATIENCE_S + BACKOFF_CAP_S
    sent = sum(request.attempts for request in requests)
    assert server.requests == sent < 300
    assert min(request.attempts for request in requests) == 0
    server.script.clear()
    now_s += PATIENCE_S
    assert driver.run(Request("s3:GetObject", "GET", "/k")).status == 200
    assert (server.requests, sum(request.attempts for request in requests)) == (sent + 1, sent)
    driver.close()


@pytest.mark.parametrize("trouble", [500, 503, 429, 0])
def test_passing_trouble_is_tried_again(server: Server, trouble: int) -> None:
    """5xx, 429 and cut connections are repeated until they pass."""
    server.script.extend([trouble] * 3)
    (request,) = get_all(transport(server.origin), 1)
    assert (request.status, request.answer, request.attempts) == (200, b"ok", 4)


@pytest.mark.parametrize(("trouble", "fault"), [(503, ""), (0, "curl error")])
def test_lasting_trouble_is_given_up_after_the_attempts_allowed(server: Server, trouble: int, fault: str) -> None:
    """The request ends with its status or with what was wrong on the wire, and the server was asked so often."""
    server.script.extend([trouble] * 99)
    (request,) = get_all(transport(server.origin, max_attempts=3), 1)
    assert request.attempts == server.requests == 3
    assert request.status == trouble
    assert fault in request.fault


def test_nothing_of_an_earlier_attempt_is_left_where_the_connection_is_cut(server: Server) -> None:
    """Else the request would be told to have failed with the status of before."""
    server.script.extend([503, *[0] * 9])
    (request,) = get_all(transport(server.origin, max_attempts=2), 1)
    assert (request.done, request.attempts, request.status, request.answer) == (True, 2, 0, b"")
    assert "curl error" in request.fault
    assert request.took_s > 0


@pytest.mark.parametrize(("max_in_flight", "slept_s"), [(64, [0.2]), (2, [0.1, 0.1])])
def test_with_nothing_under_way_it_sleeps_until_something_may_start(
    server: Server, max_in_flight: int, slept_s: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the next attempt is due; where little is granted, until the rest is over before that."""
    slept: list[float] = []
    monkeypatch.setattr(transport_module, "time", SimpleNamespace(sleep=slept.append))
    server.script.append(503)
    driver = transport(server.origin, max_in_flight, jitter=lambda: 1.0, monotonic=lambda: 1000 + sum(slept))
    assert driver.run(Request("s3:GetObject", "GET", "/k")).attempts == 2
    driver.close()
    assert slept == pytest.approx(slept_s)


def test_it_waits_for_the_network_while_something_is_under_way(server: Server) -> None:
    """As long as it may, and not by asking again and again."""
    server.RequestHandlerClass = Told
    driver = transport(server.origin)
    waited_s: list[float] = []
    multi = driver._multi
    driver._multi = SimpleNamespace(
        add_handle=multi.add_handle, perform=multi.perform, info_read=multi.info_read, select=waited_s.append
    )
    driver.submit(Request("s3:GetObject", "GET", "/busy"))
    driver.step(0.5)
    assert waited_s == [0.5]
    server.told.put(200)
    driver._multi = multi
    driver.close()


@pytest.mark.parametrize(("asked_for", "cap"), [(0, 1), (1, 1), (2, 2), (MAX_IN_FLIGHT + 1, MAX_IN_FLIGHT)])
def test_the_cap_is_what_was_asked_for_within_bounds(asked_for: int, cap: int) -> None:
    """One at a time is possible, none is not."""
    driver = transport("http://localhost", max_in_flight=asked_for)
    driver.close()
    assert driver.max_in_flight == cap


def test_success_makes_room_for_more_only_where_the_network_was_waited_for(server: Server) -> None:
    """More under way than keeps the program busy would only cost."""
    server.RequestHandlerClass = Told
    driver = transport(server.origin, max_in_flight=96)
    for wait_s in (1.0, 0.0, 1.0):
        before = driver._limit.value
        request = Request("s3:GetObject", "GET", "/busy")
        driver.submit(request)
        driver.step(wait_s / 100)
        server.told.put(200)
        while not request.done:
            driver.step(wait_s)
        assert driver._limit.value == before + (wait_s > 0)
    driver.close()


def test_a_refusal_is_final(server: Server) -> None:
    """403 and 404 are answers, not trouble."""
    server.script.append(403)
    (request,) = get_all(transport(server.origin), 1)
    assert (request.status, request.attempts) == (403, 1)


def test_an_answer_that_fails_its_check_is_fetched_again(server: Server) -> None:
    """What the check says is the fault if it never passes."""
    request = Request("s3:GetObject", "GET", "/k", check=lambda done: "too odd" if done.attempts < 3 else None)
    driver = transport(server.origin)
    driver.run(request)
    assert (request.attempts, request.fault) == (3, "")
    hopeless = driver.run(Request("s3:GetObject", "GET", "/k", check=lambda done: "too odd"))
    assert (hopeless.attempts, hopeless.fault) == (4, "too odd")
    driver.close()


@pytest.mark.heavy
def test_a_server_that_hangs_is_a_time_out_not_a_hang(server: Server) -> None:
    """No answer within the read time-out counts as a fault. The server hangs for longer than this test may take."""
    server.answers_left = 0
    driver = transport(server.origin, max_attempts=1, read_timeout_s=1, connect_timeout_s=1)
    (request,) = get_all(driver, 1)
    assert request.fault


def test_nobody_listening_is_a_fault_after_all_attempts() -> None:
    """A refused connection is tried again, then told."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # and nobody else gets the port meanwhile
        (request,) = get_all(transport(f"http://127.0.0.1:{unused.getsockname()[1]}", max_attempts=2), 1)
    assert request.attempts == 2
    assert "onnect" in request.fault


def test_tls_that_cannot_be_trusted_is_final(server: Server) -> None:
    """A server that speaks no TLS, or shows a certificate nobody vouches for, is not asked again and again."""
    (request,) = get_all(transport(server.origin.replace("http:", "https:"), max_attempts=2), 1)
    assert request.fault
    assert request.status == 0


def test_a_cancelled_request_is_forgotten(server: Server) -> None:
    """Cancelling waiting and running requests leaves the others alone."""
    server.answers_left = 0
    driver = transport(server.origin, max_in_flight=2)
    requests = [Request("s3:GetObject", "GET", "/k") for _ in range(4)]
    for request in requests:
        driver.submit(request)
    driver.step(A_MOMENT_S)
    driver.cancel(requests[0])
    driver.cancel(requests[3])
    server.let_go()
    while not all(request.done for request in requests[1:3]):
        driver.step()
    assert not requests[0].done
    assert not requests[3].done
    driver.close()


class Raw:
    """A server that answers every connection with the same bytes, slowly if asked to, and goes on for ever."""

    def __init__(self, head: bytes, chunk: bytes, pause_s: float) -> None:
        self._parts = (head, chunk, pause_s)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self.origin = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> Raw:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        head, chunk, pause_s = self._parts
        self._socket.settimeout(0.1)
        while not self._stopped.is_set():
            try:
                connection, _ = self._socket.accept()
            except TimeoutError:
                continue
            with connection:
                try:
                    connection.recv(65_536)
                    connection.sendall(head)
                    while not self._stopped.wait(pause_s):
                        connection.sendall(chunk)
                except OSError:
                    continue


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"], ids=["told", "untold"]
)
def test_an_answer_without_end_is_cut(head: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether its length is told or not: no more than the longest answer there can be is kept."""
    monkeypatch.setattr(wire, "MAX_BODY_BYTES", 1 << 20)
    with Raw(head, bytes(1 << 16), 0) as server:
        driver = transport(server.origin, max_attempts=1)
        (request,) = get_all(driver, 1)
        assert "exceeded" in request.fault.lower()
        assert request.answer == b""


@pytest.mark.heavy
def test_an_answer_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Faster than what counts as stuck, and still too slow to wait for: there is a time for the whole of it.

    All of it would take an hour, and the test is stopped long before.
    """
    monkeypatch.setattr(wire, "SLOWEST_BYTES_PER_S", 1 << 30)
    with Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n", bytes(100), 0.05) as server:
        (request,) = get_all(transport(server.origin, max_attempts=1, connect_timeout_s=1, read_timeout_s=1), 1)
    assert "timed out" in request.fault


@pytest.mark.parametrize(("name", "trusted"), [("localhost", True), ("elsewhere.example", False)])
def test_a_certificate_for_another_name_is_not_trusted(name: str, trusted: bool, tmp_path: Path) -> None:
    """Though its issuer is trusted."""
    made = f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN={name}"
    files = f"-addext subjectAltName=DNS:{name} -keyout key.pem -out cert.pem"
    subprocess.run(["openssl", *made.split(), *files.split()], cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with Server() as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        origin = f"https://localhost:{server.server_port}"
        driver = transport(origin, max_attempts=1, ca_bundle=str(tmp_path / "cert.pem"))
        (request,) = get_all(driver, 1)
        server.shutdown()
        thread.join()
    assert (request.status, request.tls_fault) == ((200, False) if trusted else (0, True))
    assert ("certificate" in request.fault) is not trusted


@pytest.mark.heavy
def test_a_server_that_falls_silent_is_given_up_in_the_time_allowed(server: Server) -> None:
    """Whatever attempts are left; each waits for some of that time only.

    On the transport's clock a minute and a half passes before each attempt.
    """
    server.answers_left = 0

    def clock() -> float:
        return time.monotonic() + 90 * driver.requests_sent

    allowed: dict[str, Any] = {"max_attempts": 99, "read_timeout_s": 1, "connect_timeout_s": 1, "silence_s": 120}
    driver = transport(server.origin, monotonic=clock, **allowed)
    (request,) = get_all(driver, 1)
    assert request.attempts == 2
    assert "timed out" in request.fault.lower() or "too slow" in request.fault


def test_what_is_put_off_waits_for_the_one_that_failed_most(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then all of them can be run again."""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    driver = transport(server.origin, jitter=lambda: 1.0)
    requests = [Request("s3:PutObject", "PUT", "/k", fruitless=fruitless) for fruitless in (1, 3, 2)]
    for request in requests:
        request.done = request.put_off = True
    driver.wait_out(requests)
    driver.wait_out([])
    driver.close()
    assert slept == [driver.backoff_s(3), 0]
    assert not any(request.done or request.put_off for request in requests)


def test_gets_use_their_handles_again_and_others_do_not(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """One handle is enough for one after the other; that of a POST would send its body once more."""
    made: list[bool] = []

    def note(wire: Wire, *, with_headers: bool) -> Handle:
        made.append(with_headers)
        return new_handle(wire, with_headers=with_headers)

    monkeypatch.setattr(handles, "new_handle", note)
    driver = transport(server.origin)
    assert driver.run(Request("s3:DeleteObject", "POST", "/k", body=b"x" * 10)).status == 501
    for _ in range(3):
        assert driver.run(Request("s3:GetObject", "GET", "/k")).answer == b"ok"
    driver.close()
    assert made == [True, False]


def test_nothing_is_held_of_what_failed_or_was_cancelled(server: Server) -> None:
    """A run of days makes many such requests."""
    server.RequestHandlerClass = Told
    server.script.extend([0] * 9)
    driver = transport(server.origin, max_attempts=1)
    assert driver.run(Request("s3:GetObject", "GET", "/k")).fault
    cancelled, dropped = (Request("s3:GetObject", "GET", "/busy") for _ in range(2))
    driver.submit(cancelled)
    driver.cancel(cancelled)
    assert not driver._handles._busy
    driver.submit(dropped)
    driver.close()
    assert not driver._handles._busy
    assert not driver._in_flight


def test_behind_a_disconnect_requests_go_over_new_connections(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """And over the ones that there are until then."""
    connections: list[object] = []

    def note(request: object, client: object) -> bool:
        connections.append(client)
        return True

    monkeypatch.setattr(server, "verify_request", note)
    driver = transport(server.origin)
    for opened in (1, 1, 2):
        if opened == 2:
            driver.disconnect()
        assert driver.run(Request("s3:GetObject", "GET", "/k")).answer == b"ok"
        assert len(connections) == opened
    driver.close()


def test_a_complaint_about_what_was_started_after_a_cut_halves_again(server: Server) -> None:
    """It is news: so much was too much still."""
    driver = transport(server.origin)
    for sent, cut in ((1, 32), (2, 16)):
        server.script.append(503)
        assert driver.run(Request("s3:GetObject", "GET", "/k")).answer == b"ok"
        assert driver.requests_sent == 2 * sent
        assert cut <= driver._limit.value < cut + 1
    driver.close()


def test_who_is_asked_to_slow_down_while_others_go_through_keeps_its_attempts(server: Server) -> None:
    """Where many ask for something, nobody is given up because of the others."""
    server.RequestHandlerClass = Told
    driver = transport(server.origin, max_attempts=2, jitter=lambda: 0.0)
    busy = Request("s3:GetObject", "GET", "/busy")
    driver.submit(busy)
    for attempt, status in enumerate([503, 503, 503, 200], 1):
        while busy.attempts < attempt:
            driver.step(0)
        assert driver.run(Request("s3:GetObject", "GET", "/k")).status == 200
        server.told.put(status)
        while busy in driver._in_flight.values():
            driver.step()
    driver.close()
    assert (busy.done, busy.status, busy.attempts) == (True, 200, 4)
