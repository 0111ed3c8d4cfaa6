"""`export`: write the records of rollups into Parquet files, for Athena, DuckDB, Spark, Trino and their likes."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Final

from s3_log_roller.amounts import count, size
from s3_log_roller.cli import options
from s3_log_roller.cli.output import Output, note
from s3_log_roller.cli.querying import import_querying
from s3_log_roller.cli.reading import (
    WHERE_FROM,
    Session,
    add_processes_argument,
    add_reading_arguments,
    open_session,
    sources_from,
)
from s3_log_roller.errors import StorageError, UsageError
from s3_log_roller.uris import S3Uri, check_bucket_name

if TYPE_CHECKING:
    from s3_log_roller.querying.choosing import Overview
    from s3_log_roller.querying.exported import Exported
    from s3_log_roller.querying.exporting import Done
    from s3_log_roller.reading.parallel import Failure
    from s3_log_roller.reading.targets import Target

DESCRIPTION: Final = (
    "Writes the records of rollups into Parquet files, one for each rollup, in folders bucket=SOURCE-BUCKET/day=DAY/ "
    "that Athena, DuckDB, Spark and Trino read as one table. Rollups that the target has already are left alone, so it "
    "can run every day. Only rollups are exported: roll up first. It needs the extra query."
)
EXAMPLES: Final = """\
examples:
  s3-log-roller export s3://my-logs/ --to s3://my-parquet/logs/
  s3-log-roller export s3://my-logs/example.com/ --since 2022-07-01 \\
      --to ./parquet --drop host_id
  s3-log-roller export --to s3://my-parquet/logs/ --ddl athena \\
      --bucket example.com

