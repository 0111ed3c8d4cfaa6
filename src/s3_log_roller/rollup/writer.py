"""Packs originals into the bytes of a rollup. Same originals, same bytes: however their bodies come in pieces."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rollup.compression import GZIP_HEADER, GZIP_TRAILER, crc32, deflate_block
from s3_log_roller.rollup.directory import Block, encode_directory
from s3_log_roller.rollup.footer import BLOCK_BYTES, DIRECTORY, MEMBERS, Footer, Section
from s3_log_roller.rollup.members import ChunkWriter
from s3_log_roller.rollup.originals import ContentDigest, Original
from s3_log_roller.rollup.tar import END_OF_ARCHIVE, TarHeaders, name_prefix, padding

_NO_HEADER: Final = -1


class RollupWriter:
    """Takes originals in key order and hands out the rollup as it grows.

    Every call returns the bytes to be written next, mostly none. Memory: one block, and some 15 bytes per member.
    """

    def __init__(self, group: DayGroup, level: int) -> None:
        self.members = 0
        self.original_bytes = 0
        self.bytes_out = 0
        """Bytes handed out so far."""
        self._group = group
        self._level = level
        self._headers = TarHeaders(name_prefix(group.target_prefix))
        self._content = ContentDigest(group.target_prefix)
        self._chunks = ChunkWriter(group.day)
        self._blocks: list[Block] = []
        self._tar_bytes = 0
        self._tar_crc32 = 0
        self._block = bytearray()
        self._room = 0
        """How many bytes a whole entry may take; 0 if a block or an entry must begin or end first."""
        self._first_header = _NO_HEADER
        self._first_ordinal = 0
        self._first_suffix = ""
        self._last_suffix = ""
        self._current: Original | None = None
        self._missing_bytes = 0

    @property
    def content_digest(self) -> bytes:
        """The content digest of what was added so far."""
        return self._content.digest()

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
        self._enter(original, md5)
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

    def write(self, chunk: bytes | memoryview) -> bytes:
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
        self._enter(original, md5)
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
        yield self._close_block(last=True)
        yield self._handed_out(GZIP_TRAILER.pack(self._tar_crc32, self._tar_bytes & 0xFFFFFFFF))
        data_bytes = self.bytes_out
        for chunk in self._chunks.finish():
            yield self._handed_out(chunk)
        members = Section(MEMBERS, 0, data_bytes, self._chunks.length, self._chunks.crc32)
        directory = encode_directory(self._group.target_prefix, self._group.day, self._blocks, self._chunks.chunks)
        yield self._handed_out(directory)
        footer = Footer(
            self.members,
            self.original_bytes,
            self._tar_bytes,
            len(self._blocks),
            data_bytes,
            self._content.digest(),
            (members, Section(DIRECTORY, 0, members.reach.stop, len(directory), crc32(directory))),
        )
        yield self._handed_out(footer.encode())

    def _enter(self, original: Original, md5: bytes) -> None:
        self._chunks.add(original, md5)
        self._content.add(original.suffix, original.etag, original.size, None if md5 == original.md5 else md5)
        self.members += 1
        self.original_bytes += original.size

    def _fill(self, data: bytes | memoryview) -> bytes:
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

    def _close_block(self, *, last: bool = False) -> bytes:
        header = b"" if self._blocks else self._handed_out(GZIP_HEADER)
        tar_length = len(self._block)
        data = deflate_block(self._block, self._level, last=last)
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
                last,
            )
        )
        self._tar_crc32 = crc32(self._block, self._tar_crc32)
        self._tar_bytes += tar_length
        self._block.clear()
        self._room = 0
        self._first_header = _NO_HEADER
        return header + self._handed_out(data)

    def _handed_out(self, data: bytes) -> bytes:
        self.bytes_out += len(data)
        return data
