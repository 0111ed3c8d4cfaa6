"""Carriers: empty gzip members with a piece of the index in their extra fields, which other tools pass over."""

from __future__ import annotations

import struct
from typing import Final

from s3_log_roller.rollup.damage import damaged

MAX_WRITTEN_BYTES: Final = 16_000
"""Of payload in a carrier. busybox reads extra fields up to 16,380 bytes, DuckDB up to 32,768."""
MAX_READ_BYTES: Final = 65_000

_START: Final = bytes.fromhex("1f8b 08 04 00000000 00 ff")
END: Final = bytes.fromhex("0300 00000000 00000000")
"""What every carrier ends with: an empty deflate stream, its CRC-32 and its length."""
_LENGTHS: Final = struct.Struct("<H2sH")
_SUBFIELD: Final = b"S3"
HEAD_BYTES: Final = len(_START) + _LENGTHS.size
OVERHEAD_BYTES: Final = HEAD_BYTES + len(END)


def encode_carrier(payload: bytes | bytearray) -> bytes:
    """One carrier of the payload, which has 1 to 65,000 bytes."""
    return b"".join((_head(len(payload)), payload, END))


def encode_carriers(payload: bytes | bytearray) -> bytes:
    """Carriers that hold the payload: all full but the last."""
    starts = range(0, len(payload), MAX_WRITTEN_BYTES)
    return b"".join(encode_carrier(payload[start : start + MAX_WRITTEN_BYTES]) for start in starts)


def decode_carriers(data: bytes) -> bytes:
    """The payload of carriers that are all of `data`. Raises `DamagedRollup`."""
    pieces = []
    position = 0
    while position < len(data):
        head = data[position : position + HEAD_BYTES]
        size = int.from_bytes(head[-2:], "little")
        stop = position + HEAD_BYTES + size
        if not 0 < size <= MAX_READ_BYTES or head != _head(size) or not data.startswith(END, stop):
            damaged("a part of the index is not made of the gzip members it should be")
        pieces.append(data[position + HEAD_BYTES : stop])
        position = stop + len(END)
    return b"".join(pieces)


def most_bytes(payload_bytes: int) -> int:
    """The most that carriers of a payload of up to that length take up, if each holds a single byte."""
    return payload_bytes * (1 + OVERHEAD_BYTES)


def _head(size: int) -> bytes:
    return _START + _LENGTHS.pack(size + 4, _SUBFIELD, size)
