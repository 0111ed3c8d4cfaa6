"""The parser of the command line, and the look of its help texts."""

from __future__ import annotations

import importlib
import re
import shutil
import textwrap
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import Final, NoReturn

from s3_log_roller import __version__
from s3_log_roller.cli import exit_codes
from s3_log_roller.cli.environment import use_environment
from s3_log_roller.errors import UsageError

PROGRAM: Final = "s3-log-roller"
COMMANDS: Final = {
    "roll": "roll up the logs under some prefixes, here and now; begin with this one",
    "discover": "find the buckets of an account that log, and where their logs go",
    "plan": "say what roll would do, cost and save; change nothing",
    "producer": "find the days of logs under some prefixes and send tasks for them to an SQS queue",
    "worker": "process the tasks of an SQS queue",
    "ls": "list rollups, or the logs in them",
    "cat": "print log records, whether rolled up or not",
    "grep": "search log records, whether rolled up or not",
    "query": "answer questions in SQL about log records, whether rolled up or not",
    "export": "write the records of rollups into Parquet files, as tables for Athena, DuckDB, Spark and Trino",
    "report": "write a page about log records: who asked for what, what was refused, deleted, open to all",
    "verify": "prove that rollups are whole, log by log",
    "restore": "extract originals from rollups",
    "demo": "show the whole job on this machine, with its own servers and made-up logs",
    "policy": "print the IAM policy with the least permissions for some prefixes",
    "completion": "print the completion script of a shell",
}
"""Modules of `s3_log_roller.cli.commands`, and what they do."""

DESCRIPTION: Final = """\
Rolls each day of S3 server access logs into one compressed tarball beside them, a rollup, and reads the rollup back
from S3 to compare every log. Only then, and only with --delete, it deletes the originals. It never touches today's
logs (UTC).

In these texts, a target prefix is what stands before the date in a log's key, and a day group is the logs of one
bucket, target prefix and day.
"""
EXAMPLES: Final = """\
examples:
  s3-log-roller roll --prefixes s3://my-logs/
  s3-log-roller roll --prefixes s3://my-logs/ --delete
  s3-log-roller producer --queue-name s3-rollup-us-west-2 \\
      --prefixes s3://bucket1/ s3://bucket2/logs/
  s3-log-roller worker --queue-name s3-rollup-us-west-2 --delete
"""
EXIT_CODES: Final = {
    0: "done",
    1: "error: nothing could be done, or the work had to stop",
    3: "some of the work failed, the rest is done",
}
MAX_COLUMNS: Final = 100
"""Help texts are not wider than this, since long lines are hard to read."""


class HelpFormatter(RawDescriptionHelpFormatter):
    """Wraps paragraphs at the terminal's width. Indented lines, such as examples, stay as they are."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=min(shutil.get_terminal_size().columns, MAX_COLUMNS) - 2)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n\n".join(map(self._fill_paragraph, text.strip("\n").split("\n\n")))

    def _fill_paragraph(self, paragraph: str) -> str:
        if "\n  " not in paragraph:
            return textwrap.fill(paragraph, self._width, break_on_hyphens=False)
        return "\n".join(map(self._fill_exit_code, paragraph.split("\n")))

    def _fill_exit_code(self, line: str) -> str:
        if not re.match(r"  \d", line):
            return line
        return textwrap.fill(line, self._width, subsequent_indent=" " * exit_codes.INDENT, break_on_hyphens=False)


class Parser(ArgumentParser):
    """A parser whose errors are `UsageError`s of one line."""

    def error(self, message: str) -> NoReturn:
        """Raise `UsageError`, without the usage that argparse prints before it."""
        raise UsageError(f"{message} (see {self.prog} --help)")


def parse(argv: Sequence[str], environment: Mapping[str, str]) -> Namespace:
    """Parse the command line, with defaults from the environment. Raises `UsageError`."""
    name = next((word for word in argv if not word.startswith("-")), None)
    if name is not None and name not in COMMANDS:
        raise UsageError(f"there is no command {name!r}{_did_you_mean(name, COMMANDS)} (see {PROGRAM} --help)")
    parser = build_parser([name] if name else [], environment)
    args, rest = parser.parse_known_args(argv)
    if args.command is None:
        raise UsageError(f"name a command: {', '.join(COMMANDS)} (see {PROGRAM} --help)")
    if any(word.startswith("-") for word in rest) or not hasattr(args, "uris"):
        _refuse(rest, args.command, command_parser(args.command, environment))
    elif rest:
        args.uris = [*(args.uris or []), *rest]  # argparse takes URIs only where they stand together
    return args


def build_parser(wanted: Collection[str], environment: Mapping[str, str]) -> ArgumentParser:
    """The parser for command lines with the commands that are wanted: the others are listed, but have no options.

    Only the modules of these commands are imported.
    """
    parser = Parser(
        PROGRAM,
        description=DESCRIPTION,
        epilog=f"{EXAMPLES}\n{exit_codes.render(EXIT_CODES)}\n{PROGRAM} COMMAND --help tells more.",
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", parser_class=Parser)
    for name, purpose in COMMANDS.items():
        if name not in wanted:
            commands.add_parser(name, help=purpose)
            continue
        module = importlib.import_module(f"s3_log_roller.cli.commands.{name}")
        its_parser = commands.add_parser(
            name,
            help=purpose,
            description=module.DESCRIPTION,
            epilog=f"{module.EXAMPLES}\n{exit_codes.render(module.EXIT_CODES)}",
            formatter_class=HelpFormatter,
            allow_abbrev=False,
        )
        module.add_arguments(its_parser)
        use_environment(its_parser, environment)
    return parser


def command_parser(command: str, environment: Mapping[str, str]) -> ArgumentParser:
    """The parser of one command's own arguments."""
    return commands_of(build_parser([command], environment))[command]


def commands_of(parser: ArgumentParser) -> Mapping[str, ArgumentParser]:
    """The parsers of the commands of a parser that `build_parser` made."""
    (commands,) = (action.choices for action in parser._actions if isinstance(action.choices, dict))
    return commands


def _refuse(words: Sequence[str], command: str, parser: ArgumentParser) -> None:
    """Raise `UsageError` for words that the command does not take."""
    if not words:
        return
    unknown = next((word for word in words if word.startswith("-")), words[0]).partition("=")[0]
    if unknown.startswith("-"):
        guess = _did_you_mean(unknown, parser._option_string_actions)
        raise UsageError(f"{command} has no option {unknown}{guess} (see {parser.prog} --help)")
    raise UsageError(f"{command} does not take {unknown!r} (see {parser.prog} --help)")


def _did_you_mean(word: str, known: Collection[str]) -> str:
    begun = [name for name in known if len(word) > 2 and name.startswith(word)]
    likely = begun if len(begun) == 1 else get_close_matches(word, known, n=1)
    return f": did you mean {likely[0]}?" if likely else ""
