"""Packs originals into the bytes of a rollup. Same originals, same bytes: however their bodies come in pieces."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from deflate import crc32, deflate_compress

from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rollup.index import BLOCK_BYTES, Block, Footer, MemberTable, encode_blocks, encode_section
from s3_log_roller.rollup.originals import Original
from s3_log_roller.rollup.tar import END_OF_ARCHIVE, TarHeaders, name_prefix, padding

DEFAULT_LEVEL: Final = 8
"""Of compression: docs/decisions/0007-compression.md."""
MAX_LEVEL: Final = 12

BLOCK_HEADER: Final = bytes.fromhex("1f8b 08 00 00000000 00 ff")
BLOCK_TRAILER: Final = struct.Struct("<II")
_NO_HEADER: Final = -1


class RollupWriter:
    """Takes originals in key order and hands out the rollup as it grows.

    Every call returns the bytes to be written next, mostly none. Memory: one block, and some 15 bytes per member.
    """

    def __init__(self, group: DayGroup, content_digest: bytes, level: int) -> None:
        if len(content_digest) != 32:
            raise ValueError(f"a content digest has 32 bytes, not {len(content_digest)}")
        self.members = 0
        self.original_bytes = 0
        self.bytes_out = 0
        """Bytes handed out so far."""
        self._group = group
        self._content_digest = content_digest
        self._level = level
        self._headers = TarHeaders(name_prefix(group.target_prefix))
        self._table = MemberTable(group.day)
        self._blocks: list[Block] = []
        self._tar_bytes = 0
        self._block = bytearray()
        self._room = 0
        """What a whole entry may take up; 0 where a block or an entry has to be begun or ended first."""
        self._first_header = _NO_HEADER
        self._first_ordinal = 0
        self._first_suffix = ""
        self._last_suffix = ""
        self._current: Original | None = None
        self._missing_bytes = 0

    def add(self, original: Original, body: bytes, md5: bytes) -> bytes:
        """Add an original whose whole body, with that MD5, is at hand."""
        suffix = original.suffix
        size = original.size
        if len(body) != size:
            raise ValueError(f"{suffix}: {len(body)} bytes came for a size of {size}")
        header = self._headers.header(suffix, size, original.mtime)
        pad = padding(size)
        room_left = self._room - len(header) - size - len(pad)
        if room_left < 0 or suffix <= self._last_suffix:
            return self.begin(original) + self.write(body) + self.end(md5)
        self._room = room_left
        self._last_suffix = suffix
        block = self._block
        block += header
        block += body
        block += pad
        self._table.add(original, md5)
        self.members += 1
        self.original_bytes += size
        return b""

    def begin(self, original: Original) -> bytes:
        """Start an original whose body will come in pieces. Raises ValueError when it is out of order."""
        suffix = original.suffix
        if self._current is not None:
            raise ValueError(f"{suffix}: {self._current.suffix} has not ended yet")
        if suffix <= self._last_suffix:
            raise ValueError(f"{suffix} does not sort behind {self._last_suffix}")
        header = self._headers.header(suffix, original.size, original.mtime)
        entry_bytes = len(header) + original.size + len(padding(original.size))
        out = self._close_block() if self._block and len(self._block) + entry_bytes > BLOCK_BYTES else b""
        if self._first_header == _NO_HEADER:
            self._first_header = len(self._block)
        self._current = original
        self._room = 0
        self._last_suffix = suffix
        self._missing_bytes = original.size
        return out + self._fill(header)

    def write(self, chunk: bytes) -> bytes:
        """Add the next piece of the body. Raises ValueError when it is longer than the original's size."""
        if self._current is None or len(chunk) > self._missing_bytes:
            raise ValueError(f"{self._last_suffix}: more bytes came than its size")
        self._missing_bytes -= len(chunk)
        return self._fill(chunk)

    def end(self, md5: bytes) -> bytes:
        """End the original, whose body had that MD5. Raises ValueError when the body was too short."""
        original = self._current
        if original is None or self._missing_bytes:
            raise ValueError(f"{self._last_suffix}: {self._missing_bytes} bytes of its body did not come")
        out = self._fill(padding(original.size))
        self._current = None
        if self._first_header != _NO_HEADER:
            self._room = BLOCK_BYTES - len(self._block)
        self._table.add(original, md5)
        self.members += 1
        self.original_bytes += original.size
        return out

    def finish(self) -> Iterator[bytes]:
        """The rest, in pieces of at most about 1 MiB: the last block and the index.

        Raises ValueError inside an original, and for a rollup of none.
        """
        if self._current is not None:
            raise ValueError(f"{self._current.suffix} has not ended yet")
        if not self.members:
            raise ValueError("a rollup of no originals")
        self._block += END_OF_ARCHIVE
        return self._rest()

    def _rest(self) -> Iterator[bytes]:
        yield self._close_block()
        members_start = self.bytes_out
        for carrier in self._table.finish():
            yield self._handed_out(carrier)
        blocks_start = self.bytes_out
        blocks = encode_blocks(self._blocks, self._group.target_prefix, self._group.day)
        yield self._handed_out(encode_section(blocks))
        footer = Footer(
            members_start,
            blocks_start,
            self.bytes_out,
            self.members,
            len(self._blocks),
            self._tar_bytes,
            self.original_bytes,
            self._content_digest,
            self._table.crc32,
            crc32(blocks),
        )
        yield self._handed_out(footer.encode())

    def _fill(self, data: bytes) -> bytes:
        out = []
        rest = memoryview(data)
        while rest:
            # A full block waits for the byte that has to go behind it, so the end of the archive never needs its own.
            if len(self._block) == BLOCK_BYTES:
                out.append(self._close_block())
            if not self._block:
                self._first_ordinal = self.members
                self._first_suffix = self._last_suffix
            room = BLOCK_BYTES - len(self._block)
            self._block += rest[:room]
            rest = rest[room:]
        return b"".join(out)

    def _close_block(self) -> bytes:
        tar_length = len(self._block)
        trailer = BLOCK_TRAILER.pack(crc32(self._block), tar_length)
        data = b"".join((BLOCK_HEADER, deflate_compress(self._block, self._level), trailer))
        first_header = tar_length if self._first_header == _NO_HEADER else self._first_header
        self._blocks.append(
            Block(
                self.bytes_out,
                len(data),
                crc32(data),
                tar_length,
                first_header,
                self._first_ordinal,
                self._first_suffix,
            )
        )
        self._tar_bytes += tar_length
        self._block.clear()
        self._room = 0
        self._first_header = _NO_HEADER
        return self._handed_out(data)

    def _handed_out(self, data: bytes) -> bytes:
        self.bytes_out += len(data)
        return data
