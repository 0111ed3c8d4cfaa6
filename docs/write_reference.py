"""`make docs-reference`: write what follows from the program's own parsers: pages of docs/reference, manual pages in
docs/man, and what completes the commands in shells, in docs/completions.

A test holds the pages to what this makes, so an option cannot be added or removed without its line in the reference.
"""

from __future__ import annotations

import os
import re
import sys
from argparse import SUPPRESS, Action, ArgumentParser
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Final

from argparse_manpage.manpage import Manpage

from s3_log_roller import __version__
from s3_log_roller.cli import exit_codes
from s3_log_roller.cli.commands.completion import script_for
from s3_log_roller.cli.parser import COMMANDS, DESCRIPTION, PROGRAM, build_parser, command_parser

REFERENCE: Final = Path(__file__).parent / "reference"
MANUAL: Final = Path(__file__).parent / "man"
COMPLETIONS: Final = Path(__file__).parent / "completions"
COMPLETION_FILES: Final = {"bash": PROGRAM, "zsh": f"_{PROGRAM}", "fish": f"{PROGRAM}.fish"}
"""By shell, the name under which it looks for the script."""
_ABOUT_EXIT_CODES: Final = """\
A script can rely on these codes. If something failed, standard error says in one line what failed, why, and what to do.
A program whose output nobody reads any more (`| head`) exits with 141, as shells expect.
"""
MADE_BY: Final = "<!-- Written by `make docs-reference`; change the program's help texts instead. -->\n"


def main() -> int:
    """Write the pages, the manual pages and the completion scripts."""
    for name, page in PAGES.items():
        (REFERENCE / name).write_text(page())
    MANUAL.mkdir(exist_ok=True)
    for old in MANUAL.iterdir():
        old.unlink()
    (MANUAL / f"{PROGRAM}.1").write_text(_manual_page(build_parser([], {}), PROGRAM, "roll up S3 server access logs"))
    for name, purpose in COMMANDS.items():
        page_name = f"{PROGRAM}-{name}"
        (MANUAL / f"{page_name}.1").write_text(_manual_page(command_parser(name, {}), page_name, purpose))
    COMPLETIONS.mkdir(exist_ok=True)
    for shell, file_name in COMPLETION_FILES.items():
        (COMPLETIONS / file_name).write_text(script_for(shell))
    return 0


def _manual_page(parser: ArgumentParser, name: str, purpose: str) -> str:
    os.environ["COLUMNS"] = "100"
    page = Manpage(
        parser, _data={"project_name": PROGRAM, "manual_title": PROGRAM, "description": purpose, "date": __version__}
    )
    page.prog = name
    return str(page).rstrip() + "\n"


def commands_page() -> str:
    """Every command with its options, examples and exit codes."""
    contents = "".join(f"| [`{name}`](#{name}) | {purpose} |\n" for name, purpose in COMMANDS.items())
    return (
        f"# Commands\n\n{MADE_BY}\n{DESCRIPTION}\n| command | what it does |\n|---|---|\n{contents}\n"
        f"`{PROGRAM} --version` prints the version, `{PROGRAM} COMMAND --help` the text below.\n"
        + "".join(f"\n{_command_section(name)}" for name in COMMANDS)
    )


def exit_codes_page() -> str:
    """The exit codes of every command."""
    sections = [
        f"\n## {name}\n\n| code | means |\n|---|---|\n"
        + "".join(
            f"| {code} | {meaning} |\n" for code, meaning in exit_codes.of_command(_module(name).EXIT_CODES).items()
        )
        for name in COMMANDS
    ]
    return f"# Exit codes\n\n{MADE_BY}\n{_ABOUT_EXIT_CODES}{''.join(sections)}"


PAGES: Final[dict[str, Callable[[], str]]] = {"commands.md": commands_page, "exit-codes.md": exit_codes_page}


def _module(name: str) -> ModuleType:
    return import_module(f"s3_log_roller.cli.commands.{name}")


def _command_section(name: str) -> str:
    module = _module(name)
    examples, _, remarks = module.EXAMPLES.removeprefix("examples:\n").partition("\n\n")
    parts = [
        f"## {name}",
        module.DESCRIPTION,
        *_option_tables(command_parser(name, {})),
        f"```\n{_unindent(examples)}```",
    ]
    parts += [remarks.strip()] if remarks.strip() else []
    parts.append(f"[Exit codes](exit-codes.md#{name})")
    return "\n\n".join(parts) + "\n"


def _option_tables(parser: ArgumentParser) -> Iterator[str]:
    for group in parser._action_groups:
        actions = [action for action in group._group_actions if action.help != SUPPRESS and action.dest != "help"]
        if actions:
            rows = "".join(f"| {_spelled(action)} | {_explained(parser, action)} |\n" for action in actions)
            yield f"| {(group.title or '').capitalize().replace('Aws', 'AWS')} | |\n|---|---|\n{rows}".rstrip()


def _spelled(action: Action) -> str:
    """The option as it is typed."""
    value = action.metavar or ("{" + ",".join(action.choices) + "}" if action.choices else action.dest.upper())
    more = " ..." if action.nargs == "+" else ""
    if not action.option_strings:
        return f"`{value}{more}`"
    return ", ".join(f"`{option}`" for option in action.option_strings) + (
        "" if action.nargs == 0 else f" `{value}{more}`"
    )


def _explained(parser: ArgumentParser, action: Action) -> str:
    text = parser._get_formatter()._expand_help(action)
    needed = " (required)" if action.option_strings and action.required else ""
    return text.replace("|", r"\|") + needed


def _unindent(text: str) -> str:
    return re.sub(r"^  ", "", text.rstrip("\n") + "\n", flags=re.MULTILINE)


if __name__ == "__main__":
    sys.exit(main())
