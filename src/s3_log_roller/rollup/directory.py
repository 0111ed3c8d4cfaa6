"""The directory of a rollup: whose logs it holds, where its blocks are, and where the chunks of its index are."""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, NamedTuple, TypeVar, overload

from s3_log_roller.errors import DamagedRollup
from s3_log_roller.log_keys import LOG_SUFFIX
from s3_log_roller.rollup.carriers import decode_carriers, encode_carriers, most_bytes
from s3_log_roller.rollup.compression import (
    GZIP_HEADER,
    GZIP_TRAILER,
    MAX_DEFLATE_RATIO,
    crc32,
    deflate,
    inflate_exactly,
)
from s3_log_roller.rollup.damage import damaged
from s3_log_roller.rollup.footer import BLOCK_BYTES, Footer
from s3_log_roller.rollup.members import CHUNK_MEMBERS, INDEX_LEVEL, Chunk, most_chunk_bytes
from s3_log_roller.rollup.originals import clock_prefix
from s3_log_roller.rollup.planes import from_planes, to_planes
from s3_log_roller.rollup.tar import END_OF_ARCHIVE, RECORD_BYTES

MAX_PREFIX_BYTES: Final = 1024
"""S3 does not allow longer keys."""
_DAY_BYTES: Final = len("YYYY-MM-DD")
_BLOCK: Final = struct.Struct("<IIIIQIQ")
BLOCK_RECORD_BYTES: Final = _BLOCK.size
_CHUNK: Final = struct.Struct("<IIIQ")
_PREFIX_LENGTH: Final = struct.Struct("<H")

T = TypeVar("T", "Block", Chunk)


class Block(NamedTuple):
    """A part of the data that can be inflated alone, and what its piece of the tar begins with."""

    offset: int
    """Where the block begins in the file."""
    length: int
    """The block's length in the file, in bytes."""
    crc32: int
    """The CRC-32 of these bytes of the file."""
    tar_length: int
    """How many bytes the block inflates to."""
    first_header: int
    """Offset, in the piece of tar, of the first header that starts in it; `tar_length` if none does."""
    ordinal: int
    """The number, from 0, of the member that the first byte belongs to."""
    suffix: str
    """The suffix of that member."""
    last: bool
    """It is the last block, with which the deflate stream ends."""
    alone: bool = False
    """It is a gzip member of its own, header and trailer included, as in files from before 1.0."""


class Blocks(Sequence[Block]):
    """The blocks in order. Each is decoded when it is asked for: a table takes 44 bytes a block."""

    def __init__(self, records: bytes | bytearray, day: str, *, alone: bool = False) -> None:
        self._records = records
        self._day = day
        self._alone = alone
        self._offsets = array("Q", [0 if alone else len(GZIP_HEADER)])
        for length, *_ in _BLOCK.iter_unpack(records):
            self._offsets.append(self._offsets[-1] + length)

    @property
    def stop(self) -> int:
        """The file offset behind the last block."""
        return self._offsets[-1]

    @property
    def data_bytes(self) -> int:
        """The length of the data that these blocks are."""
        return self.stop if self._alone else self.stop + GZIP_TRAILER.size

    def __len__(self) -> int:
        return len(self._offsets) - 1

    @overload
    def __getitem__(self, place: int) -> Block: ...
    @overload
    def __getitem__(self, place: slice) -> list[Block]: ...
    def __getitem__(self, place: int | slice) -> Block | list[Block]:
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(len(self)))]
        number = range(len(self))[place]
        length, checksum, tar_length, first_header, ordinal, second, unique = _BLOCK.unpack_from(
            self._records, number * _BLOCK.size
        )
        return Block(
            self._offsets[number],
            length,
            checksum,
            tar_length,
            first_header,
            ordinal,
            f"{clock_prefix(self._day, second)}{unique:016X}",
            number == len(self) - 1,
            self._alone,
        )


