"""`cat`: write log records, from rollups and from logs not yet rolled up."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Final

from s3_log_roller.amounts import count
from s3_log_roller.cli.output import Output
from s3_log_roller.cli.reading import (
    WHERE_FROM,
    Session,
    add_format_arguments,
    add_processes_argument,
    add_reading_arguments,
    add_selection_arguments,
    nothing_found,
    open_session,
    report_unparsable,
    run_query,
    selection_from,
    sources_from,
)
from s3_log_roller.errors import StorageError

if TYPE_CHECKING:
    from s3_log_roller.reading.groups import Source
    from s3_log_roller.reading.selection import Selection

DESCRIPTION: Final = (
    "Prints log records in the order of the logs' names, whether the logs are rolled up or not. Of a rollup it fetches "
    "only the parts that hold what you ask for."
)
EXAMPLES: Final = """\
examples:
  s3-log-roller cat s3://my-logs/ --since 2022-07-01T05 --until 2022-07-01T06
  s3-log-roller cat s3://my-logs/web/2022-07-01-05-15-43-42117B9A70B0F1BA
  s3-log-roller cat s3://my-logs/example.com/ --output json | jq .remote_ip
  s3-log-roller cat rollup-2022-07-01-b33e1e0a.tgz

--since and --until look at the times in the logs' names. That is when S3 delivered them; a record can be hours older.
"""
EXIT_CODES: Final = {
    0: "all records asked for were written",
    1: "there is no such log, or nothing could be read",
    3: "something could not be read; the rest was written",
}
IF_INTERRUPTED: Final = "the output is not complete"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("uris", nargs="+", metavar="URI", help=WHERE_FROM)
    add_selection_arguments(parser)
    add_format_arguments(parser)
    add_processes_argument(parser)
    add_reading_arguments(parser)


def run(args: Namespace) -> int:
    """Print the records. Return an exit code that says whether all of them could be read."""
    from s3_log_roller.reading.lines import Query

    selection = selection_from(args)
    sources = sources_from(args.uris)
    with open_session(args) as session:
        if args.output == "text":
            found = _write_logs(session, sources, selection)
        else:
            findings = run_query(session, sources, selection, Query(output=args.output), args.processes)
            report_unparsable(findings, "passed through as they are")
            found = findings.logs
        if not found and not session.failures:
            raise StorageError(nothing_found(args))
        return session.exit_code


def _write_logs(session: Session, sources: list[Source], selection: Selection) -> int:
    """The logs as they are; returns how many. A line end that is missing is added where another log follows."""
    from s3_log_roller.reading.extent import look_ahead
    from s3_log_roller.reading.groups import find_groups
    from s3_log_roller.reading.logs import Reader
    from s3_log_roller.reading.parallel import batches
    from s3_log_roller.reading.shares import find_shares
    from s3_log_roller.reading.watching import watched

    logs = 0
    cut_off = False
    with Output() as output, session.progress(lambda: [f"{count(logs, 'log')} written"], output):
        groups = find_groups(session.stores, sources, selection, session.failed, session.rollups_in)
        reader = Reader(watched(session.stores, output.show), session.failed)
        work = batches(find_shares(session.stores, groups, session.failed, split=False))
        for shares in look_ahead(work, session.extent):
            for _, _, data, last in reader.read(shares):
                if data:
                    output.write(b"\n" + data if cut_off else data)
                    cut_off = last and not data.endswith(b"\n")
                logs += last
    return logs
