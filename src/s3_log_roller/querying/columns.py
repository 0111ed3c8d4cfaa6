"""Records as Arrow columns, exactly as `records.parse_record` reads them.

Plain lines go the quick way of `strict_lines`, the others through `parse_record`. Every line that is not blank becomes
a row. A line that is not a record, or that no column type can hold (a leap second, a number of more than 63 bits), has
its text in `raw` and nothing in the fields.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import chain, repeat
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from s3_log_roller.reading.formats import COLUMNS, KEY_DECODED, RAW, decoded_keys
from s3_log_roller.reading.records import EXTRA, FIELDS, NUMBERS, Record, decode_key, decode_line, parse_record
from s3_log_roller.reading.strict_lines import Columns, Shape, split_lines

DAY: Final = "day"
"""The day in the log's name; nothing if the name tells no day."""
SOURCE: Final = "source"
"""The log, as `cat` names it."""

_TIME: Final = pa.timestamp("ms", "UTC")
_NOTHING: Final = "-"
_MAX_NUMBER: Final = (1 << 63) - 1


def _type_of(column: str) -> pa.DataType:
    return _TIME if column == "time" else pa.int64() if column in NUMBERS else pa.string()


SCHEMA: Final = pa.schema(
    [
        *((column, _type_of(column)) for column in COLUMNS),
        (EXTRA, pa.list_(pa.string())),
        (RAW, pa.string()),
        (DAY, pa.date32()),
        (SOURCE, pa.string()),
    ]
)
"""The columns of the table `logs`."""


class Lines(NamedTuple):
    """So many lines in a row that came out of one log."""

    number: int
    source: str
    day: date | None


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of some lines."""

    rows: int = 0
    unparsable: int = 0
    """Rows with nothing but their text in `raw`."""
    slow: int = 0
    """Rows that `parse_record` had to look at."""

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.rows + other.rows, self.unparsable + other.unparsable, self.slow + other.slow)


class ColumnParser:
    """Turns lines into rows, in order. Columns that are not `wanted` hold nothing."""

    def __init__(self, wanted: Collection[str] = SCHEMA.names) -> None:
        self._shape = Shape()
        self._made = NUMBERS.union(wanted)
        """Numbers in any case: one that is too large turns a record into a line."""

    def parse(self, lines: bytes, origins: Sequence[Lines]) -> tuple[pa.RecordBatch, Counts]:
        """The rows of whole lines, each ended by LF; `origins` says of all lines where they come from."""
        text = lines.decode("latin-1")
        with suppress(pa.ArrowInvalid):  # a plain line with a number that is too large
            return _Rows(self._shape, self._made).take(split_lines(text, self._shape)).batch(origins)
        return _Rows(self._shape, self._made).take(text.split("\n")[:-1]).batch(origins)


class _Rows:
    """Rows as lists of texts, column by column; `-` stands for nothing, as in the logs."""

    def __init__(self, shape: Shape, made: Collection[str]) -> None:
        self._shape = shape
        self._made = made
        self._cells: dict[str, list[str]] = {name: [] for name in COLUMNS}
        self._extra: dict[int, list[str]] = {}
        self._raw: dict[int, str] = {}
        self._blank: list[int] = []
        """Lines, not rows."""
        self._rows = 0
        self._slow = 0

    def take(self, parts: Iterable[Columns | str]) -> _Rows:
        """Append what `split_lines` gives."""
        for part in parts:
            if isinstance(part, Columns):
                for name in FIELDS:
                    self._cells[name] += part.fields.get(name) or [_NOTHING] * part.number
                if KEY_DECODED in self._made:
                    self._cells[KEY_DECODED] += decoded_keys(part)
                self._rows += part.number
            else:
                self._take_line(decode_line(part.encode("latin-1")))
        return self

    def _take_line(self, text: str) -> None:
        if not text:
            self._blank.append(self._rows + len(self._blank))
            return
        self._shape.see(text)
        record = parse_record(text)
        cells = _cells_of(record) if record is not None else None
        if cells is None:
            self._raw[self._rows] = text
        elif record is not None and isinstance(extra := record.get(EXTRA), list):
            self._extra[self._rows] = extra
        for name in COLUMNS:
            self._cells[name].append(cells[name] if cells else "" if name == KEY_DECODED else _NOTHING)
        self._rows += 1
        self._slow += 1

    def batch(self, origins: Sequence[Lines]) -> tuple[pa.RecordBatch, Counts]:
        """All rows. Raises `ArrowInvalid` for a number that the column cannot hold."""
        columns = {name: self._column(name) for name in COLUMNS}
        columns[EXTRA] = self._sparse(self._extra, SCHEMA.field(EXTRA).type)
        columns[RAW] = self._sparse(self._raw, pa.string())
        numbers = list(chain.from_iterable(repeat(at, lines.number) for at, lines in enumerate(origins)))
        for line in reversed(self._blank):
            del numbers[line]
        places = pa.array(numbers, pa.int32())
        columns[DAY] = pa.array([lines.day for lines in origins], pa.date32()).take(places)
        columns[SOURCE] = pa.array([lines.source for lines in origins], pa.string()).take(places)
        batch = pa.RecordBatch.from_arrays([columns[name] for name in SCHEMA.names], schema=SCHEMA)
        return batch, Counts(self._rows, len(self._raw), self._slow)

    def _column(self, name: str) -> pa.Array:
        nothing = "" if name == KEY_DECODED else _NOTHING
        wanted = SCHEMA.field(name).type
        if name not in self._made:
            return pa.nulls(self._rows, wanted)
        cells = self._cells[name]
        if cells and cells.count(cells[0]) == len(cells):
            one = pa.scalar(None if cells[0] == nothing else cells[0], pa.string()).cast(wanted)
            return pa.repeat(one, len(cells))
        texts = pa.array(cells, pa.string())
        if nothing in cells:
            texts = pc.if_else(pc.equal(texts, nothing), None, texts)
        return texts if wanted == pa.string() else texts.cast(wanted)

    def _sparse(self, cells: dict[int, str] | dict[int, list[str]], kind: pa.DataType) -> pa.Array:
        if not cells:
            return pa.nulls(self._rows, kind)
        return pa.array([cells.get(row) for row in range(self._rows)], kind)


def _cells_of(record: Record) -> dict[str, str] | None:
    """The record's texts; None if a column cannot hold one of them."""
    try:
        time = datetime.fromisoformat(str(record["time"])).astimezone(UTC)
    except (ValueError, OverflowError):  # a leap second, a zone that does not exist
        return None
    cells = {}
    for name in FIELDS:
        value = record[name]
        if isinstance(value, int) and value > _MAX_NUMBER:
            return None
        cells[name] = _NOTHING if value is None else str(value)
    cells["time"] = time.isoformat()
    cells[KEY_DECODED] = decode_key(record["operation"], record["key"]) or ""
    return cells
