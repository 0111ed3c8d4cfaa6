"""`worker`: run the tasks of an SQS queue."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Final

from s3_log_roller.cli import options

DESCRIPTION: Final = (
    "Takes tasks from an SQS queue, one day of logs each, and rolls the logs up. Ends when the queue is empty."
)
EXAMPLES: Final = """\
examples:
  s3-log-roller worker --queue-name s3-rollup-us-west-2              roll up, delete nothing
  s3-log-roller worker --queue-name s3-rollup-us-west-2 --delete     and delete the verified originals
  s3-log-roller worker --queue-name s3-rollup-us-west-2 --forever    keep polling until Ctrl-C or SIGTERM

The days, buckets and role are the tasks' own. A task that fails stays in the queue, for its redrive policy.
"""
EXIT_CODES: Final = {
    0: "every task that was received is done",
    1: "the queue could not be used; the message says why",
    3: "some tasks failed, the others are done; SQS hands the failed ones out again",
}


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--queue-name", required=True, metavar="NAME", help="SQS queue, by name or URL")
    how_long = parser.add_mutually_exclusive_group()
    how_long.add_argument("--count", type=options.at_least(1), metavar="N", help="end after N tasks")
    how_long.add_argument("--forever", action="store_true", help="keep polling (default: end when the queue is empty)")
    options.add_rolling_arguments(parser)
    options.add_connection_arguments(parser)
    options.add_output_arguments(parser)


def run(args: Namespace) -> int:
    """Work the queue off; the exit code tells whether every task was done."""
    connection = options.connection_from(args)
    from s3_log_roller.aws.sessions import Sessions
    from s3_log_roller.aws.sqs import SqsQueue
    from s3_log_roller.cli.rolling import rolling

    sessions = Sessions(profile=connection.profile, region=connection.region)
    queue = SqsQueue(sessions.get(), args.queue_name)
    with rolling(args, connection, sessions) as job:
        job.worker(queue).work(max_tasks=args.count, forever=args.forever)
    return job.summary.exit_code
