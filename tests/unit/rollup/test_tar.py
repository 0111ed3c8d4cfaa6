"""The fast tar headers are tarfile's."""

from __future__ import annotations

import tarfile

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from s3_log_roller.rollup.tar import END_OF_ARCHIVE, TarHeaders, name_prefix, padding

SUFFIX = "2022-07-01-05-15-43-42117B9A70B0F1BA"
NAME_PREFIXES = st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), max_size=120)


def tarfile_header(name: str, size: int, mtime: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode, info.uid, info.gid = size, mtime, 0o644, 0, 0
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


@given(NAME_PREFIXES, st.integers(0, 2**64 - 1) | st.integers(0, 10**6), st.integers(-(2**40), 2**40))
@example("", 0, 0)
@example("logs-", 8**11 - 1, 8**11 - 1)
@example("logs-", 8**11, 8**11)
@example("é" * 32, 3700, 1656652543)
@example("é" * 32 + "x", 3700, 1656652543)
@example("", 3700, -1)
def test_headers_are_those_of_tarfile(prefix: str, size: int, mtime: int) -> None:
    """Byte for byte, on the fast path and off it: long names, giant sizes, odd times."""
    assert TarHeaders(prefix).header(SUFFIX, size, mtime) == tarfile_header(prefix + SUFFIX, size, mtime)


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 3700])
def test_padding_fills_the_last_record(size: int) -> None:
    """A body and its padding are whole records, and the padding is less than one."""
    pad = padding(size)
    assert (size + len(pad)) % 512 == 0
    assert len(pad) < 512
    assert not any(pad)


def test_the_end_of_an_archive_is_two_records_of_zeros() -> None:
    """As POSIX has it."""
    assert bytes(1024) == END_OF_ARCHIVE


@pytest.mark.parametrize(("target_prefix", "expected"), [("", ""), ("logs-", "logs-"), ("a/b/", ""), ("a//b/c-", "c-")])
def test_members_are_named_by_their_base_names(target_prefix: str, expected: str) -> None:
    """What is behind the target prefix's last slash belongs to the name."""
    assert name_prefix(target_prefix) == expected


def test_a_name_with_a_nul_is_refused() -> None:
    """Tar would cut it off there."""
    with pytest.raises(ValueError, match="NUL"):
        TarHeaders("a\0b")
