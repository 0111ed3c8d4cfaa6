"""Rows of the table `logs` as `parse_record` alone makes them, to hold the quick way to."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from s3_log_roller.querying.columns import SCHEMA
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
