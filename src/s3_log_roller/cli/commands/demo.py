"""`demo`: the whole job on this machine, with its own servers and made-up logs."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Final

DESCRIPTION: Final = (
    "Starts an S3 server and an SQS server on this machine, fills buckets with made-up logs, rolls them up with "
    "--delete, and proves that every log is in the rollups. It needs no AWS account, touches nothing of yours and "
    "leaves nothing behind."
)
EXAMPLES: Final = """\
examples:
  s3-log-roller demo
"""
EXIT_CODES: Final = {
    0: "everything came out as promised",
    1: "it did not, or the servers could not be started",
}
IF_INTERRUPTED: Final = "its servers are stopped and their files are gone"


def add_arguments(parser: ArgumentParser) -> None:
    """Add nothing: the demo has no options. It logs warnings and errors only."""
    parser.set_defaults(quiet=True, verbose=False, log_format="text")


def run(args: Namespace) -> int:
    """Run the demo. Raises `DemoFailed` if it does not keep a promise."""
    from s3_log_roller.demo.story import tell

    tell()
    return 0
