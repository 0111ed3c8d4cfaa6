"""`demo`: the whole job on this machine, with servers of its own and made-up logs."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Final

DESCRIPTION: Final = (
    "Starts an S3 and an SQS server on this machine, fills buckets with made-up logs, rolls them up over the queue "
    "with --delete, and proves every log out of the rollups. Needs no account, touches nothing of yours and leaves "
    "nothing behind."
)
EXAMPLES: Final = """\
examples:
  s3-log-roller demo
"""
EXIT_CODES: Final = {
    0: "everything came out as promised",
    1: "it did not, or the servers could not be started",
}


def add_arguments(parser: ArgumentParser) -> None:
    """The demo has no options; its own log is that of a quiet command."""
    parser.set_defaults(quiet=True, verbose=False, log_format="text")


def run(args: Namespace) -> int:
    """Run the demo; whatever it promised and did not keep is an error."""
    from s3_log_roller.demo.story import tell

    tell()
    return 0
