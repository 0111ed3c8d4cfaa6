"""The read side beside what people use without it: `python -m bench.read_side [--days 1000] [--logs 1000]`.

Rollups of real-looking logs are put into the quick local S3 server. Then, with the same bytes:

- `cat` of one large rollup beside `curl | tar xzO`
- `grep` over many rollups beside `aws s3 cp - | zgrep` (on some of them, scaled up: it starts a Python for each) and
  `s5cmd cat | zgrep`

Every result is checked against the others. Times are wall-clock seconds; memory is that of all
processes of a command together.
"""

from __future__ import annotations

import argparse
import os
import resource
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path
from typing import Any

from bench.buckets import Bucket
from bench.logs import LogSet, generate
from bench.s3_server import S3Server, serving
from s3_log_roller.log_keys import DayGroup, parse_log_key
from s3_log_roller.rollup import Originals, RollupWriter

PREFIX = "example.com/"
BUCKET = "logs-bucket"
NEEDLE = "NoSuchKey"
RARE = "4D5E6F708192A3B4"
SCALED_ROLLUPS = 10
"""How many rollups `aws s3 cp` is run on."""
ROLLER = f"{shlex.quote(sys.executable)} -c 'import sys; from s3_log_roller.cli.main import main; sys.exit(main())'"


@dataclass(frozen=True, slots=True)
class Timing:
    """What a command cost, and what it wrote."""

    wall_s: float
    cpu_s: float
    output: str
    peak_mib: float = 0.0
    """Of all its processes together."""


class Memory:
    """Looks at the memory of the processes of a session, twenty times a second (Linux)."""

    def __init__(self, session: int) -> None:
        self._session = session
        self._peak_kib = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def stop(self) -> float:
        """The largest sum seen, in MiB."""
        self._over.set()
        self._thread.join()
        return self._peak_kib / 1024

    def _watch(self) -> None:
        while not self._over.wait(0.05):
            total_kib = 0
            for status in Path("/proc").glob("[0-9]*/stat"):
                with suppress(OSError):
                    fields = status.read_text().rpartition(")")[2].split()
                    if int(fields[3]) == self._session:
                        total_kib += int(fields[21]) * 4
            self._peak_kib = max(self._peak_kib, total_kib)


def pack(bucket: Bucket, days: int, logs: int) -> list[str]:
    """Put a rollup for each day into the bucket; returns their keys."""
    keys: list[str] = []
    day: list[tuple[str, bytes, int]] = []

    def flush() -> None:
        day.sort()
        first = parse_log_key(day[0][0])
        assert first is not None
        originals = Originals(DayGroup(BUCKET, PREFIX, first.day))
        for key, body, mtime in day:
            originals.append(key[len(PREFIX) :], md5(body).hexdigest(), len(body), mtime)
        writer = RollupWriter(originals.group, 6)
        out = [writer.add(one, body, md5(body).digest()) for one, (_, body, _) in zip(originals, day, strict=True)]
        data = b"".join([*out, *writer.finish()])
        keys.append(originals.group.rollup_key(day[0][0][len(PREFIX) :]))
        bucket.put(keys[-1], data, day[-1][2], etag=f"{md5(data).hexdigest()}-2")
        day.clear()

    for key, content, mtime in generate(LogSet(prefixes=(PREFIX,), days=days, logs=logs)):
        if day and day[0][0][: len(PREFIX) + 10] != key[: len(PREFIX) + 10]:
            flush()
        day.append((key, content.body, mtime))
    flush()
    return keys


