from __future__ import annotations

import ast
import dataclasses
import json
import re
from pathlib import Path

import pytest
from docs.write_reference import COMPLETION_FILES, COMPLETIONS, PAGES, REFERENCE
from tests.support.paths import ROOT
from tests.support.sample_report import sample_report

from s3_log_roller.aws_lambda.settings import Settings
from s3_log_roller.cli.commands.completion import SHELLS, script_for
from s3_log_roller.cli.environment import OPTIONS, variable
from s3_log_roller.cli.parser import COMMANDS, command_parser
from s3_log_roller.rolling.summary import Summary, to_json

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])

INVOCATION = re.compile(r"(?:^|(?<=\s)|(?<=`))s3-log-roller +((?:.*\\\n)*[^|&>;#`\n]*)", re.MULTILINE)
FIELD = re.compile(r"^\| `(\w+)` \| (\w+) \| .+ \|$", re.MULTILINE)


@pytest.mark.parametrize("name", PAGES)
def test_the_generated_pages_are_those_of_the_program(name: str) -> None:
    """Every command, option and exit code is documented, and nothing that is gone."""
    assert (REFERENCE / name).read_text() == PAGES[name](), "run: make docs-reference"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_manual_page_with_its_options(command: str) -> None:
    """`make docs-reference` writes it; the wheel holds it."""
    page = (ROOT / "docs" / "man" / f"s3-log-roller-{command}.1").read_text().replace("\\-", "-")
    documented = set(re.findall(r"\\fB(--[\w-]+)\\fR", page))
    options = {option for option in command_parser(command, {})._option_string_actions if option.startswith("--")}
    assert documented == options - {"--help", "--basic-regexp"}


@pytest.mark.parametrize("shell", SHELLS)
def test_the_completion_scripts_are_those_that_the_program_prints(shell: str) -> None:
    """The wheel installs the scripts that `s3-log-roller completion` prints."""
    assert (COMPLETIONS / COMPLETION_FILES[shell]).read_text() == script_for(shell), "run: make docs-reference"


def test_every_field_of_the_summary_is_documented() -> None:
    """`docs/reference/json.md` has the fields that `--json` prints, in their order, with their types."""
    section = (REFERENCE / "json.md").read_text().split("## roll, producer, worker")[1].split("\n## ")[0]
    assert FIELD.findall(section) == [(name, type_of(value)) for name, value in to_json(Summary()).items()]


@pytest.mark.parametrize(
    ("heading", "modules"),
    [
        ("## discover", ["cli/commands/discover.py"]),
        ("## plan, roll --dry-run", ["planning/document.py", "planning/saved.py"]),
        ("## ls", ["cli/commands/ls.py"]),
        ("## verify", ["cli/commands/verify.py"]),
        ("## The lines of a manifest", ["rollup/manifest.py"]),
        ("## report", ["querying/document.py"]),
    ],
)
def test_every_field_of_other_commands_is_documented(heading: str, modules: list[str]) -> None:
    """Every key that the modules put into their JSON is in that section, and every field of its tables is a key."""
    section = (REFERENCE / "json.md").read_text().split(f"{heading}\n")[1].split("\n## ")[0]
    sources = [(ROOT / "src" / "s3_log_roller" / module).read_text() for module in modules]
    keys = {key for source in sources for key in keys_of_dicts(source)}
    assert keys
    assert sorted(key for key in keys if f"`{key}`" not in section) == []
    cells = re.findall(r"^\| (`.+?`) \|", section, re.MULTILINE)
    fields = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    assert sorted(fields - keys) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_with_json_has_a_section(command: str) -> None:
    """What `--json` prints is told of for each command that has it, and for no other."""
    headings = re.findall(r"^## ([a-z, ]+?)(?:$| --)", (REFERENCE / "json.md").read_text(), re.MULTILINE)
    named = {name for heading in headings for name in heading.split(", ")} - {"policy"}
    assert (command in named) == ("--json" in command_parser(command, {})._option_string_actions)


def test_every_column_of_a_report_is_documented() -> None:
    """The rows of each answer, as the question has them."""
    section = (REFERENCE / "json.md").read_text().split("## The answers in a report\n")[1].split("\n## ")[0]
    documented = {
        row[0]: re.findall(r"`(\w+)`", row[1])
        for row in re.findall(r"^\| `([\w-]+)` \| (.+) \|$", section, re.MULTILINE)
    }
    answers = sample_report().answers
    assert documented == {name: list(answer.columns) for name, answer in answers.items()}


def keys_of_dicts(source: str) -> set[str]:
    """The names that stand as keys in a module's dictionaries."""
    return {
        key.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    }


def test_the_variables_are_documented() -> None:
    """`docs/reference/settings.md` has every variable that gives an option its default, and no other."""
    rows = re.findall(
        r"^\| `(S3_LOG_ROLLER_\w+)` \| `--([\w-]+)`", (REFERENCE / "settings.md").read_text(), re.MULTILINE
    )
    assert rows == [(variable(option), option.replace("_", "-")) for option in OPTIONS]


def test_the_variables_of_the_lambda_function_are_documented() -> None:
    """The guide has the variables that the function knows, and no other."""
    guide = (ROOT / "docs" / "guide" / "on-aws.md").read_text()
    fields = [f"ROLLUP_{field.name.upper()}" for field in dataclasses.fields(Settings)]
    assert re.findall(r"^\| `(ROLLUP_\w+)` \|", guide, re.MULTILINE) == fields


def type_of(value: object) -> str:
    text = json.dumps(value)
    kinds = {"[": "array", "{": "object", '"': "text", "t": "boolean", "f": "boolean"}
    return kinds.get(text[0], "number")


@pytest.mark.parametrize(
    "page",
    [page for page in DOCUMENTS if page.name != "mistakes.md"],  # where they are wrong on purpose
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_commands_in_the_documents_exist_with_their_options(page: Path) -> None:
    """Every `s3-log-roller …` in a document names a command and options that there are."""
    unknown = []
    for line in INVOCATION.findall(page.read_text()):
        words = line.replace("\\\n", " ").split()
        if not words or words[0] not in COMMANDS:
            continue
        options = {option for action in command_parser(words[0], {})._actions for option in action.option_strings}
        unknown += [f"{words[0]} {word}" for word in words if re.match(r"--[a-z]", word) and word not in options]
    assert unknown == []


def test_the_documents_show_commands_at_all() -> None:
    """The test above looks at something."""
    shown = {line.split()[0] for page in DOCUMENTS for line in INVOCATION.findall(page.read_text()) if line.split()}
    assert set(COMMANDS) <= shown
