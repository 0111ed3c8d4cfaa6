"""`report`: what the logs say, as a page to hand on or as JSON."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

from s3_log_roller import clock
from s3_log_roller.amounts import count
from s3_log_roller.cli.output import print_result
from s3_log_roller.cli.pages import check_page, import_page, write_page
from s3_log_roller.cli.querying import import_querying, read_rows
from s3_log_roller.cli.reading import (
    WHERE_FROM,
    Session,
    add_processes_argument,
    add_reading_arguments,
    add_selection_arguments,
    nothing_found,
    open_session,
    selection_from,
    sources_from,
)
from s3_log_roller.errors import StorageError, UsageError

if TYPE_CHECKING:
    from s3_log_roller.querying.engine import Take
    from s3_log_roller.querying.report import Delivery, Report
    from s3_log_roller.reading.completeness import Calendar

DESCRIPTION: Final = (
    "Answers the questions of a manager or an auditor about log records, whether the logs are rolled up or not, and "
    "writes a page: requests and bytes by day and operation, errors, the busiest requesters, keys and addresses, "
    "deletes and other changes, anonymous access and old TLS, days without logs, and what was read. It is one file "
    "that needs nothing else. The logs are read once. The command needs the extras query and, for --html, report."
)
EXAMPLES: Final = """\
examples:
  s3-log-roller report s3://my-logs/ --since 2022-07-01 --html july.html
  s3-log-roller report s3://my-logs/ --json > report.json

--since and --until look at the times in the logs' names. That is when S3 delivered them; a record can be hours older.
"""
EXIT_CODES: Final = {
    0: "the report is about everything that was asked for",
    1: "there is no such log, or nothing could be read",
    3: "something could not be read; the report says what, and is about the rest",
}
IF_INTERRUPTED: Final = "no report was written"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("uris", nargs="+", metavar="URI", help=WHERE_FROM)
    parser.add_argument("--html", metavar="FILE", help="write the report as a page: one file that needs nothing else")
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")
    add_selection_arguments(parser)
    add_processes_argument(parser)
    add_reading_arguments(parser)


def run(args: Namespace) -> int:
    """Write the report. Return an exit code that says whether everything could be read."""
    if not (args.html or args.json):
        raise UsageError("say where the report goes: --html FILE for a page, --json for a program, or both")
    import_querying("engine", "report")
    page = import_page("s3_log_roller.querying.page") if args.html else None
    check_page("--html", args.html)
    with open_session(args) as session:
        report = _make(args, session)
        if page is not None:
            write_page("--html", args.html, page.render_page(report))
        if args.json:
            from s3_log_roller.querying.document import to_json

            print_result(json.dumps(to_json(report), indent=2) + "\n")
        return session.exit_code


def _make(args: Namespace, session: Session) -> Report:
    from s3_log_roller.querying.report import Report, Scope, answer_all, wanted_columns
    from s3_log_roller.querying.rows import Seen
    from s3_log_roller.reading.completeness import Calendar

    selection, sources = selection_from(args), sources_from(args.uris)
    calendar, total = Calendar(), Seen()
    wanted = wanted_columns()

    def add(seen: Seen) -> None:
        nonlocal total
        total += seen

    def read(take: Take) -> None:
        read_rows(session, sources, selection, args.processes, take, wanted=wanted, seen=add, watch=calendar.watch)

    def figures() -> list[str]:
        return [f"{count(total.logs, 'log')} read", f"{count(total.counts.rows, 'record')}"]

    today = clock.utc_today()
    with session.progress(figures):
        answers = answer_all(read)
    if not total.logs:
        if session.failures:
            raise StorageError(f"no log in {', '.join(args.uris)} could be read, so no report was written")
        raise StorageError(nothing_found(args))
    return Report(
        Scope(today, tuple(args.uris), args.since, args.until, tuple(args.member or ())),
        answers,
        total,
        calendar.rollups,
        _deliveries(calendar, _day(args.since), _day(args.until), today),
        session.messages,
        session.failures,
    )


def _deliveries(calendar: Calendar, since: date | None, until: date | None, today: date) -> list[Delivery]:
    """Gaps of days that are over only: the logs of today are still coming."""
    from s3_log_roller.querying.report import Delivery

    if until is not None:
        until = min(until, today - timedelta(1))
    gaps: dict[str, list[Any]] = {}
    for gap in calendar.gaps(since, until):
        gaps.setdefault(gap.where, []).append(gap)
    return [Delivery(where, len(days), days[0], days[-1], gaps.get(where, [])) for where, days in calendar.days()]


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text[:10]) if text else None
