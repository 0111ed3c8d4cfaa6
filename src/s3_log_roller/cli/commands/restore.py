"""`restore`: extract originals from rollups."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Final

from s3_log_roller.amounts import count, size
from s3_log_roller.cli.output import note
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
from s3_log_roller.errors import StorageError
from s3_log_roller.uris import S3Uri

if TYPE_CHECKING:
    from s3_log_roller.reading.restoring import Restored

DESCRIPTION: Final = (
    "Extracts originals from rollups, byte for byte, into a directory or a bucket. A log that is in the target already "
    "is left alone; if it differs, that is an error."
)
EXAMPLES: Final = """\
examples:
  s3-log-roller restore s3://my-logs/example.com/ --since 2022-07-01 --to ./logs
  s3-log-roller restore s3://my-logs/web/ --until 2022-07-31 \\
      --to s3://my-logs/web/
  s3-log-roller restore rollup-2022-07-01-b33e1e0a.tgz --to . \\
      --member 2022-07-01-05-15-43-42117B9A70B0F1BA

The target gets the folders that the rollups have below the folder of the URI: with s3://my-logs/logs/ (or
s3://my-logs/logs/exam) the logs of logs/example.com/ go to TARGET/example.com/. In a directory, files get the times of
the originals. S3 does not allow that: in a bucket, LastModified is the time of the restore.
"""
EXIT_CODES: Final = {
    0: "every log asked for is in the target",
    1: "there is no such log, or nothing could be restored",
    3: "some logs could not be restored; the others are in the target",
}
IF_INTERRUPTED: Final = "the logs restored so far are in the target; run again to restore the others"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("uris", nargs="+", metavar="URI", help=WHERE_FROM)
    parser.add_argument("--to", required=True, metavar="TARGET", help="directory or s3://BUCKET/PREFIX to restore to")
    add_selection_arguments(parser)
    add_processes_argument(parser)
    add_reading_arguments(parser)


def run(args: Namespace) -> int:
    """Restore. Return an exit code that says whether every log asked for is there now."""
    from s3_log_roller.local_files import LOCAL
    from s3_log_roller.reading.groups import find_groups
    from s3_log_roller.reading.operations import Restore
    from s3_log_roller.reading.parallel import Failure, batches, run_all
    from s3_log_roller.reading.proofs import find_rollups
    from s3_log_roller.reading.restoring import Restored
    from s3_log_roller.reading.targets import Target

    selection = selection_from(args)
    sources = sources_from(args.uris)
    target = Target(LOCAL, args.to)
    if "://" in args.to:
        uri = S3Uri.parse(args.to)
        target = Target(uri.bucket, uri.prefix)
    with open_session(args) as session:
        if target.bucket != LOCAL:
            session.stores(target.bucket)  # fails here and now, not in a child process
        total = Restored()

        def take(result: Restored | Failure) -> None:
            if isinstance(result, Failure):
                session.failed(result.message)
            else:
                total.add(result)

        groups = find_groups(session.stores, sources, selection, session.failed, session.rollups_in)
        restore = Restore(session.open_stores, session.open_buckets, target)

        def figures() -> list[str]:
            return [f"{count(total.logs, 'log')} restored", size(total.log_bytes)]

        try:
            with session.progress(figures):
                work = batches(find_rollups(groups))
                run_all(restore, work, args.processes, take, stores=session.stores, extent=session.extent)
        finally:
            if not args.quiet and (total.logs or total.already_there or session.failures):
                note(_summary(total, args.to))
        if not (total.logs or total.already_there or session.failures):
            raise StorageError(nothing_found(args, "the rollups of "))
        return session.exit_code


def _summary(total: Restored, target: str) -> str:
    was = "was" if total.already_there == 1 else "were"
    there = f", {total.already_there:,} {was} there already" if total.already_there else ""
    return f"{count(total.logs, 'log')} ({count(total.log_bytes, 'byte')}) restored to {target}{there}"
