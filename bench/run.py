"""One command for all benchmarks: `python -m bench.run`.

python -m bench.run                 everything; writes bench/results.json and docs/evidence/benchmarks.md
python -m bench.run --only cpu      one row again; the others stay as they were
python -m bench.run --quick         a tenth of the logs, once; writes nothing
python -m bench.run --render        docs/evidence/benchmarks.md anew from bench/results.json
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from bench.lambda_cost import LAMBDA_COST
from bench.logs import LogSet
from bench.measure import CORES, ROOT, BenchmarkFailed, Server
from bench.report import render
from bench.rows import FULL, QUICK, Effort
from bench.rows import ROWS as OTHER_ROWS
from bench.small_days import SMALL_DAYS
from bench.tools import ROLLER, S5CMD, TOOLS, ToolResult, compare

ROWS: Final = OTHER_ROWS | SMALL_DAYS | LAMBDA_COST
RESULTS: Final = ROOT / "bench" / "results.json"
TOOLS_ROW: Final = "tools"
EQUAL_LOGS: Final = 5_000
"""For all tools: the slow ones take half a minute for so many."""
MANY_LOGS: Final = 20_000
"""For the two quick ones."""
PACKAGES: Final = ("boto3", "botocore", "pycurl", "zlib-ng", "isal", "uvloop", "s5cmd", "awscli", "s3-tar")


def main() -> int:
    """Measure, write, render. The exit code says whether everything could be run, not whether it was quick enough."""
    parser = argparse.ArgumentParser(description="Benchmarks of s3-log-roller.")
    names = [*ROWS, TOOLS_ROW]
    parser.add_argument("--only", nargs="+", choices=names, metavar="ROW", help=", ".join(names))
    parser.add_argument("--quick", action="store_true", help="a tenth of the logs, once; nothing is written")
    parser.add_argument("--times", type=int, metavar="N", help="repetitions, instead of 5 (3 where they are long)")
    parser.add_argument("--render", action="store_true", help="measure nothing, render bench/results.json")
    arguments = parser.parse_args()
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"rows": {}, "tools": {}}
    effort = QUICK if arguments.quick else FULL
    if arguments.times:
        effort = replace(effort, times=arguments.times)

    def save() -> None:
        if not arguments.quick:
            RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
            render(results, ROOT / "docs" / "evidence")

    failed = False
    for name in [] if arguments.render else arguments.only or names:
        try:
            _measure(name, effort, results, save)
        except BenchmarkFailed as error:
            print(f"{name}: {error}", file=sys.stderr)
            failed = True
    if arguments.render:
        render(results, ROOT / "docs" / "evidence")
    return int(failed)


def _measure(name: str, effort: Effort, results: dict[str, Any], save: Callable[[], None]) -> None:
    # Rows may be taken at different times, of different states of the program.
    taken = {
        "taken": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _first_line(["git", "-C", str(ROOT), "describe", "--always", "--dirty"]),
        "load": round(os.getloadavg()[0], 1),
        "machine": _machine(),
    }
    if name == TOOLS_ROW:
        results["tools"] = {}
        for result in _compare(effort):
            print(_tool_line(result), flush=True)
            results["tools"][f"{result.tool}, {result.logs}"] = {**taken, **result.as_json()}
            save()
        return
    for row in ROWS[name](effort):
        sign = "≥" if row.higher_is_better else "≤"
        verdict = "reached" if row.reached else "NOT REACHED"
        print(f"{row.what}: {row.measured:,.4g} {row.unit} ({sign} {row.reach:,} {verdict}) {row.note}", flush=True)
        results["rows"][row.name] = {**taken, **row.as_json()}
        save()


def _compare(effort: Effort) -> Iterator[ToolResult]:
    times = min(3, effort.times)
    with Server() as server:
        for logs, tools in ((EQUAL_LOGS, TOOLS), (MANY_LOGS, (ROLLER, S5CMD))):
            # One round more than runs: a third as patient with noise as the rows are, since a round takes minutes.
            yield from compare(server, LogSet(logs=effort.logs(logs)), tools, times, times + 1)


def _tool_line(result: ToolResult) -> str:
    steps = ", ".join(f"{step} {result.cpu_us_per_log(step):.0f}" for step in result.steps)
    return (
        f"{result.tool}, {result.logs:,} logs: {result.cpu_us_per_log():,.0f} µs of CPU per log ({steps}), "
        f"{result.logs / result.wall_s():,.0f} logs/s, "
        f"{sum(result.requests().values()) / result.logs:.3f} requests per log"
    )


def _machine() -> dict[str, Any]:
    packages = {}
    for package in PACKAGES:
        try:
            packages[package] = version(package)
        except PackageNotFoundError:
            packages[package] = "not installed"
    return {
        "cpu": _cpu_name(),
        "cores": len(CORES),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": packages,
        "tar": _first_line(["tar", "--version"]),
        "gzip": _first_line(["gzip", "--version"]),
    }


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n")
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _first_line(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.split("\n", 1)[0]


if __name__ == "__main__":
    sys.exit(main())
