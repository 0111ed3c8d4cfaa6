"""What is packed comes back, through our own reader and through Python's `tarfile`."""

from __future__ import annotations

import gzip
import hashlib
import io
import random
import tarfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.packing import cut, decode_index, pack, prove

from s3_log_roller import __version__
from s3_log_roller.errors import DamagedRollup
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rollup import (
    MAX_FOOTER_BYTES,
    NoIndex,
    Originals,
    RollupWriter,
    inflate_block,
    read_footer,
)
from s3_log_roller.rollup.carriers import decode_carriers, encode_carrier
from s3_log_roller.rollup.compression import DEFAULT_LEVEL
from s3_log_roller.rollup.footer import DIRECTORY, MEMBERS, Section
from s3_log_roller.rollup.members import iter_chunk

DAY = date(2022, 7, 1)
MIDNIGHT = int(datetime(2022, 7, 1, tzinfo=UTC).timestamp())
MIB = 1 << 20


@dataclass(frozen=True)
class Log:
    """A log to be packed; `etag` only where it is not the body's MD5."""

    second: int
    unique: int
    body: bytes
    delay: int = 1
    etag: str | None = None

    @property
    def suffix(self) -> str:
        clock = f"{self.second // 3600:02}-{self.second // 60 % 60:02}-{self.second % 60:02}"
        return f"{DAY}-{clock}-{self.unique:016X}"

    @property
    def mtime(self) -> int:
        return MIDNIGHT + self.second + self.delay

    @property
    def md5(self) -> bytes:
        return hashlib.md5(self.body, usedforsecurity=False).digest()


def rollup_of(logs: Sequence[Log], target_prefix: str = "example.com/", pieces: Sequence[int] = ()) -> bytes:
    return pack(DayGroup("bucket1", target_prefix, DAY), logs, pieces=pieces)[1]


