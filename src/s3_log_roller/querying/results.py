"""Answers as a table, JSON, CSV or Parquet."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from s3_log_roller.log_output import printable
from s3_log_roller.querying.parquet import ROW_GROUP_ROWS
from s3_log_roller.reading.formats import csv_cell

LOOK_AT_ROWS: Final = 1000
"""The first rows decide how wide a table's columns are."""
MAX_CELL_CHARS: Final = 120
"""A table's cells are cut off there; JSON and CSV have all."""

WriteBytes = Callable[[bytes], None]


def write_answer(answer: pa.RecordBatchReader, output: str, write: WriteBytes) -> int:
    """Write the answer as `table`, `json`, `csv` or `parquet`; return how many rows it has."""
    return {"table": _write_table, "json": _write_json, "csv": _write_csv, "parquet": _write_parquet}[output](
        answer, write
    )


def _write_table(answer: pa.RecordBatchReader, write: WriteBytes) -> int:
    rows = ([cell_text(value) for value in row] for row in rows_of(answer))
    first = list(islice(rows, LOOK_AT_ROWS))
    header = [cell_text(name) for name in answer.schema.names]
    widths = [max(map(len, column)) for column in zip(header, *first, strict=True)]
    to_right = [is_number(kind) for kind in answer.schema.types]

    def line(cells: list[str]) -> bytes:
        padded = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(cells, widths, to_right, strict=True)
        ]
        return "  ".join(padded).rstrip().encode() + b"\n"

    write(line(header))
    count = 0
    for source in (first, rows):
        for row in source:
            write(line(row))
            count += 1
    return count


def _write_json(answer: pa.RecordBatchReader, write: WriteBytes) -> int:
    names = answer.schema.names
    count = 0
    for row in rows_of(answer):
        record = {name: plain_value(value) for name, value in zip(names, row, strict=True)}
        write(json.dumps(record, separators=(",", ":")).encode() + b"\n")
        count += 1
    return count


def _write_csv(answer: pa.RecordBatchReader, write: WriteBytes) -> int:
    write(",".join(map(csv_cell, answer.schema.names)).encode() + b"\n")
    count = 0
    for row in rows_of(answer):
        cells = [csv_cell(value if value is None or type(value) is int else _text(value)) for value in row]
        write(",".join(cells).encode() + b"\n")
        count += 1
    return count


class _Sink:
    """What pyarrow writes a file to."""

    closed = False

    def __init__(self, write: WriteBytes) -> None:
        self._write = write

    def write(self, data: Any) -> int:
        self._write(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Whoever writes does that."""


def _write_parquet(answer: pa.RecordBatchReader, write: WriteBytes) -> int:
    count = waiting_rows = 0
    waiting: list[pa.RecordBatch] = []
    with pq.ParquetWriter(pa.PythonFile(_Sink(write), mode="w"), answer.schema, compression="zstd") as writer:

        def write_row_group() -> None:
            nonlocal waiting_rows
            table = pa.Table.from_batches(waiting, answer.schema)
            writer.write_table(table, row_group_size=max(table.num_rows, 1))
            waiting.clear()
            waiting_rows = 0

        for batch in answer:
            waiting.append(batch)
            waiting_rows += batch.num_rows
            count += batch.num_rows
            if waiting_rows >= ROW_GROUP_ROWS:
                write_row_group()
        if waiting:
            write_row_group()
    return count


def is_number(kind: pa.DataType) -> bool:
    """Whether a column of that type holds numbers."""
    return any(test(kind) for test in (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal))


def rows_of(answer: pa.RecordBatchReader) -> Iterator[tuple[Any, ...]]:
    """The answer row by row."""
    for batch in answer:
        if batch.num_columns:
            yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def plain_value(value: Any) -> Any:
    """As JSON has it: what is not a number, a text, a list or the like is a text."""
    if isinstance(value, Decimal):  # sums are, however small
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, float):
        return value if value - value == 0 else None  # JSON knows no infinity
    if isinstance(value, datetime):
        return _time(value)
    if isinstance(value, list):
        return [plain_value(one) for one in value]
    if isinstance(value, dict):
        return {str(name): plain_value(one) for name, one in value.items()}
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def _time(value: datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")


def _text(value: Any) -> str:
    plain = plain_value(value)
    return plain if isinstance(plain, str) else json.dumps(plain)


def cell_text(value: Any) -> str:
    """A value for people, in a line of at most `MAX_CELL_CHARS`."""
    text = "" if value is None else printable(_text(value))
    return text if len(text) <= MAX_CELL_CHARS else text[: MAX_CELL_CHARS - 1] + "…"