@dataclass(frozen=True, slots=True)
class Directory:
    """Whose rollup it is, all blocks and all chunks in order."""

    target_prefix: str
    day: date
    blocks: Blocks
    chunks: tuple[Chunk, ...]

    @property
    def first_suffix(self) -> str:
        """The suffix of the rollup's first member, from which its name follows."""
        return self.blocks[0].suffix

    def blocks_for(self, low: str, high: str) -> Sequence[Block]:
        """The blocks that can hold a part of the members from suffix `low` up to `high`, both included.

        The bounds need not be whole suffixes: from `2022-07-01-10` to `2022-07-01-10:` is one hour.
        """
        return self.blocks[_span(self.blocks, low, high)]

    def chunks_for(self, low: str, high: str) -> Sequence[Chunk]:
        """The chunks that can hold members from suffix `low` up to `high`, both included."""
        return self.chunks[_span(self.chunks, low, high)]


def _span(parts: Sequence[T], low: str, high: str) -> slice:
    """The parts that can hold something between the bounds, each known by the suffix it begins with."""
    first = bisect_left(parts, low, key=_suffix_of)
    if first == len(parts) or parts[first].suffix != low:
        first = max(0, first - 1)
    return slice(first, bisect_right(parts, high, key=_suffix_of))


def _suffix_of(part: Block | Chunk) -> str:
    return part.suffix


def encode_directory(target_prefix: str, day: date, blocks: Sequence[Block], chunks: Sequence[Chunk]) -> bytes:
    """The directory section."""
    block_records = b"".join(
        _BLOCK.pack(
            block.length,
            block.crc32,
            block.tar_length,
            block.first_header,
            block.ordinal,
            *_clock_and_unique(block.suffix),
        )
        for block in blocks
    )
    chunk_records = b"".join(
        _CHUNK.pack(chunk.length, chunk.crc32, *_clock_and_unique(chunk.suffix)) for chunk in chunks
    )
    prefix = target_prefix.encode("utf-8", "surrogateescape")
    planes = to_planes(block_records, _BLOCK.size) + to_planes(chunk_records, _CHUNK.size)
    return encode_carriers(_PREFIX_LENGTH.pack(len(prefix)) + deflate(planes + str(day).encode() + prefix, INDEX_LEVEL))


