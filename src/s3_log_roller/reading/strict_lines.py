"""Lines that can be read in one way only, many at a time.

`records.parse_record` is what a record is, and takes its time. Most lines are plain: printable ASCII, no quotes inside
quotes, no backslashes. A regular expression without backtracking tells them, and plain splitting takes them apart. It
matches nothing that `parse_record` would read differently; whatever it doesn't match is for `parse_record`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from s3_log_roller.reading.records import FIELDS, NUMBERS, iso_day

MIN_FIELDS: Final = 23
"""Of the strict grammar: records since 2019 have at least the fields up to the host header."""
QUOTED: Final = ("request_uri", "referer", "user_agent")

_TAIL: Final = FIELDS.index("version_id")
_ZONE_PLACE: Final = FIELDS.index("time") + 1
_WORD: Final = r"[!#-\[\]-~]++"
_TEXT: Final = r"[ !#-\[\]-~]++"
_NUMBER: Final = r"0|[1-9][0-9]{0,18}+"
_DAY: Final = (
    r"(?:(?:0[1-9]|1[0-9]|2[0-8])/(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)/20[0-9]{2}"
    r"|29/Feb/20(?:[02468][048]|[13579][26])"
    r"|(?:29|30)/(?:Jan|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)/20[0-9]{2}"
    r"|31/(?:Jan|Mar|May|Jul|Aug|Oct|Dec)/20[0-9]{2})"
)
_CLOCK: Final = (r":(?:[01][0-9]|2[0-3])", r":[0-5][0-9]", r":[0-5][0-9]")
DAY_CHARS: Final = len("06/Feb/2019")
TIME_CHARS: Final = len("06/Feb/2019:00:00:38")
TIME_LENGTHS: Final = (DAY_CHARS, DAY_CHARS + 3, DAY_CHARS + 6, TIME_CHARS)
"""The lengths of a time's day, hour, minute and second."""


def _field(name: str, names: tuple[str, ...] = (), *, time_chars: int = TIME_CHARS, quotes: bool | None = None) -> str:
    """The expression for one field, in a group if it is one of `names`; with `quotes`, without them, or either."""
    start, stop = ("(", ")") if name in names else ("(?:", ")")
    if name == "time":
        parts = TIME_LENGTHS.index(time_chars)
        return rf"\[{start}{_DAY}{''.join(_CLOCK[:parts])}{stop}{''.join(_CLOCK[parts:])} \+0000\]"
    if name in QUOTED:
        quoted = f'"(?:-(?=")|{start}{_TEXT}{stop})"'
        return {None: f"(?:-|{quoted})", True: quoted, False: "-"}[quotes]
    if name == "http_status":
        return f"(?:-|{start}[1-9][0-9][0-9]{stop})"
    if name in NUMBERS:
        return f"(?:-|{start}{_NUMBER}{stop})"
    if name == "signature_version":
        return f"(?:-|{start}SigV[0-9A-Za-z]++{stop})"
    if name == "authentication_type":
        return f"(?:-|{start}[A-Za-z]++{stop})"
    return f"(?:-(?= |\n)|{start}{_WORD}{stop})" if names else _WORD


@lru_cache(maxsize=64)
def strict_lines(fields: int, names: tuple[str, ...], time_chars: int = TIME_CHARS) -> re.Pattern[str]:
    """For `findall`, which gives of each line: the line, its fields called `names` in their order, and an empty text.

    Of a line that is not in the strict grammar or has not just that many fields: empty texts, and the line last.
    Lines end with LF, and so does the text. Fields that the log has as `-` are empty;
    of the time come the first `time_chars` characters.
    """
    line = " ".join(_field(name, names, time_chars=time_chars) for name in FIELDS[:fields])
    missing = "()" * sum(name in names for name in FIELDS[fields:])
    return re.compile(rf"({line}){missing}\n|([^\n]*+)\n")


def plain_line(fields: int) -> str:
    """The expression, for RE2, for a line of the strict grammar with just that many fields, without its end.

    Numbers have up to 18 digits, so that 63 bits hold them.
    """
    return " ".join(map(_plain_field, FIELDS[:fields]))


def _plain_field(name: str) -> str:
    if name == "time":
        return rf"\[{_DAY}{''.join(_CLOCK)} \+0000\]"
    if name in QUOTED:
        return r'(?:-|"[ !#-\[\]-~]+")'
    if name == "http_status":
        return "(?:-|[1-9][0-9][0-9])"
    if name in NUMBERS:
        return "(?:-|0|[1-9][0-9]{0,17})"
    if name == "signature_version":
        return "(?:-|SigV[0-9A-Za-z]+)"
    if name == "authentication_type":
        return "(?:-|[A-Za-z]+)"
    return r"[!#-\[\]-~]+"


@lru_cache(maxsize=64)
def _run(fields: int, *, quotes: bool) -> re.Pattern[str]:
    """Neighbouring lines of the strict grammar with just that many fields; requests have quotes, S3's own acts none."""
    return re.compile(f"(?:{' '.join(_field(name, quotes=quotes) for name in FIELDS[:fields])}\n)++")


class Shape:
    """How many fields records have: all of a bucket's records of one time have as many."""

    def __init__(self) -> None:
        self.fields = len(FIELDS)

    def see(self, line: str) -> None:
        """Learn from a line that has not as many, if it is one."""
        tail = line[line.rfind('"') + 1 :]
        fields = _TAIL + tail.count(" ")
        if tail.startswith(" ") and MIN_FIELDS <= fields <= len(FIELDS):
            self.fields = fields


class Columns(NamedTuple):
    """Records field by field; `number` of them."""

    number: int
    fields: dict[str, list[str]]
    """Of each field that the records have, the texts in order: `-` where the log has nothing; times as ISO 8601."""


def split_lines(text: str, shape: Shape) -> Iterator[Columns | str]:
    """Runs of lines of the strict grammar, taken apart, and all other lines one by one, as they stand.

    `text` has a character for each byte, and ends with LF.
    """
    at = 0
    while at < len(text):
        for quotes in (True, False):
            run = _run(shape.fields, quotes=quotes).match(text, at)
            if run:
                yield _take_apart(run[0], shape.fields)
                break
        end = run.end() if run else text.index("\n", at) + 1
        if run is None:
            yield text[at : end - 1]
        at = end


def _take_apart(run: str, fields: int) -> Columns:
    parts = run.split('"')
    # Behind each quoted text that is cut out here two spaces meet: an empty token stands in its place.
    tokens = "".join(parts[::2]).replace("\n", " ").split(" ")
    stride = fields + 1  # the time holds a space
    columns: dict[str, list[str]] = {}
    for number, name in enumerate(FIELDS[:fields]):
        columns[name] = tokens[number + (number >= _ZONE_PLACE) : -1 : stride]
    # `[06/Feb/2019:00:00:38`, and of few days.
    days = {text: iso_day(text[1:]) for text in {text[:12] for text in columns["time"]}}
    columns["time"] = [f"{days[text[:12]]}T{text[13:]}Z" for text in columns["time"]]
    if len(parts) > 1:
        for number, name in enumerate(QUOTED):
            columns[name] = parts[2 * number + 1 :: 2 * len(QUOTED)]
    return Columns(len(tokens) // stride, columns)
