"""`roll`: producer and worker in one process, without a queue to set up."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import replace
from typing import Final

from s3_log_roller import clock
from s3_log_roller.cli import applying, options, planning, prefixes, storing

DESCRIPTION: Final = (
    "Finds every day of access logs under the prefixes, at any depth, and rolls it up into a tarball beside the logs, "
    "a rollup. It does the work of producer and worker in one process and needs no queue."
)
EXAMPLES: Final = """\
examples:
  # roll up and delete nothing
  s3-log-roller roll --prefixes s3://my-logs/
  # say what it would do, cost and save, if it also deleted; change nothing
  s3-log-roller roll --prefixes s3://my-logs/ --delete --dry-run
  # roll up, and delete the originals that were verified
  s3-log-roller roll --prefixes s3://my-logs/ --delete
  # do what `plan --save plan.json` saw, no more
  s3-log-roller roll --plan plan.json
  # a long history, with four processes; many buckets, but for some logs
  s3-log-roller roll --prefixes s3://my-logs/ --until 2022-12-31 --processes 4
  s3-log-roller roll --prefixes-from buckets.txt --exclude s3://my-logs/old/

Running it again is always safe: logs that are in a rollup already are not packed again. With --delete, the originals in
earlier rollups (leftovers) are deleted, too, after these rollups were verified.
"""
EXIT_CODES: Final = {
    0: "every day group that was found is done",
    1: "nothing could be done; the message says why",
    3: "some or all prefixes or day groups failed, the others are done; fix the cause and run again",
}
IF_INTERRUPTED: Final = "what is done stays done; run again to go on"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of the command."""
    prefixes.add_prefix_arguments(parser)
    options.add_rolling_arguments(parser)
    storing.add_storing_arguments(parser)
    options.add_manifest_argument(parser)
    parser.add_argument("--dry-run", action="store_true", help="change nothing: print the plan, as `plan` does")
    parser.add_argument("--plan", metavar="FILE", help="do what a plan says that `plan --save` wrote, and nothing else")
    planning.add_plan_arguments(parser, "the plan, with --dry-run")
    options.add_connection_arguments(parser)
    options.add_output_arguments(parser)


def run(args: Namespace) -> int:
    """Scan and roll up in turns. Return an exit code that says whether every prefix and day group is done."""
    if args.plan:
        return applying.apply(args)
    if args.dry_run:
        return planning.show(planning.plan_from(args), args)
    places = prefixes.places_from(args)
    roll_options = storing.roll_options_from(args)
    connection = replace(options.connection_from(args), bucket_regions=prefixes.bucket_regions(places))
    from s3_log_roller.aws.sessions import Sessions
    from s3_log_roller.cli.rolling import find_all_tasks, rolling
    from s3_log_roller.rolling.queue import InProcessQueue

    scans = prefixes.scans_from(args, places, clock.utc_today())
    sessions = Sessions(profile=connection.profile, region=connection.region, timeout_s=connection.timeout_s)
    with rolling(args, roll_options, connection, sessions, prefixes=len(places)) as job:
        tasks = find_all_tasks(scans, job.buckets, job.summary)
        job.worker(InProcessQueue(tasks)).work()
        prefixes.warn_of_unused_exclusions(args, job.summary)
    return job.summary.exit_code
