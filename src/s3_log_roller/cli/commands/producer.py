"""`producer`: scan prefixes and send tasks for the day groups to an SQS queue."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import replace
from typing import Final

from s3_log_roller import clock
from s3_log_roller.cli import options, prefixes

DESCRIPTION: Final = (
    "Finds every day of access logs under the prefixes, at any depth, and sends tasks for them to an SQS queue, where "
    "workers take it. It reads listings only and changes nothing in the buckets."
)
EXAMPLES: Final = """\
examples:
  s3-log-roller producer --queue-name s3-rollup-us-west-2 \\
      --prefixes s3://bucket1/ s3://bucket2/logs/
  s3-log-roller producer --queue-name s3-rollup-us-west-2 \\
      --s3-role arn:aws:iam::123456789012:role/s3-rollup-bucket-access \\
      --prefixes s3://bucket1/ --since 2022-07-01 --until 2022-07-31
"""
EXIT_CODES: Final = {
    0: "every prefix was scanned, and the queue took all tasks",
    1: "no prefix could be scanned, or the queue did not take the tasks",
    3: "some prefixes could not be scanned; the tasks of the others were sent",
}
IF_INTERRUPTED: Final = (
    "the tasks sent so far are in the queue; run again to send the others, tasks sent twice do no harm"
)


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("--queue-name", required=True, metavar="NAME", help="name or URL of the SQS queue")
    prefixes.add_prefix_arguments(parser)
    options.add_connection_arguments(parser)
    options.add_output_arguments(parser)


def run(args: Namespace) -> int:
    """Send the tasks. Return an exit code that says whether every prefix was scanned."""
    places = prefixes.places_from(args)
    connection = replace(options.connection_from(args), bucket_regions=prefixes.bucket_regions(places))
    from s3_log_roller.aws.buckets import Buckets
    from s3_log_roller.aws.sessions import Sessions
    from s3_log_roller.aws.sqs import SqsQueue
    from s3_log_roller.cli.progress import ProgressLine
    from s3_log_roller.cli.rolling import find_all_tasks, reporting
    from s3_log_roller.rolling.meter import Meter
    from s3_log_roller.rolling.queue import warn_of_backlog
    from s3_log_roller.rolling.summary import Summary

    scans = prefixes.scans_from(args, places, clock.utc_today())
    summary = Summary()
    sessions = Sessions(profile=connection.profile, region=connection.region, timeout_s=connection.timeout_s)
    queue = SqsQueue(sessions.get(), args.queue_name, connection.timeout_s)
    buckets = Buckets(connection, sessions)
    with reporting(args, summary, ProgressLine(summary, Meter(0), prefixes=len(places))):
        warn_of_backlog(queue, args.queue_name)
        tasks = find_all_tasks(scans, buckets, summary)
        summary.tasks_sent = queue.send(tasks)
        prefixes.warn_of_unused_exclusions(args, summary)
        buckets.close()
    return summary.exit_code
