"""`--where`: terms over the fields of a log record.

A term names a field, an operator and a value: `status=403`, `time>=2022-07-01T05`, `user_agent~^curl`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from s3_log_roller.errors import UsageError
from s3_log_roller.reading.records import FIELDS, NUMBERS, Record

ALIASES: Final = {
    "owner": "bucket_owner",
    "ip": "remote_ip",
    "uri": "request_uri",
    "status": "http_status",
    "error": "error_code",
    "referrer": "referer",
    "agent": "user_agent",
    "version": "version_id",
    "auth_type": "authentication_type",
    "host": "host_header",
    "region": "source_region",
}
"""Shorter names for fields."""


@dataclass(frozen=True, slots=True)
class Where:
    """Terms that a record has to fulfil, all of them."""

    terms: tuple[Callable[[Record], bool], ...]
    needles: tuple[bytes, ...]
    """Every line whose record fulfils the terms holds all of these."""

    @classmethod
    def parse(cls, texts: list[str]) -> Where:
        """Parse expressions such as `status=403 operation=REST.GET.OBJECT user_agent~"curl/[78]"`.

        Raises `UsageError`.
        """
        terms, needles = [], []
        for text in texts:
            for word in _split_words(text):
                term, needle = _parse_term(word)
                terms.append(term)
                needles += [needle] if needle else []
        return cls(tuple(terms), tuple(needles))

    def matches(self, record: Record) -> bool:
        """Whether the record fulfils every term."""
        return all(term(record) for term in self.terms)


def _split_words(text: str) -> list[str]:
    lexer = shlex.shlex(text, posix=True)
    lexer.whitespace_split = True
    lexer.commenters = lexer.escape = ""  # a backslash belongs to the regular expression
    try:
        words = list(lexer)
    except ValueError as error:
        raise UsageError(f"--where {text!r}: a quote is not closed") from error
    if not words:
        raise UsageError("--where is empty: write for example 'status=403 operation=REST.GET.OBJECT'")
    return words


_TERM: Final = re.compile(r"([a-zA-Z_]+)(!=|!~|<=|>=|=|~|<|>)(.*)", re.DOTALL)


def _parse_term(word: str) -> tuple[Callable[[Record], bool], bytes]:
    match = _TERM.fullmatch(word)
    if match is None:
        raise UsageError(f"--where {word!r}: write FIELD=VALUE (or != < <= > >= ~ !~), words apart by spaces")
    name = ALIASES.get(match[1].lower(), match[1].lower())
    operator, value = match[2], match[3]
    if name not in FIELDS:
        raise UsageError(f"--where {word!r}: there is no field {match[1]!r}; the fields are {', '.join(FIELDS)}")
    if operator in ("~", "!~"):
        return _search_term(word, name, value, wanted=operator == "~"), b""
    if value in ("", "-"):
        if operator not in ("=", "!="):
            raise UsageError(f"--where {word!r}: nothing is neither smaller nor larger than anything")
        return _Null(name, operator == "="), b""
    if name in NUMBERS:
        if not re.fullmatch(r"[0-9]{1,19}", value):
            raise UsageError(f"--where {word!r}: {name} is a number")
        return _Compare(name, operator, int(value)), value.encode() if operator == "=" else b""
    if operator not in ("=", "!=") and name != "time":
        raise UsageError(f"--where {word!r}: {operator} goes with numbers and with time")
    exact = operator == "=" and name != "time" and value.isascii() and "\\" not in value
    return _Compare(name, operator, value), value.encode() if exact else b""


def _search_term(word: str, name: str, pattern: str, *, wanted: bool) -> Callable[[Record], bool]:
    try:
        re.compile(pattern)
    except re.error as error:
        raise UsageError(f"--where {word!r}: not a regular expression: {error}") from error
    return _Search(name, pattern, wanted)


@dataclass(frozen=True, slots=True)
class _Null:
    name: str
    wanted: bool

    def __call__(self, record: Record) -> bool:
        return (record[self.name] is None) == self.wanted


@dataclass(frozen=True, slots=True)
class _Search:
    name: str
    pattern: str
    wanted: bool

    def __call__(self, record: Record) -> bool:
        value = record[self.name]
        return (value is not None and re.search(self.pattern, str(value)) is not None) == self.wanted


@dataclass(frozen=True, slots=True)
class _Compare:
    """Compares with a number or a text; a time also equals what it begins with, `time=2022-07-01T05`."""

    name: str
    operator: str
    value: int | str

    def __call__(self, record: Record) -> bool:
        value = record[self.name]
        if isinstance(value, str) and self.name == "time":
            value = value[: len(str(self.value))]
        if self.operator == "=":
            return value == self.value
        if self.operator == "!=":
            return value != self.value
        if isinstance(value, int) and isinstance(self.value, int):
            return _ordered(self.operator, (value > self.value) - (value < self.value))
        if isinstance(value, str) and isinstance(self.value, str):
            return _ordered(self.operator, (value > self.value) - (value < self.value))
        return False


def _ordered(operator: str, sign: int) -> bool:
    return sign in {"<": (-1,), "<=": (-1, 0), ">": (1,), ">=": (0, 1)}[operator]
