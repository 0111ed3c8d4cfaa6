"""Log records: the 27 fields of a line of an S3 server access log.

Field names and order are those of the S3 User Guide, "Amazon S3 server access log format". Records written before a
field was added end early; fields added later are kept as `extra`. Request-URI, referer and user agent come from the
outside: the user agent may hold quotes, spaces and whole fake records, and S3 writes it as it came.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from datetime import date
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_plus

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
"""Fields behind the last one this program knows, and tokens that do not fit; there only if a record has some."""
NUMBERS: Final = frozenset({"http_status", "bytes_sent", "object_size", "total_time", "turn_around_time"})

Value = str | int | None | list[str]
Record = dict[str, Value]
"""All of `FIELDS` in order, null where the log has `-` or nothing, and `extra` where there is more."""

_HEAD: Final = re.compile(
    r"([^ ]+) ([^ ]+) \[([^]]{1,40})\] ([^ ]+) (?:([^ ]+) ([^ ]+) ([^ ]+)"
    # CloudFront's identities are called `arn:aws:iam::cloudfront:user/CloudFront Origin Access Identity E1ABC`.
    r'|(arn:[^ "]+(?: [^ "]+){1,8}?) ([^ "]+) ([A-Z0-9]+\.[A-Z0-9_.]+)) ([^ ]+) '
    r'(?:"(.*?)"|-) ([0-9]{3}|-) ([^ "]+) ([0-9]{1,19}|-) ([0-9]{1,19}|-) ([0-9]{1,19}|-) ([0-9]{1,19}|-) '
)
_REFERER: Final = re.compile(r'(?:"(.*?)"|-) (?="|- )')
_SIGNED: Final = r" (?:SigV[0-9A-Za-z]+|-) [^ ]+ (?:[A-Za-z]+|-) [^ ]+(?: .*)?"
_TAIL: Final = re.compile(rf" [^ ]+ [^ ]+{_SIGNED}")
"""Behind the user agent since 2019: version id, host id, signature version, cipher suite, authentication type, host."""
_SHIFTED_TAIL: Final = re.compile(rf'( [^ "]+)((?: [^ "]+){{1,4}}?)( [^ "]+{_SIGNED.replace("|-", "", 1)})')
"""The same with tokens too many before the host id, as a public archive has it; only a signature's version tells."""
_OLD_TAIL: Final = re.compile(r'(?: [^ "]+)+')
"""Before 2019: the version id alone."""
_ENCODED_ONCE: Final = ("BATCH.", "S3.EXPIRE.")
_TOKEN: Final = re.compile(r'"[^"]*"(?= |$)|[^ ]+')
_TIME: Final = re.compile(
    r"([0-9]{2}/[A-Z][a-z]{2}/[0-9]{4}):([01][0-9]|2[0-3])(:[0-5][0-9]:[0-6][0-9]) ([+-][0-9]{4})"
)
_MONTHS: Final = ("", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def decode_line(line: bytes) -> str:
    """The line as text, without its line end and a byte order mark; bytes that are not UTF-8 become `\\xhh`."""
    return line.removeprefix(BOM_UTF8).removesuffix(b"\n").removesuffix(b"\r").decode("utf-8", "backslashreplace")


def decode_key(operation: Value, key: Value) -> str | None:
    """The object's key as its owner knows it; None if the record names no key.

    S3 URL-encodes keys twice, but once where it acts by itself: seen for BATCH.DELETE.OBJECT and S3.EXPIRE.OBJECT
    (Yelp, "S3 server access logs at scale", 2025).
    """
    if not isinstance(key, str):
        return None
    if "%" not in key and "+" not in key:
        return key
    once = unquote_plus(key, errors="backslashreplace")
    return once if str(operation).startswith(_ENCODED_ONCE) else unquote_plus(once, errors="backslashreplace")


def parse_record(line: str) -> Record | None:
    """The fields of a decoded line; None if it is not a record."""
    head = _HEAD.match(line)
    if head is None:
        return None
    referer = _REFERER.match(line, head.end())
    if referer is None:
        return None
    found = _split_user_agent(line, referer.end())
    time = iso_time(head[3])
    if found is None or time is None:
        return None
    user_agent, tail, extra = found
    who = head.group(5, 6, 7) if head[5] else head.group(8, 9, 10)
    texts = [*head.group(1, 2, 3, 4), *who, *head.groups()[10:], referer[1], user_agent, *tail]
    record: Record = dict.fromkeys(FIELDS)
    record.update((name, None if text == "-" else text) for name, text in zip(FIELDS, texts, strict=False))
    record["time"] = time
    for name in NUMBERS:
        number = record[name]
        if isinstance(number, str):
            record[name] = int(number)
    if len(texts) > len(FIELDS):
        extra += tail[len(FIELDS) - len(texts) :]
    if extra:
        record[EXTRA] = extra
    return record


def _split_user_agent(line: str, start: int) -> tuple[str | None, list[str], list[str]] | None:
    """(the user agent, the fields behind it, tokens that are not any of these).

    A quote ends it if fields follow that look like those behind a user agent; of several such quotes the last, because
    all but the last one may be what a client sent.
    """
    if line.startswith("- ", start):
        return None, *_split_tail(line, start + 1)
    for tails in ((_TAIL, _SHIFTED_TAIL), (_OLD_TAIL,)):
        quote = len(line)
        while (quote := line.rfind('"', start + 1, quote)) >= 0:
            if any(tail.fullmatch(line, quote + 1) for tail in tails):
                return line[start + 1 : quote], *_split_tail(line, quote + 1)
    return None


def _split_tail(line: str, start: int) -> tuple[list[str], list[str]]:
    """(the fields behind the user agent, tokens that are not any of these). What is not understood is not a field."""
    if _TAIL.fullmatch(line, start):
        return _tokens(line[start:]), []
    shifted = _SHIFTED_TAIL.fullmatch(line, start)
    if shifted:
        return _tokens(shifted[1] + shifted[3]), _tokens(shifted[2])
    tokens = _tokens(line[start:])
    return (tokens, []) if len(tokens) == 1 else ([], tokens)


def _tokens(text: str) -> list[str]:
    return [token[1:-1] if token[0] == token[-1] == '"' != token else token for token in _TOKEN.findall(text)]


@lru_cache(maxsize=4096)
def iso_day(text: str) -> str | None:
    """A log's date, `06/Feb/2019`, as ISO 8601 has it; None if there is no such day."""
    try:
        return date(int(text[7:]), _MONTHS.index(text[3:6]), int(text[:2])).isoformat()
    except ValueError:
        return None


def iso_time(text: str) -> str | None:
    """A log's time, `06/Feb/2019:00:00:38 +0000`, as ISO 8601 has it; None if there is no such time."""
    match = _TIME.fullmatch(text)
    day = iso_day(match[1]) if match else None
    if match is None or day is None:
        return None
    zone = match[4]
    return f"{day}T{match[2]}{match[3]}" + ("Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:]}")
