"""Rows of the table `logs` as `parse_record` alone makes them, and answers of questions about some lines."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime

import pyarrow as pa

from s3_log_roller.querying.columns import SCHEMA, ColumnParser, Lines
from s3_log_roller.querying.engine import Take, ask, understand
from s3_log_roller.reading.records import decode_key, decode_line, parse_record

INDEX_COLUMNS = ("day", "source")


def rows_exactly(lines: Iterable[bytes]) -> list[dict[str, object]]:
    """A row for each line that is not blank, without the columns that say where it came from."""
    rows: list[dict[str, object]] = []
    for line in lines:
        text = decode_line(line)
        if not text:
            continue
        row: dict[str, object] = {name: None for name in SCHEMA.names if name not in INDEX_COLUMNS}
        record = parse_record(text)
        try:
            if record is None or any(isinstance(value, int) and value >= 1 << 63 for value in record.values()):
                raise ValueError
            row.update(record, key_decoded=decode_key(record["operation"], record["key"]))
            row["time"] = datetime.fromisoformat(str(record["time"])).astimezone(UTC)
        except ValueError:
            row = {**dict.fromkeys(row), "raw": text}
        rows.append(row)
    return rows


def answer_of(
    sql: str,
    lines: Iterable[str | bytes],
    parameters: dict[str, str] | None = None,
    *,
    all_columns: bool = False,
    lines_a_batch: int = 3,
) -> list[dict[str, object]]:
    """The answer to a question about those lines, a batch for so many of them."""
    question = understand(sql, parameters or {})
    parser = ColumnParser() if all_columns else ColumnParser(question.columns)
    rows: list[dict[str, object]] = []
    texts = [line.encode() if isinstance(line, str) else line for line in lines]

    def read(take: Take) -> None:
        for at in range(0, len(texts), lines_a_batch):
            part = texts[at : at + lines_a_batch]
            block = b"".join(line + b"\n" for line in part)
            take(parser.parse(block, [Lines(len(part), "log", date(2019, 2, 6))])[0])

    def write(answer: pa.RecordBatchReader) -> None:
        for batch in answer:
            rows.extend(batch.to_pylist())

    ask(question, read, write)
    return rows
