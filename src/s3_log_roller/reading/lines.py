"""Looks through logs for lines and shows them: as they are, as JSON or as CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from s3_log_roller.log_output import printable
from s3_log_roller.reading.logs import Origin, Piece
from s3_log_roller.reading.patterns import Pattern
from s3_log_roller.reading.records import EXTRA, FIELDS, Record, decode_line, parse_record
from s3_log_roller.reading.tarball import Member
from s3_log_roller.reading.terms import Where

Format = Literal["text", "json", "csv"]
Show = Literal["lines", "count", "names", "nothing"]

MAX_LINE_BYTES: Final = 8 << 20
"""A longer line is looked at in pieces of that length."""
OUT_BYTES: Final = 1 << 18
RAW: Final = "raw"
"""What a line that does not parse is shown as."""
CSV_COLUMNS: Final = (*FIELDS, EXTRA, RAW)


@dataclass(frozen=True, slots=True)
class Query:
    """Which lines are wanted, and how they are shown."""

    pattern: Pattern | None = None
    where: Where | None = None
    invert: bool = False
    show: Show = "lines"
    output: Format = "text"
    with_names: bool = False
    on_terminal: bool = False
    """Names are shown on one line, without anything a terminal might act on."""

    def may_match(self, tar: bytes) -> bool:
        """Whether a line of the logs in that piece of tar can be wanted."""
        if self.where is not None and not all(needle in tar for needle in self.where.needles):
            return False
        pattern = self.pattern
        if pattern is None or self.invert:
            return True
        if pattern.literal is not None:
            return pattern.literal in tar
        return not pattern.is_local or pattern.regex.search(tar) is not None

    @property
    def skips_pieces(self) -> bool:
        """`may_match` can save work."""
        return (self.where is not None and bool(self.where.needles)) or (self.pattern is not None and not self.invert)


@dataclass(slots=True)
class Tally:
    """What was seen in a share of the work; `counts` by file, for `count`."""

    matched: int = 0
    unparsable: int = 0
    logs: int = 0
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, other: Tally) -> None:
        """Count in what was seen elsewhere."""
        self.matched += other.matched
        self.unparsable += other.unparsable
        self.logs += other.logs
        for name, count in other.counts.items():
            self.counts[name] = self.counts.get(name, 0) + count


class LineReader:
    """Runs a query over the pieces of logs."""

    def __init__(self, query: Query) -> None:
        self.query = query
        self.tally = Tally()
        self._out = bytearray()

    def run(self, pieces: Iterable[Piece]) -> Iterator[bytes]:
        """What is to be written, in pieces of about `OUT_BYTES`."""
        held = b""
        holder: tuple[Origin, Member] | None = None
        skip = False
        names_only = self.query.show in ("names", "nothing")
        for origin, member, piece, last in pieces:
            if held and holder is not None and holder[1] is not member:
                self._take(*holder, held)  # that log was cut off, and the failure was told
                held, skip = b"", False
            if not skip:
                data = held + piece if held else piece
                held = b""
                if not last:
                    end = data.rfind(b"\n") + 1
                    if not end and len(data) < MAX_LINE_BYTES:
                        held, holder = data, (origin, member)
                        continue
                    end = end or len(data)
                    data, held = data[:end], data[end:]
                holder = (origin, member)
                matched = self._take(origin, member, data)
                skip = names_only and matched
            if last:
                self.tally.logs += 1
                held, skip = b"", False
            if len(self._out) >= OUT_BYTES:
                yield bytes(self._out)
                self._out.clear()
            if self.query.show == "nothing" and self.tally.matched:
                break
        if held and holder is not None:
            self._take(*holder, held)
        if self._out:
            yield bytes(self._out)
            self._out.clear()

    def _take(self, origin: Origin, member: Member, data: bytes) -> bool:
        """Look at whole lines of a log; whether one is wanted."""
        query = self.query
        before = self.tally.matched
        if query.show == "lines":
            name = self._name(origin, member) if query.with_names else ""
            if query.output == "text":
                prefix = f"{name}:".encode("utf-8", "surrogateescape") if name else b""
                for line in self._wanted(data):
                    self._out += b"%b%b\n" % (prefix, line)
            elif query.output == "json":
                self._write_json(data, name)
            else:
                self._write_csv(data, name)
        elif query.show == "count":
            count = sum(1 for _ in self._wanted(data))
            name = self._name(origin._replace(is_packed=False), member)
            self.tally.counts[name] = self.tally.counts.get(name, 0) + count
        elif next(self._wanted(data), None) is not None and query.show == "names":
            self._out += f"{self._name(origin, member)}\n".encode("utf-8", "surrogateescape")
        return self.tally.matched > before

    def _name(self, origin: Origin, member: Member) -> str:
        name = origin.name(member)
        return printable(name) if self.query.on_terminal else name

    def _wanted(self, data: bytes) -> Iterator[bytes]:
        """The lines wanted, without their ends; each is counted."""
        where = self.query.where
        for line in self._matching(data):
            if where is not None:
                record = parse_record(decode_line(line))
                if record is None:
                    self.tally.unparsable += 1
                    continue
                if not where.matches(record):
                    continue
            self.tally.matched += 1
            yield line

    def _matching(self, data: bytes) -> Iterator[bytes]:
        """The lines that match the pattern, or do not if inverted."""
        pattern = self.query.pattern
        if pattern is None:
            needles = self.query.where.needles if self.query.where else ()
            yield from (line for line in _lines(data) if all(needle in line for needle in needles))
        elif self.query.invert:
            search = pattern.regex.search
            yield from (line for line in _lines(data) if not search(line))
        elif pattern.literal is not None:
            yield from _lines_holding(data, pattern.literal)
        else:
            yield from _lines_matching(data, pattern)

    def _records(self, data: bytes, name: str) -> Iterator[dict[str, Any]]:
        for line in self._wanted(data):
            text = decode_line(line)
            record: Record | None = parse_record(text)
            if record is None:
                self.tally.unparsable += 1
                record = {RAW: text}
            yield {"log": name, **record} if name else record

    def _write_json(self, data: bytes, name: str) -> None:
        for record in self._records(data, name):
            self._out += json.dumps(record, separators=(",", ":")).encode() + b"\n"

    def _write_csv(self, data: bytes, name: str) -> None:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        for record in self._records(data, name):
            if EXTRA in record:
                record[EXTRA] = " ".join(record[EXTRA])
            columns = ("log", *CSV_COLUMNS) if name else CSV_COLUMNS
            writer.writerow([record.get(column) for column in columns])
        self._out += text.getvalue().encode()


def csv_header(*, with_names: bool) -> bytes:
    """The first line of CSV output."""
    return ",".join(("log", *CSV_COLUMNS) if with_names else CSV_COLUMNS).encode() + b"\n"


def _lines(data: bytes) -> list[bytes]:
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return lines


def _lines_holding(data: bytes, literal: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(data):
        found = data.find(literal, position)
        if found < 0:
            return
        start = data.rfind(b"\n", position, found) + 1 or position
        end = data.find(b"\n", found)
        end = len(data) if end < 0 else end
        yield data[start:end]
        position = end + 1


def _lines_matching(data: bytes, pattern: Pattern) -> Iterator[bytes]:
    """A search through all lines at once finds a match that starts no later than the first matching line's own; so
    whatever line it starts in is looked at alone, where the match went beyond it."""
    search = pattern.regex.search
    position = 0
    while position < len(data):
        match = search(data, position)
        if match is None:
            return
        start = data.rfind(b"\n", position, match.start()) + 1 or position
        end = data.find(b"\n", match.start())
        end = len(data) if end < 0 else end
        line = data[start:end]
        if match.end() <= end or search(line):
            yield line
        position = end + 1
