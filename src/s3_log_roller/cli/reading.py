"""What the commands that read share: their options, the stores they read, and running a query."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from s3_log_roller.amounts import count
from s3_log_roller.cli import options
from s3_log_roller.cli.output import Output, note
from s3_log_roller.cli.progress import Course, fit, show_progress
from s3_log_roller.log_output import FORMATS
from s3_log_roller.uris import Role, S3Uri, merge_prefixes

if TYPE_CHECKING:
    from s3_log_roller.aws.buckets import Connection
    from s3_log_roller.reading.extent import Extent
    from s3_log_roller.reading.groups import Source, Stores
    from s3_log_roller.reading.lines import Findings, Query
    from s3_log_roller.reading.parallel import OpenStores
    from s3_log_roller.reading.selection import Selection
    from s3_log_roller.reading.targets import OpenBuckets
    from s3_log_roller.store import ReadStore, Store

WHERE_FROM: Final = (
    "s3://BUCKET/PREFIX (searched at any depth), the URI of a rollup or a log, or a local path: a .tgz, a log, "
    "or a directory of them"
)

MAX_MESSAGES: Final = 1_000


def add_selection_arguments(parser: ArgumentParser) -> None:
    """Add the options that select logs."""
    group = parser.add_argument_group("which logs")
    group.add_argument(
        "--since",
        metavar="TIME",
        help="first day, hour, minute or second (UTC): 2022-07-01, 2022-07-01T05, 2022-07-01T05:30",
    )
    group.add_argument("--until", metavar="TIME", help="last day, hour, minute or second; all of it counts")
    group.add_argument("--member", action="append", metavar="NAME", help="only the log with this name; may be repeated")


def add_format_arguments(parser: ArgumentParser) -> None:
    """Add the option that says how records are printed."""
    parser.add_argument(
        "--output",
        choices=("text", "json", "csv"),
        default="text",
        help="text: as S3 wrote it (default); json: one object per line; csv: a table with a header",
    )


def add_processes_argument(parser: ArgumentParser) -> None:
    """Add the option that says how many processes to use."""
    parser.add_argument(
        "--processes",
        type=options.at_least(1, 256),
        default=usable_processors(),
        metavar="N",
        help="processes to work with (default: one per processor)",
    )


def add_reading_arguments(parser: ArgumentParser, quiet: str = "log only warnings and errors") -> None:
    """Add the options that say where else rollups are, how to reach AWS and what to log."""
    parser.add_argument(
        "--rollups-in",
        metavar="URI",
        help="the --destination that rollups of these logs were given: those in s3://BUCKET/PREFIX are read, too",
    )
    options.add_connection_arguments(parser)
    parser.add_argument(
        "--s3-role", metavar="ARN", help="role to assume for S3 (default: none, your own credentials are used)"
    )
    parser.add_argument("--external-id", metavar="ID", help="external id that the trust policy of the role asks for")
    parser.add_argument(
        "--log-format", choices=FORMATS, default="text", help="format of the log on standard error (default text)"
    )
    parser.add_argument("--verbose", action="store_true", help="log more, for example retries")
    parser.add_argument("-q", "--quiet", action="store_true", help=quiet)
    parser.add_argument("--no-progress", action="store_true", help="print no progress on the terminal")


def usable_processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def sources_from(texts: list[str]) -> list[Source]:
    """The URIs and paths, without URIs that another one covers. Raises `UsageError`."""
    uris = merge_prefixes([S3Uri.parse(text) for text in texts if _is_remote(text)])
    wanted: dict[Source, None] = dict.fromkeys(S3Uri.parse(text) if _is_remote(text) else text for text in texts)
    return [source for source in wanted if isinstance(source, str) or source in uris]


def _is_remote(text: str) -> bool:
    """Whether it is meant as an address and not as a path."""
    return "://" in text or text.startswith(("arn:", "s3:"))


def places_of(args: Namespace, sources: Sequence[Source]) -> list[str]:
    """What the URIs and paths of the rollups of these sources begin with. Raises `UsageError`."""
    from s3_log_roller.mirrored import place_in

    places = list(map(str, sources))
    if args.rollups_in is not None:
        there = S3Uri.parse(args.rollups_in)
        uris = [source for source in sources if isinstance(source, S3Uri)]
        places += [f"s3://{place_in(there, uri.bucket)}/{uri.prefix}" for uri in uris]
    return places


def selection_from(args: Namespace) -> Selection:
    """The selection that the options describe. Raises `UsageError`."""
    from s3_log_roller.reading.selection import Selection

    return Selection.parse(args.since, args.until, args.member)


def nothing_found(args: Namespace, where: str = "") -> str:
    """The message for a run that found no log, although nothing failed."""
    what = f"log called {' or '.join(args.member)}" if args.member else "log"
    of_time = " of this time" if (args.since or args.until) and not args.member else ""
    return f"there is no {what}{of_time} in {where}{', '.join(args.uris)}"


@dataclass
class Session:
    """The stores that a command reads, and how many things could not be read."""

    stores: Stores
    open_stores: OpenStores
    open_buckets: OpenBuckets
    wants_progress: bool
    extent: Extent
    """How much there is to read, and was read."""
    rollups_in: S3Uri | None = None
    """The destination in which rollups of the logs are, too."""
    failures: int = 0
    messages: list[str] = field(default_factory=list)
    """What failed, a line each; at most `MAX_MESSAGES`."""

    @property
    def exit_code(self) -> int:
        """3 if something could not be read, else 0."""
        return 3 if self.failures else 0

    def failed(self, message: str) -> None:
        """Tell of something that cannot be read, and count it."""
        self.failures += 1
        if len(self.messages) < MAX_MESSAGES:
            self.messages.append(message)
        note(message)

    def progress(
        self, figures: Callable[[], Sequence[str]], output: Output | None = None
    ) -> AbstractContextManager[None]:
        """Show figures, the most important first, and how far it is, while the command reads.

        Beside `output` on the same terminal they are shown only when nothing else is for a while.
        """
        course = Course(self.extent)
        beside_output = output is not None and output.is_terminal
        return show_progress(
            lambda now, columns: fit([*figures(), *course.parts(now)], columns),
            wanted=self.wants_progress,
            beside_output=beside_output,
        )


@contextmanager
def open_session(args: Namespace) -> Iterator[Session]:
    """Open a session as the options say. Raises `UsageError`."""
    from s3_log_roller.reading.extent import Extent

    connection = options.connection_from(args)
    role = options.role_from(args)
    rollups_in = None if args.rollups_in is None else S3Uri.parse(args.rollups_in)
    open_stores = partial(opened_stores, connection, role)
    with open_stores() as stores:
        wants_progress = not (args.quiet or args.no_progress) and args.log_format == "text"
        extent = Extent(watched=wants_progress and sys.stderr.isatty())
        yield Session(
            stores, open_stores, partial(opened_buckets, connection, role), wants_progress, extent, rollups_in
        )


@contextmanager
def opened_stores(connection: Connection, role: Role | None) -> Iterator[Stores]:
    """What opens buckets for reading, and gives this machine's files as another one."""
    from s3_log_roller.local_files import LOCAL, LocalFiles
    from s3_log_roller.mirrored import MirroredReadStore

    with opened_buckets(connection, role) as buckets:
        local_files = LocalFiles()

        def store(bucket: str) -> ReadStore:
            if bucket == LOCAL:
                return local_files
            name, slash, _ = bucket.partition("/")
            return MirroredReadStore(buckets(name), bucket) if slash else buckets(name)

        yield store


