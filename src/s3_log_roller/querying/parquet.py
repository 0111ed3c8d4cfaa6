"""Rows of one rollup as Parquet files: one for each source bucket, as a rule a single one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from s3_log_roller.errors import DamagedRollup
from s3_log_roller.querying.columns import DAY, SCHEMA
from s3_log_roller.querying.exported import MAX_BUCKET_CHARS

TARGET_PREFIX: Final = "target_prefix"
"""The target prefix of the rollup's logs."""
ROW_GROUP_ROWS: Final = 1 << 17
"""Rows that are written together: some 80 MB in memory. Twice as many make files 2.5 % smaller."""
MAX_BUCKETS: Final = 256
"""Source buckets in one rollup: each takes an open file."""
_ZSTD_LEVEL: Final = 1
"""Higher levels take up to twelve times as long, and make files at most 1 % smaller, or even larger."""
_HARDLY_REPEATED: Final = frozenset({"host_id", "request_id", "source", "time", "bytes_sent", "object_size"})
"""Columns that are smaller without a dictionary."""


def schema_without(dropped: tuple[str, ...]) -> pa.Schema:
    """The columns in the files: those of the table `logs` that the path does not tell, and the target prefix."""
    in_path = {"bucket", DAY}
    fields = [field for field in SCHEMA if field.name not in in_path and field.name not in dropped]
    return pa.schema([*fields, (TARGET_PREFIX, pa.string())])


@dataclass(frozen=True, slots=True)
class Part:
    """A finished file."""

    bucket: str | None
    """The source bucket; None for lines that are not records."""
    path: str
    rows: int


class PartWriter:
    """Takes rows in order and writes them into files in a directory. What it wrote is whole after `finish` only."""

    def __init__(self, directory: str, target_prefix: str, dropped: tuple[str, ...]) -> None:
        self._directory = directory
        self._target_prefix = target_prefix
        self._schema = schema_without(dropped)
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = 0
        self._writers: dict[str | None, Any] = {}
        self._rows: dict[str | None, int] = {}

    def add(self, batch: pa.RecordBatch) -> None:
        """Take rows of the table `logs`. Raises `DamagedRollup` for what no folder can be called after."""
        self._waiting.append(batch)
        self._waiting_rows += batch.num_rows
        if self._waiting_rows >= ROW_GROUP_ROWS:
            self._write()

    def finish(self) -> list[Part]:
        """All files, by source bucket; a rollup without records becomes a file without rows."""
        if self._waiting or not self._writers:
            self._write()
        for writer in self._writers.values():
            writer.close()
        buckets = sorted(self._writers, key=lambda bucket: bucket or "")
        return [Part(bucket, self._path(bucket), self._rows[bucket]) for bucket in buckets]

    def close(self) -> None:
        """Let go of files that are not finished."""
        for writer in self._writers.values():
            writer.close()

    def _write(self) -> None:
        table = pa.Table.from_batches(self._waiting, SCHEMA)
        self._waiting, self._waiting_rows = [], 0
        buckets = pc.unique(table["bucket"]).to_pylist() or [None]
        for bucket in buckets:
            rows = table
            if len(buckets) > 1:
                found = table["bucket"]
                rows = table.filter(pc.is_null(found) if bucket is None else pc.equal(found, bucket))
            prefixes = pa.repeat(pa.scalar(self._target_prefix), rows.num_rows)
            columns = [prefixes if name == TARGET_PREFIX else rows[name] for name in self._schema.names]
            self._writer(bucket).write_table(
                pa.table(columns, schema=self._schema), row_group_size=max(rows.num_rows, 1)
            )
            self._rows[bucket] = self._rows.get(bucket, 0) + rows.num_rows

    def _writer(self, bucket: str | None) -> Any:
        if bucket not in self._writers:
            if len(self._writers) == MAX_BUCKETS or len(bucket or "") > MAX_BUCKET_CHARS:
                raise DamagedRollup(
                    f"it has records of more than {MAX_BUCKETS} buckets, or of one whose name has more than "
                    f"{MAX_BUCKET_CHARS} characters: S3 does not write such logs"
                )
            self._writers[bucket] = pq.ParquetWriter(
                self._path(bucket),
                self._schema,
                compression="zstd",
                compression_level=_ZSTD_LEVEL,
                use_dictionary=[name for name in self._schema.names if name not in _HARDLY_REPEATED],
            )
        return self._writers[bucket]

    def _path(self, bucket: str | None) -> str:
        number = list(self._writers).index(bucket) if bucket in self._writers else len(self._writers)
        return os.path.join(self._directory, f"{number}.parquet")
