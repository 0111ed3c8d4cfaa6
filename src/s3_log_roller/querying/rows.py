"""Logs, read as rows of the table `logs`, on one process or several."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from s3_log_roller.querying.columns import SCHEMA, ColumnParser, Counts, Lines
from s3_log_roller.reading.doubles import LogPart, Origin
from s3_log_roller.reading.groups import Stores
from s3_log_roller.reading.lines import MAX_LINE_BYTES
from s3_log_roller.reading.logs import Reader
from s3_log_roller.reading.parallel import Emit, Failure, OpenStores, Operation, Performer
from s3_log_roller.reading.selection import suffix_of
from s3_log_roller.reading.shares import Shares
from s3_log_roller.reading.tarball import Member

BATCH_BYTES: Final = 1 << 18
"""Bytes of lines that become a batch of rows. More at a time is not quicker."""
_DAY_CHARS: Final = len("YYYY-MM-DD")


@dataclass(frozen=True, slots=True)
class Seen:
    """What was read of some shares."""

    logs: int = 0
    loose: int = 0
    """Of these logs, those that were not read out of a rollup."""
    counts: Counts = field(default_factory=Counts)

    def __add__(self, other: Seen) -> Seen:
        return Seen(self.logs + other.logs, self.loose + other.loose, self.counts + other.counts)


@dataclass(frozen=True, slots=True)
class ReadRows(Operation):
    """Emits record batches of `columns.SCHEMA`, and behind each batch of shares what was `Seen`."""

    open_stores: OpenStores
    wanted: Collection[str] = tuple(SCHEMA.names)
    """Other columns hold nothing."""

    def start(self, stores: Stores, emit: Emit) -> Performer:
        return _RowReader(stores, self.wanted, emit)


class _RowReader(Performer):
    def __init__(self, stores: Stores, wanted: Collection[str], emit: Emit) -> None:
        self._emit = emit
        self._parser = ColumnParser(wanted)
        self._reader = Reader(stores, lambda message: emit(Failure(message)))

    def run(self, shares: Shares) -> None:
        counts = Counts()
        blocks = Blocks(self._reader.read(shares))
        for lines, origins in blocks:
            batch, of_batch = self._parser.parse(lines, origins)
            counts += of_batch
            self._emit(batch)
        self._emit(Seen(blocks.logs, blocks.loose, counts))


class Blocks:
    """Whole lines of logs, about `BATCH_BYTES` at a time, and which log they are from.

    `logs` counts the logs, `loose` those of them that were not read out of a rollup.
    """

    def __init__(self, parts: Iterable[LogPart]) -> None:
        self.logs = self.loose = 0
        self._parts = parts
        self._lines = bytearray()
        self._origins: list[Lines] = []

    def __iter__(self) -> Iterator[tuple[bytes, list[Lines]]]:
        held = b""
        holder: tuple[Origin, Member] | None = None
        for origin, member, part, last in self._parts:
            if held and holder is not None and holder[1] is not member:
                self._add(*holder, held)  # that log was cut off, and the failure was told
                held = b""
            data = held + part
            end = len(data)
            if not last:
                end = data.rfind(b"\n") + 1 or (0 if len(data) < MAX_LINE_BYTES else end)
            held, holder = data[end:], (origin, member)
            self._add(origin, member, data[:end])
            self.logs += last
            self.loose += last and not origin.is_packed
            if len(self._lines) >= BATCH_BYTES:
                yield self._take()
        if held and holder is not None:
            self._add(*holder, held)
        if self._lines:
            yield self._take()

    def _add(self, origin: Origin, member: Member, data: bytes) -> None:
        if not data:
            return
        self._lines += data
        missing_end = not data.endswith(b"\n")
        if missing_end:
            self._lines += b"\n"
        name = origin.name(member).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        suffix = suffix_of(member.name)
        day = date.fromisoformat(suffix[:_DAY_CHARS]) if suffix else None
        self._origins.append(Lines(data.count(b"\n") + missing_end, name, day))

    def _take(self) -> tuple[bytes, list[Lines]]:
        taken = bytes(self._lines), self._origins
        self._lines, self._origins = bytearray(), []
        return taken
