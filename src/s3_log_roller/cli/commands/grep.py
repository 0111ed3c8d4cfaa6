"""`grep`: search log records, in rollups and in logs not yet rolled up."""

from __future__ import annotations

import os
import sys
from argparse import SUPPRESS, ArgumentParser, Namespace
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from s3_log_roller.cli.options import at_least
from s3_log_roller.cli.output import Output, Unwritable, note
from s3_log_roller.cli.reading import (
    WHERE_FROM,
    add_format_arguments,
    add_processes_argument,
    add_reading_arguments,
    add_selection_arguments,
    open_session,
    report_unparsable,
    run_query,
    selection_from,
    sources_from,
)
from s3_log_roller.errors import RollerError, UsageError
from s3_log_roller.log_keys import parse_log_key
from s3_log_roller.log_output import printable

if TYPE_CHECKING:
    from s3_log_roller.reading.excerpts import Excerpt
    from s3_log_roller.reading.lines import Findings, Query, Show

DESCRIPTION: Final = (
    "Searches log records as grep does, in rollups and in logs that are not rolled up yet, on all processors. It "
    "prints what it finds in the order of the logs' names."
)
EXAMPLES: Final = """\
examples:
  s3-log-roller grep AccessDenied s3://my-logs/example.com/ --since 2022-07-01
  s3-log-roller grep -c -E 'REST\\.(PUT|DELETE)\\.OBJECT' s3://my-logs/web/
  s3-log-roller grep --where 'status=403 operation=REST.GET.OBJECT' \\
      s3://my-logs/ --output json
  s3-log-roller grep s3://my-logs/ \\
      --where 'bytes_sent>1000000 time>=2022-07-01T05 agent~"^curl/"'

--where takes terms like FIELD=VALUE; a record must match every term. The operators are = != < <= > >=, and ~ and !~ for
RE2's regular expressions. The fields are those of --output json; - means that the field is empty. With --where you can
leave the PATTERN out, or give it with -e.

--since and --until look at when logs were delivered, which is minutes to hours after the requests, sometimes days: a
delete late in the evening is in a log of the next day. --record-since and --record-until look at when requests were
made, and also read what was delivered up to 2 days later.
"""
EXIT_CODES: Final = {
    0: "something was found",
    1: "nothing was found",
    3: "something could not be read; what was found elsewhere was printed",
}
IF_INTERRUPTED: Final = "the output is not complete"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of the command."""
    parser.conflict_handler = "resolve"  # for groups made from here on: grep's -h is not help
    parser.add_argument("pattern", metavar="PATTERN", help="what to search for; not needed with -e or --where")
    uris = parser.add_argument("uris", nargs="+", metavar="URI", help=WHERE_FROM)
    uris.required = False  # without a PATTERN, the first URI is in its place
    parser.add_argument("-e", "--regexp", metavar="PATTERN", help="the pattern, also if it begins with a minus")
    syntax = parser.add_mutually_exclusive_group()
    syntax.add_argument(
        "-E", "--extended-regexp", action="store_true", help="PATTERN is an extended regular expression, such as a+|b"
    )
    syntax.add_argument("-F", "--fixed-strings", action="store_true", help="PATTERN is plain text")
    syntax.add_argument("-G", "--basic-regexp", action="store_true", help=SUPPRESS)
    parser.add_argument("-i", "--ignore-case", action="store_true", help="do not tell upper from lower case")
    parser.add_argument("-v", "--invert-match", action="store_true", help="print the lines that do not match")
    parser.add_argument(
        "-c", "--count", action="store_true", help="print only the number of lines, for each rollup or log"
    )
    parser.add_argument(
        "-l", "--files-with-matches", action="store_true", help="print only the names of the logs that have such lines"
    )
    parser.add_argument(
        "-m", "--max-count", type=at_least(1), metavar="N", help="stop after N lines, of all logs together"
    )
    shown = parser.add_argument_group("what is shown of a line")
    shown.add_argument("-n", "--line-number", action="store_true", help="print its number in its log")
    shown.add_argument("-o", "--only-matching", action="store_true", help="print only the parts that match")
    shown.add_argument("-A", "--after-context", type=at_least(0), metavar="N", help="print N lines of its log after it")
    shown.add_argument(
        "-B", "--before-context", type=at_least(0), metavar="N", help="print N lines of the log before it"
    )
    shown.add_argument("-C", "--context", type=at_least(0), metavar="N", help="print N lines before and after it")
    shown.add_argument(
        "--color",
        nargs="?",
        metavar="WHEN",
        choices=("auto", "always", "never"),
        default="never",
        const="auto",
        help="mark what matches: always, never (default), or auto: if standard output is a terminal",
    )
    names = parser.add_argument_group("names of logs").add_mutually_exclusive_group()
    names.add_argument(
        "-H", "--with-filename", action="store_true", help="print the name of the log in front of each line"
    )
    names.add_argument(
        "-h", "--no-filename", action="store_true", help="print no names (default if only one file is searched)"
    )
    parser.add_argument("--where", action="append", metavar="TERMS", help="only records whose fields match all terms")
    add_selection_arguments(parser)
    times = parser.add_argument_group("when it happened")
    times.add_argument("--record-since", metavar="TIME", help="only records of requests from this time on")
    times.add_argument(
        "--record-until", metavar="TIME", help="only records of requests up to this time; all of it counts"
    )
    add_format_arguments(parser)
    add_processes_argument(parser)
    add_reading_arguments(parser, quiet="print nothing and stop at the first match")


def run(args: Namespace) -> int:
    """Write what is found. Return 0 if that is something, 1 if nothing, 3 if something could not be read."""
    try:
        return _search(args)
    except UsageError:
        raise
    except (RollerError, Unwritable) as error:
        note(printable(str(error)))
        return 3


def _search(args: Namespace) -> int:
    query, texts = _query_from(args)
    sources = sources_from(texts)
    selection = selection_from(args)
    if args.record_since or args.record_until:
        selection = selection.delivered_for(args.record_since, args.record_until)
    # What comes first in order is found by one process as soon as by many.
    processes = 1 if args.max_count else args.processes
    with open_session(args) as session:
        findings = run_query(session, sources, selection, query, processes)
        if query.show == "count":
            _write_counts(findings, with_names=query.with_names)
        where = query.where is not None
        report_unparsable(findings, "their fields cannot be compared" if where else "passed through as they are")
        by_delivery = (args.since or args.until) and not (args.record_since or args.record_until)
        if by_delivery and not (findings.matched or args.quiet):
            note("logs delivered at that time have no such line; --record-since/--record-until go by time of request")
        if session.failures and not (args.quiet and findings.matched):
            return 3
        return 0 if findings.matched else 1


def _query_from(args: Namespace) -> tuple[Query, list[str]]:
    """The query, and the URIs to run it on."""
    from s3_log_roller.reading.lines import Query
    from s3_log_roller.reading.patterns import Pattern, Syntax
    from s3_log_roller.reading.terms import Where

    texts = [args.pattern, *(args.uris or [])]
    text = args.regexp
    has_terms = bool(args.where or args.record_since or args.record_until)
    if text is None and not (has_terms and _names_a_source(texts[0])):
        text = texts.pop(0)
    if not texts:
        raise UsageError("say where to search: s3-log-roller grep PATTERN URI… (see s3-log-roller grep --help)")
    if text is not None and args.regexp is None and _names_a_source(text) and not any(map(_names_a_source, texts)):
        raise UsageError(f"the pattern comes first: s3-log-roller grep PATTERN URI…; there is no place {texts[0]!r}")
    syntax = Syntax.EXTENDED if args.extended_regexp else Syntax.FIXED if args.fixed_strings else Syntax.BASIC
    pattern = None if text is None else Pattern.parse(text, syntax, ignore_case=args.ignore_case)
    terms = [*(args.where or []), *_record_times(args)]
    where = Where.parse(terms) if terms else None
    show: Show = "lines"
    if args.quiet:
        show = "nothing"
    elif args.files_with_matches:
        show = "names"
    elif args.count:
        show = "count"
    with_names = args.with_filename or (args.output == "text" and not args.no_filename and not _is_one_file(texts))
    on_terminal = sys.stdout is not None and sys.stdout.isatty()
    excerpt = _excerpt_from(args, on_terminal=on_terminal)
    query = Query(
        pattern, where, args.invert_match, show, args.output, with_names, on_terminal, excerpt, args.max_count
    )
    return query, texts


def _excerpt_from(args: Namespace, *, on_terminal: bool) -> Excerpt:
    from s3_log_roller.reading.excerpts import Excerpt

    both = args.context or 0
    before = both if args.before_context is None else args.before_context
    after = both if args.after_context is None else args.after_context
    excerpt = Excerpt(
        args.line_number,
        args.only_matching,
        before,
        after,
        color=args.color == "always" or (args.color == "auto" and on_terminal),
    )
    if args.output != "text" and not replace(excerpt, color=False).is_plain:
        raise UsageError("-n, -o, -A, -B and -C work with --output text only")
    return excerpt


def _record_times(args: Namespace) -> list[str]:
    """Terms for the records' own time."""
    from s3_log_roller.reading.selection import iso_time

    since = [f"time>={iso_time(args.record_since)}"] if args.record_since else []
    until = [f"time<={iso_time(args.record_until)}"] if args.record_until else []
    return since + until


def _names_a_source(text: str) -> bool:
    return text.startswith("s3://") or os.path.exists(text)


def _is_one_file(texts: list[str]) -> bool:
    """As grep tells it: a file, or a directory full of them."""
    text = texts[0]
    return len(texts) == 1 and (
        "://" not in text or text.endswith((".tgz", ".tar.gz")) or parse_log_key(text) is not None
    )


def _write_counts(findings: Findings, *, with_names: bool) -> None:
    with Output() as output:
        if not with_names:
            output.line(str(findings.matched))
        else:
            for name, count in findings.counts.items():
                output.line(f"{name}:{count}")
