"""Looks through logs for lines and shows them: as they are, as JSON or as CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from s3_log_roller.log_output import printable
from s3_log_roller.reading.doubles import LogPart, Origin
from s3_log_roller.reading.excerpts import PLAIN, Excerpt, ExcerptWriter
from s3_log_roller.reading.formats import CsvRows, JsonLines
from s3_log_roller.reading.patterns import Pattern
from s3_log_roller.reading.tarball import Member
from s3_log_roller.reading.terms import Matcher, Where

Format = Literal["text", "json", "csv"]
Show = Literal["lines", "count", "names", "nothing"]

MAX_LINE_BYTES: Final = 8 << 20
"""A longer line is looked at in pieces of that length."""
OUT_BYTES: Final = 1 << 18
FORMAT_BYTES: Final = 1 << 16
"""Bytes of lines that are formatted at a time. More at a time is not quicker."""


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
    excerpt: Excerpt = PLAIN
    max_count: int | None = None
    """So many lines are wanted in all."""

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

    def has_enough(self, findings: Findings) -> bool:
        """Nothing more needs to be read."""
        if self.show == "nothing" and findings.matched:
            return True
        return self.max_count is not None and findings.matched >= self.max_count

    @property
    def skips_pieces(self) -> bool:
        """`may_match` can save work."""
        return (self.where is not None and bool(self.where.needles)) or (self.pattern is not None and not self.invert)


@dataclass(slots=True)
class Findings:
    """What was seen in a share of the work; `counts` by file, for `count`."""

    matched: int = 0
    unparsable: int = 0
    logs: int = 0
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, other: Findings) -> None:
        """Add the findings of another share."""
        self.matched += other.matched
        self.unparsable += other.unparsable
        self.logs += other.logs
        for name, count in other.counts.items():
            self.counts[name] = self.counts.get(name, 0) + count


class LineReader:
    """Runs a query over logs that come in pieces, and writes what it finds with `write`, in pieces."""

    def __init__(self, query: Query, write: Callable[[bytes], None], left: int | None = None) -> None:
        self.query = query
        self.left = left
        """So many lines are still wanted, if there is a limit."""
        self.findings = Findings()
        self._write = write
        self._out = bytearray()
        self._formatter = {"json": JsonLines, "csv": CsvRows}[query.output]() if query.output != "text" else None
        self._matcher = Matcher(query.where) if query.where else None
        marked = None if query.invert else query.pattern
        self._excerpts = ExcerptWriter(query.excerpt, marked, on_terminal=query.on_terminal)
        self._counted: Origin | None = None
        self._counted_name = ""
        self._unwritten = bytearray()
        """Lines found that are not formatted yet: many are at a time, where the log's name is not wanted."""

    def run(self, pieces: Iterable[LogPart]) -> None:
        """Take logs to the end; `drain` may be called meanwhile."""
        held = b""
        holder: tuple[Origin, Member] | None = None
        skip = False
        names_only = self.query.show in ("names", "nothing")
        for origin, member, piece, last in pieces:
            if held and holder is not None and holder[1] is not member:
                self._take(*holder, held)  # that log was cut off, and the failure was told
                self._excerpts.start_log()
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
                self._excerpts.start_log()
                self.findings.logs += 1
                held, skip = b"", False
            if self.left == 0 or self.query.has_enough(self.findings):
                break
        if held and holder is not None:
            self._take(*holder, held)
        self.drain()
        self.findings.unparsable = sum(one.unparsable for one in (self._matcher, self._formatter) if one is not None)

    def drain(self) -> None:
        """Write all that was found so far."""
        if self._unwritten:
            self._take_format(self._unwritten, "")
            self._unwritten = bytearray()
        if self._out:
            self._write(bytes(self._out))
            self._out.clear()

    def _take(self, origin: Origin, member: Member, data: bytes) -> bool:
        """Look at whole lines of a log; whether one is wanted."""
        show = self.query.show
        if show == "lines" and self._formatter is not None:
            return self._take_formatted(data, self._name(origin, member) if self.query.with_names else "")
        if show == "lines" and not self.query.excerpt.is_plain:
            return self._take_excerpts(origin, member, data)
        lines = self._wanted(data)
        self.findings.matched += len(lines)
        if show == "count":
            self._count(origin, member, len(lines))
        elif show == "names" and lines:
            self._out += f"{self._name(origin, member)}\n".encode("utf-8", "surrogateescape")
        elif show == "lines" and lines:
            name = f"{self._name(origin, member)}:" if self.query.with_names else ""
            start = name.encode("utf-8", "surrogateescape")
            shown = map(self._shown, lines) if self.query.on_terminal else lines
            self._out += start + (b"\n" + start).join(shown) + b"\n"
        if len(self._out) >= OUT_BYTES:
            self.drain()
        return bool(lines)

    def _take_excerpts(self, origin: Origin, member: Member, data: bytes) -> bool:
        """Look at whole lines one by one."""
        matched = 0

        def is_wanted(line: bytes) -> bool:
            nonlocal matched
            pattern = self.query.pattern
            if pattern is not None and (pattern.regex.search(line) is not None) == self.query.invert:
                return False
            if self._matcher is not None and not self._matcher.pick(line + b"\n"):
                return False
            matched += 1
            return True

        name = self._name(origin, member) if self.query.with_names else ""
        self._out += self._excerpts.write(_lines(data), is_wanted, name, self.left)
        self.findings.matched += matched
        if self.left is not None:
            self.left -= matched
        if len(self._out) >= OUT_BYTES:
            self.drain()
        return matched > 0

    def _count(self, origin: Origin, member: Member, lines: int) -> None:
        if origin is not self._counted:
            self._counted = origin
            self._counted_name = self._name(origin._replace(is_packed=False), member)
        counts = self.findings.counts
        counts[self._counted_name] = counts.get(self._counted_name, 0) + lines

    def _take_formatted(self, data: bytes, name: str) -> bool:
        """Look at whole lines for JSON and CSV."""
        takes_all = self.query.pattern is None and self._matcher is None
        found = data if takes_all else b"\n".join(self._wanted(data))
        if not found:
            return False
        if name:
            self._take_format(found, name)
        else:
            self._unwritten += found
            if not found.endswith(b"\n"):
                self._unwritten += b"\n"
            if len(self._unwritten) >= FORMAT_BYTES:
                self.drain()
        return True

    def _take_format(self, lines: bytes | bytearray, name: str) -> None:
        if self._formatter is not None:
            written, count = self._formatter.write(bytes(lines), name)
            self._out += b"\n".join(map(self._shown, written.split(b"\n"))) if self.query.on_terminal else written
            self.findings.matched += count

    def _name(self, origin: Origin, member: Member) -> str:
        name = origin.name(member)
        return printable(name) if self.query.on_terminal else name

    @staticmethod
    def _shown(line: bytes) -> bytes:
        return printable(line.decode("utf-8", "backslashreplace")).encode()

    def _wanted(self, data: bytes) -> list[bytes]:
        """The lines that match, without their ends."""
        lines = self._matching(data)
        if self._matcher is not None and lines:
            lines = self._matcher.pick(b"\n".join(lines) + b"\n")
        if self.left is not None:
            lines = lines[: self.left]
            self.left -= len(lines)
        return lines

    def _matching(self, data: bytes) -> list[bytes]:
        """The lines that match the pattern, or do not if inverted, and may match the terms."""
        pattern = self.query.pattern
        if pattern is None:
            return self._holding_needles(data)
        if self.query.invert:
            search = pattern.regex.search
            return [line for line in _lines(data) if not search(line)]
        if pattern.literal is not None:
            return list(_lines_holding(data, pattern.literal))
        return list(_lines_matching(data, pattern))

    def _holding_needles(self, data: bytes) -> list[bytes]:
        needles = self.query.where.needles if self.query.where else ()
        if not needles:
            return _lines(data)
        first, *others = needles
        lines = _lines_holding(data, first)
        return [line for line in lines if all(needle in line for needle in others)] if others else list(lines)


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
    whatever line it starts in is looked at alone, where the match went beyond it. Behind the last line's end an empty
    match may start, and there is no line."""
    search = pattern.regex.search
    position = 0
    while position < len(data):
        match = search(data, position)
        if match is None or (match.start() == len(data) and data.endswith(b"\n")):
            return
        start = data.rfind(b"\n", position, match.start()) + 1 or position
        end = data.find(b"\n", match.start())
        end = len(data) if end < 0 else end
        line = data[start:end]
        if match.end() <= end or search(line):
            yield line
        position = end + 1
