"""What `discover` found, on a terminal."""

from __future__ import annotations

from io import StringIO
from typing import Final

from rich.box import SIMPLE
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from s3_log_roller.amounts import count
from s3_log_roller.log_output import printable
from s3_log_roller.planning.discovery import Discovery

_MAX_NAMED: Final = 10
"""Buckets that do not log, named one by one; the rest is counted."""


def render_discovery(found: Discovery, *, width: int, colours: bool) -> str:
    """The findings for people: sources, targets, what is wrong."""
    out = StringIO()
    console = Console(file=out, width=width, force_terminal=colours, no_color=not colours, highlight=False)
    if found.logging:
        console.print(_sources(found))
        console.print()
        console.print(_targets(found))
        console.print()
    for line in _lines(found):
        console.print(Padding(line, (0, 0, 0, 1)))
    return "\n".join(line.rstrip() for line in out.getvalue().strip("\n").split("\n")) + "\n"


def _sources(found: Discovery) -> Table:
    table = _table("bucket", "region", "logs to", "keys")
    for source, logging in found.logging.items():
        region = found.buckets[source].region
        table.add_row(printable(source), region, printable(logging.uri), logging.key_format)
    return table


def _targets(found: Discovery) -> Table:
    table = _table("target prefix", "logs of")
    for (target, prefix), sources in found.targets.items():
        table.add_row(printable(f"s3://{target}/{prefix}"), printable(", ".join(sources)))
    return table


def _table(*names: str) -> Table:
    table = Table(box=SIMPLE, padding=(0, 1), header_style="bold", show_edge=False)
    for name in names:
        table.add_column(name, overflow="fold")
    return table


def _lines(found: Discovery) -> list[Text]:
    lines = [
        Text(f"{printable('s3://' + problem.bucket)} {printable(problem.text)}.", "yellow")
        for problem in found.problems
        if problem.kind != "no_logging"
    ]
    silent = [f"s3://{problem.bucket}" for problem in found.problems if problem.kind == "no_logging"]
    if silent:
        more = f" and {len(silent) - _MAX_NAMED:,} more" if len(silent) > _MAX_NAMED else ""
        verb = "does" if len(silent) == 1 else "do"
        lines.append(Text(f"{count(len(silent), 'bucket')} {verb} not log: {', '.join(silent[:_MAX_NAMED])}{more}."))
    lines += [Text(f"Not known: {printable(why)}", "red") for why in found.refused]
    buckets = count(len(found.buckets), "bucket")
    targets = count(len(found.targets), "target prefix", "target prefixes")
    log = f"{len(found.logging):,} of which log, to {targets}" if found.logging else "none of which logs"
    lines.append(Text(f"{buckets}, {log}.", "bold"))
    return lines
