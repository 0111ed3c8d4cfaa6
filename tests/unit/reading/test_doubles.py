"""Logs of one name out of several files: each content comes out once, and nothing that came is lost."""

from __future__ import annotations

from collections.abc import Callable

from s3_log_roller.reading import doubles
from s3_log_roller.reading.doubles import Doubles, LogPart, Origin
from s3_log_roller.reading.tarball import Member


def log(file: str, *pieces: bytes, cut_off: bool = False) -> list[LogPart]:
    """The parts of the log `m`, out of that file."""
    member = Member("m", 100, 0)
    origin = Origin("bucket", file, True)
    return [(origin, member, piece, number == len(pieces) and not cut_off) for number, piece in enumerate(pieces, 1)]


def once(*parts: list[LogPart], failed: Callable[[str], None] = lambda message: None) -> list[bytes]:
    every = (part for some in parts for part in some)
    return [data for _, _, data, _ in Doubles(lambda name: True, failed).leave_out(every, in_order=False)]


def test_the_same_bytes_come_out_once() -> None:
    """However they are cut into pieces; other bytes of that name come out, too, and are told of."""
    told: list[str] = []
    parts = log("a", b"12", b"3"), log("b", b"1", b"23"), log("c", b"124"), log("d", b"124")
    assert once(*parts, failed=told.append) == [b"12", b"3", b"124"]
    assert len(told) == 1
    assert told[0].startswith("s3://bucket/c:m does not hold the bytes of the log of that name in another file")


def test_what_came_of_a_log_that_was_cut_off_comes_out() -> None:
    """Nobody knows whether it would have been the same: at the end, and where another log follows."""
    assert once(log("a", b"12"), log("b", b"1", cut_off=True)) == [b"12", b"1"]
    assert once(log("a", b"12"), log("b", b"1", cut_off=True), log("c", b"12")) == [b"12", b"1"]


def test_large_logs_come_out_twice_and_that_is_told() -> None:
    """Nothing so large is held until it is known to be the same."""
    told: list[str] = []
    large = Member("m", doubles.MAX_HELD_BYTES + 1, 0)
    parts = [(Origin("bucket", file, True), large, b"12", True) for file in ("a", "b")]
    assert once(parts, failed=told.append) == [b"12", b"12"]
    assert "it came twice" in told[0]


def test_a_file_that_differs_in_many_logs_is_told_of_once() -> None:
    """One line for each file, however many of its logs differ."""
    told: list[str] = []
    parts = [
        (Origin("bucket", file, True), Member(name, 1, 0), file.encode(), True)
        for file in ("a", "b", "c")
        for name in ("m", "n")
    ]
    assert once(parts, failed=told.append) == [b"a", b"a", b"b", b"b", b"c", b"c"]
    assert [message.partition(":m ")[0] for message in told] == ["s3://bucket/b", "s3://bucket/c"]
