"""docs/evidence/reading.md and its charts, from bench/read_results.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from bench.charts import chart
from bench.report import table

INTRODUCTION: Final = """\
# How fast reading is

`make bench-reading` measures it and writes this page. A quick S3 server in memory (`bench/s3_server.py`) shares the
machine with the commands. Each command is a process of its own that has read nothing before; it is run up to three
times, and the quickest run counts. CPU and memory are those of all its processes together. Where the results of two
commands must be the same, they were compared.
"""
CHARTED: Final = {"many": "reading-many.svg", "fields": "reading-fields.svg"}


def render(results: Mapping[str, Mapping[str, Any]], docs: Path) -> None:
    """Write the page and the charts."""
    parts = [INTRODUCTION]
    for name, part in results.items():
        rollups = "one rollup" if part["rollups"] == 1 else f"{part['rollups']:,} rollups"
        parts.append(f"## {part['logs']:,} logs in {rollups}, {part['bytes'] / 1e6:,.0f} MB\n")
        parts.append(f"Taken {part['taken'][:16].replace('T', ' ')} on {part['cores']} cores; load {part['load']}.\n")
        for job, rows in groupby(part["rows"], lambda row: str(row["job"])):
            parts.append(f"### {job[0].upper()}{job[1:]}\n\n{_job(list(rows))}")
        if name in CHARTED:
            bars = [(row["tool"], [("all", row["cpu_s"])], part["logs"]) for row in _first_job(part["rows"])]
            svg = chart(
                f"Seconds of CPU to {part['rows'][0]['job']} (less is better)", bars, "s", digits=1, label_px=260
            )
            (docs / CHARTED[name]).write_text(svg, encoding="utf-8")
            parts.append(f"![Seconds of CPU]({CHARTED[name]})\n")
    (docs / "reading.md").write_text("\n".join(parts), encoding="utf-8")


def _first_job(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [row for row in rows if row["job"] == rows[0]["job"]]


def _job(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        [
            f"`{row['tool']}`".replace("|", "\\|"),
            f"{row['wall_s']:,.2f}",
            f"{row['cpu_s']:,.2f}",
            f"{row['peak_mib']:,}",
            str(row["runs"]),
            row["remark"],
        ]
        for row in rows
    ]
    return table(["", "seconds", "seconds of CPU", "MiB", "runs", ""], lines)
