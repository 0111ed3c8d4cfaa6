"""`completion`: print the completion script of a shell."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Final

DESCRIPTION: Final = "Prints a script that lets a shell complete the commands and options of this program."
EXAMPLES: Final = """\
examples:
  s3-log-roller completion bash \\
      > ~/.local/share/bash-completion/completions/s3-log-roller
  s3-log-roller completion zsh > ~/.zfunc/_s3-log-roller
  s3-log-roller completion fish > ~/.config/fish/completions/s3-log-roller.fish

For zsh, ~/.zshrc needs two more lines: fpath+=~/.zfunc and autoload -U compinit && compinit.
"""
EXIT_CODES: Final = {
    0: "the script was printed",
}
IF_INTERRUPTED: Final = "nothing was done"

SHELLS: Final = ("bash", "zsh", "fish")
_FILE: Final = "FILE"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the argument of the command."""
    parser.add_argument("shell", choices=SHELLS, help="the shell to print the script for")
    parser.set_defaults(quiet=False, verbose=False, log_format="text")


def run(args: Namespace) -> int:
    """Print the script."""
    from s3_log_roller.cli.output import print_result

    print_result(script_for(args.shell))
    return 0


def script_for(shell: str) -> str:
    """The script for that shell, one of `SHELLS`."""
    import shtab

    from s3_log_roller.cli.parser import COMMANDS, build_parser, commands_of

    parser = build_parser(COMMANDS, {})
    for command in commands_of(parser).values():
        for action in command._actions:
            if action.metavar == _FILE:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
    script: str = shtab.complete(parser, shell)
    return script + "\n"
