"""Where requests go: over all addresses of a name, to S3's other names if S3 says so, and nowhere else."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pycurl
import pytest

from s3_log_roller.aws.s3 import handles, wire
from s3_log_roller.aws.s3.failures import failure
from s3_log_roller.aws.s3.redirects import is_aws_host
from s3_log_roller.aws.s3.request import Request
from s3_log_roller.aws.s3.signing import Credentials, Signer
from s3_log_roller.aws.s3.transport import Transport
from s3_log_roller.aws.s3.wire import Wire

ADDRESSES = [f"127.0.0.{number}" for number in range(1, 9)]
OURS = "logs.s3.us-west-2.amazonaws.com"
THEIRS = "logs.s3-us-west-2.amazonaws.com"


class Server(ThreadingHTTPServer):
    """A proxy that answers for every host: `ok`, or that another endpoint is to be asked."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, address: str = "127.0.0.1", port: int = 0) -> None:
        self.endpoints: dict[str, str] = {}
        self.hosts: list[tuple[str, str]] = []
        self.connections = 0
        super().__init__((address, port), Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        self.connections += 1
        return super().get_request()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        host = self.headers["host"]
        self.server.hosts.append((host, self.headers["authorization"]))
        endpoint = self.server.endpoints.get(host)
        body = f"<Error><Code>TemporaryRedirect</Code><Endpoint>{endpoint}</Endpoint></Error>" if endpoint else "ok"
        self.send_response(307 if endpoint else 200)
        if endpoint:
            self.send_header("Location", f"http://{endpoint}/key")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def proxy() -> Iterator[Server]:
    """Stands for every host."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def get(proxy: Server, host: str, times: int = 1) -> list[Request]:
    signer = Signer(host, "us-west-2", lambda: Credentials("a", "s", None))
    through = Wire(f"http://{host}", proxy=f"http://127.0.0.1:{proxy.server_port}", max_attempts=3)
    driver = Transport(through, signer, 8, jitter=lambda: 0.01)
    requests = [driver.run(Request("s3:GetObject", "GET", "/key", key="key")) for _ in range(times)]
    driver.close()
    return requests


def test_a_new_bucket_is_followed_to_its_region(proxy: Server) -> None:
    """S3 sends requests on for some hours; the next ones go there at once, signed for that name."""
    proxy.endpoints[OURS] = THEIRS
    assert [(request.status, request.answer) for request in get(proxy, OURS, 3)] == [(200, b"ok")] * 3
    assert [host for host, _ in proxy.hosts] == [OURS, THEIRS, THEIRS, THEIRS]
    assert proxy.hosts[0][1] != proxy.hosts[1][1]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (OURS, "evil.example"),
        (OURS, "logs.s3.us-west-2.amazonaws.com.evil.example"),
        (OURS, "other.s3-us-west-2.amazonaws.com"),
        (OURS, "logs.ec2.us-west-2.amazonaws.com"),
        ("store.example", "other.store.example"),
        ("store.example", OURS),
    ],
)
def test_nothing_signed_ever_goes_to_another_host(proxy: Server, ours: str, theirs: str) -> None:
    """Whoever sends it there; the error names the place."""
    proxy.endpoints[ours] = theirs
    (request,) = get(proxy, ours)
    assert [host for host, _ in proxy.hosts] == [ours]
    assert request.status == 307
    assert f"it was sent on to {theirs}" in str(failure("logs", request))


def test_two_names_that_send_to_each_other_end(proxy: Server) -> None:
    """After the attempts allowed."""
    proxy.endpoints |= {OURS: THEIRS, THEIRS: OURS}
    (request,) = get(proxy, OURS)
    assert (request.status, len(proxy.hosts)) == (307, 3)


@pytest.mark.parametrize(
    ("host", "is_s3"),
    [
        ("s3.us-west-2.amazonaws.com", True),
        ("my.logs.s3.dualstack.eu-west-1.amazonaws.com", True),
        ("logs.s3-fips.us-gov-west-1.amazonaws.com", True),
        ("logs.s3.cn-north-1.amazonaws.com.cn", True),
        ("s3.us-west-2.amazonaws.com.evil.example", False),
        ("amazonaws.com", False),
        ("127.0.0.1:9000", False),
    ],
)
def test_s3s_own_names_are_known(host: str, is_s3: bool) -> None:
    """In every partition, and nobody else's."""
    assert is_aws_host(host) is is_s3


def test_connections_spread_over_all_addresses_of_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """libcurl takes the first one for all of them by itself."""
    first = Server(ADDRESSES[0])
    servers = [first, *(Server(address, first.server_port) for address in ADDRESSES[1:])]
    threads = [threading.Thread(target=server.serve_forever, args=(0.01,)) for server in servers]
    make = wire.new_handle

    def resolved(to: Wire, *, with_headers: bool) -> Any:
        handle = make(to, with_headers=with_headers)
        handle.setopt(pycurl.RESOLVE, [f"many.example:{first.server_port}:{','.join(ADDRESSES)}"])
        return handle

    monkeypatch.setattr(handles, "new_handle", resolved)
    for thread in threads:
        thread.start()
    origin = f"http://many.example:{first.server_port}"
    driver = Transport(Wire(origin), Signer("many.example", "r", lambda: Credentials("a", "s", None)), 32)
    driver.run_each(Request("s3:GetObject", "GET", "/key") for _ in range(64))
    driver.close()
    for server, thread in zip(servers, threads, strict=True):
        server.shutdown()
        thread.join()
        server.server_close()
    assert sum(server.connections > 0 for server in servers) >= 5
