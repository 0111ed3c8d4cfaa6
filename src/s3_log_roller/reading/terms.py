"""`--where`: terms over the fields of a log record.

A term names a field, an operator and a value: `status=403`, `time>=2022-07-01T05`, `user_agent~^curl`.
"""

from __future__ import annotations

import re
import shlex
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, Protocol
from urllib.parse import unquote_plus

import re2

from s3_log_roller.errors import UsageError
from s3_log_roller.reading.records import FIELDS, NUMBERS, Record, Value, decode_line, iso_day, parse_record
from s3_log_roller.reading.selection import iso_time
from s3_log_roller.reading.strict_lines import DAY_CHARS, TIME_CHARS, TIME_LENGTHS, Shape, strict_lines

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
_RESTS_OF_TIME: Final = ("2001-01-01T00:00:00Z", "2000-10-10T00:00:00Z")
"""What may follow the beginning of a time. One of them makes a time of it, or it is not the beginning of one."""
MAX_VERDICTS: Final = 10_000
"""Remembered at a time: fields that terms name have few values as a rule."""


class Term(Protocol):
    """A condition on one field of a record."""

    @property
    def name(self) -> str:
        """The field's."""

    @property
    def time_chars(self) -> int:
        """So many characters of a log's time, `06/Feb/2019:00:00:38`, decide."""

    def __call__(self, record: Record) -> bool:
        """Whether the record matches; it need not have other fields than that one."""


@dataclass(frozen=True, slots=True)
class Where:
    """Terms, every one of which a record must match."""

    terms: tuple[Term, ...]
    needles: tuple[bytes, ...]
    """Every line whose record matches the terms holds all of these."""

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
        """Whether the record matches every term."""
        return all(term(record) for term in self.terms)


class Matcher:
    """Picks the lines whose records match; of plain lines it looks at the fields that the terms name alone."""

    def __init__(self, where: Where) -> None:
        self.unparsable = 0
        """Lines that are not records."""
        self._where = where
        named = {term.name for term in where.terms}
        self._names = tuple(name for name in FIELDS if name in named)
        self._time_chars = max((term.time_chars for term in where.terms), default=TIME_CHARS)
        self._shape = Shape()
        self._verdicts: dict[tuple[str, ...], bool] = {}

    def pick(self, lines: bytes) -> list[bytes]:
        """The lines that match, without their ends; `lines` ends with LF."""
        picked = []
        verdicts = self._verdicts
        for row in strict_lines(self._shape.fields, self._names, self._time_chars).findall(lines.decode("latin-1")):
            texts = row[1:-1]
            if row[0]:
                verdict = verdicts.get(texts)
                if verdict is None:
                    verdict = self._judge(texts)
                if verdict:
                    picked.append(row[0].encode("latin-1"))
            elif row[-1]:
                line = row[-1].encode("latin-1")
                if self._is_match(line):
                    picked.append(line)
        return picked

    def _judge(self, texts: tuple[str, ...]) -> bool:
        record: Record = dict(zip(self._names, (text or None for text in texts), strict=True))
        for name, text in zip(self._names, texts, strict=True):
            if name in NUMBERS and text:
                record[name] = int(text)
            elif name == "time":
                record[name] = f"{iso_day(text[:DAY_CHARS])}T{text[DAY_CHARS + 1 :]}Z"
        if len(self._verdicts) >= MAX_VERDICTS:
            self._verdicts.clear()
        verdict = self._verdicts[texts] = self._where.matches(record)
        return verdict

    def _is_match(self, line: bytes) -> bool:
        text = decode_line(line)
        if not text:
            return False
        self._shape.see(text)
        record = parse_record(text)
        if record is None:
            self.unparsable += 1
        return record is not None and self._where.matches(record)


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