The files have the columns of the table that query asks, and target_prefix. --drop host_id makes them half as large.
--ddl prints the statement that makes a table of the files, and does nothing else; give it the same --to and --drop.
"""
EXIT_CODES: Final = {
    0: "every rollup asked for is in the target",
    1: "there are no such rollups, or nothing could be exported",
    3: "some rollups could not be exported; the others are in the target",
}
IF_INTERRUPTED: Final = "the rollups exported so far are in the target; run again to export the others"
MAX_DAYS_NAMED: Final = 3
"""Of those that are not rolled up."""


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("uris", nargs="*", metavar="URI", help=WHERE_FROM)
    parser.add_argument("--to", required=True, metavar="TARGET", help="directory or s3://BUCKET/PREFIX to export to")
    parser.add_argument(
        "--drop", action="append", metavar="COLUMN", help="leave out a column, such as host_id; may be repeated"
    )
    parser.add_argument("--since", type=options.day, metavar="DAY", help="first day (UTC) as YYYY-MM-DD")
    parser.add_argument("--until", type=options.day, metavar="DAY", help="last day")
    group = parser.add_argument_group("the table over the files")
    group.add_argument(
        "--ddl",
        choices=("athena", "duckdb", "spark", "trino"),
        help="print the statement that makes the table, and export nothing",
    )
    group.add_argument(
        "--bucket",
        action="append",
        metavar="NAME",
        help="for athena: a source bucket that the table should know; may be repeated (default: each query names one)",
    )
    add_processes_argument(parser)
    add_reading_arguments(parser)


def run(args: Namespace) -> int:
    """Export, or print the statement. Return an exit code that says whether every rollup asked for is there now."""
    exported = import_querying("exported", "export")
    import_querying("parquet", "export")
    dropped = exported.check_dropped(args.drop or [])
    if args.ddl:
        return _print_ddl(args, dropped)
    if args.bucket:
        raise UsageError("--bucket is for --ddl athena: name the places to export as URIs")
    if not args.uris:
        raise UsageError("say what to export: s3://BUCKET/PREFIX, or local rollups")
    return _export(args, dropped)


def _print_ddl(args: Namespace, dropped: tuple[str, ...]) -> int:
    from s3_log_roller.querying.tables import FIRST_DAY, Table, ddl

    if args.uris:
        raise UsageError("--ddl exports nothing: leave out the URIs, or --ddl")
    if "://" in args.to:
        S3Uri.parse(args.to)
    buckets = tuple(sorted({check_bucket_name(name) for name in args.bucket or ()}))
    since = str(args.since or FIRST_DAY)
    with Output() as output:
        output.write_unchanged(ddl(args.ddl, Table(args.to, dropped, buckets, since)).encode())
    return 0


def _export(args: Namespace, dropped: tuple[str, ...]) -> int:
    from s3_log_roller.querying.choosing import Overview, find_exports
    from s3_log_roller.querying.exporting import Done, Export
    from s3_log_roller.reading.groups import find_groups
    from s3_log_roller.reading.parallel import Failure, batches, run_all
    from s3_log_roller.reading.selection import Selection

    since, until = (None if day is None else str(day) for day in (args.since, args.until))
    selection = Selection.parse(since, until, None)
    sources = sources_from(args.uris)
    target = _target(args.to)
    total, overview = Done(), Overview()
    with open_session(args) as session:

        def take(result: Done | Failure) -> None:
            nonlocal total
            if isinstance(result, Failure):
                session.failed(result.message)
            else:
                total += result

        def figures() -> list[str]:
            return [f"{count(total.rollups, 'rollup')} exported", f"{count(total.rows, 'record')}"]

        groups = find_groups(session.stores, sources, selection, session.failed, session.rollups_in)
        shares = find_exports(
            session.stores, groups, _exported(session, target, dropped), dropped, session.failed, overview
        )
        export = Export(session.open_stores, session.open_buckets, target, dropped)
        try:
            with session.progress(figures):
                run_all(export, batches(shares), args.processes, take, stores=session.stores, extent=session.extent)
        finally:
            _report(args, total, overview)
        if not (total.rollups or overview.already_there or session.failures):
            raise StorageError(f"there is no rollup of this time in {', '.join(args.uris)}: only rollups are exported")
        return session.exit_code


def _target(text: str) -> Target:
    """A prefix stands for a folder, so that what is put behind it is a path."""
    from s3_log_roller.local_files import LOCAL
    from s3_log_roller.reading.targets import Target

    if "://" not in text:
        return Target(LOCAL, text)
    uri = S3Uri.parse(text)
    return Target(uri.bucket, uri.prefix if uri.prefix.endswith("/") or not uri.prefix else f"{uri.prefix}/")


def _exported(session: Session, target: Target, dropped: tuple[str, ...]) -> Exported:
    """What the target has. Fails here and now where the target cannot be reached, not in a child process."""
    from s3_log_roller.local_files import LOCAL
    from s3_log_roller.querying.exported import Exported, list_bucket, list_directory

    if target.bucket == LOCAL:
        return Exported(list_directory(target.prefix), dropped)
    return Exported(list_bucket(session.stores(target.bucket), target.prefix), dropped)


def _report(args: Namespace, total: Done, overview: Overview) -> None:
    """Say what was done, and what is not in the target."""
    if total.rollups or overview.already_there:
        was = "was" if overview.already_there == 1 else "were"
        there = f", {overview.already_there:,} {was} there already" if overview.already_there else ""
        files = f"{count(total.files, 'file')}, {count(total.rows, 'record')}, {size(total.file_bytes)}"
        if not args.quiet:
            note(f"{count(total.rollups, 'rollup')} exported to {args.to} ({files}){there}")
    if total.unparsable:
        note(f"{count(total.unparsable, 'line')} cannot be read as log records: see the column raw")
    days = overview.not_rolled_up
    if days:
        more = f" and {len(days) - MAX_DAYS_NAMED:,} more" if len(days) > MAX_DAYS_NAMED else ""
        named = ", ".join(map(str, days[:MAX_DAYS_NAMED]))
        note(f"not rolled up, and so not exported: {named}{more}")
    if overview.with_loose and not args.quiet:
        has = "day has" if overview.with_loose == 1 else "days have"
        note(
            f"{overview.with_loose:,} {has} loose logs beside their rollups: those that are in no rollup yet are not "
            "exported; roll up first"
        )
