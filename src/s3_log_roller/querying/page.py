"""The report as a page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from s3_log_roller.amounts import count, size
from s3_log_roller.log_output import printable
from s3_log_roller.pages.calendar import calendar
from s3_log_roller.pages.page import render
from s3_log_roller.pages.tables import Cell, Column, Table
from s3_log_roller.querying.report import Answer, Report
from s3_log_roller.querying.results import cell_text

SECTIONS: Final = {
    "Errors": {"refused": "Refused", "server-errors": "Failed in S3"},
    "Who asked for what": {
        "bytes-by-requester": "Requesters",
        "bytes-by-address": "Addresses",
        "bytes-by-prefix": "Prefixes",
        "top-keys": "Keys",
    },
    "What was changed": {
        "deletes-by-requester": "Deleted objects",
        "lifecycle": "What lifecycle rules did",
        "config-changes": "Changed settings",
    },
    "Access that is open or old": {
        "anonymous": "Without credentials",
        "old-tls": "TLS below 1.2, or none",
        "sigv2": "Signature Version 2",
        "acls-needed": "ACLs that were needed",
    },
}
"""Questions and their headings, in the order of the page; those about days and operations come before them."""
SHOWN_ROWS: Final = 10
"""Of each answer. The page says if there are more."""
MAX_DAY_ROWS: Final = 31
"""With more days, the table has a row for each month."""
_SIZES: Final = frozenset({"bytes", "bytes_sent"})
_TIMES: Final = frozenset({"first", "last", "on_day", "time"})


@dataclass(frozen=True, slots=True)
class Part:
    """The answer to a question."""

    name: str
    heading: str
    purpose: str
    caveats: str
    table: Table
    more: bool


def render_page(report: Report) -> str:
    """The page."""
    by_day = report.answers["requests-by-day"].dicts()
    months, silent = calendar({_day(row): row["requests"] for row in by_day}, (), "request")
    return render(
        "s3_log_roller.querying",
        "report.html",
        title=f"What the access logs say, {report.scope.today}",
        report=report,
        uris=[printable(uri) for uri in report.scope.uris],
        members=[printable(name) for name in report.scope.members],
        verdict=" ".join(_verdict(report)),
        all_figures=list(_figures(report)),
        failures=[printable(message) for message in report.failures[:SHOWN_ROWS]],
        not_records=_not_records(report),
        months=months,
        silent=silent,
        days=_days(by_day),
        by_month=len(by_day) > MAX_DAY_ROWS,
        day_caveats=report.answers["requests-by-day"].question.caveats,
        operations=_part("requests-by-operation", "By operation", report),
        sections={
            section: [_part(name, heading, report) for name, heading in parts.items()]
            for section, parts in SECTIONS.items()
        },
        deliveries=_deliveries(report),
        gaps=list(_gaps(report)),
        more_deliveries=max(0, len(report.deliveries) - SHOWN_ROWS),
        read=list(_read(report)),
    )


def _verdict(report: Report) -> Iterator[str]:
    figures = report.overview
    if not figures["records"]:
        yield "There is not a single log record in what was read."
        return
    first, last = figures["first"][:10], figures["last"][:10]
    when = f"on {first}" if first == last else f"from {first} to {last}"
    yield (
        f"{count(figures['requests'], 'request')} {when}: {figures['refused']:,} refused, "
        f"{figures['server_errors']:,} failed in S3."
    )
    were = "was" if figures["deleted"] == 1 else "were"
    yield f"{count(figures['deleted'], 'object')} {were} deleted."
    yield (
        f"{count(figures['anonymous'], 'request')} came without credentials, "
        f"{figures['old_tls']:,} over old TLS or none."
    )


def _not_records(report: Report) -> str:
    unparsable = report.counts.unparsable
    are = "is not a log record" if unparsable == 1 else "are not log records"
    return f"{count(unparsable, 'line')} of {report.counts.rows:,} {are}"


def _figures(report: Report) -> Iterator[tuple[str, str]]:
    figures = report.overview
    yield "requests", f"{figures['requests']:,}"
    yield "bytes sent", size(figures["bytes_sent"])
    yield "refused", f"{figures['refused']:,}"
    yield "failed in S3", f"{figures['server_errors']:,}"
    yield "objects deleted", f"{figures['deleted']:,}"
    yield "without credentials", f"{figures['anonymous']:,}"


def _days(rows: Sequence[dict[str, Any]]) -> Table:
    """A row for each day, or for each month."""
    names = ("requests", "refused", "client_errors", "server_errors", "bytes_sent")
    chars = len("YYYY-MM" if len(rows) > MAX_DAY_ROWS else "YYYY-MM-DD")
    sums: dict[str, list[int]] = {}
    for row in rows:
        total = sums.setdefault(row["on_day"][:chars], [0] * len(names))
        for at, name in enumerate(names):
            total[at] += row[name]
    columns = [Column("day" if chars > len("YYYY-MM") else "month", "time"), *(Column(_spoken(name)) for name in names)]
    return Table(
        columns,
        [
            [Cell(when, when), *(_number(name, value) for name, value in zip(names, values, strict=True))]
            for when, values in sums.items()
        ],
    )


def _part(name: str, heading: str, report: Report) -> Part:
    answer = report.answers[name]
    columns = [Column(_spoken(column), _kind(answer, column)) for column in answer.columns]
    rows = [
        [_cell(answer, column, value) for column, value in zip(answer.columns, row, strict=True)]
        for row in answer.rows[:SHOWN_ROWS]
    ]
    question = answer.question
    more = len(answer.rows) > SHOWN_ROWS
    return Part(name, heading, question.purpose, question.caveats, Table(columns, rows), more)


def _kind(answer: Answer, column: str) -> str:
    return "number" if column in answer.numbers else "time" if column in _TIMES else "text"


def _cell(answer: Answer, column: str, value: Any) -> Cell:
    if column in answer.numbers:
        return _number(column, value)
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    text = cell_text(value)
    if column in _TIMES:
        return Cell(text[:19].replace("T", " ") or "–", text)
    return Cell(text or "–", text)


def _number(column: str, value: float | None) -> Cell:
    if value is None:
        return Cell("–", -1)
    return Cell(size(value) if column in _SIZES else f"{value:,}", value)


def _spoken(column: str) -> str:
    return column.replace("_", " ")


def _deliveries(report: Report) -> Table:
    columns = [Column("target prefix", "text"), Column("days"), Column("missing"), *_first_and_last()]
    rows = []
    for one in report.deliveries[:SHOWN_ROWS]:
        where, missing = printable(one.where), sum(gap.days for gap in one.gaps)
        numbers = [Cell(f"{number:,}", number) for number in (one.days, missing)]
        rows.append([Cell(where, where), *numbers, *(Cell(str(day), str(day)) for day in (one.first, one.last))])
    return Table(columns, rows)


def _first_and_last() -> Iterable[Column]:
    return Column("first", "time"), Column("last", "time")


def _gaps(report: Report) -> Iterator[str]:
    for one in report.deliveries[:SHOWN_ROWS]:
        for gap in one.gaps[:SHOWN_ROWS]:
            days = str(gap.first) if gap.days == 1 else f"{gap.first} to {gap.last} ({gap.days:,} days)"
            yield f"{printable(one.where)}: {days}"
        if len(one.gaps) > SHOWN_ROWS:
            yield f"{printable(one.where)}: {count(len(one.gaps) - SHOWN_ROWS, 'more gap')}"


def _read(report: Report) -> Iterator[tuple[str, str]]:
    seen = report.seen
    yield "rollups found", f"{report.rollups:,}"
    yield "logs read", f"{seen.logs:,}"
    yield "of these, not in a rollup", f"{seen.loose:,}"
    yield "log records", f"{seen.counts.rows - seen.counts.unparsable:,}"
    yield "lines that are not log records", f"{seen.counts.unparsable:,}"
    yield "rollups or logs that could not be read", f"{report.failed:,}"


def _day(row: dict[str, Any]) -> date:
    return date.fromisoformat(row["on_day"])
