"""The statements that make a table of exported files, in the words of several query engines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from s3_log_roller.errors import UsageError
from s3_log_roller.querying.exported import NO_BUCKET
from s3_log_roller.querying.parquet import schema_without

FIRST_DAY: Final = "2006-03-14"
"""S3 exists since then."""


@dataclass(frozen=True, slots=True)
class Table:
    """What the statement is about."""

    target: str
    """A directory or `s3://BUCKET/PREFIX`, as `--to` has it."""
    dropped: tuple[str, ...] = ()
    buckets: tuple[str, ...] = ()
    """The source buckets; none: whoever asks must name one."""
    since: str = FIRST_DAY
    """The first day that there is."""

    @property
    def place(self) -> str:
        """The target, such that a path can be put behind it."""
        return self.target if self.target.endswith("/") else f"{self.target}/"

    def columns(self, types: Mapping[pa.DataType, str], quote: str) -> str:
        """The definitions of the columns in the files, one a line."""
        fields = schema_without(self.dropped)
        return ",\n".join(f"  {quote}{field.name}{quote} {types[field.type]}" for field in fields)


def ddl(dialect: str, table: Table) -> str:
    """The statement. Raises `UsageError` for a target that the engine cannot read."""
    return DIALECTS[dialect](table)


def _duckdb(table: Table) -> str:
    return f"""\
CREATE OR REPLACE VIEW logs AS
SELECT * FROM read_parquet(
  {_text(f"{table.place}bucket=*/day=*/*.parquet")},
  hive_partitioning = true,
  hive_types = {{'bucket': VARCHAR, 'day': DATE}}
);
"""  # noqa: S608 - the text is quoted


def _athena(table: Table) -> str:
    """Documented in the Athena User Guide, "Use partition projection with Amazon Athena"."""
    if table.buckets:
        about = "-- It knows these source buckets only: make it anew when there is another one."
        bucket = f"""\
  'projection.bucket.type' = 'enum',
  'projection.bucket.values' = {_text(",".join((*table.buckets, NO_BUCKET)))},"""
    else:
        about = (
            f"-- Each query must name its source bucket: WHERE bucket = 'my-bucket'. Lines that are not records have\n"
            f"-- '{NO_BUCKET}' there. With --bucket NAME, export --ddl makes a table that knows its buckets."
        )
        bucket = "  'projection.bucket.type' = 'injected',"
    types = {pa.string(): "string", pa.int64(): "bigint", _TIME: "timestamp", _TEXTS: "array<string>"}
    return f"""\
{about}
-- Queries without a condition on day look for every day of the range.
CREATE EXTERNAL TABLE logs (
{table.columns(types, "`")}
)
PARTITIONED BY (`bucket` string, `day` string)
STORED AS PARQUET
LOCATION {_s3("athena", table)}
TBLPROPERTIES (
  'projection.enabled' = 'true',
{bucket}
  'projection.day.type' = 'date',
  'projection.day.format' = 'yyyy-MM-dd',
  'projection.day.range' = '{table.since},NOW',
  'storage.location.template' = {_text(f"{table.place}bucket=${{bucket}}/day=${{day}}/")}
);
"""


def _spark(table: Table) -> str:
    types = {pa.string(): "STRING", pa.int64(): "BIGINT", _TIME: "TIMESTAMP", _TEXTS: "ARRAY<STRING>"}
    return f"""\
-- Apache Spark itself wants s3a:// in place of s3://; EMR and Databricks take both.
CREATE TABLE logs (
{table.columns(types, "`")},
  `bucket` STRING,
  `day` DATE
)
USING PARQUET
PARTITIONED BY (`bucket`, `day`)
LOCATION {_text(table.place)};
-- Run this again when something was exported.
MSCK REPAIR TABLE logs;
"""


def _trino(table: Table) -> str:
    types = {pa.string(): "VARCHAR", pa.int64(): "BIGINT", _TIME: "TIMESTAMP(3)", _TEXTS: "ARRAY(VARCHAR)"}
    return f"""\
-- For a catalog of the Hive connector.
CREATE TABLE logs (
{table.columns(types, '"')},
  "bucket" VARCHAR,
  "day" DATE
)
WITH (
  format = 'PARQUET',
  external_location = {_s3("trino", table)},
  partitioned_by = ARRAY['bucket', 'day']
);
-- Run this again when something was exported, with the name of your schema.
CALL system.sync_partition_metadata('default', 'logs', 'ADD');
"""


_TIME: Final = pa.timestamp("ms", "UTC")
_TEXTS: Final = pa.list_(pa.string())
DIALECTS: Final[Mapping[str, Callable[[Table], str]]] = {
    "athena": _athena,
    "duckdb": _duckdb,
    "spark": _spark,
    "trino": _trino,
}


def _s3(engine: str, table: Table) -> str:
    if not table.target.startswith("s3://"):
        raise UsageError(f"--ddl {engine} needs a place that it can read: --to s3://BUCKET/PREFIX, not {table.target}")
    return _text(table.place)


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