@contextmanager
def opened_buckets(connection: Connection, role: Role | None) -> Iterator[Callable[[str], Store]]:
    """What opens buckets when they are first asked for. They are closed at the end."""
    from contextlib import ExitStack

    from s3_log_roller.aws.buckets import Buckets

    with closing(Buckets(connection)) as buckets, ExitStack() as leases:
        opened: dict[str, Store] = {}

        def store(bucket: str) -> Store:
            if bucket not in opened:
                opened[bucket] = leases.enter_context(buckets.lease(bucket, role))
            return opened[bucket]

        yield store


def run_query(
    session: Session,
    sources: list[Source],
    selection: Selection,
    query: Query,
    processes: int,
) -> Findings:
    """Print what the query finds as it is found, and count it."""
    from s3_log_roller.reading.formats import csv_header
    from s3_log_roller.reading.groups import find_groups
    from s3_log_roller.reading.lines import Findings
    from s3_log_roller.reading.operations import Search
    from s3_log_roller.reading.parallel import Failure, batches, run_all
    from s3_log_roller.reading.shares import find_shares
    from s3_log_roller.reading.watching import watched

    total = Findings()
    groups = find_groups(session.stores, sources, selection, session.failed, session.rollups_in)
    shares = find_shares(session.stores, groups, session.failed, split=processes > 1)

    def take(result: bytes | Failure | Findings) -> None:
        if isinstance(result, bytes):
            output.write_unchanged(result)
            output.show()
        elif isinstance(result, Failure):
            session.failed(result.message)
        else:
            total.add(result)
            if query.has_enough(total):
                raise _Enough

    def figures() -> list[str]:
        return [f"{count(total.logs, 'log')} read", f"{count(total.matched, 'record')} found"]

    with Output() as output, session.progress(figures, output), suppress(_Enough):
        if query.output == "csv" and query.show == "lines":
            output.line(csv_header(with_names=query.with_names))
        search = Search(session.open_stores, query)
        stores = watched(session.stores, output.show)
        run_all(search, batches(shares), processes, take, stores=stores, extent=session.extent, stop_at=output.pipe)
    return total


class _Enough(Exception):
    """What was found is all that was asked for."""


def report_unparsable(findings: Findings, what: str) -> None:
    """Say how many lines are not log records."""
    if findings.unparsable:
        lines = (
            "1 line is not a log record"
            if findings.unparsable == 1
            else f"{findings.unparsable} lines are not log records"
        )
        note(f"{lines}: {what}")
