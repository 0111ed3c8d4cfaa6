"""Reads the data of a rollup: one block alone, or all of it as proof."""

from __future__ import annotations

from collections.abc import Iterator

from s3_log_roller.rollup.compression import (
    FULL_FLUSH,
    GZIP_HEADER,
    GZIP_TRAILER,
    Inflation,
    crc32,
    inflate_exactly,
)
from s3_log_roller.rollup.damage import damaged
from s3_log_roller.rollup.directory import Block, Directory
from s3_log_roller.rollup.footer import Footer
from s3_log_roller.rollup.members import IndexedMember
from s3_log_roller.rollup.tar_checker import TarChecker


def inflate_block(data: bytes, block: Block) -> bytes:
    """The piece of tar in the bytes `[block.offset, block.offset + block.length)` of the file.

    Every byte of them is checked, and nothing larger than the index says is ever allocated. Raises `DamagedRollup`.
    """
    if len(data) != block.length or crc32(data) != block.crc32:
        damaged(f"the block at offset {block.offset} is not the one the index describes")
    if block.alone:
        return _inflate_gzip(data, block)
    if not block.last and not data.endswith(FULL_FLUSH):
        damaged(f"the block at offset {block.offset} does not end as a rollup's blocks do")
    return inflate_exactly(data, block.tar_length, last=block.last)


def _inflate_gzip(data: bytes, block: Block) -> bytes:
    """As `inflate_block`, for a block that is a gzip member of its own."""
    tar = inflate_exactly(data[len(GZIP_HEADER) : -GZIP_TRAILER.size], block.tar_length)
    if not data.startswith(GZIP_HEADER) or not data.endswith(GZIP_TRAILER.pack(crc32(tar), len(tar))):
        damaged(f"the block at offset {block.offset} does not begin and end as a gzip member should")
    return tar


class RollupChecker:
    """Proves a rollup from all of its data: every byte is the one that follows from the members.

    It is read in both ways there are: block by block, and as one deflate stream, as other tools do. Where each block is
    a gzip member of its own, both are the same. `members` are those of the index, in order. Methods raise
    `DamagedRollup`.
    """

    def __init__(self, footer: Footer, members: Iterator[IndexedMember], directory: Directory) -> None:
        self._tar = TarChecker(footer, members, directory)
        self._is_one_stream = not footer.draft
        self._whole = Inflation()
        self._crc32 = 0
        self._bytes = 0

    def take(self, block: Block, data: bytes) -> list[tuple[IndexedMember, bytes]]:
        """Check the next block; returns the members that ended in it, each with the MD5 of its content."""
        tar = inflate_block(data, block)
        if self._is_one_stream and self._whole.take(data, len(tar)) != tar:
            damaged(f"the block at offset {block.offset} is another one for programs that read the whole file")
        self._crc32 = crc32(tar, self._crc32)
        self._bytes += len(tar)
        self._tar.expect(block)
        return self._tar.feed(tar)

    def finish(self, header: bytes, trailer: bytes) -> None:
        """Check that nothing is missing or left over, and what stands in the file before and behind the blocks."""
        self._tar.finish()
        around = (GZIP_HEADER, GZIP_TRAILER.pack(self._crc32, self._bytes & 0xFFFFFFFF))
        if (header, trailer) != (around if self._is_one_stream else (b"", b"")):
            damaged("its data does not begin and end as a gzip member should")
