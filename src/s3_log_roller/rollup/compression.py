"""The compressed data of a rollup: one gzip member whose blocks can each be inflated alone.

zlib-ng deflates, ISA-L inflates: what one library writes is read by another one before an original is deleted.
"""

from __future__ import annotations

import struct
from typing import Final

from isal import isal_zlib
from zlib_ng import zlib_ng

from s3_log_roller.errors import DamagedRollup
from s3_log_roller.rollup.damage import damaged

DEFAULT_LEVEL: Final = 8
"""Why this level: docs/decisions/0007-compression.md."""
MAX_LEVEL: Final = 9

GZIP_HEADER: Final = bytes.fromhex("1f8b 08 00 00000000 00 ff")
"""RFC 1952: deflate, no flags, no time, no extra flags, unknown operating system."""
GZIP_TRAILER: Final = struct.Struct("<II")
"""CRC-32 and length, modulo 2**32, of what was compressed."""
FULL_FLUSH: Final = bytes.fromhex("0000 ffff")
"""What a block ends with that is not the last: the length of an empty stored deflate block, and its complement."""
MAX_DEFLATE_RATIO: Final = 1032
"""A byte of deflate stands for no more than that many (zlib's technical notes, "Maximum Compression Factor")."""

_RAW: Final = -15
"""Deflate without a header, with the window of 32 KiB that gzip has."""
_MEMORY_LEVEL: Final = 9


def crc32(data: bytes | bytearray | memoryview, before: int = 0) -> int:
    """The CRC-32 of the data, behind data that had the one `before`."""
    return isal_zlib.crc32(data, before)


def deflate(data: bytes | bytearray, level: int) -> bytes:
    """A whole raw deflate stream of the data."""
    return deflate_block(data, level, last=True)


def deflate_block(data: bytes | bytearray, level: int, *, last: bool) -> bytes:
    """A part of a raw deflate stream that refers to nothing before it; `last` ends the stream.

    The bytes depend on the data, the level and the release of zlib-ng alone, since every block has a compressor of its
    own.
    """
    stream = zlib_ng.compressobj(level, zlib_ng.DEFLATED, _RAW, _MEMORY_LEVEL)
    return stream.compress(data) + stream.flush(zlib_ng.Z_FINISH if last else zlib_ng.Z_FULL_FLUSH)


def inflate_exactly(data: bytes | memoryview, size: int, *, last: bool = True) -> bytes:
    """Inflate what `deflate_block` made, which must amount to `size`; no more than that is allocated."""
    inflation = Inflation()
    plain = inflation.take(data, size)
    if inflation.ended != last:
        damaged("compressed data ends where it should go on" if inflation.ended else "compressed data has no end")
    return plain


class Inflation:
    """A raw deflate stream that is read piece by piece, as every gzip tool reads it."""

    def __init__(self) -> None:
        self._stream = isal_zlib.decompressobj(_RAW)

    @property
    def ended(self) -> bool:
        """The stream's end was in what was taken last."""
        return self._stream.eof

    def take(self, data: bytes | memoryview, size: int) -> bytes:
        """Inflate the next piece, which must amount to `size`. Raises `DamagedRollup`."""
        try:
            plain = self._stream.decompress(data, size + 1)
        except isal_zlib.error as error:  # type: ignore[misc]  # isal's stub declares the class as an instance
            raise DamagedRollup(f"compressed data is corrupt: {error}") from error
        if len(plain) != size or self._stream.unused_data or self._stream.unconsumed_tail:
            damaged(f"compressed data does not hold the {size} bytes it should")
        return plain
