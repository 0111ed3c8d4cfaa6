"""Log records: the 27 fields of a line of an S3 server access log.

Field names and order are those of the S3 User Guide, "Amazon S3 server access log format". Records written before a
field was added end early; fields added later are kept as `extra`. Request-URI, referer and user agent come from the
outside: the user agent may hold quotes, spaces and whole fake records, and S3 writes it as it came.
"""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache
from typing import Final

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
