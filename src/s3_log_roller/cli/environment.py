"""Defaults of options from `S3_LOG_ROLLER_*` environment variables."""

from __future__ import annotations

from argparse import Action, ArgumentParser, ArgumentTypeError
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Final

from s3_log_roller.errors import UsageError

PREFIX: Final = "S3_LOG_ROLLER_"
OPTIONS: Final = (
    "profile",
    "region",
    "endpoint_url",
    "allow_cross_region",
    "max_in_flight",
    "timeout",
    "expected_bucket_owner",
    "etags_not_md5",
    "s3_role",
    "external_id",
    "queue_name",
    "min_age_days",
    "max_age_days",
    "level",
    "storage_class",
    "tag",
    "sse",
    "sse_kms_key_id",
    "checksum",
    "acl",
    "destination",
    "destination_role",
    "destination_owner",
    "processes",
    "log_format",
    "no_progress",
)
"""The options that have a variable. What a run touches and whether it deletes is said on the command line only."""

_TRUE: Final = frozenset({"true", "1", "yes", "on"})
_FALSE: Final = frozenset({"false", "0", "no", "off"})


def variable(option: str) -> str:
    """The variable of an option: `S3_LOG_ROLLER_LEVEL` for `level`."""
    return PREFIX + option.upper()


def use_environment(parser: ArgumentParser, environment: Mapping[str, str]) -> None:
    """Let variables set the defaults of options, and name them in the help texts. An empty variable counts as not set.

    Raises `UsageError`, which names the variable.
    """
    unknown = sorted({name for name in environment if name.startswith(PREFIX)} - set(map(variable, OPTIONS)))
    if unknown:
        likely = get_close_matches(unknown[0], map(variable, OPTIONS), n=1)
        guess = f": did you mean {likely[0]}?" if likely else ""
        raise UsageError(
            f"{unknown[0]} is not a variable of this program{guess} (the help text of each command names its variables)"
        )
    for action in parser._actions:
        if action.dest not in OPTIONS or action.nargs == "+":
            continue
        name = variable(action.dest)
        text = environment.get(name, "").strip()
        if text:
            action.default = _value(action, name, text)
            action.required = False
        action.help = f"{action.help} [{name}{'=' if text else ''}{text.replace('%', '%%')}]"


def _value(action: Action, name: str, text: str) -> object:
    """What the variable's text means for the option."""
    if action.nargs == 0:
        if text.lower() in _TRUE | _FALSE:
            return text.lower() in _TRUE
        raise UsageError(f"{name}={text}: write true or false")
    if action.choices is not None and text not in action.choices:
        raise UsageError(f"{name}={text}: write one of {', '.join(action.choices)}")
    parse = action.type if callable(action.type) else str
    try:
        # An option that may be repeated takes a list; none of those here takes a comma itself.
        return list(map(parse, text.split(","))) if isinstance(action.default, list) else parse(text)
    except ArgumentTypeError as error:
        raise UsageError(f"{name}: {error}") from error
