"""Logs, read as rows of the table `logs`, on one process or several."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa
import pyarrow.ipc

from s3_log_roller.log_keys import day_of_log
from s3_log_roller.querying.columns import SCHEMA, ColumnParser, Counts, Lines
from s3_log_roller.querying.conditions import ALL, Conditions, LinePicker
from s3_log_roller.reading.doubles import LogPart, Origin
from s3_log_roller.reading.groups import Stores
from s3_log_roller.reading.lines import MAX_LINE_BYTES
from s3_log_roller.reading.logs import Reader
from s3_log_roller.reading.parallel import Emit, Failure, OpenStores, Operation, Performer
from s3_log_roller.reading.shares import Shares
from s3_log_roller.reading.tarball import Member

BATCH_BYTES: Final = 1 << 20
"""Bytes of lines that become a batch of rows. A quarter of it takes half as long again."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was read of some shares."""

    logs: int = 0
    loose: int = 0
    """Of these logs, those that were not read out of a rollup."""
    counts: Counts = field(default_factory=Counts)

    def __add__(self, other: Seen) -> Seen:
        return Seen(self.logs + other.logs, self.loose + other.loose, self.counts + other.counts)


class Rows:
    """Rows of the table `logs`, cheaply sent from one process to another."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self.batch = batch

    def __reduce__(self) -> tuple[Callable[[bytes], Rows], tuple[bytes]]:
        return _received, (self.batch.serialize().to_pybytes(),)


def _received(data: bytes) -> Rows:
    return Rows(pa.ipc.read_record_batch(pa.py_buffer(data), SCHEMA))


@dataclass(frozen=True, slots=True)
class ReadRows(Operation):
    """Emits `Rows`, and behind each batch of shares what was `Seen`."""

    open_stores: OpenStores
    wanted: Collection[str] = tuple(SCHEMA.names)
    """Other columns hold nothing."""
    conditions: Conditions = ALL
    """Rows that do not fulfil them may be missing."""

    @property
    def inline_batches(self) -> int:
        """Each child imports Arrow first, which takes as long as a batch or two."""
        return 6

    def start(self, stores: Stores, emit: Emit) -> Performer:
        return _RowReader(self, stores, emit)


class _RowReader(Performer):
    def __init__(self, rows: ReadRows, stores: Stores, emit: Emit) -> None:
        self._emit = emit
        self._parser = ColumnParser(rows.wanted)
        self._picker = LinePicker(rows.conditions)
        may_match = rows.conditions.may_match if rows.conditions.needles else None
        self._reader = Reader(stores, lambda message: emit(Failure(message)), may_match=may_match)

    def run(self, shares: Shares) -> None:
        counts = Counts()
        blocks = Blocks(self._reader.read(shares), self._picker.pick, with_origins=self._parser.wants_origins)
        for lines, origins in blocks:
            batch, of_batch = self._parser.parse(lines, origins)
            counts += of_batch
            self._emit(Rows(batch))
        self._emit(Seen(blocks.logs, blocks.loose, counts))


class Blocks:
    """Whole lines of logs, about `BATCH_BYTES` at a time, and which log they are from.

    `logs` counts the logs, `loose` those of them that were not read out of a rollup.
    """

    def __init__(
        self,
        parts: Iterable[LogPart],
        pick: Callable[[bytes], bytes] = lambda lines: lines,
        *,
        with_origins: bool = True,
    ) -> None:
        """Of the lines, only those that `pick` gives back."""
        self.logs = self.loose = 0
        self._pick = pick
        self._parts = parts
        self._with_origins = with_origins
        self._lines: list[bytes] = []
        self._bytes = 0
        self._origins: list[Lines] = []

    def __iter__(self) -> Iterator[tuple[bytes, list[Lines]]]:
        held = b""
        holder: tuple[Origin, Member] | None = None
        for origin, member, part, last in self._parts:
            if held and holder is not None and holder[1] is not member:
                self._add(*holder, held)  # that log was cut off, and the failure was told
                held = b""
            data = held + part
            if last:
                self.logs += 1
                self.loose += not origin.is_packed
                held = b""
            else:
                end = data.rfind(b"\n") + 1 or (0 if len(data) < MAX_LINE_BYTES else len(data))
                data, held, holder = data[:end], data[end:], (origin, member)
            self._add(origin, member, data)
            if self._bytes >= BATCH_BYTES:
                yield self._take()
        if held and holder is not None:
            self._add(*holder, held)
        if self._lines:
            yield self._take()

    def _add(self, origin: Origin, member: Member, data: bytes) -> None:
        data = self._pick(data)
        if not data:
            return
        if not data.endswith(b"\n"):
            data += b"\n"
        self._lines.append(data)
        self._bytes += len(data)
        if self._with_origins:
            name = origin.name(member)
            if not name.isascii():
                name = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
            self._origins.append(Lines(data.count(b"\n"), name, day_of_log(member.name)))

    def _take(self) -> tuple[bytes, list[Lines]]:
        taken = b"".join(self._lines), self._origins
        self._lines, self._bytes, self._origins = [], 0, []
        return taken
