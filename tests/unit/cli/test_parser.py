from __future__ import annotations

import pytest

from s3_log_roller.cli.environment import OPTIONS, variable
from s3_log_roller.cli.parser import COMMANDS, build_parser, command_parser, parse
from s3_log_roller.errors import UsageError

WORKER = ["worker", "--queue-name", "q"]


@pytest.mark.parametrize("columns", [60, 80, 300])
@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_the_terminal(command: str, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paragraphs are wrapped at its width and at no more than 100 columns; examples, to be copied, fit 80."""
    monkeypatch.setenv("COLUMNS", str(columns))
    usage, _, text = command_parser(command, {}).format_help().partition("\n\n")
    rest, _, examples = text.partition("\nexamples:\n")
    examples, _, remarks = examples.partition("\n\n")
    assert [line for line in f"{rest}\n{remarks}".splitlines() if len(line) > min(columns, 100)] == []
    assert [line for line in f"{usage}\n{examples}".splitlines() if len(line) > max(columns, 80)] == []
    assert f"  s3-log-roller {command}" in examples


def test_the_programs_own_help_fits_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a new user sees first."""
    monkeypatch.setenv("COLUMNS", "80")
    assert [line for line in build_parser([], {}).format_help().splitlines() if len(line) > 80] == []


def test_variables_set_defaults() -> None:
    """An option of the command line goes before its variable; an empty variable counts as not set."""
    environment = {"S3_LOG_ROLLER_LEVEL": "3", "S3_LOG_ROLLER_REGION": "eu-west-1", "S3_LOG_ROLLER_PROFILE": ""}
    args = parse([*WORKER, "--region", "us-west-2"], environment)
    assert (args.level, args.region, args.profile) == (3, "us-west-2", None)


def test_a_variable_does_for_an_option_that_is_required() -> None:
    """A worker's unit file can name the queue."""
    assert parse(["worker"], {"S3_LOG_ROLLER_QUEUE_NAME": "q"}).queue_name == "q"


@pytest.mark.parametrize(("text", "value"), [("true", True), ("1", True), ("no", False), ("OFF", False)])
def test_variables_of_switches_are_true_or_false(text: str, value: bool) -> None:
    """As in the Lambda function's settings."""
    assert parse(WORKER, {"S3_LOG_ROLLER_NO_PROGRESS": text}).no_progress is value


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("S3_LOG_ROLLER_LEVEL", "99", "S3_LOG_ROLLER_LEVEL: '99' is not a whole number, from 1 to 9"),
        ("S3_LOG_ROLLER_NO_PROGRESS", "maybe", "S3_LOG_ROLLER_NO_PROGRESS=maybe: write true or false"),
        ("S3_LOG_ROLLER_LOG_FORMAT", "xml", "S3_LOG_ROLLER_LOG_FORMAT=xml: write one of text, json"),
        ("S3_LOG_ROLLER_REGOIN", "x", "S3_LOG_ROLLER_REGOIN is not a variable of this program"),
        ("S3_LOG_ROLLER_DELETE", "true", "S3_LOG_ROLLER_DELETE is not a variable of this program"),
    ],
)
def test_a_wrong_variable_is_named(name: str, text: str, words: str) -> None:
    """Nothing is done with a setting that cannot be meant, and no variable switches deletion on."""
    with pytest.raises(UsageError, match=words):
        parse(WORKER, {name: text})


def test_help_names_the_variables_and_what_they_are_set_to() -> None:
    """Nobody has to guess where a default comes from."""
    text = " ".join(command_parser("worker", {"S3_LOG_ROLLER_LEVEL": "3"}).format_help().split())
    assert "[S3_LOG_ROLLER_LEVEL=3]" in text
    assert "[S3_LOG_ROLLER_REGION]" in text


def test_every_variable_belongs_to_an_option() -> None:
    """None of them does nothing."""
    text = "".join(command_parser(command, {}).format_help() for command in COMMANDS)
    assert [option for option in OPTIONS if variable(option) not in text] == []


def test_uris_may_stand_before_and_behind_options() -> None:
    """`ls s3://a/ -q s3://b/` names both."""
    assert parse(["ls", "s3://a/", "-q", "s3://b/"], {}).uris == ["s3://a/", "s3://b/"]
