"""Answers as a table, JSON, CSV and Parquet."""

from __future__ import annotations

import csv
import io
import json
from datetime import date
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.support.columns import answer_of
from tests.support.records import a_line

from s3_log_roller.querying.engine import ask, understand
from s3_log_roller.querying.results import MAX_CELL_CHARS, cell_text, plain_value, write_answer

SQL = """SELECT * FROM (VALUES
  ('=a,"b"', 1, 1.5, 1::HUGEINT, TIMESTAMPTZ '2022-07-01 05:00Z', ['x', NULL], true, DATE '2022-07-01'),
  (NULL, -20, 'inf'::DOUBLE, NULL, NULL, NULL, false, NULL)
) AS v(text, number, real, big, time, list, flag, day)"""


def written(output: str) -> bytes:
    parts: list[bytes] = []

    def write(answer: pa.RecordBatchReader) -> None:
        assert write_answer(answer, output, parts.append) == 2

    ask(understand(SQL, {}), lambda take: None, write)
    return b"".join(parts)


def test_json_has_an_object_a_line() -> None:
    """Numbers are numbers, times are ISO 8601; null for what JSON cannot say."""
    first, second = map(json.loads, written("json").splitlines())
    assert list(first.values()) == ['=a,"b"', 1, 1.5, 1, "2022-07-01T05:00:00Z", ["x", None], True, "2022-07-01"]
    assert list(second.values()) == [None, -20, None, None, None, None, False, None]


def test_csv_has_a_header_and_no_formulas() -> None:
    """A text that a spreadsheet would take for a formula has an apostrophe in front, as `cat --output csv` has it."""
    header, first, second = csv.reader(io.StringIO(written("csv").decode()))
    assert header == ["text", "number", "real", "big", "time", "list", "flag", "day"]
    assert first == ['\'=a,"b"', "1", "1.5", "1", "2022-07-01T05:00:00Z", '["x", null]', "true", "2022-07-01"]
    assert second[:2] == ["", "-20"]


def test_a_table_has_aligned_columns() -> None:
    """Numbers to the right; nothing is empty."""
    header, first, second = written("table").decode().splitlines()
    assert header.startswith("text    number  real")
    assert first.startswith('=a,"b"       1   1.5')
    assert second.startswith("           -20")


def test_a_table_shows_control_characters() -> None:
    """A user agent cannot move the cursor of whoever looks at it."""
    parts: list[bytes] = []
    row = pa.record_batch({"agent": ["a\x1b[31m\nb" + "c" * 200]})
    write_answer(pa.RecordBatchReader.from_batches(row.schema, [row]), "table", parts.append)
    _, line = b"".join(parts).decode().splitlines()
    assert line.startswith("a\\x1b[31m\\nb")
    assert line.endswith("c…")


def test_parquet_can_be_read_again() -> None:
    """With the types that the answer has."""
    table = pq.read_table(io.BytesIO(written("parquet")))
    assert table["number"].to_pylist() == [1, -20]
    assert table.schema.field("time").type == pa.timestamp("us", "UTC")


def test_an_answer_without_columns_of_numbers_is_one_of_texts() -> None:
    """What a log says comes out as it is."""
    assert answer_of("SELECT user_agent FROM logs", [a_line(agent="0012")]) == [{"user_agent": "0012"}]


def test_parquet_has_few_row_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """DuckDB gives an answer in small batches; a row group for each would make the file slow to read."""
    monkeypatch.setattr("s3_log_roller.querying.results.ROW_GROUP_ROWS", 5_000)
    parts: list[bytes] = []

    def write(answer: pa.RecordBatchReader) -> None:
        assert write_answer(answer, "parquet", parts.append) == 12_000

    ask(understand("SELECT range AS n FROM range(12_000)", {}), lambda take: None, write)
    metadata = pq.ParquetFile(io.BytesIO(b"".join(parts))).metadata
    sizes = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    assert sum(sizes) == 12_000
    assert len(sizes) == 2


def test_a_cell_is_as_long_as_it_may_be() -> None:
    """What is cut off is told by its last character."""
    assert cell_text("a" * MAX_CELL_CHARS) == "a" * MAX_CELL_CHARS
    assert cell_text("a" * (MAX_CELL_CHARS + 1)) == "a" * (MAX_CELL_CHARS - 1) + "…"


def test_structs_in_an_answer_keep_their_parts() -> None:
    """Each as it would be alone."""
    assert plain_value({"sum": Decimal("3"), 1: [date(2022, 7, 1)]}) == {"sum": 3, "1": ["2022-07-01"]}
