"""docs/evidence/benchmarks.md and its charts, from bench/results.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bench.charts import chart
from bench.logs import LogSet, mean_kb
from bench.tools import TOOLS

# us-east-1, USD; see the price pages of S3 and Lambda.
PER_1000_WRITES: Final = 0.005
"""PUT, POST, LIST."""
PER_1000_READS: Final = 0.0004
"""GET, HEAD and all the others."""
LAMBDA_PER_GB_S: Final = 0.0000133334
"""arm64."""
VCPU_GB: Final = 1769 / 1024
"""The memory that comes with one vCPU."""

_WRITES: Final = {
    "ListObjectsV2",
    "ListObjects",
    "PutObject",
    "CreateMultipartUpload",
    "UploadPart",
    "CompleteMultipartUpload",
}
_FREE: Final = {"DeleteObjects", "DeleteObject", "AbortMultipartUpload"}

_EXPECTED: Final = {
    *("cpu", "rate", "scan", "memory_10000", "memory_1000000", "huge", "throttled", "size", "two_cores", "start_help"),
    "throttled_deletes",
}


INTRODUCTION: Final = """\
# Benchmarks

Made by `make bench` (`python -m bench.run`), which writes `bench/results.json` and this page. One client, on a core of
its own, against `bench/s3_server.py`, on another: an S3 server in memory that really lists, compares ETags and
checksums, writes conditionally and deletes, but does not check signatures.{server}

CPU time is that of the whole process with all it started, from start to end. Where there were several runs the figure
is their median. A run during which other programs used more than a tenth of a core is taken again where a quiet one can
be had; the column “other programs” says how far that succeeded. MB and KB are a million and a thousand bytes.

The logs are made up, look like real ones and compress like them; unless a row says otherwise they have {kb:.1f} KB on
average.
"""


def render(results: dict[str, Any], docs: Path) -> None:
    """Write the page and the charts."""
    docs.mkdir(exist_ok=True)
    tools = list(results.get("tools", {}).values())
    rows = results.get("rows", {})
    parts = [
        INTRODUCTION.format(kb=mean_kb(LogSet()), server=_server(rows["cpu"]["samples"]) if "cpu" in rows else ""),
        _machines({**rows, **results.get("tools", {})}),
        "## Targets, and what was measured\n\n" + _rows(rows),
    ]
    if small := [row for name, row in rows.items() if name.startswith("small_") and name.endswith("_ratio")]:
        (docs / "benchmarks-small-days.svg").write_text(_small_days_chart(rows, small), encoding="utf-8")
        parts.append("## Small days\n\n![Logs a second, by logs a day](benchmarks-small-days.svg)\n")
    if tools:
        equal_logs = min(tool["logs"] for tool in tools)
        equal = [tool for tool in tools if tool["logs"] == equal_logs]
        (docs / "benchmarks-cpu.svg").write_text(_cpu_chart(equal), encoding="utf-8")
        (docs / "benchmarks-rate.svg").write_text(_rate_chart(equal), encoding="utf-8")
        parts += [
            "## Beside what people use instead\n\n" + _tools(tools, equal_logs),
            "## The price of a million logs\n\n" + _prices(equal, equal_logs),
        ]
    (docs / "benchmarks.md").write_text("\n".join(parts), encoding="utf-8")


def _server(samples: Sequence[Mapping[str, Any]]) -> str:
    """What the server itself used."""
    cpu_s = sum(sample["server_cpu_s"] for sample in samples)
    requests = sum(sum(sample["requests"].values()) for sample in samples)
    busy = cpu_s / sum(sample["wall_s"] for sample in samples)
    return (
        f" In the first row\nit used {cpu_s / requests * 1e6:.0f} µs of CPU a request and was busy for {busy:.0%} of "
        "the time: it is not what is measured."
    )


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; the first column is text, the others are numbers."""
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, rule, *lines)) + "\n"


