"""Log records: the 27 fields of a line of an S3 server access log, and `--where` expressions over them.

Field names and order are those of the S3 User Guide, "Amazon S3 server access log format". Records written before a
field was added end early; fields added later are kept as `extra`. Request-URI, referer and user agent come from the
outside: the user agent may hold quotes, spaces and whole fake records, and S3 writes it as it came.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Final

from s3_log_roller.errors import UsageError

FIELDS: Final = (
    "bucket_owner",
    "bucket",
    "time",
    "remote_ip",
    "requester",
    "request_id",
    "operation",
    "key",
    "request_uri",
    "http_status",
    "error_code",
    "bytes_sent",
    "object_size",
    "total_time",
    "turn_around_time",
    "referer",
    "user_agent",
    "version_id",
    "host_id",
    "signature_version",
    "cipher_suite",
    "authentication_type",
    "host_header",
    "tls_version",
    "access_point_arn",
    "acl_required",
    "source_region",
)
EXTRA: Final = "extra"
"""Fields behind the last one this program knows; there only if a record has some."""
NUMBERS: Final = frozenset({"http_status", "bytes_sent", "object_size", "total_time", "turn_around_time"})
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
"""Shorter names that `--where` takes as well."""

Value = str | int | None | list[str]
Record = dict[str, Value]
"""All of `FIELDS` in order, null where the log has `-` or nothing, and `extra` where there is more."""

_HEAD: Final = re.compile(
    r"([^ ]+) ([^ ]+) \[([^]]{1,40})\] ([^ ]+) ([^ ]+) ([^ ]+) ([^ ]+) ([^ ]+) "
    r'(?:"(.*?)"|-) ([0-9]{3}|-) ([^ "]+) ([0-9]{1,19}|-) ([0-9]{1,19}|-) ([0-9]{1,19}|-) ([0-9]{1,19}|-) '
)
_REFERER: Final = re.compile(r'(?:"(.*?)"|-) (?="|- )')
_TAIL: Final = re.compile(r" [^ ]+ [^ ]+ (?:SigV[0-9A-Za-z]+|-) [^ ]+ (?:[A-Za-z]+|-) [^ ]+(?: .*)?")
"""Behind the user agent since 2019: version id, host id, signature version, cipher suite, authentication type, host."""
_OLD_TAIL: Final = re.compile(r'(?: [^ "]+)+')
_TOKEN: Final = re.compile(r'"[^"]*"(?= |$)|[^ ]+')
_TIME: Final = re.compile(
    r"([0-9]{2}/[A-Z][a-z]{2}/[0-9]{4}):([01][0-9]|2[0-3])(:[0-5][0-9]:[0-6][0-9]) ([+-][0-9]{4})"
)
_MONTHS: Final = ("", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def decode_line(line: bytes) -> str:
    """The line as text; bytes that are no UTF-8 become `\\xhh`."""
    return line.decode("utf-8", "backslashreplace")


def parse_record(line: str) -> Record | None:
    """The fields of a line without its line end; None if it is no record."""
    head = _HEAD.match(line)
    if head is None:
        return None
    referer = _REFERER.match(line, head.end())
    if referer is None:
        return None
    found = _split_user_agent(line, referer.end())
    time = _iso_time(head[3])
    if found is None or time is None:
        return None
    user_agent, tail = found
    texts: list[str | None] = [*head.groups(), referer[1], user_agent, *tail]
    record: Record = dict.fromkeys(FIELDS)
    record.update((name, None if text == "-" else text) for name, text in zip(FIELDS, texts, strict=False))
    record["time"] = time
    for name in NUMBERS:
        number = record[name]
        if isinstance(number, str):
            record[name] = int(number)
    if len(texts) > len(FIELDS):
        record[EXTRA] = tail[len(FIELDS) - len(texts) :]
    return record


def _split_user_agent(line: str, start: int) -> tuple[str | None, list[str]] | None:
    """(the user agent, the fields behind it).

    A quote ends it if fields follow that look like those behind a user agent; of several such quotes the last, because
    all but the last one may be what a client sent.
    """
    if line.startswith("- ", start):
        return None, _tokens(line, start + 1)
    for tail in (_TAIL, _OLD_TAIL):
        quote = len(line)
        while (quote := line.rfind('"', start + 1, quote)) >= 0:
            if tail.fullmatch(line, quote + 1):
                return line[start + 1 : quote], _tokens(line, quote + 1)
    return None


def _tokens(line: str, start: int) -> list[str]:
    return [token[1:-1] if token[0] == token[-1] == '"' != token else token for token in _TOKEN.findall(line, start)]


@lru_cache(maxsize=4096)
def _iso_day(text: str) -> str | None:
    try:
        return date(int(text[7:]), _MONTHS.index(text[3:6]), int(text[:2])).isoformat()
    except ValueError:
        return None


def _iso_time(text: str) -> str | None:
    match = _TIME.fullmatch(text)
    day = _iso_day(match[1]) if match else None
    if match is None or day is None:
        return None
    zone = match[4]
    return f"{day}T{match[2]}{match[3]}" + ("Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:]}")


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
