"""`worker`: process the tasks of an SQS queue."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Final

from s3_log_roller.cli import options, storing

DESCRIPTION: Final = (
    "Takes tasks from an SQS queue and rolls up the day groups that they name. Ends when the queue is empty. Any "
    "number of workers can share a queue."
)
EXAMPLES: Final = """\
examples:
  # roll up and delete nothing
  s3-log-roller worker --queue-name s3-rollup-us-west-2
  # roll up, and delete the originals that were verified
  s3-log-roller worker --queue-name s3-rollup-us-west-2 --delete
  # wait for more tasks until Ctrl-C or SIGTERM
  s3-log-roller worker --queue-name s3-rollup-us-west-2 --forever

The tasks say which buckets, days and role they mean. A task that fails stays in the queue. SQS hands it out again, and
after as many attempts as the redrive policy of the queue allows, moves it to the dead-letter queue.
"""
EXIT_CODES: Final = {
    0: "every task that was received is done",
    1: "the queue could not be used; the message says why",
    3: "some or all tasks failed, the others are done; SQS hands the failed ones out again",
}
IF_INTERRUPTED: Final = "what is done stays done; start a worker again to go on"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("--queue-name", required=True, metavar="NAME", help="name or URL of the SQS queue")
    how_long = parser.add_mutually_exclusive_group()
    how_long.add_argument("--count", type=options.at_least(1), metavar="N", help="end after N tasks")
    how_long.add_argument(
        "--forever", action="store_true", help="wait for more tasks when the queue is empty (default: end)"
    )
    options.add_rolling_arguments(parser)
    storing.add_storing_arguments(parser)
    options.add_manifest_argument(parser)
    options.add_connection_arguments(parser)
    options.add_output_arguments(parser)


def run(args: Namespace) -> int:
    """Process the queue's tasks. Return an exit code that says whether every task is done."""
    connection = options.connection_from(args)
    roll_options = storing.roll_options_from(args)
    from s3_log_roller.aws.sessions import Sessions
    from s3_log_roller.aws.sqs import SqsQueue
    from s3_log_roller.cli.rolling import rolling

    sessions = Sessions(profile=connection.profile, region=connection.region, timeout_s=connection.timeout_s)
    queue = SqsQueue(sessions.get(), args.queue_name, connection.timeout_s)
    with rolling(args, roll_options, connection, sessions) as job:
        job.worker(queue).work(max_tasks=args.count, forever=args.forever)
    return job.summary.exit_code
