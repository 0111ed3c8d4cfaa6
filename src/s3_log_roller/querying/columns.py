"""Records as Arrow columns, exactly as `records.parse_record` reads them.

RE2, which takes the same time whatever the lines hold, finds runs of lines of the strict grammar of `strict_lines`.
They can be read in one way only, and Arrow's CSV reader splits them. All others go through `parse_record`. Every line
that is not blank becomes a row. A line that is not a record, or that no column type can hold (a leap second, a number
of more than 63 bits), has its text in `raw` and nothing in the fields.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from itertools import accumulate
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import re2

from s3_log_roller.reading.formats import COLUMNS, KEY_DECODED, RAW
from s3_log_roller.reading.records import EXTRA, FIELDS, NUMBERS, Record, decode_key, decode_line, parse_record
from s3_log_roller.reading.strict_lines import Shape, plain_line

DAY: Final = "day"
"""The day in the log's name; nothing if the name tells no day."""
SOURCE: Final = "source"
"""The log, as `cat` names it."""

_TIME: Final = pa.timestamp("ms", "UTC")
_NOTHING: Final = "-"
_MAX_NUMBER: Final = (1 << 63) - 1
_ZONE: Final = "zone"
"""The time holds a space, so the CSV reader sees two columns."""
_ZONE_PLACE: Final = FIELDS.index("time") + 1
_PARSE: Final = pcsv.ParseOptions(delimiter=" ", quote_char='"', double_quote=False, escape_char=False)
_RE2_BYTES: Final = 32 << 20
"""For the states that an expression needs; if there are too many, RE2 gets slower."""


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
        self._wanted = frozenset(wanted)
        self._split_names = self._wanted.intersection(FIELDS)
        if KEY_DECODED in self._wanted:
            self._split_names |= {"key", "operation"}

    @property
    def wants_origins(self) -> bool:
        """Whether a wanted column tells where lines come from."""
        return bool(self._wanted & {DAY, SOURCE})

    def parse(self, lines: bytes, origins: Sequence[Lines]) -> tuple[pa.RecordBatch, Counts]:
        """The rows of whole lines, each ended by LF; `origins` says of all lines where they come from, if wanted."""
        sorted_lines = _sort_lines(lines, self._shape)
        batches = [self._split(lines, fields, runs) for fields, runs in sorted_lines.runs.items()]
        rows = [_row_of(line) for line in sorted_lines.slow]
        unparsable = sum(RAW in row for row in rows)
        if rows:
            kept = [{name: row[name] for name in self._wanted.intersection(row)} for row in rows]
            batches.append(pa.RecordBatch.from_pylist(kept, SCHEMA))
        batch = pa.concat_batches(batches) if batches else pa.RecordBatch.from_pylist([], SCHEMA)
        if len(batches) > 1:
            batch = batch.take(pa.array(sorted_lines.order(), pa.int32()))
        counts = Counts(batch.num_rows, unparsable, len(rows))
        return self._with_origins(batch, origins, sorted_lines.blank), counts

    def _split(self, lines: bytes, fields: int, runs: Sequence[_Run]) -> pa.RecordBatch:
        """The rows of runs of plain lines of so many fields."""
        rows = sum(run.lines for run in runs)
        columns: dict[str, pa.Array] = {}
        if self._split_names:
            whole = len(runs) == 1 and len(runs[0].place) == len(lines)
            body = lines if whole else b"".join(lines[run.place.start : run.place.stop] for run in runs)
            table = pcsv.read_csv(
                pa.BufferReader(body),
                read_options=pcsv.ReadOptions(
                    column_names=_csv_names(fields), use_threads=False, block_size=len(body) + 1
                ),
                parse_options=_PARSE,
                convert_options=_convert_options(fields, self._split_names),
            )
            if table.num_rows != rows:
                raise RuntimeError(f"{table.num_rows} rows of {rows} lines")
            columns = {name: table[name].combine_chunks() for name in table.column_names}
        if "time" in columns:
            columns["time"] = columns["time"].cast(_TIME)
        if KEY_DECODED in self._wanted:
            columns[KEY_DECODED] = _decoded_keys(columns["operation"], columns["key"])
        return pa.RecordBatch.from_arrays(
            [
                columns[name] if name in columns and name in self._wanted else pa.nulls(rows, SCHEMA.field(name).type)
                for name in SCHEMA.names
            ],
            schema=SCHEMA,
        )

    def _with_origins(self, batch: pa.RecordBatch, origins: Sequence[Lines], blank: Sequence[int]) -> pa.RecordBatch:
        numbers = [lines.number for lines in origins]
        ends = list(accumulate(numbers))
        for line in blank:
            numbers[bisect_right(ends, line)] -= 1
        held = [(lines, number) for lines, number in zip(origins, numbers, strict=True) if number]
        if not held:
            return batch
        ends_of_rows = pa.array(accumulate(number for _, number in held), pa.int32())
        for name, values in ((DAY, [lines.day for lines, _ in held]), (SOURCE, [lines.source for lines, _ in held])):
            if name in self._wanted:
                runs = pa.RunEndEncodedArray.from_arrays(ends_of_rows, pa.array(values, SCHEMA.field(name).type))
                batch = batch.set_column(SCHEMA.get_field_index(name), SCHEMA.field(name), pc.run_end_decode(runs))
        return batch