def timed(command: str, server: S3Server) -> Timing:
    """Run a shell command with the environment of the server."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        "LC_ALL": "C",
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": server.url,
        "S3_ENDPOINT_URL": server.url,
    }
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.monotonic()
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(["bash", "-c", command], env=environment, start_new_session=True, **pipes) as process:
        memory = Memory(process.pid)
        stdout, stderr = process.communicate()
        peak_mib = memory.stop()
    wall_s = time.monotonic() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode > 1 or "error" in stderr.lower():
        raise SystemExit(f"{command}: {stderr}")
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Timing(wall_s, cpu_s, stdout.strip(), peak_mib)


def show(what: str, timing: Timing, note: str = "") -> None:
    """Print a row."""
    cost = f"{timing.wall_s:8.2f} s  {timing.cpu_s:8.2f} s CPU  {timing.peak_mib:6.0f} MiB"
    print(f"{what:42} {cost}  {note}", flush=True)


@contextmanager
def filled(days: int, logs: int) -> Iterator[tuple[S3Server, list[str]]]:
    """A server with that many rollups of that many logs."""
    begin = time.monotonic()
    bucket = Bucket()
    keys = pack(bucket, days, logs)
    size = sum(len(found.body) for key in keys if (found := bucket.find(key)))
    print(
        f"\n{days} rollups of {logs} logs, {size / 1e6:,.0f} MB, made in {time.monotonic() - begin:.0f} s", flush=True
    )
    with serving() as server:
        server.api.buckets[BUCKET] = bucket
        yield server, keys


def compare_cat(logs: int, times: int) -> None:
    """`cat` of a whole rollup."""
    with filled(1, logs) as (server, keys):
        uri = f"{server.url}/{BUCKET}/{keys[0]}"
        ours = [timed(f"{ROLLER} cat s3://{BUCKET}/{keys[0]} | md5sum", server) for _ in range(times)]
        theirs = [timed(f"curl -s {uri} | tar xzO | md5sum", server) for _ in range(times)]
        assert {one.output for one in ours} == {one.output for one in theirs}
        show("s3-log-roller cat", min(ours, key=lambda one: one.wall_s))
        show("curl | tar xzO", min(theirs, key=lambda one: one.wall_s))
        show("curl alone", timed(f"curl -s {uri} > /dev/null", server))


def compare_grep(days: int, logs: int, s5cmd: str | None) -> None:
    """`grep -c` over many rollups."""
    with filled(days, logs) as (server, keys):
        prefix = f"s3://{BUCKET}/{PREFIX}"
        counts = set()
        for processes in (2, 1):
            ours = timed(f"{ROLLER} grep -ch {NEEDLE} --processes {processes} {prefix}", server)
            counts.add(ours.output)
            show(f"s3-log-roller grep -c, {processes} processes", ours, f"{ours.output} lines")
        rare = timed(f"{ROLLER} grep -ch {RARE} {prefix}", server)
        show("s3-log-roller grep -c, nothing to find", rare, f"{rare.output or 0} lines")
        where = timed(f"{ROLLER} grep -ch --where status=404 {prefix}", server)
        show("s3-log-roller grep -c --where status=404", where, f"{where.output} lines")
        if s5cmd:
            theirs = timed(f"{s5cmd} cat '{prefix}*' | zgrep -a -c {NEEDLE}", server)
            counts.add(theirs.output)
            show("s5cmd cat | zgrep -c", theirs, f"{theirs.output} lines")
        some = keys[:SCALED_ROLLUPS]
        command = "; ".join(f"aws s3 cp s3://{BUCKET}/{key} - | zgrep -a -c {NEEDLE}" for key in some)
        theirs = timed(command, server)
        scale = len(keys) / len(some)
        scaled = Timing(theirs.wall_s * scale, theirs.cpu_s * scale, "", theirs.peak_mib)
        show("aws s3 cp - | zgrep -c", scaled, f"measured on {len(some)} rollups, times {scale:.0f}")
        mine = timed(f"{ROLLER} grep -ch {NEEDLE} {' '.join(f's3://{BUCKET}/{key}' for key in some)}", server)
        assert int(mine.output) == sum(map(int, theirs.output.split()))
        assert len(counts) == 1, counts


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="The read side beside other tools.")
    parser.add_argument("--days", type=int, default=1_000, help="rollups to search")
    parser.add_argument("--logs", type=int, default=1_000, help="logs in each")
    parser.add_argument("--cat-logs", type=int, default=200_000, help="logs in the rollup that is written out")
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--s5cmd", default=shutil.which("s5cmd"), help="path of s5cmd, if it is not on the PATH")
    arguments = parser.parse_args()
    compare_cat(arguments.cat_logs, arguments.times)
    compare_grep(arguments.days, arguments.logs, arguments.s5cmd)


if __name__ == "__main__":
    main()
