"""A proxy in front of a real server that does to requests and answers what networks and servers do on bad days.

    def plan(exchange: Exchange) -> Fault | None:
        return reset_after_request if exchange.number == 3 else None

    with FaultyProxy(server.port, plan) as proxy:
        ... AWS_ENDPOINT_URL_S3=proxy.url ...

The `Host` header stays what the client signed, so signatures survive.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

HANG_SECONDS = 3_600.0
"""What counts as for ever: longer than a test may take."""


@dataclass(slots=True)
class Exchange:
    """One request, as it came from the client."""

    number: int
    """From 1, over all connections."""
    method: str
    target: str
    """Path and query, percent-encoded."""
    head: bytes
    body: bytes

    @property
    def operation(self) -> str:
        """What S3 or SQS would call it."""
        if target := re.search(rb"\r\nx-amz-target: *AmazonSQS\.(\w+)", self.head, re.IGNORECASE):
            return target[1].decode()
        path, _, query = self.target.partition("?")
        if self.method == "HEAD":
            return "HeadBucket" if path.count("/") == 1 else "HeadObject"
        names = {
            ("GET", "list-type"): "ListObjects",
            ("POST", "delete"): "DeleteObjects",
            ("POST", "uploads"): "CreateMultipartUpload",
            ("POST", "uploadId"): "CompleteMultipartUpload",
            ("PUT", "uploadId"): "UploadPart",
            ("DELETE", "uploadId"): "AbortMultipartUpload",
        }
        for (method, word), name in names.items():
            if method == self.method and word in query:
                return name
        kind = "Rollup" if path.endswith(".tgz") else "Object"
        return {"GET": f"Get{kind}", "PUT": f"Put{kind}", "DELETE": f"Delete{kind}"}.get(self.method, self.method)


@dataclass(slots=True)
class Link:
    """What a fault may do with one exchange."""

    exchange: Exchange
    _proxy: FaultyProxy
    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter

    async def forward(self, body: bytes | None = None, head: bytes | None = None) -> bytes:
        """Send the request on, changed or not, and return the whole answer."""
        exchange = self.exchange
        reader, writer = await asyncio.open_connection("127.0.0.1", self._proxy.upstream_port)
        self._proxy.hold(writer)
        try:
            writer.write((exchange.head if head is None else head) + (exchange.body if body is None else body))
            await writer.drain()
            while True:
                answer = await _read_message(reader, has_body=exchange.method != "HEAD")
                if answer is None:
                    raise ConnectionResetError("the server behind the proxy closed the connection")
                if not answer[0].startswith(b"HTTP/1.1 100"):
                    return answer[0] + answer[1]
        finally:
            writer.transport.abort()

    async def send(self, data: bytes) -> None:
        """Send bytes to the client."""
        self._writer.write(data)
        await self._writer.drain()

    def reset(self) -> None:
        """Cut the client's connection with a TCP reset, at once."""
        connection: socket.socket = self._writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def close(self) -> None:
        """End the client's connection in good order, behind what was sent."""
        self._writer.close()

    @property
    def closing(self) -> bool:
        """Whether the client's connection is over."""
        return self._writer.is_closing()


Fault = Callable[[Link], Awaitable[None]]
Plan = Callable[[Exchange], Fault | None]


