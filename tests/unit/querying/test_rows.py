"""Logs that come in parts become whole lines, each with the log it is from."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_log_roller.querying.columns import Lines
from s3_log_roller.querying.rows import Blocks
from s3_log_roller.reading.doubles import LogPart, Origin
from s3_log_roller.reading.tarball import Member

ORIGIN = Origin("b", "x/rollup-2022-07-01-b33e1e0a.tgz", is_packed=True)
NAME = "2022-07-01-05-15-43-42117B9A70B0F1BA"


def parts_of(body: bytes, piece_bytes: int, name: str = NAME) -> Iterator[LogPart]:
    member = Member(name, len(body), 0)
    starts = range(0, max(len(body), 1), piece_bytes)
    return ((ORIGIN, member, body[at : at + piece_bytes], at == starts[-1]) for at in starts)


@given(st.lists(st.lists(st.sampled_from(["a", "bb", "", "cccc"]))), st.integers(1, 9), st.booleans())
def test_lines_come_whole_however_logs_are_cut(logs: list[list[str]], piece_bytes: int, ended: bool) -> None:
    """A line end that is missing at the end of a log is added, so that no line runs into the next log."""
    bodies = ["\n".join(lines).encode() + (b"\n" if ended else b"") for lines in logs]
    blocks = Blocks(part for body in bodies for part in parts_of(body, piece_bytes))
    found = list(blocks)
    expected = [body if body.endswith(b"\n") else body + b"\n" for body in bodies if body]
    assert b"".join(lines for lines, _ in found) == b"".join(expected)
    assert sum(one.number for _, origins in found for one in origins) == b"".join(expected).count(b"\n")
    assert blocks.logs == len(logs)


def test_rows_know_their_log_and_its_day() -> None:
    """Where the name tells no day there is none."""
    parts = [*parts_of(b"a\nb\n", 99), *parts_of(b"c", 99, "some.log")]
    ((_, origins),) = Blocks(parts)
    rollup = "s3://b/x/rollup-2022-07-01-b33e1e0a.tgz"
    assert origins == [Lines(2, f"{rollup}:{NAME}", date(2022, 7, 1)), Lines(1, f"{rollup}:some.log", None)]


def test_a_log_that_is_cut_off_keeps_its_last_line() -> None:
    """It is a line of that log, not the beginning of the next one's."""
    cut = [(ORIGIN, Member(NAME, 9, 0), b"a\nhal", False)]
    ((lines, origins),) = Blocks([*cut, *parts_of(b"c\n", 99)])
    assert lines == b"a\nhal\nc\n"
    assert sum(one.number for one in origins) == 3


def test_a_log_that_is_cut_off_last_keeps_its_last_line_too() -> None:
    """It does not count as a log that was read."""
    blocks = Blocks([*parts_of(b"c\n", 99), (ORIGIN, Member(NAME, 9, 0), b"a\nhal", False)])
    assert b"".join(lines for lines, _ in blocks) == b"c\na\nhal\n"
    assert blocks.logs == 1


def test_batches_are_full_and_each_line_is_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only lines that are picked count for their size."""
    monkeypatch.setattr("s3_log_roller.querying.rows.BATCH_BYTES", 12)
    parts = [part for number in range(5) for part in parts_of(f"{number}\nline {number}\n".encode(), 99)]

    def pick(lines: bytes) -> bytes:
        return b"".join(line for line in lines.splitlines(keepends=True) if line.startswith(b"line"))

    found = list(Blocks(parts, pick))
    assert [lines for lines, _ in found] == [b"line 0\nline 1\n", b"line 2\nline 3\n", b"line 4\n"]
    assert [[one.number for one in origins] for _, origins in found] == [[1, 1], [1, 1], [1]]
    assert [lines for lines, _ in Blocks(parts)][:2] == [b"0\nline 0\n1\nline 1\n", b"2\nline 2\n3\nline 3\n"]


def test_a_line_without_an_end_is_not_held_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """From some length on it comes in pieces; up to it, it comes whole."""
    monkeypatch.setattr("s3_log_roller.querying.rows.MAX_LINE_BYTES", 8)
    ((lines, _),) = Blocks(parts_of(b"a" * 7 + b"\nb\n", 4))
    assert lines == b"a" * 7 + b"\nb\n"
    ((lines, _),) = Blocks(parts_of(b"a" * 20, 4))
    assert lines.splitlines() == [b"a" * 8, b"a" * 8, b"a" * 4]


def test_loose_logs_are_counted_apart() -> None:
    """A user may want to roll them up."""
    loose = (Origin("b", f"x/{NAME}", is_packed=False), Member(NAME, 2, 0), b"d\n", True)
    blocks = Blocks([*parts_of(b"c\n", 99), loose, loose])
    list(blocks)
    assert (blocks.logs, blocks.loose) == (3, 2)


@pytest.mark.parametrize(
    ("name", "shown"), [("log.1", "log.1"), ("l\u00f6g", "l\u00f6g"), ("l\udcffg", "l\\xffg"), ("l\\xffg", "l\\xffg")]
)
def test_names_that_are_not_utf8_are_shown_with_backslashes(name: str, shown: str) -> None:
    """A column of texts cannot hold them."""
    ((_, origins),) = Blocks(parts_of(b"a\n", 99, name))
    assert [one.source.rpartition(":")[2] for one in origins] == [shown]