def _parse_term(word: str) -> tuple[Term, bytes]:
    """The term, and what every line holds whose record matches it."""
    match = _TERM.fullmatch(word)
    if match is None:
        raise UsageError(f"--where {word!r}: write FIELD=VALUE (or != < <= > >= ~ !~), with spaces between terms")
    name = ALIASES.get(match[1].lower(), match[1].lower())
    operator, value = match[2], match[3]
    if name not in FIELDS:
        raise UsageError(f"--where {word!r}: there is no field {match[1]!r}; the fields are {', '.join(FIELDS)}")
    if operator in ("~", "!~"):
        return _search_term(word, name, value, wanted=operator == "~"), b""
    if value in ("", "-"):
        if operator not in ("=", "!="):
            raise UsageError(f"--where {word!r}: {operator} needs a value")
        return _Null(name, operator == "="), b""
    if name in NUMBERS:
        if not re.fullmatch(r"[0-9]{1,19}", value):
            raise UsageError(f"--where {word!r}: {name} needs a number")
        # A space follows every number. There may be zeros in front.
        return _Compare(name, operator, int(value)), b"%d " % int(value) if operator == "=" else b""
    if operator not in ("=", "!=") and name != "time":
        raise UsageError(f"--where {word!r}: {operator} works with numbers and with time only")
    if name == "time":
        return _Compare(name, operator, _time(word, value)), b""
    if operator != "=":
        return _Compare(name, operator, value), b""
    # Of a key, which is encoded in the log, only what no encoding changes. Anything else that is not ASCII is escaped.
    runs = re.findall(r"[A-Za-z0-9]+" if name == "key" else r"[ !-\[\]-~]+", value)
    return _Compare(name, operator, value), max(runs, key=len, default="").encode()


def _time(word: str, value: str) -> str:
    """A time as records have it, or what one begins with, such as `2022-07`."""
    with suppress(UsageError):
        return iso_time(value)
    for rest in _RESTS_OF_TIME if len(value) <= len(_RESTS_OF_TIME[0]) else ():
        with suppress(ValueError):
            datetime.strptime(value + rest[len(value) :], "%Y-%m-%dT%H:%M:%S%z")
            return value
    raise UsageError(f"--where {word!r}: {value!r} is not a time: write 2022-07-01 or 2022-07-01T05:15 (UTC)")


def _search_term(word: str, name: str, pattern: str, *, wanted: bool) -> Term:
    try:
        _compiled(pattern)
    except re2.error as error:
        reason = error.args[0].decode("utf-8", "replace") if error.args else "RE2 does not take it"
        raise UsageError(f"--where {word!r}: not a regular expression: {reason}") from error
    return _Search(name, pattern, wanted)


@lru_cache(maxsize=64)
def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    return re2.compile(pattern, options)


@dataclass(frozen=True, slots=True)
class _Null:
    name: str
    wanted: bool
    time_chars: int = DAY_CHARS

    def __call__(self, record: Record) -> bool:
        return (record[self.name] is None) == self.wanted


@dataclass(frozen=True, slots=True)
class _Search:
    name: str
    pattern: str
    wanted: bool
    time_chars: int = TIME_CHARS

    def __call__(self, record: Record) -> bool:
        return any(_compiled(self.pattern).search(str(value)) for value in _values(record, self.name)) == self.wanted


@dataclass(frozen=True, slots=True)
class _Compare:
    """Compares with a number or a text; a time also equals what it begins with, `time=2022-07-01T05`."""

    name: str
    operator: str
    value: int | str

    @property
    def time_chars(self) -> int:
        """See `Term.time_chars`. Less does where the value holds less, so far fewer different times come by."""
        # `2022-07-01T05` decides by `01/Jul/2022:05`: a character more, but for the date, which is taken whole.
        wanted = len(str(self.value)) + 1
        return next((chars for chars in TIME_LENGTHS if chars >= wanted), TIME_CHARS)

    def __call__(self, record: Record) -> bool:
        if self.operator in ("=", "!="):
            found = [self._comparable(value) for value in _values(record, self.name)]
            return (self.value in found) == (self.operator == "=")
        value = self._comparable(record[self.name])
        if isinstance(value, int) and isinstance(self.value, int):
            return _ordered(self.operator, (value > self.value) - (value < self.value))
        if isinstance(value, str) and isinstance(self.value, str):
            return _ordered(self.operator, (value > self.value) - (value < self.value))
        return False

    def _comparable(self, value: Value) -> Value:
        return value[: len(str(self.value))] if isinstance(value, str) and self.name == "time" else value


def _values(record: Record, name: str) -> list[Value]:
    """What a term on that field looks at: nothing for null; of a key all that it may be called."""
    value = record[name]
    if value is None:
        return []
    if name != "key" or not isinstance(value, str) or ("%" not in value and "+" not in value):
        return [value]
    once = unquote_plus(value, errors="backslashreplace")
    return [value, once, unquote_plus(once, errors="backslashreplace")]


def _ordered(operator: str, sign: int) -> bool:
    return sign in {"<": (-1,), "<=": (-1, 0), ">": (1,), ">=": (0, 1)}[operator]
