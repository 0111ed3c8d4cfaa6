"""`query`: answer a question in SQL about logs, rolled up or not."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any, Final

from s3_log_roller.amounts import count
from s3_log_roller.cli.output import Output, note
from s3_log_roller.cli.querying import import_querying, read_rows
from s3_log_roller.cli.reading import (
    WHERE_FROM,
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
    from collections.abc import Iterable, Iterator

    from s3_log_roller.querying.engine import Take
    from s3_log_roller.reading.groups import Group

DESCRIPTION: Final = (
    "Answers a question in SQL about log records, whether the logs are rolled up or not. The records are the rows of a "
    "table called logs. It has the fields of log records by their names, key_decoded, extra, raw (lines that are not "
    "log records), day and source (the log). DuckDB answers, on this machine, from what this program reads. It needs "
    "the extra query."
)
EXAMPLES: Final = """\
examples:
  s3-log-roller query "SELECT count(*) FROM logs" s3://my-logs/example.com/
  s3-log-roller query "FROM logs WHERE key_decoded = 'a b'" s3://my-logs/
  s3-log-roller query --list
  s3-log-roller query --name who-deleted s3://my-logs/ --since 2022-07-01
  s3-log-roller query --name top-keys --param rows=5 s3://my-logs/
  s3-log-roller query "FROM logs" a.tgz --output parquet > records.parquet

--since and --until look at the times in the logs' names. That is when S3 delivered them; a record can be hours older.
Only days in this window are read. Conditions in the SQL save reading, too: on day, on the earliest time, and on values
that stand in the lines, such as operation = 'REST.DELETE.OBJECT'.
"""
EXIT_CODES: Final = {
    0: "the question is answered",
    1: "there is no such log, or nothing could be read",
    3: "something could not be read; the answer is about the rest",
}
IF_INTERRUPTED: Final = "the output is not complete"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("sql", nargs="?", metavar="SQL", help="one SELECT over the table logs; not with --name")
    parser.add_argument("uris", nargs="*", metavar="URI", help=WHERE_FROM)
    group = parser.add_argument_group("questions that come with the program")
    group.add_argument("--list", action="store_true", help="list them")
    group.add_argument("--show", metavar="NAME", help="print the SQL of one, with what it answers and what it cannot")
    group.add_argument("--name", metavar="NAME", help="answer this one")
    group.add_argument(
        "--param",
        action="append",
        metavar="NAME=VALUE",
        help="the value of a parameter of it, or of $NAME in your SQL; may be repeated",
    )
    add_selection_arguments(parser)
    parser.add_argument(
        "--output",
        choices=("table", "json", "csv", "parquet"),
        default="table",
        help="table: to look at (default); json: one object per line; csv: with a header; parquet: for other programs",
    )
    add_processes_argument(parser)
    add_reading_arguments(parser)


def run(args: Namespace) -> int:
    """Answer the question. Return an exit code that says whether all logs could be read."""
    from s3_log_roller.querying.questions import describe_questions, find_question

    if args.list or args.show:
        if args.sql or args.name:
            raise UsageError("--list and --show answer no question: leave out the SQL, the URIs and --name")
        with Output() as output:
            output.line(find_question(args.show).text if args.show else describe_questions())
        return 0
    sql, uris, parameters = args.sql, args.uris, _parameters(args.param or [])
    if args.name is not None:
        named = find_question(args.name)
        sql, parameters = named.text, named.with_defaults(parameters)
        uris = [args.sql, *args.uris] if args.sql else args.uris
    if not sql:
        raise UsageError("write a SELECT over the table logs, or name one of the questions that --list shows")
    if not uris:
        raise UsageError("say where the logs are: s3://BUCKET/PREFIX, or a local file or directory")
    args.uris = uris
    return _answer(args, sql, parameters)


def _answer(args: Namespace, sql: str, parameters: dict[str, str]) -> int:
    engine = import_querying("engine", "query")
    from s3_log_roller.querying.conditions import ALL
    from s3_log_roller.querying.results import write_answer
    from s3_log_roller.querying.rows import Seen

    if args.output == "parquet" and sys.stdout is not None and sys.stdout.isatty():
        raise UsageError("--output parquet writes a file that a terminal cannot show: add > FILE.parquet")
    selection = selection_from(args)
    sources = sources_from(args.uris)
    question = engine.understand(sql, parameters)
    total = Seen()
    found = False

    def add(seen: Seen) -> None:
        nonlocal total
        total += seen

    with open_session(args) as session, Output() as output:

        def read(take: Take) -> None:
            def take_found(batch: Any) -> None:
                nonlocal found
                found = True
                take(batch)

            def watch(groups: Iterable[Group]) -> Iterator[Group]:
                nonlocal found
                for group in groups:
                    found = found or question.conditions != ALL  # then nobody looks for logs that are there in vain
                    yield group

            read_rows(
                session,
                sources,
                selection,
                args.processes,
                take_found,
                wanted=question.columns,
                seen=add,
                watch=watch,
                conditions=question.conditions,
            )

        write = output.write_unchanged if args.output == "parquet" else output.write

        def figures() -> list[str]:
            return [f"{count(total.logs, 'log')} read", f"{count(total.counts.rows, 'record')}"]

        with session.progress(figures, output):
            engine.ask(question, read, lambda answer: write_answer(answer, args.output, write))
        if not (found or total.logs or session.failures):
            raise StorageError(nothing_found(args))
        if total.counts.unparsable:
            note(f"{count(total.counts.unparsable, 'line')} cannot be read as log records: see the column raw")
        return session.exit_code


def _parameters(texts: list[str]) -> dict[str, str]:
    parameters = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise UsageError(f"--param {text!r} is not a parameter: write NAME=VALUE")
        parameters[name] = value
    return parameters