@dataclass
class FaultyProxy:
    """Listens on a port of its own, in a thread of its own, while its `with` block runs."""

    upstream_port: int
    plan: Plan = lambda exchange: None
    seen: list[Exchange] = field(default_factory=list)
    """Every request that came, in their order."""

    def __enter__(self) -> Self:
        self._open: set[asyncio.StreamWriter] = set()
        self._watchers: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024))
        self.port: int = self._server.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _stop(self) -> None:
        # What was accepted is closed by a task, which has to have begun; and that it can do on an open server only.
        for listening in self._server.sockets:
            self._loop.remove_reader(listening)
        await asyncio.sleep(0)
        self._server.close()
        while others := asyncio.all_tasks() - {asyncio.current_task(), *self._watchers}:
            await asyncio.sleep(0)
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
        while self._open:  # or a socket would be found unclosed later, in the middle of another test
            await asyncio.sleep(0.001)

    def hold(self, writer: asyncio.StreamWriter) -> None:
        """Remember a connection until it is closed for good."""
        self._open.add(writer)
        task = asyncio.ensure_future(self._forget_when_closed(writer))
        self._watchers.add(task)
        task.add_done_callback(self._watchers.discard)

    async def _forget_when_closed(self, writer: asyncio.StreamWriter) -> None:
        with suppress(Exception):
            await writer.wait_closed()
        self._open.discard(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.hold(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while not writer.is_closing():
                message = await _read_message(reader, has_body=True, on_expect=writer.write)
                if message is None:
                    break
                head, body = message
                method, target, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
                exchange = Exchange(len(self.seen) + 1, method, target, head, body)
                self.seen.append(exchange)
                link = Link(exchange, self, reader, writer)
                fault = self.plan(exchange) or pass_on
                await fault(link)
        writer.transport.abort()


async def _read_message(
    reader: asyncio.StreamReader, *, has_body: bool, on_expect: Callable[[bytes], object] | None = None
) -> tuple[bytes, bytes] | None:
    """(head, body) of a request or an answer; None where the connection ended before one began."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    lower = head.lower()
    if on_expect and b"\r\nexpect: 100-continue" in lower:
        on_expect(b"HTTP/1.1 100 Continue\r\n\r\n")
    if not has_body or head.startswith((b"HTTP/1.1 204", b"HTTP/1.1 304", b"HTTP/1.1 100")):
        return head, b""
    if b"\r\ntransfer-encoding: chunked" in lower:
        chunks = []
        while True:
            line = await reader.readuntil(b"\r\n")
            size = int(line.partition(b";")[0], 16)
            chunks.append(line + await reader.readexactly(size + 2))
            if not size:
                return head, b"".join(chunks)
    length = lower.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0].strip()
    return head, await reader.readexactly(int(length or 0))


# Faults


async def pass_on(link: Link) -> None:
    """No fault."""
    await link.send(await link.forward())


async def reset_before_request(link: Link) -> None:
    """The connection is cut and the server never sees the request."""
    link.reset()


async def close_before_request(link: Link) -> None:
    """The server ends the connection instead of answering."""
    link.close()


async def reset_after_request(link: Link) -> None:
    """The server does what was asked, and its answer is lost."""
    await link.forward()
    link.reset()


async def reset_in_header(link: Link) -> None:
    """The answer breaks off among its headers."""
    answer = await link.forward()
    await link.send(answer[: answer.index(b"\r\n\r\n") // 2])
    await asyncio.sleep(0.02)
    link.reset()


async def reset_in_body(link: Link) -> None:
    """The answer breaks off in its body."""
    answer = await link.forward()
    body = answer.index(b"\r\n\r\n") + 4
    await link.send(answer[: (body + len(answer)) // 2])
    await asyncio.sleep(0.02)
    link.reset()


async def close_in_body(link: Link) -> None:
    """The answer is shorter than its Content-Length says, and the connection ends in good order."""
    answer = await link.forward()
    body = answer.index(b"\r\n\r\n") + 4
    await link.send(answer[: (body + len(answer)) // 2])
    link.close()


async def hang_before_answer(link: Link) -> None:
    """The server takes the request and never answers."""
    await link.forward()
    await asyncio.sleep(HANG_SECONDS)


async def hang_in_body(link: Link) -> None:
    """The answer stops half-way and the connection stays open."""
    answer = await link.forward()
    body = answer.index(b"\r\n\r\n") + 4
    await link.send(answer[: (body + len(answer)) // 2])
    await asyncio.sleep(HANG_SECONDS)


async def drip(link: Link) -> None:
    """The answer comes in single bytes, two a second: it takes minutes."""
    for byte in await link.forward():
        await link.send(bytes((byte,)))
        await asyncio.sleep(0.5)


def shorter(by: int) -> Fault:
    """The body is shorter than it was, and Content-Length agrees: the damage does not show in HTTP."""

    async def fault(link: Link) -> None:
        head, _, body = (await link.forward()).partition(b"\r\n\r\n")
        body = body[:-by] if by < len(body) else b""
        lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length:")]
        await link.send(b"\r\n".join([*lines, b"Content-Length: %d" % len(body)]) + b"\r\n\r\n" + body)

    return fault


def wrong_length(by: int) -> Fault:
    """Content-Length says so many bytes more, or less, than come; then the connection ends."""

    async def fault(link: Link) -> None:
        head, _, body = (await link.forward()).partition(b"\r\n\r\n")
        lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length:")]
        length = max(0, len(body) + by)
        await link.send(b"\r\n".join([*lines, b"Content-Length: %d" % length]) + b"\r\n\r\n" + body)
        link.close()

    return fault


def flip_answer(place: float) -> Fault:
    """One bit of the answer's body is another, at that share of its length."""

    async def fault(link: Link) -> None:
        answer = bytearray(await link.forward())
        body = answer.index(b"\r\n\r\n") + 4
        if body < len(answer):
            answer[body + int(place * (len(answer) - body - 1))] ^= 0x01
        await link.send(bytes(answer))

    return fault


async def garbage(link: Link) -> None:
    """The answer is no HTTP at all."""
    await link.forward()
    await link.send(b"\x15\x03\x01\x00\x02\x02\x16 this is not HTTP\r\n\r\n")
    link.close()


def flip_request(place: float) -> Fault:
    """One bit of the request's body is another when it reaches the server."""

    async def fault(link: Link) -> None:
        body = bytearray(link.exchange.body)
        if body:
            body[int(place * (len(body) - 1))] ^= 0x01
        await link.send(await link.forward(bytes(body)))

    return fault


def answer(status: int, code: str, *, done: bool = False, headers: str = "") -> Fault:
    """The server answers with an S3 error; `done`: though it did what was asked."""

    async def fault(link: Link) -> None:
        if done:
            await link.forward()
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>made up by the test</Message></Error>".encode()
        if link.exchange.method == "HEAD":
            body = b""
        head = (
            f"HTTP/1.1 {status} {code}\r\nContent-Type: application/xml\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
        )
        await link.send(head.encode() + body)

    return fault


async def delete_nothing_now(link: Link) -> None:
    """The server answers a DeleteObjects, and says SlowDown of every single key."""
    errors = b"".join(
        b"<Error><Key>%b</Key><Code>SlowDown</Code><Message>made up by the test</Message></Error>" % key
        for key in re.findall(rb"<Key>([^<]*)</Key>", link.exchange.body)
    )
    body = b"<DeleteResult>" + errors + b"</DeleteResult>"
    await link.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
