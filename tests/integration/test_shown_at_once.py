"""What is found is shown before anything else is waited for, and nobody works for a reader that went away.

No clock is in these tests but to give up: the server holds an answer back until what the earlier ones held was seen.
"""

from __future__ import annotations

import select
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from functools import cache
from hashlib import md5
from random import Random

import pytest
from bench.buckets import Bucket
from bench.s3_api import Call
from bench.s3_server import S3Server
from tests.support.packing import DELIVERED, Log, pack
from tests.support.quick_server import PROGRAM, environment
from tests.support.records import a_line

from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rollup.stored import READ_BYTES

FIRST = date(2022, 7, 1)
GIVE_UP_S = 120
LARGE = 1_100
"""Logs in a rollup that one request is not enough for."""


def put_rollup(bucket: Bucket, number: int, logs: int) -> str:
    """A rollup of the day with that number; its first record holds `needle`."""
    key, content = rollup(number, logs)
    bucket.put(key, content, DELIVERED, etag=md5(content).hexdigest())
    return key


@cache
def rollup(number: int, logs: int) -> tuple[str, bytes]:
    """(key, content)."""
    day = FIRST + timedelta(number)
    words = ("needle", *("other" for _ in range(logs - 1)))
    noise = Random(number)  # hardly compresses, so that a rollup of many logs is large
    lines = [a_line(agent=f"{word} {noise.randbytes(4_000).hex()}") for word in words]
    packed = [Log(f"{day}-05-15-43-{log:016X}", f"{line}\n".encode()) for log, line in enumerate(lines)]
    key, content = pack(DayGroup("logs", "", day), packed)
    assert (len(content) > READ_BYTES) == (logs == LARGE)
    return key, content


@contextmanager
def running(server: S3Server, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """The program on `s3://logs/`, its output in a pipe."""
    command = [*PROGRAM, *arguments, "s3://logs/"]
    with subprocess.Popen(command, env=environment(server), stdout=subprocess.PIPE, bufsize=0) as process:
        try:
            yield process
        finally:
            process.kill()


def first_line(process: subprocess.Popen[bytes]) -> bytes:
    """What comes first. Fails if nothing comes."""
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], GIVE_UP_S)[0], "nothing was shown while the server held back"
    return process.stdout.readline()


@pytest.mark.parametrize("processes", ["1", "2"])
@pytest.mark.parametrize("arguments", [("grep", "-h", "needle"), ("grep", "-h", "--where", "agent~needle"), ("cat",)])
@pytest.mark.parametrize("logs", [1, LARGE])
def test_what_is_found_is_shown_before_the_next_rollup_comes(
    quick_server: S3Server, quick_bucket: Bucket, arguments: tuple[str, ...], processes: str, logs: int
) -> None:
    """The server gives nothing of the second rollup before the hit in the first one was seen."""
    keys = [put_rollup(quick_bucket, number, logs) for number in range(2)]
    seen = False

    def holds_back(call: Call) -> bool:
        return call.key == keys[1] and not seen

    quick_server.holds_back = holds_back
    options = () if arguments[0] == "cat" else ("--processes", processes)
    with running(quick_server, *arguments, *options) as process:
        assert b"needle" in first_line(process)
        seen = True
        assert process.stdout is not None
        assert process.stdout.read().count(b"needle") == 1
        assert process.wait(GIVE_UP_S) == 0


@pytest.mark.parametrize("arguments", [("grep", "-h", "needle"), ("cat",)])
def test_the_work_ends_with_its_reader(
    quick_server: S3Server, quick_bucket: Bucket, arguments: tuple[str, ...]
) -> None:
    """`… | head -1`: of 40 large rollups hardly more is asked for than was under way when the reader went."""
    for number in range(40):
        put_rollup(quick_bucket, number, 200)
    gone = False
    first = ""
    asked: list[str] = []

    def holds_back(call: Call) -> bool:
        return bool(first) and call.key not in ("", first) and not gone

    def intercept(call: Call, answer: bytes) -> bytes:
        nonlocal first
        if call.method == "GET" and call.key:
            first = first or call.key
            asked.append(call.key)
        return answer

    quick_server.holds_back, quick_server.intercept = holds_back, intercept
    with running(quick_server, *arguments, "--max-in-flight", "4") as process:
        assert b"needle" in first_line(process)
        assert process.stdout is not None
        process.stdout.close()
        gone = True
        assert process.wait(GIVE_UP_S) in (0, 141)
    assert 1 <= len(asked) <= 9, asked
