"""What the commands that find and run tasks have in common: putting the parts together, and the final summary."""

from __future__ import annotations

import json
import logging
from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial

from s3_log_roller import clock
from s3_log_roller.aws.buckets import Buckets, Connection
from s3_log_roller.aws.sessions import Sessions
from s3_log_roller.cli.manifest import ManifestFile
from s3_log_roller.cli.output import print_result, wrapped
from s3_log_roller.cli.progress import ProgressLine, show_progress
from s3_log_roller.errors import CredentialsError, NoCredentials, RollerError, Unreachable
from s3_log_roller.rolling.manifest import NO_MANIFEST, Manifest
from s3_log_roller.rolling.meter import Meter, Ticker
from s3_log_roller.rolling.options import RollOptions
from s3_log_roller.rolling.producer import find_tasks
from s3_log_roller.rolling.queue import TaskQueue
from s3_log_roller.rolling.runner import InlineRunner, Outcome, Roll, Runner
from s3_log_roller.rolling.summary import Summary, render_text, to_json
from s3_log_roller.rolling.tasks import ScanTask, Task, WorkTask
from s3_log_roller.rolling.worker import Worker

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """The parts of a run that rolls."""

    buckets: Buckets
    runner: Runner
    summary: Summary

    def worker(self, queue: TaskQueue) -> Worker:
        """The worker for that queue."""
        return Worker(queue, self.runner, self.buckets.lease, clock.utc_today, self.summary)


def find_all_tasks(scans: Iterable[Sequence[ScanTask]], buckets: Buckets, summary: Summary) -> Iterator[Task]:
    """Find the tasks for scans of several roles. A prefix that cannot be scanned is told of, and the others go on."""

    def scan_failed(what: str, error: RollerError) -> None:
        all_fail = isinstance(error, (NoCredentials, Unreachable)) or (own and isinstance(error, CredentialsError))
        if all_fail and not summary.prefixes_scanned:
            raise error  # the others would all fail in the same way, after the same time
        sentence = f"{what} could not be scanned: {error}"
        logger.error("scan_failed", extra={"prefix": what, "why": str(error), "sentence": sentence})
        summary.scan_failed(what, error)

    for scans_of_a_role in scans:
        own = not scans_of_a_role or scans_of_a_role[0].role is None
        yield from find_tasks(scans_of_a_role, buckets.lease, scanned=summary.scanned, failed=scan_failed)


@contextmanager
def reporting(args: Namespace, summary: Summary, line: ProgressLine) -> Iterator[None]:
    """Show progress during the `with` block and print the summary at its end, however it ends."""
    finished = False
    try:
        with show_progress(line, wanted=not (args.quiet or args.no_progress) and args.log_format == "text"):
            yield
        finished = True
    except KeyboardInterrupt:
        summary.interrupted = True
        raise
    finally:
        if args.json:
            print_result(json.dumps(to_json(summary), indent=2) + "\n")
        elif not args.quiet:
            print_result(wrapped(render_text(summary, finished=finished)))


@contextmanager
def rolling(
    args: Namespace, options: RollOptions, connection: Connection, sessions: Sessions, prefixes: int = 0
) -> Iterator[Job]:
    """Everything a run that rolls needs, in this process or in as many as asked for. Raises `UsageError`."""
    summary = Summary(deleting=options.delete)
    meter = Meter(args.processes)
    buckets = Buckets(connection, sessions, options.stored_as)
    with ExitStack() as stack:
        manifest = NO_MANIFEST
        if args.manifest is not None:
            manifest = stack.enter_context(closing(ManifestFile(args.manifest, clock.utc_now)))
        stack.enter_context(reporting(args, summary, ProgressLine(summary, meter, prefixes)))
        stack.enter_context(closing(buckets))
        if (there := options.destination) is not None:
            with buckets.lease(there.uri.bucket, there.role, there.owner):
                pass  # what is wrong with it is told at once, and not of each day
        if args.processes == 1:
            roll = partial(_roll, buckets, options, manifest, Ticker(meter.cells, 0))
            yield Job(buckets, InlineRunner(roll), summary)
            return
        from s3_log_roller.rolling.processes import ProcessRunner

        if connection.max_in_flight is not None:
            connection = replace(connection, max_in_flight=max(1, connection.max_in_flight // args.processes))
        make_roll = partial(_make_roll, connection, options, args.manifest)
        runner = stack.enter_context(closing(ProcessRunner(args.processes, make_roll, meter)))
        yield Job(buckets, runner, summary)


def _make_roll(connection: Connection, options: RollOptions, manifest_path: str | None, ticker: Ticker) -> Roll:
    manifest = NO_MANIFEST if manifest_path is None else ManifestFile(manifest_path, clock.utc_now)
    return partial(_roll, Buckets(connection, stored_as=options.stored_as), options, manifest, ticker)


def _roll(buckets: Buckets, options: RollOptions, manifest: Manifest, ticker: Ticker, task: WorkTask) -> Outcome:
    from s3_log_roller.rolling.destination import open_destination
    from s3_log_roller.rolling.roll import roll

    with (
        buckets.lease(task.bucket, task.role, task.owner) as store,
        open_destination(buckets.lease, options.destination, task.bucket) as rollups,
    ):
        today = clock.utc_today()
        return roll(store, task, options, today=today, rollups=rollups, manifest=manifest, on_progress=ticker)