def decode_directory(footer: Footer, data: bytes) -> Directory:
    """Decode the bytes at `directory_reach(footer)`.

    The blocks are proven to tile the data and its tar without a gap, the chunks to tile the members section.
    """
    section = footer.directory_section
    if len(data) != section.length or crc32(data) != section.crc32:
        damaged("the directory of the index does not have its checksum")
    blocks_bytes = footer.blocks * _BLOCK.size
    chunks_bytes = -(-footer.members // CHUNK_MEMBERS) * _CHUNK.size
    payload = decode_carriers(data)
    (prefix_bytes,) = _PREFIX_LENGTH.unpack(payload[: _PREFIX_LENGTH.size].ljust(_PREFIX_LENGTH.size, b"\xff"))
    tables, target_prefix, day = decode_names(payload[_PREFIX_LENGTH.size :], prefix_bytes, blocks_bytes + chunks_bytes)
    blocks = Blocks(from_planes(tables[:blocks_bytes], _BLOCK.size), str(day))
    check_blocks(footer, blocks)
    chunks = tuple(_iter_chunks(footer, from_planes(tables[blocks_bytes:], _CHUNK.size), str(day)))
    _check_chunks(footer, chunks, blocks[0].suffix)
    return Directory(target_prefix, day, blocks, chunks)


def decode_names(deflated: bytes, prefix_bytes: int, tables_bytes: int) -> tuple[bytes, str, date]:
    """What a directory was deflated from: its tables, which have so many bytes, the target prefix and the day."""
    if prefix_bytes > MAX_PREFIX_BYTES:
        damaged(f"the index claims a target prefix of {prefix_bytes} bytes")
    plain = inflate_exactly(deflated, tables_bytes + _DAY_BYTES + prefix_bytes)
    try:
        day_text = plain[tables_bytes : tables_bytes + _DAY_BYTES].decode()
        day = date.fromisoformat(day_text)
        target_prefix = plain[tables_bytes + _DAY_BYTES :].decode("utf-8", "surrogateescape")
    except ValueError as error:
        raise DamagedRollup(f"the index names an impossible day: {error}") from error
    if str(day) != day_text or "\0" in target_prefix:
        damaged("the index names an impossible day or target prefix")
    return plain[:tables_bytes], target_prefix, day


def directory_reach(footer: Footer) -> range:
    """The file offsets of the directory, which is not longer than the footer's other numbers allow."""
    section = footer.directory_section
    chunks = footer.members // CHUNK_MEMBERS + 1
    if section.length > most_bytes(2048 + footer.blocks * (_BLOCK.size + 1) + chunks * (_CHUNK.size + 1)):
        damaged(f"the directory of the index claims {section.length} bytes for {footer.blocks} blocks")
    return section.reach


def _clock_and_unique(suffix: str) -> tuple[int, int]:
    """Second of the day and unique string of a log key's suffix."""
    return int(suffix[11:13]) * 3600 + int(suffix[14:16]) * 60 + int(suffix[17:19]), int(suffix[20:], 16)


def _iter_chunks(footer: Footer, records: bytearray, day: str) -> Iterator[Chunk]:
    offset = footer.members_section.offset
    left = footer.members
    for length, checksum, second, unique in _CHUNK.iter_unpack(records):
        count = min(CHUNK_MEMBERS, left)
        yield Chunk(offset, length, checksum, count, f"{clock_prefix(day, second)}{unique:016X}")
        offset += length
        left -= count


def check_blocks(footer: Footer, blocks: Blocks) -> None:
    """The blocks tile the data and its tar without a gap."""
    before: Block | None = None
    tar_bytes = 0
    for number, block in enumerate(blocks, start=1):
        limit = BLOCK_BYTES + (len(END_OF_ARCHIVE) if block.last else 0)
        sizes_fit = (
            0 < block.tar_length <= min(limit, block.length * MAX_DEFLATE_RATIO)
            and block.first_header <= block.tar_length
            and block.tar_length % RECORD_BYTES == block.first_header % RECORD_BYTES == 0
        )
        if not sizes_fit or not _follows(before, block) or block.ordinal >= footer.members:
            damaged(f"the index is wrong about block {number} of {len(blocks)}")
        _check_time(block)
        tar_bytes += block.tar_length
        before = block
    if blocks.data_bytes != footer.data_bytes:
        damaged("the blocks do not fill the data exactly")
    if tar_bytes != footer.tar_bytes:
        damaged("the blocks' tar lengths do not add up")


def _follows(before: Block | None, block: Block) -> bool:
    """Whether the block can stand there: it begins with a later member's header, or goes on with the same member.

    It cannot go on with a member that began in the middle of a block: one that does not fit begins a new block.
    """
    if before is None:
        return block.ordinal == 0 and block.first_header == 0
    if block.ordinal == before.ordinal:
        return block.suffix == before.suffix and block.first_header != 0
    return block.ordinal > before.ordinal and block.suffix > before.suffix and block.first_header == 0


def _check_chunks(footer: Footer, chunks: tuple[Chunk, ...], first_suffix: str) -> None:
    last = ""
    for chunk in chunks:
        if not 0 < chunk.length <= most_chunk_bytes(chunk.members) or chunk.suffix <= last:
            damaged(f"the directory is wrong about the part of the index at offset {chunk.offset}")
        _check_time(chunk)
        last = chunk.suffix
    end = chunks[-1].offset + chunks[-1].length
    if chunks[0].suffix != first_suffix or end != footer.members_section.reach.stop:
        damaged("the directory is wrong about where the members of the index are")


def _check_time(part: Block | Chunk) -> None:
    if LOG_SUFFIX.fullmatch(part.suffix) is None:
        damaged(f"the index names {part.suffix}, which is behind the end of the day")
