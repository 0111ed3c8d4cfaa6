"""Clients of an S3 server on a clock of their own: time passes only while all of them wait, and always in the same way.

    with clients_of(ServerOptions(delay_ms=25, slow_down_above=550, burst=55), 3) as world:
        results = world.run(work)  # work(store) for each of three clients; it took world.passed_s

What lies between the transport and the server is made up: no libcurl, no sockets, and work takes no time.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from random import Random
from types import SimpleNamespace
from typing import Any, TypeVar

import pycurl
import pytest
from bench.buckets import Bucket
from bench.rates import TokenBucket
from bench.s3_api import Call, parse_target
from bench.s3_server import S3Server, ServerOptions
from greenlet import getcurrent, greenlet

from s3_log_roller.aws.s3 import S3Bucket, deletes, handles, transport
from s3_log_roller.aws.s3.signing import Credentials, Signer
from s3_log_roller.aws.s3.transport import Transport
from s3_log_roller.aws.s3.wire import Wire

T = TypeVar("T")
HOST = "server.invalid"


class World:
    """A server, its clients, and their clock."""

    def __init__(self, options: ServerOptions) -> None:
        self.passed_s = 0.0
        self.server = S3Server(options)
        self.server._requests = TokenBucket(options.slow_down_above, options.burst, self.clock)
        self.server._writes = TokenBucket(options.writes_above, options.write_burst, self.clock)
        self.stores: list[S3Bucket] = []
        self._turns: list[tuple[float, int, greenlet]] = []
        self._order = itertools.count()

    def clock(self) -> float:
        return 1_000 + self.passed_s

    def sleep(self, seconds: float) -> None:
        """Let others go on for that time."""
        self._plan(seconds, getcurrent())
        getcurrent().parent.switch()

    def _plan(self, seconds: float, who: greenlet) -> None:
        heapq.heappush(self._turns, (self.passed_s + seconds, next(self._order), who))

    def run(self, work: Callable[[S3Bucket], T]) -> list[T]:
        """Let each client do its work, all at once; what came out."""
        results: dict[int, T] = {}

        def play(number: int, store: S3Bucket) -> None:
            results[number] = work(store)

        for number, store in enumerate(self.stores):
            self._plan(0, greenlet(lambda number=number, store=store: play(number, store)))
        while self._turns:
            self.passed_s, _, who = heapq.heappop(self._turns)
            who.switch()
        return [results[number] for number in range(len(self.stores))]

    def answer(self, handle: MadeUpHandle) -> None:
        """Have the server answer, and leave the answer with the handle."""
        asked = handle.options
        method = "HEAD" if pycurl.NOBODY in asked else asked.get(pycurl.CUSTOMREQUEST, "GET")
        target = asked[pycurl.URL].removeprefix(f"http://{HOST}").encode()
        head = b"\r\n".join([b"%b %b HTTP/1.1" % (method.encode(), target), *map(str.encode, asked[pycurl.HTTPHEADER])])
        call = Call(method, *parse_target(target), head, head.lower(), asked.get(pycurl.POSTFIELDS, b""))
        lines, _, body = self.server.answer(call).partition(b"\r\n\r\n")
        handle.status = int(lines.split(b" ", 2)[1])
        handle.chunks.append(body)
        handle.header_lines.extend(lines.split(b"\r\n")[1:])


class MadeUpCurl:
    """Instead of `pycurl.Curl`: names its handle."""

    def __init__(self, handle: MadeUpHandle) -> None:
        self.handle = handle

    def close(self) -> None: ...


class MadeUpHandle:
    """Instead of `wire.Handle`: keeps what is asked of it, and the answer."""

    def __init__(self) -> None:
        self.curl = MadeUpCurl(self)
        self.options: dict[int, Any] = {}
        self.status = 0
        self.chunks: list[bytes] = []
        self.header_lines: list[bytes] = []

    def setopt(self, option: int, value: Any) -> None:
        self.options[option] = value

    def getinfo(self, what: int) -> int:
        assert what == pycurl.RESPONSE_CODE
        return self.status


class MadeUpMulti:
    """Instead of `pycurl.CurlMulti`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._under_way: list[tuple[float, int, MadeUpCurl]] = []

    def add_handle(self, curl: MadeUpCurl) -> None:
        self._world.answer(curl.handle)
        delay_s = self._world.server.options.delay_ms / 1000
        heapq.heappush(self._under_way, (self._world.passed_s + delay_s, next(self._world._order), curl))

    def remove_handle(self, curl: MadeUpCurl) -> None:
        self._under_way = [entry for entry in self._under_way if entry[2] is not curl]
        heapq.heapify(self._under_way)

    def perform(self) -> None: ...

    def info_read(self, most: int) -> tuple[int, list[MadeUpCurl], list[tuple[MadeUpCurl, int, str]]]:
        come = []
        while self._under_way and self._under_way[0][0] <= self._world.passed_s:
            come.append(heapq.heappop(self._under_way)[2])
        return 0, come, []

    def select(self, seconds: float) -> None:
        self._world.sleep(max(0.0, min(seconds, self._under_way[0][0] - self._world.passed_s)))

    def close(self) -> None: ...


@contextmanager
def clients_of(options: ServerOptions, count: int, seed: int = 1, max_in_flight: int = 64) -> Iterator[World]:
    """So many clients, each with an empty bucket; their chance comes from the seed."""
    world = World(options)
    rng = Random(seed)
    time = SimpleNamespace(monotonic=world.clock, sleep=world.sleep)
    with pytest.MonkeyPatch.context() as patch, ExitStack() as clients:
        patch.setattr(transport, "time", time)
        patch.setattr(deletes, "time", time)
        patch.setattr(handles, "new_handle", lambda wire, *, with_headers: MadeUpHandle())
        patch.setattr(transport, "_new_multi", lambda max_in_flight: MadeUpMulti(world))
        for number in range(count):
            world.server.api.buckets[f"bucket{number}"] = Bucket()
            signer = Signer(HOST, "us-west-2", lambda: Credentials("a", "b", None))
            driver = Transport(Wire(f"http://{HOST}"), signer, max_in_flight, monotonic=world.clock, jitter=rng.random)
            world.stores.append(
                clients.enter_context(closing(S3Bucket(f"bucket{number}", f"/bucket{number}/", driver)))
            )
        yield world