def random_body(seed: int, size: int) -> bytes:
    """Part noise, part text, quick to make."""
    noise = random.Random(seed).randbytes(min(size, 2000))
    return (noise + b"79a5 example.com [01/Jul/2022] " * (size // 31 + 1))[:size]


SMALL_SIZES = st.integers(0, 5000) | st.sampled_from([0, 511, 512, 513])
LARGE_SIZES = st.sampled_from([MIB // 2, MIB - 1024, MIB - 512, MIB - 511, MIB, 2 * MIB - 512, 3_000_000])
SIZES = SMALL_SIZES | SMALL_SIZES | LARGE_SIZES
LOGS = st.lists(
    st.builds(
        Log,
        st.integers(0, 86399),
        st.integers(0, 2**64 - 1),
        st.builds(random_body, st.integers(0, 100), SIZES),
        st.integers(-5, 10**6),
        st.none() | st.sampled_from(["0123456789abcdef0123456789abcdef-7", "0" * 32]),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda log: (log.second, log.unique),
).map(lambda logs: sorted(logs, key=lambda log: log.suffix))
TARGET_PREFIXES = st.sampled_from(["", "logs-", "example.com/", "a//b/Zoë-", "x/" + "n" * 90])
quick = settings(max_examples=30, deadline=None)


@quick
@given(LOGS, TARGET_PREFIXES, st.sampled_from([0, 512, 7000, 100_001, 5 * MIB]))
@pytest.mark.heavy
def test_what_is_packed_is_verified_and_indexed(logs: list[Log], target_prefix: str, piece: int) -> None:
    """Every member comes back with its name, size, time and MD5, however the tar is cut while it is checked."""
    rollup = rollup_of(logs, target_prefix)
    proven = prove(rollup, piece)
    assert [(m.suffix, m.size, m.mtime, md5) for m, md5 in proven] == [
        (log.suffix, len(log.body), log.mtime, log.md5) for log in logs
    ]
    assert [m.digest for m, _ in proven] == [log.md5 if log.etag else log.md5[:4] for log in logs]
    assert [m.etag for m, _ in proven] == [log.etag for log in logs]
    footer, directory, _ = decode_index(rollup)
    assert (directory.target_prefix, directory.day) == (target_prefix, DAY)
    assert (footer.members, footer.original_bytes) == (len(logs), sum(len(log.body) for log in logs))


@quick
@given(LOGS, st.lists(st.integers(1, 2 * MIB), min_size=1, max_size=3).filter(lambda pieces: sum(pieces) > 5000))
@pytest.mark.heavy
def test_same_originals_same_bytes(logs: list[Log], pieces: list[int]) -> None:
    """However the bodies come in pieces."""
    assert rollup_of(logs, pieces=pieces) == rollup_of(logs)


@quick
@given(LOGS, TARGET_PREFIXES)
def test_tarfile_reads_exactly_the_originals(logs: list[Log], target_prefix: str) -> None:
    """Base names in key order, bodies, and LastModified as mtime."""
    base = target_prefix.rpartition("/")[2]
    with tarfile.open(fileobj=io.BytesIO(rollup_of(logs, target_prefix)), mode="r:gz", encoding="utf-8") as tar:
        found = []
        for member in tar:
            body = tar.extractfile(member)
            assert body is not None
            found.append((member.name, body.read(), member.mtime, member.mode, member.uid, member.isreg()))
    assert found == [(base + log.suffix, log.body, log.mtime, 0o644, 0, True) for log in logs]


@pytest.mark.heavy
@quick
@given(LOGS)
def test_blocks_tile_the_data_and_follow_the_rule(logs: list[Log]) -> None:
    """Each inflates alone, members start a block where they do not fit into the one before, none is over its limit."""
    rollup = rollup_of(logs)
    footer, directory, _ = decode_index(rollup)
    tar = gzip.decompress(rollup)
    assert len(tar) == footer.tar_bytes
    expected_starts, block_start, position = [0], 0, 0
    for log in logs:
        entry = 512 + len(log.body) + -len(log.body) % 512
        if position > block_start and position - block_start + entry > MIB:
            block_start = position
            expected_starts.append(block_start)
        position += entry
        while position - block_start > MIB:
            block_start += MIB
            expected_starts.append(block_start)
    starts, offset = [0], 10
    for block in directory.blocks:
        assert block.offset == offset
        piece = zlib.decompressobj(-15).decompress(cut(rollup, block))
        assert piece == tar[starts[-1] : starts[-1] + block.tar_length]
        offset += block.length
        starts.append(starts[-1] + block.tar_length)
    assert offset + 8 == footer.data_bytes
    assert starts[:-1] == expected_starts


@pytest.mark.parametrize(
    ("last_size", "expected"),
    [
        (MIB // 2 - 512, [MIB + 1024]),
        (MIB // 2 - 1023, [MIB + 1024]),
        (MIB // 2, [MIB // 2, MIB // 2 + 1536]),
        (MIB // 2 - 511, [MIB // 2, MIB // 2 + 1536]),
    ],
)
def test_a_block_is_filled_to_its_last_byte(last_size: int, expected: list[int]) -> None:
    """An entry that just fits goes in, one of a record more begins the next; the end of the archive has room."""
    logs = [Log(1, 1, bytes(MIB // 2 - 512)), Log(2, 2, bytes(last_size))]
    rollup = rollup_of(logs)
    assert rollup == rollup_of(logs, pieces=[100_000])
    assert [block.tar_length for block in decode_index(rollup)[1].blocks] == expected
    assert len(prove(rollup)) == 2


@quick
@given(LOGS, st.data())
@pytest.mark.heavy
def test_one_member_is_found_in_the_blocks_the_table_names(logs: list[Log], data: st.DataObject) -> None:
    """And nowhere else: its header and whole body are in those blocks, which are as few as its size allows."""
    rollup = rollup_of(logs)
    _, directory, _ = decode_index(rollup)
    log = data.draw(st.sampled_from(logs))
    blocks = directory.blocks_for(log.suffix, log.suffix)
    tar = b"".join(inflate_block(cut(rollup, b), b) for b in blocks)
    with tarfile.open(fileobj=io.BytesIO(tar[blocks[0].first_header :]), mode="r:") as reader:
        body = reader.extractfile(log.suffix)
        assert body is not None
        assert body.read() == log.body
    assert len(blocks) <= (len(log.body) + 1023) // MIB + 1


@quick
@given(LOGS, st.data())
def test_a_time_range_is_found_in_the_blocks_the_table_names(logs: list[Log], data: st.DataObject) -> None:
    """Every block with a byte of the range's members is among them; bounds may be parts of a suffix."""
    rollup = rollup_of(logs)
    _, directory, _ = decode_index(rollup)
    low, high = sorted(data.draw(st.tuples(st.integers(0, 23), st.integers(0, 23))))
    chosen = directory.blocks_for(f"{DAY}-{low:02}", f"{DAY}-{high:02}:")
    ordinals = [row for row, log in enumerate(logs) if low <= log.second // 3600 <= high]
    ends = [block.ordinal for block in directory.blocks[1:]] + [len(logs)]
    for block, end in zip(directory.blocks, ends, strict=True):
        if any(block.ordinal <= row < end for row in ordinals):
            assert block in chosen


@pytest.mark.heavy
def test_a_day_of_many_chunks_and_carriers_round_trips() -> None:
    """The index of 20,000 members has five chunks and many gzip members, none above what all tools read."""
    rng = random.Random(1)
    logs = [
        Log(row * 4, rng.getrandbits(64), b"", etag="e" * 200 + "-2" if row % 50 == 7 else None)
        for row in range(20_000)
    ]
    rollup = rollup_of(logs)
    footer, directory, _ = decode_index(rollup)
    assert [chunk.members for chunk in directory.chunks] == [4096, 4096, 4096, 4096, 3616]
    assert max(carried(rollup[footer.data_bytes :])) == 16_000
    assert [(m.suffix, m.mtime, m.etag) for m, _ in prove(rollup)] == [(x.suffix, x.mtime, x.etag) for x in logs]


def carried(index: bytes) -> list[int]:
    """The lengths of the extra fields of the gzip members that these bytes consist of."""
    lengths = []
    while index:
        assert index.startswith(bytes.fromhex("1f8b 0804"))
        lengths.append(int.from_bytes(index[14:16], "little"))
        assert gzip.decompress(index[: lengths[-1] + 26]) == b""
        index = index[lengths[-1] + 26 :]
    return lengths


@pytest.mark.parametrize("size", [1, 15_999, 32_768, 65_000])
def test_carriers_of_other_lengths_are_read(size: int) -> None:
    """The writer's have up to 16,000 bytes; a reader takes up to 65,000, as an earlier draft wrote them."""
    payload = random.Random(1).randbytes(130_001 if size > 1 else 40)
    pieces = [encode_carrier(payload[start : start + size]) for start in range(0, len(payload), size)]
    assert decode_carriers(b"".join(pieces)) == payload
    for wrong in (b"".join(pieces)[:-1], b"".join(pieces) + b"\0", encode_carrier(b""), encode_carrier(bytes(65_001))):
        with pytest.raises(DamagedRollup):
            decode_carriers(wrong)


def test_every_chunk_is_read_alone() -> None:
    """A member of a million is found without the members before it: differences start anew in each chunk."""
    logs = [Log(row, row, b"") for row in range(9_000)]
    rollup = rollup_of(logs)
    _, directory, _ = decode_index(rollup)
    last = directory.chunks[-1]
    members = list(iter_chunk(last, cut(rollup, last), DAY))
    assert [member.suffix for member in members] == [log.suffix for log in logs[2 * 4096 :]]
    assert directory.chunks_for(logs[5000].suffix, logs[5000].suffix) == directory.chunks[1:2]
    assert directory.chunks_for(f"{DAY}-00", f"{DAY}-23") == directory.chunks


def test_the_footer_says_which_program_wrote_the_rollup() -> None:
    """And any read of so many bytes as the largest footer has is enough, however long the rollup is."""
    rollup = rollup_of([Log(1, 1, random.Random(1).randbytes(9000))])
    footer = read_footer(rollup[-MAX_FOOTER_BYTES:], len(rollup))
    assert footer.created_by == f"s3-log-roller {__version__}"
    assert [(section.id, section.flags) for section in footer.sections] == [(MEMBERS, 0), (DIRECTORY, 0)]
    assert footer == read_footer(rollup, len(rollup))
    sections = tuple(Section(9, 1, 0, 1, 0) for _ in range(255))
    assert len(replace(footer, created_by="x" * 255, sections=sections).encode()) <= MAX_FOOTER_BYTES


def test_a_small_rollup_has_a_small_index() -> None:
    """Tiny rollups exist by the thousand."""
    rollup = rollup_of([Log(18943, 0x42117B9A70B0F1BA, random_body(1, 3700))])
    footer, _, _ = decode_index(rollup)
    assert len(rollup) - footer.data_bytes <= 380


def test_a_member_is_recognised_by_what_the_index_knows() -> None:
    """Name, size and ETag; where the ETag is not the MD5 of the content, by the ETag that was kept."""
    logs = [Log(1, 1, b"a"), Log(2, 2, b"b", etag="0" * 32 + "-2")]
    originals = Originals(DayGroup("bucket1", "", DAY))
    for log in logs:
        originals.append(log.suffix, log.etag or log.md5.hex(), 1, 0)
    first, second = originals
    members = list(decode_index(rollup_of(logs))[2])
    assert members[0].may_hold(first)
    assert members[1].may_hold(second)
    assert not members[0].may_hold(second)
    assert not members[0].may_hold(first._replace(size=2))
    assert not members[0].may_hold(first._replace(md5=bytes(16), etag="0" * 32))
    assert not members[0].may_hold(first._replace(md5=None, etag="0" * 32 + "-2"))
    assert not members[1].may_hold(second._replace(etag="0" * 32 + "-3"))


def test_the_writer_refuses_what_would_make_a_wrong_rollup() -> None:
    """Bodies of another length, members out of order or unfinished, and a rollup of nothing."""
    originals = Originals(DayGroup("bucket1", "", DAY))
    for log in (Log(0, 0, b"xy"), Log(1, 1, b"ab"), Log(2, 2, b"cd")):
        originals.append(log.suffix, log.md5.hex(), 2, 0)
    zeroth, first, second = originals
    writer = RollupWriter(originals.group, DEFAULT_LEVEL)
    with pytest.raises(ValueError, match="no originals"):
        writer.finish()
    writer.add(zeroth, b"xy", bytes(16))
    with pytest.raises(ValueError, match="size of 2"):
        writer.add(first, b"abc", bytes(16))
    writer.begin(first)
    writer.write(b"a")
    with pytest.raises(ValueError, match="did not come"):
        writer.end(bytes(16))
    with pytest.raises(ValueError, match="more bytes"):
        writer.write(b"bc")
    with pytest.raises(ValueError, match="not ended"):
        writer.finish()
    with pytest.raises(ValueError, match="not ended"):
        writer.add(second, b"cd", bytes(16))
    writer.write(b"b")
    writer.end(bytes(16))
    writer.add(second, b"cd", bytes(16))
    for earlier in (first, second):
        with pytest.raises(ValueError, match="sort"):
            writer.add(earlier, b"ab", bytes(16))


def test_a_tarball_by_another_program_has_no_index(tmp_path: Path) -> None:
    """It is told from a damaged rollup."""
    path = tmp_path / "other.tgz"
    with tarfile.open(path, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("x"))
    data = path.read_bytes()
    for tail in (data, b"", data[:3]):
        with pytest.raises(NoIndex):
            read_footer(tail, len(tail))