class _Run(NamedTuple):
    """Plain lines that follow each other."""

    place: range
    lines: int
    first_line: int


class _SortedLines(NamedTuple):
    """Lines by the way that they go."""

    runs: dict[int, list[_Run]]
    """Of plain lines, by the number of their fields."""
    slow: list[str]
    slow_lines: list[int]
    """The numbers of these lines."""
    blank: list[int]

    def order(self) -> list[int]:
        """For each row in the order of the lines, where it is if plain rows come first, by their number of fields."""
        places: list[tuple[int, range]] = []
        row = 0
        for runs in self.runs.values():
            for run in runs:
                places.append((run.first_line, range(row, row + run.lines)))
                row += run.lines
        places += [(line, range(at, at + 1)) for at, line in enumerate(self.slow_lines, row)]
        return [place for _, rows in sorted(places, key=lambda one: one[0]) for place in rows]


def _sort_lines(lines: bytes, shape: Shape) -> _SortedLines:
    found = _SortedLines({}, [], [], [])
    at = line = 0
    while at < len(lines):
        run = _run(shape.fields).match(lines, at)
        if run:
            end: int = run.end()
            number = lines.count(b"\n", at, end)
            found.runs.setdefault(shape.fields, []).append(_Run(range(at, end), number, line))
            line += number
        else:
            end = lines.index(b"\n", at) + 1
            text = decode_line(lines[at:end])
            if text:
                shape.see(text)
                found.slow.append(text)
                found.slow_lines.append(line)
            else:
                found.blank.append(line)
            line += 1
        at = end
    return found


@lru_cache(maxsize=32)
def _run(fields: int) -> Any:
    """Neighbouring plain lines of so many fields."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.never_capture = True
    options.max_mem = _RE2_BYTES
    return re2.compile(f"(?:{plain_line(fields)}\n)+".encode("latin-1"), options)


@lru_cache(maxsize=32)
def _csv_names(fields: int) -> list[str]:
    return [*FIELDS[:_ZONE_PLACE], _ZONE, *FIELDS[_ZONE_PLACE:fields]]


@lru_cache(maxsize=64)
def _convert_options(fields: int, wanted: frozenset[str]) -> Any:
    """To read just the wanted columns; `-` is nothing, whether in quotes or not."""
    names = [name for name in FIELDS[:fields] if name in wanted]
    types = {name: pa.timestamp("ms") if name == "time" else SCHEMA.field(name).type for name in names}
    return pcsv.ConvertOptions(
        column_types=types,
        include_columns=names or [_ZONE],
        null_values=[_NOTHING],
        strings_can_be_null=True,
        quoted_strings_can_be_null=True,
        check_utf8=False,  # plain lines are ASCII
        timestamp_parsers=["[%d/%b/%Y:%H:%M:%S"],
    )


def _decoded_keys(operations: pa.Array, keys: pa.Array) -> pa.Array:
    texts = keys.buffers()[2]
    data = texts.to_pybytes() if texts is not None else b""
    if b"%" not in data and b"+" not in data:
        return keys
    pairs = zip(operations.to_pylist(), keys.to_pylist(), strict=True)
    return pa.array([decode_key(operation, key) for operation, key in pairs], pa.string())


def _row_of(text: str) -> dict[str, Any]:
    """A line's record as a row, or the line in `raw` if it is not one or a column cannot hold one of its values."""
    record = parse_record(text)
    time = _time_of(record) if record is not None else None
    if (
        record is None
        or time is None
        or any(isinstance(value, int) and value > _MAX_NUMBER for value in record.values())
    ):
        return {RAW: text}
    return {**record, "time": time, KEY_DECODED: decode_key(record["operation"], record["key"])}


def _time_of(record: Record) -> datetime | None:
    try:
        return datetime.fromisoformat(str(record["time"])).astimezone(UTC)
    except (ValueError, OverflowError):  # a leap second, a zone that does not exist
        return None
