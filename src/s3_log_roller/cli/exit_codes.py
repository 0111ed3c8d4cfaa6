"""What the exit codes of the commands mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

ExitCodes = Mapping[int, str]

OF_EVERY_COMMAND: Final[ExitCodes] = {
    2: "the command line or a setting is wrong; nothing was done",
    130: "interrupted with Ctrl-C (143: with SIGTERM)",
}
"""What every command can exit with, unless it gives a code another meaning."""

INDENT: Final = 7
"""The column at which the meanings begin."""


def render(codes: ExitCodes) -> str:
    """The part of a help text that lists the exit codes of a command."""
    return "exit codes:\n" + "".join(
        f"  {code:<{INDENT - 2}}{meaning}\n" for code, meaning in of_command(codes).items()
    )


def of_command(codes: ExitCodes) -> ExitCodes:
    """The exit codes of a command, its own and those of every command, in ascending order."""
    return dict(sorted({**OF_EVERY_COMMAND, **codes}.items()))
