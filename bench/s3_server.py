"""A quick S3 server for benchmarks and for tests of faults on the wire: one process, one thread, all in memory.

    python -m bench.s3_server --port 9000 [--tls DIRECTORY] [--delay-ms 25] [--slow-down-above 3500]

It speaks HTTP/1.1 itself (uvloop where installed), path-style only, and does not check signatures. Control requests,
which are not counted:

    GET  /__stats                                   requests by operation, seconds of CPU used
    POST /__reset                                   set those to nought
    POST /__fill?bucket=b&prefix=p&prefix=q&days=2&logs=1000&records=7&seed=7    a bucket with just these logs
    POST /__fill?…&beside=1                         these logs, too
    POST /__make_up?bucket=b&…                      the same, read-only and computed as it is listed: billions will do
    POST /__put_rollups?bucket=b&prefix=p&count=365    objects under the names of rollups of earlier days
    POST /__options?delay_ms=25&slow_down_above=0   change what the command line said

In a test:

    with serving(ServerOptions(), intercept) as server:
        server.api.buckets["bucket1"] = Bucket()
        ... server.url ...
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import os
import resource
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast
from urllib.parse import parse_qs

from bench.buckets import Bucket, MadeUpBucket
from bench.logs import LogSet
from bench.rates import TokenBucket
from bench.s3_api import SLOW_DOWN, Call, S3Api, parse_target

MAX_HEAD_BYTES: Final = 64 << 10
HOLD_S: Final = 0.01
"""Between two looks at whether an answer may be sent."""

Intercept = Callable[[Call, bytes], bytes | None]
"""Sees every answer before it is sent and returns what to send instead. Where that is shorter than the answer, the
connection is cut behind it; None cuts it at once."""


@dataclass(slots=True)
class ServerOptions:
    """How the server behaves."""

    delay_ms: float = 0.0
    """Time between the last byte of a request and its answer, for every request on its own."""
    slow_down_above: float = 0.0
    """Requests a second that are answered; 503 SlowDown for the others. 0: all of them are."""
    burst: float = 100.0
    """Requests that may come at once after a quiet time before the rate counts."""
    writes_above: float = 0.0
    """Keys a second that may be written or deleted, each key of a DeleteObjects being one, as S3's rates may be meant.
    0: all of them."""
    write_burst: float = 100.0
    """Keys that may come at once after a quiet time."""
    whole_calls: float = 0.0
    """Not 0: a DeleteObjects that asks for more than is granted gets 503. 0: its keys get SlowDown one by one."""


class S3Server:
    """What all connections share."""

    def __init__(self, options: ServerOptions, intercept: Intercept | None = None) -> None:
        self.api = S3Api()
        self.options = options
        self.intercept = intercept
        self.holds_back: Callable[[Call], bool] = lambda call: False
        """Whether the answer to a call waits; asked again and again until it does not."""
        self.url = ""
        self.open_connections: set[Connection] = set()
        self.max_connections = 0
        self._requests = TokenBucket(options.slow_down_above, options.burst)
        self._writes = TokenBucket(options.writes_above, options.write_burst)
        self._cpu_at_reset_s = _cpu_s()

    @property
    def connections(self) -> int:
        """Open at the moment."""
        return len(self.open_connections)

    def answer(self, call: Call) -> bytes:
        """The answer to a call, control requests and the rate limit included."""
        if call.bucket.startswith("__"):
            return self._control(call)
        options = self.options
        self._requests.rate, self._requests.burst = options.slow_down_above, options.burst
        self._writes.rate, self._writes.burst = options.writes_above, options.write_burst
        if (options.slow_down_above and not self._requests.take()) or not self._may_write(call):
            self.api.requests["SlowDown"] += 1
            return self.api.error(call, SLOW_DOWN)
        return self.api.answer(call)

    def _may_write(self, call: Call) -> bool:
        self.api.may_delete = lambda: True
        if not self.options.writes_above or call.method in ("GET", "HEAD"):
            return True
        if call.method == "POST" and call.query.startswith("delete"):
            if self.options.whole_calls:
                return self._writes.take(call.body.count(b"<Object>"))
            self.api.may_delete = self._writes.take
            return True
        return self._writes.take()

    def _control(self, call: Call) -> bytes:
        fields = parse_qs(call.query)
        answer: dict[str, object] = {}
        if call.bucket == "__stats":
            answer = {
                "requests": dict(self.api.requests),
                "cpu_s": _cpu_s() - self._cpu_at_reset_s,
                "max_connections": self.max_connections,
                "objects": {name: len(bucket) for name, bucket in self.api.buckets.items()},
            }
        elif call.bucket == "__reset":
            self.api.requests.clear()
            self.max_connections = self.connections
            self._cpu_at_reset_s = _cpu_s()
        elif call.bucket in ("__fill", "__make_up"):
            logs = _log_set(fields)
            name = fields["bucket"][0]
            before = self.api.buckets.pop(name, None)
            if call.bucket == "__fill":
                filled = before if "beside" in fields and isinstance(before, Bucket) else Bucket()
                filled.fill(logs)
                self.api.buckets[name] = filled
            else:
                self.api.buckets[name] = MadeUpBucket(logs)
            gc.collect()
            gc.freeze()
            answer = {"logs": len(logs)}
        elif call.bucket == "__put_rollups":
            stored = self.api.buckets[fields["bucket"][0]]
            if isinstance(stored, Bucket):
                stored.put_rollups(fields["prefix"], int(fields["count"][0]))
        elif call.bucket == "__options":
            for option, values in fields.items():
                setattr(self.options, option, float(values[0]))
        body = json.dumps(answer).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _log_set(fields: dict[str, list[str]]) -> LogSet:
    names = ("days", "logs", "records", "seed", "huge_bytes")
    numbers = {name: int(fields[name][0]) for name in names if name in fields}
    incompressible = fields.get("incompressible") == ["True"]
    return LogSet(tuple(fields.get("prefix", [""])), incompressible=incompressible, **numbers)


class Connection(asyncio.Protocol):
    """One client's connection: reads requests, answers each in turn."""

    def __init__(self, server: S3Server) -> None:
        self._server = server
        self._transport: asyncio.Transport
        self._received = bytearray()
        self._call: Call | None = None
        """Its head is read, its body is not."""
        self._chunked = False
        self._body_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass
        server = self._server
        server.open_connections.add(self)
        server.max_connections = max(server.max_connections, server.connections)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        self._server.open_connections.discard(self)

    def abort(self) -> None:
        """Close the connection at once."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        if self._call is None and not self._received and data.startswith((b"GET ", b"HEAD ")):
            # What nearly all requests are: one GET in one piece.
            end = data.find(b"\r\n\r\n")
            if end == len(data) - 4:
                self._respond(_parse_head(data[:end]))
                return
        self._received += data
        while self._next_request():
            pass

    def _next_request(self) -> bool:
        """Answer one request of what was received, if it is complete."""
        received = self._received
        if self._call is None:
            while received.startswith(b"\r\n"):  # to be ignored, says RFC 9112
                del received[:2]
            end = received.find(b"\r\n\r\n")
            if end < 0:
                if len(received) > MAX_HEAD_BYTES:
                    self._transport.abort()
                return False
            call = self._call = _parse_head(bytes(received[:end]))
            del received[: end + 4]
            self._chunked = b"chunked" in call.header(b"transfer-encoding").lower()
            self._body_bytes = int(call.header(b"content-length") or 0)
            if call.header(b"expect").lower() == b"100-continue":
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        call = self._call
        if self._chunked:
            complete = _take_chunks(received)
            if complete is None:
                return False
            call.body = complete
        else:
            if len(received) < self._body_bytes:
                return False
            call.body = bytes(received[: self._body_bytes])
            del received[: self._body_bytes]
        if b"aws-chunked" in call.header(b"content-encoding"):
            # Each chunk's head may carry a signature (`5;chunk-signature=…`) and a trailer follows the last one.
            call.body = _take_chunks(bytearray(call.body)) or b""
        self._call = None
        self._respond(call)
        return True

    def _respond(self, call: Call) -> None:
        server = self._server
        answer: bytes | None = server.answer(call)
        assert answer is not None
        cut = False
        if server.intercept is not None and not call.bucket.startswith("__"):
            changed = server.intercept(call, answer)
            cut = changed is None or len(changed) < len(answer)
            answer = changed or b""
        if server.options.delay_ms and not call.bucket.startswith("__"):
            asyncio.get_running_loop().call_later(server.options.delay_ms / 1000, self._send_if_free, call, answer, cut)
        else:
            self._send_if_free(call, answer, cut)

    def _send_if_free(self, call: Call, answer: bytes, cut: bool) -> None:
        if self._server.holds_back(call):
            asyncio.get_running_loop().call_later(HOLD_S, self._send_if_free, call, answer, cut)
        else:
            self._send(answer, cut)

    def _send(self, answer: bytes, cut: bool) -> None:
        if self._transport.is_closing():
            return
        if answer:
            self._transport.write(answer)
        if cut:
            self._transport.close()


def _parse_head(head: bytes) -> Call:
    method, target, _ = head[: head.find(b"\r\n")].split(b" ", 2)
    bucket, key, query = parse_target(target)
    return Call(method.decode(), bucket, key, query, head, head.lower())


def _take_chunks(received: bytearray) -> bytes | None:
    """Take a chunked body off the front; None while it is incomplete."""
    pieces = []
    at = 0
    while True:
        line_end = received.find(b"\r\n", at)
        if line_end < 0:
            return None
        size = int(bytes(received[at:line_end]).partition(b";")[0], 16)
        at = line_end + 2
        if size == 0:
            break
        if len(received) < at + size + 2:
            return None
        pieces.append(bytes(received[at : at + size]))
        at += size + 2
    while True:  # the trailer: header lines up to an empty one
        line_end = received.find(b"\r\n", at)
        if line_end < 0:
            return None
        empty = line_end == at
        at = line_end + 2
        if empty or at == len(received):
            break
    del received[:at]
    return b"".join(pieces)


def make_certificates(directory: Path) -> tuple[Path, Path]:
    """(certificate, key) for 127.0.0.1 and localhost, signed by itself: name the first in AWS_CA_BUNDLE."""
    directory.mkdir(parents=True, exist_ok=True)
    certificate, key = directory / "ca.pem", directory / "key.pem"
    if not certificate.exists():
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=localhost"]
        command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
        command += ["-addext", "keyUsage=critical,digitalSignature,keyCertSign"]
        command += ["-keyout", str(key), "-out", str(certificate)]
        subprocess.run(command, check=True, capture_output=True)
    return certificate, key


async def listen(server: S3Server, port: int, tls: Path | None) -> asyncio.Server:
    """Bind to loopback (port 0: any) and set `server.url`."""
    context = None
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*make_certificates(tls))
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: Connection(server), "127.0.0.1", port, ssl=context, backlog=1024)
    bound = listening.sockets[0].getsockname()[1]
    server.url = f"{'https' if tls else 'http'}://127.0.0.1:{bound}"
    return listening


@contextlib.contextmanager
def serving(
    options: ServerOptions | None = None, intercept: Intercept | None = None, tls: Path | None = None
) -> Iterator[S3Server]:
    """A server in a thread of this process, on a port of its own."""
    server = S3Server(options or ServerOptions(), intercept)
    loop = asyncio.new_event_loop()
    listening = loop.run_until_complete(listen(server, 0, tls))
    thread = threading.Thread(target=loop.run_forever, name="s3-server", daemon=True)
    thread.start()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(_close(listening, server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _close(listening: asyncio.Server, server: S3Server) -> None:
    """Take no more connections, and end those that there are. Those under TLS take some rounds to be gone."""
    for taking in listening.sockets:
        asyncio.get_running_loop().remove_reader(taking)
    await asyncio.sleep(0)  # what was accepted is taken on, which an open server is needed for
    listening.close()
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.sleep(0)
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
    while server.open_connections:
        for connection in list(server.open_connections):
            connection.abort()
        await asyncio.sleep(0.001)


async def _serve(server: S3Server, port: int, tls: Path | None) -> None:
    listening = await listen(server, port, tls)
    print(server.url, flush=True)
    await listening.serve_forever()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description="An S3 server in memory, for benchmarks.")
    parser.add_argument("--port", type=int, default=0, help="0: any that is free; the URL is the first line of output")
    parser.add_argument("--tls", type=Path, metavar="DIRECTORY", help="serve https; ca.pem and key.pem are made there")
    parser.add_argument("--delay-ms", type=float, default=0.0)
    parser.add_argument("--slow-down-above", type=float, default=0.0, metavar="RATE", help="requests a second")
    parser.add_argument("--core", type=int, help="run on this core only")
    parser.add_argument("--until-eof", action="store_true", help="end when standard input does, so with who started it")
    arguments = parser.parse_args()
    if arguments.until_eof:
        threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    if arguments.core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {arguments.core})
    server = S3Server(ServerOptions(arguments.delay_ms, arguments.slow_down_above))
    try:
        import uvloop
    except ImportError:
        print("uvloop is not installed: this server is slower than it should be", file=sys.stderr)
        run = asyncio.run
    else:
        run = uvloop.run
    with contextlib.suppress(KeyboardInterrupt):
        run(_serve(server, arguments.port, arguments.tls))


if __name__ == "__main__":
    main()
