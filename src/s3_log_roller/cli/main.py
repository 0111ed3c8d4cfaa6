"""The command line: finds the command, runs it, and turns whatever goes wrong into one line and an exit code."""

from __future__ import annotations

import gc
import importlib
import logging
import os
import signal
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from types import FrameType
from typing import Final, NoReturn

from s3_log_roller import __version__
from s3_log_roller.cli import exit_codes
from s3_log_roller.errors import RollerError, UsageError
from s3_log_roller.log_output import configure_logging, printable

logger = logging.getLogger(__name__)

PROGRAM: Final = "s3-log-roller"
COMMANDS: Final = {
    "roll": "roll up the logs under some prefixes, here and now; the one to start with",
    "producer": "scan prefixes and send a task per day of logs to an SQS queue",
    "worker": "run the tasks of an SQS queue",
    "ls": "list rollups, or what is inside them",
    "cat": "write log records, rolled up or not",
    "grep": "search log records, rolled up or not",
    "verify": "prove rollups, member by member",
    "restore": "put originals back out of rollups",
    "demo": "show the whole job on this machine, with servers of its own and made-up logs",
    "policy": "print the least-privilege IAM policy for some prefixes",
}
"""Modules of `s3_log_roller.cli.commands`, and what they do."""

DESCRIPTION: Final = """\
Rolls each day of S3 server access logs up into one compressed tarball beside them, reads it back from S3 and
compares every log, and only then, and only with --delete, deletes the originals. Today's logs (UTC) are never touched.
"""
EXIT_CODES: Final = {
    0: "done",
    1: "error: nothing could be done, or the work had to stop",
    3: "some of the work failed, the rest is done",
}
EXAMPLES: Final = """\
examples:
  s3-log-roller roll --prefixes s3://my-logs/
  s3-log-roller roll --prefixes s3://my-logs/ --delete
  s3-log-roller producer --queue-name s3-rollup-us-west-2 --prefixes s3://bucket1/ s3://bucket2/logs/
  s3-log-roller worker --queue-name s3-rollup-us-west-2 --delete
"""


_GC_THRESHOLD: Final = 100_000
"""New objects between two looks for reference cycles. What is loaded at the start stays: to look through it again and
again was a third of the start-up's CPU time."""


class Terminated(KeyboardInterrupt):
    """SIGTERM came."""


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, without the usage before it."""
        raise UsageError(f"{message} (see {self.prog} --help)")


def main(argv: list[str] | None = None) -> int:
    """Run the program and return its exit code."""
    gc.set_threshold(_GC_THRESHOLD)
    configure_logging()
    signal.signal(signal.SIGTERM, _terminate)
    try:
        return run_command(sys.argv[1:] if argv is None else argv)
    except UsageError as error:
        return _complain(str(error), 2)
    except RollerError as error:
        return _complain(str(error), 1)
    except Terminated:
        return _complain("terminated: what was running was stopped and undone; run again to go on", 143)
    except KeyboardInterrupt:
        return _complain("interrupted: what was running was stopped and undone; run again to go on", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except Exception:
        logger.exception("bug")
        return _complain("this is a bug in the roller: please report it with the lines above", 1)
    finally:
        gc.freeze()  # the interpreter would look through everything once more before it ends


def run_command(argv: list[str]) -> int:
    """Parse the arguments and run the command. Raises what the command raises."""
    args = build_parser(argv).parse_args(argv)
    if args.command is None:
        raise UsageError(f"no command: one of {', '.join(COMMANDS)} (see {PROGRAM} --help)")
    from s3_log_roller.cli.options import configure_output

    configure_output(args)
    code: int = importlib.import_module(f"s3_log_roller.cli.commands.{args.command}").run(args)
    return code


def build_parser(argv: list[str]) -> ArgumentParser:
    """The parser for these arguments: only the command they name has its options, and is imported."""
    parser = _Parser(
        PROGRAM,
        description=DESCRIPTION,
        epilog=f"{EXAMPLES}\n{exit_codes.render(EXIT_CODES)}\n{PROGRAM} COMMAND --help tells more.",
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", parser_class=_Parser)
    for name, purpose in COMMANDS.items():
        if name not in argv:
            commands.add_parser(name, help=purpose)
            continue
        module = importlib.import_module(f"s3_log_roller.cli.commands.{name}")
        command = commands.add_parser(
            name,
            help=purpose,
            description=module.DESCRIPTION,
            epilog=f"{module.EXAMPLES}\n{exit_codes.render(module.EXIT_CODES)}",
            formatter_class=RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        module.add_arguments(command)
    return parser


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated


def _complain(message: str, code: int) -> int:
    sys.stderr.write(f"{PROGRAM}: {printable(message)}\n")
    return code
