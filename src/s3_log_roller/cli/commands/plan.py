"""`plan`: what `roll` would do, and what it would cost and save; it changes nothing."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Final

from s3_log_roller.cli import options, planning, prefixes, storing

DESCRIPTION: Final = """\
Counts what lies under the prefixes and says what `roll` with the same options would do: rollups, requests, cost, and
when it pays back. It lists everything (5 USD for a billion keys) and reads no logs unless --measure is given.
"""
EXAMPLES: Final = """\
examples:
  s3-log-roller plan --prefixes s3://my-logs/ --delete
  s3-log-roller plan --prefixes s3://my-logs/ --delete --measure --keep-days 90
  s3-log-roller plan --prefixes s3://my-logs/ --delete --json > plan.json
"""
EXIT_CODES: Final = {
    0: "everything was planned",
    1: "nothing could be planned; the message says why",
    3: "some prefixes could not be listed, the others are planned",
}
IF_INTERRUPTED: Final = "nothing was changed"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of the command: all of `roll`, and what the plan reckons with."""
    prefixes.add_prefix_arguments(parser)
    options.add_rolling_arguments(parser)
    storing.add_storing_arguments(parser)
    planning.add_plan_arguments(parser)
    options.add_connection_arguments(parser)
    options.add_output_arguments(parser)


def run(args: Namespace) -> int:
    """Plan and show it. Return an exit code that says whether every prefix could be planned."""
    return planning.show(planning.plan_from(args), args)