def _machines(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Every machine that figures are of, with its versions; which figures, where there is more than one."""
    names: dict[str, list[str]] = {}
    for name, result in results.items():
        machine = _machine(result["machine"]) if "machine" in result else "not recorded"
        names.setdefault(machine, []).append(name)
    if len(names) == 1:
        return f"Machine: {next(iter(names))}.\n"
    return "".join(f"Machine of {', '.join(of)}: {machine}.\n\n" for machine, of in names.items())


def _machine(machine: Mapping[str, Any]) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}, Python {machine['python']}; "
        f"{packages}; {machine['tar']}, {machine['gzip']}"
    )


def _rows(rows: Mapping[str, Mapping[str, Any]]) -> str:
    lines = []
    notes = [f"- Not measured yet: {name}." for name in sorted(_EXPECTED - rows.keys())]
    for row in rows.values():
        sign = "≥" if row["higher_is_better"] else "≤"
        unit = f" {row['unit']}" if row["unit"] not in ("", "/s") else row["unit"]
        verdict = "yes" if row["reached"] else "**no**"
        busy = _others(row["samples"])
        runs = str(len(row["samples"]) or 1)
        reach = f"{sign} {row['reach']:,}{unit}"
        lines.append([row["what"], reach, f"{_number(row['measured'])}{unit}", verdict, runs, busy, _taken(row)])
        if row["note"]:
            notes.append(f"- {row['what']}: {row['note']}.")
    head = ["what", "reach", "measured", "reached", "runs", "other programs", "taken"]
    return (
        table(head, lines)
        + "\n“Other programs” is the CPU that the rest of the machine used meanwhile, of one core; where it "
        "is much, the figure is worse than it would be alone, CPU time included: the cores share what is in them.\n\n"
        + "\n".join(notes)
        + "\n"
    )


def _taken(result: Mapping[str, Any]) -> str:
    """When, and of which commit."""
    return f"{result['taken'][:16].replace('T', ' ')} {result.get('commit', '(commit not recorded)')}"


def _others(samples: Sequence[Mapping[str, Any]]) -> str:
    wall_s = sum(sample["wall_s"] for sample in samples)
    return f"{sum(sample['others_cpu_s'] for sample in samples) / wall_s:.0%}" if wall_s else ""


def _number(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.4g}"


def _tools(tools: Sequence[Mapping[str, Any]], equal_logs: int) -> str:
    lines = []
    ours = {tool["logs"]: tool["cpu_us_per_log"] for tool in tools if tool["tool"] == "s3-log-roller"}
    for tool in tools:
        samples = [sample for step in tool["samples"].values() for sample in step]
        runs = str(max(len(step) for step in tool["samples"].values()))
        steps = tool["cpu_us_per_log_by_step"]
        detail = " + ".join(f"{step} {us:,.0f}" for step, us in steps.items()) if len(steps) > 1 else ""
        ratio = tool["cpu_us_per_log"] / ours[tool["logs"]] if ours.get(tool["logs"]) else 0
        lines.append(
            [
                tool["tool"],
                f"{tool['logs']:,}",
                f"{tool['cpu_us_per_log']:,.0f}",
                f"{ratio:.1f} ×",
                detail,
                f"{tool['logs_per_s']:,.0f}",
                f"{sum(tool['requests'].values()) / tool['logs']:.3f}",
                f"{tool['peak_mb']:,.0f}",
                runs,
                _others(samples),
            ]
        )
    head = [
        "tool",
        "logs",
        "CPU per log, µs",
        "to the roller",
        "of which",
        "logs a second",
        "requests a log",
        "peak MB",
    ]
    head += ["runs", "other programs"]
    versions = {tool["tool"]: tool["version"] for tool in tools}
    how = [f"- {tool.name} ({versions[tool.name]}): {tool.settings}." for tool in TOOLS if tool.name in versions]
    return (
        "The job: turn a day's logs into one `.tar.gz` in the same bucket and delete them. Only the roller reads the "
        "result back and compares every log before it deletes; the others trust that all went well. All get "
        f"{equal_logs:,} logs, in turns, start-up included; the two quick ones get more, too, where start-up weighs "
        "less. Downloads go to memory (`/dev/shm`), not to a disk. Plain HTTP, answers not delayed, one core.\n\n"
        + table(head, lines)
        + "\n"
        + "\n".join(how)
        + f"\n\nThe charts show the runs with {equal_logs:,} logs.\n"
        "\n![CPU per log](benchmarks-cpu.svg)\n\n![Logs a second](benchmarks-rate.svg)\n"
    )


def _prices(tools: Sequence[Mapping[str, Any]], logs: int) -> str:
    lines = []
    for tool in tools:
        scale = 1_000_000 / tool["logs"]
        reads = scale * sum(n for op, n in tool["requests"].items() if op not in _WRITES | _FREE)
        writes = scale * sum(n for op, n in tool["requests"].items() if op in _WRITES)
        cpu_s = tool["cpu_us_per_log"]
        prices = (
            reads / 1_000 * PER_1000_READS,
            writes / 1_000 * PER_1000_WRITES,
            cpu_s * VCPU_GB * LAMBDA_PER_GB_S,
        )
        lines.append(
            [
                tool["tool"],
                f"{reads:,.0f}",
                f"{writes:,.0f}",
                f"{cpu_s:,.0f} s",
                *(f"{price:.4f}" for price in prices),
                f"{sum(prices):.4f}",
            ]
        )
    head = ["tool", "GET, HEAD", "LIST, PUT", "CPU", "GETs, $", "LISTs, PUTs, $", "CPU on Lambda, $", "all, $"]
    return (
        f"For a million logs in days of {logs:,}: the runs with {logs:,} logs above, times {1_000_000 // logs:,}, each "
        "tool's start-up included as often. us-east-1; GET and HEAD 0.0004 $ and LIST and PUT 0.005 $ per 1,000, "
        "DELETE free; Lambda arm64 0.0000133334 $ per GB-second at 1,769 MB, which is one vCPU. The Lambda column is "
        "the x86-64 CPU time measured here at the arm64 price. It leaves out waiting for the network, which is paid "
        "for, too, and the `/tmp` storage that tools need which download first.\n\n"
        + table(head, lines)
        + "\nGETs are most of the price, and nobody can do with fewer than one per log. What a tool adds to that is "
        "its CPU and, where there are any, HEAD requests.\n"
    )


def _cpu_chart(tools: Sequence[Mapping[str, Any]]) -> str:
    bars = [(tool["tool"], list(tool["cpu_us_per_log_by_step"].items()), tool["logs"]) for tool in tools]
    return chart("CPU per log, µs (less is better)", bars, "µs")


def _rate_chart(tools: Sequence[Mapping[str, Any]]) -> str:
    bars = [(tool["tool"], [("all", tool["logs_per_s"])], tool["logs"]) for tool in tools]
    return chart("Logs a second on one core (more is better)", bars, "/s")


def _small_days_chart(rows: Mapping[str, Mapping[str, Any]], ratios: Sequence[Mapping[str, Any]]) -> str:
    bars: list[tuple[str, list[tuple[str, float]], int]] = []
    for ratio in ratios:
        shape = ratio["name"].removesuffix("_ratio")
        rate = rows[shape]["measured"]
        logs, _, groups = shape.removeprefix("small_").partition("x")
        number = int(logs) * int(groups.rstrip("p"))
        days = f"{int(logs):,} × {groups.rstrip('p')} {'prefixes' if groups.endswith('p') else 'days'}"
        bars.append((days, [("s3-log-roller", rate)], number))
        bars.append(("", [("s5cmd + tar", rate / ratio["measured"])], number))
    title = "Logs a second on one core, by logs a day (answers delayed 25 ms)"
    return chart(title, bars, "/s")
