"""Records as columns are what `parse_record` says, whatever the lines hold."""

from __future__ import annotations

from datetime import date, datetime
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.columns import rows_exactly
from tests.support.odd_lines import LINES, odd_lines
from tests.support.records import a_line

from s3_log_roller.demo.sample_logs import sample_log
from s3_log_roller.querying.columns import SCHEMA, ColumnParser, Counts, Lines

DAY = date(2022, 7, 1)


def parse(lines: list[bytes]) -> tuple[list[dict[str, object]], Counts]:
    batch, counts = ColumnParser().parse(b"".join(line + b"\n" for line in lines), [Lines(len(lines), "log", DAY)])
    batch.validate(full=True)
    assert batch.schema == SCHEMA
    rows = batch.to_pylist()
    assert {(row.pop("day"), row.pop("source")) for row in rows} <= {(DAY, "log")}
    return rows, counts


def test_odd_lines_are_read_as_parse_record_reads_them() -> None:
    """Every field of every line, and the lines that are not records, in their order."""
    rows, counts = parse(LINES)
    assert rows == rows_exactly(LINES)
    assert counts.rows == len(rows)
    assert counts.unparsable == sum(row["raw"] is not None for row in rows) > 0


@pytest.mark.parametrize("seed", range(4))
def test_changed_lines_are_read_as_parse_record_reads_them(seed: int) -> None:
    """Lines with a few bytes changed, among plain ones."""
    lines = odd_lines(Random(seed), 700)
    assert parse(lines)[0] == rows_exactly(lines)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(LINES), st.binary(max_size=80).map(lambda b: b.replace(b"\n", b"")))))
def test_any_lines_are_read_as_parse_record_reads_them(lines: list[bytes]) -> None:
    """Any bytes between them change nothing."""
    assert parse(lines)[0] == rows_exactly(lines)


def test_what_no_column_can_hold_stays_as_text() -> None:
    """A leap second, a number of 64 bits and a zone that does not exist are rows with their text, and counted."""
    odd = [
        a_line().replace(":38 ", ":60 "),
        a_line().replace(" 113 ", " 9999999999999999999 "),
        a_line().replace("+0000", "+9999"),
    ]
    lines = [line.encode() for line in (a_line(), *odd, a_line())]
    rows, counts = parse(lines)
    assert [row["raw"] for row in rows] == [None, *odd, None]
    assert counts.unparsable == 3
    assert rows[0]["bytes_sent"] == rows[4]["bytes_sent"] == 113


def test_plain_lines_go_the_quick_way() -> None:
    """Logs as S3 writes them hardly ever need `parse_record`."""
    lines = sample_log(Random(1), datetime.fromisoformat("2022-07-01T05:00Z"), "example.com", 500).splitlines()
    assert parse(lines)[1].slow < 50


def test_each_row_names_the_log_it_came_from() -> None:
    """Blank lines are not rows, and shift nothing."""
    line = a_line().encode() + b"\n"
    origins = [Lines(2, "one", DAY), Lines(0, "empty", DAY), Lines(3, "two", None)]
    batch, _ = ColumnParser().parse(line + b"\n" + b"\r\n" + b"nonsense\n" + line, origins)
    rows = batch.to_pylist()
    assert [(row["source"], row["day"], row["raw"]) for row in rows] == [
        ("one", DAY, None),
        ("two", None, "nonsense"),
        ("two", None, None),
    ]
