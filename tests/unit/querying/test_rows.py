"""Logs that come in parts become whole lines, each with the log it is from."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

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
