"""The read side beside what people use without it: `python -m bench.read_side`.

python -m bench.read_side                a million logs in 1,000 rollups; writes bench/read_results.json and the page
python -m bench.read_side --only fields  one part again; the others stay as they were
python -m bench.read_side --quick        a hundredth of the logs; writes nothing
python -m bench.read_side --render       docs/evidence/reading.md anew from bench/read_results.json

Rollups of logs that look like real ones are put into the quick local S3 server, which shares the machine with the
commands. Every exact result is compared with the others. Each command is a process of its own that has read nothing
before; of several runs the quickest counts. Memory is that of all processes of a command together.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bench.measure import ROOT, BenchmarkFailed, scratch
from bench.packed import Filled, filled
from bench.read_jobs import PATH, Job, Way, fields, many_rollups, one_rollup
from bench.read_report import render
from bench.s3_server import S3Server

RESULTS: Final = ROOT / "bench" / "read_results.json"
LONG_S: Final = 10
"""What takes longer is run once."""


@dataclass(frozen=True, slots=True)
class Part:
    """Jobs on the same rollups."""

    days: int
    logs: int
    """In each rollup."""
    jobs: Callable[[Filled, Path], Iterator[Job]]


PARTS: Final = {
    "one": Part(1, 200_000, one_rollup),
    "many": Part(1_000, 1_000, many_rollups),
    "fields": Part(100, 1_000, fields),
}


@dataclass(frozen=True, slots=True)
class Timing:
    """What a command cost, and what it wrote."""

    wall_s: float
    cpu_s: float
    peak_mib: float
    """Of all its processes together."""
    output: str


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
                    words = status.read_text().rpartition(")")[2].split()
                    if int(words[3]) == self._session:
                        total_kib += int(words[21]) * 4
            self._peak_kib = max(self._peak_kib, total_kib)


def timed(command: str, server: S3Server) -> Timing:
    """Run a shell command with the environment of the server. Raises `BenchmarkFailed`."""
    environment = {
        "PATH": PATH,
        "HOME": os.environ.get("HOME", "/"),
        "LC_ALL": "C",
        "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
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
    command = f"set -o pipefail; {command}"
    with subprocess.Popen(["bash", "-c", command], env=environment, start_new_session=True, **pipes) as process:
        memory = Memory(process.pid)
        stdout, stderr = process.communicate()
        peak_mib = memory.stop()
    wall_s = time.monotonic() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode:
        raise BenchmarkFailed(f"{command} ended with {process.returncode}: {stderr[-1000:]}")
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Timing(wall_s, cpu_s, peak_mib, stdout.strip())


def measure(job: Job, server: S3Server, times: int) -> Iterator[dict[str, Any]]:
    """A row for each way that is possible here. Raises `BenchmarkFailed` if exact results differ."""
    result = ""
    for way in job.ways:
        if not way.is_possible:
            print(f"  {way.tool}: left out, {way.needs} is not installed", flush=True)
            continue
        runs = [timed(way.command, server)]
        while len(runs) < times and runs[0].wall_s < LONG_S:
            runs.append(timed(way.command, server))
        best = min(runs, key=lambda one: one.wall_s)
        result = result or best.output
        if way.is_exact and best.output != result:
            raise BenchmarkFailed(f"{job.title}: {way.tool} says {best.output!r}, not {result!r}")
        row = _row(job, way, best, len(runs), result)
        cost = f"{row['wall_s']:8.2f} s  {row['cpu_s']:8.2f} s CPU  {row['peak_mib']:6.0f} MiB"
        print(f"  {way.tool:42} {cost}  {best.output[:40]}  {row['remark']}", flush=True)
        yield row


def _row(job: Job, way: Way, best: Timing, runs: int, result: str) -> dict[str, Any]:
    remark = way.remark
    if not way.is_exact and way.scale == 1 and best.output not in ("", result):
        remark = f"{remark}; it says {best.output}, not {result}"
    cost = {"wall_s": round(best.wall_s * way.scale, 3), "cpu_s": round(best.cpu_s * way.scale, 3)}
    figures = asdict(best) | cost | {"peak_mib": round(best.peak_mib), "runs": runs}
    return {"job": job.title, "tool": way.tool, **figures, "remark": remark}


def main() -> int:
    """Measure, write, render."""
    parser = argparse.ArgumentParser(description="The read side beside other tools.")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="a hundredth of the logs; nothing is written")
    parser.add_argument("--share", type=float, default=1.0, help="of the logs; for a machine that has little time")
    parser.add_argument("--times", type=int, default=3, help=f"runs of what takes less than {LONG_S} s (default 3)")
    parser.add_argument("--render", action="store_true", help="measure nothing, render bench/read_results.json")
    arguments = parser.parse_args()
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    share = 0.01 if arguments.quick else arguments.share
    for name in [] if arguments.render else arguments.only:
        part = PARTS[name]
        days, logs = _scaled(part, share)
        begin = time.monotonic()
        with scratch() as directory, filled(days, logs) as rollups:
            print(
                f"\n{days:,} rollups of {logs:,} logs, {rollups.bytes / 1e6:,.0f} MB, "
                f"made in {time.monotonic() - begin:.0f} s",
                flush=True,
            )
            rows: list[dict[str, Any]] = []
            for job in part.jobs(rollups, directory):
                print(f" {job.title}", flush=True)
                rows += measure(job, rollups.server, arguments.times)
        results[name] = {
            "taken": datetime.now(UTC).isoformat(timespec="seconds"),
            "load": round(os.getloadavg()[0], 1),
            "cores": os.cpu_count(),
            "rollups": days,
            "logs": days * logs,
            "bytes": rollups.bytes,
            "rows": rows,
        }
    if not arguments.quick:
        RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
        render(results, ROOT / "docs" / "evidence")
    return 0


def _scaled(part: Part, share: float) -> tuple[int, int]:
    """(days, logs in each): the days shrink first, then the logs."""
    if part.days == 1:
        return 1, max(100, int(part.logs * share))
    return max(10, int(part.days * share)), part.logs if part.days * share >= 10 else max(20, part.logs // 10)


if __name__ == "__main__":
    sys.exit(main())
